"""What is around a batch of collected calls: callbacks, caches, Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import AsyncCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.globals import set_llm_cache
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel

from langchain_bedrock_opt.batching.chains import as_batch
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from langchain_bedrock_opt.errors import BatchStorageError
from langchain_bedrock_opt.usage import BedrockUsageCallbackHandler
from tests.batch_models import batch_model, inner_model
from tests.batch_service import HAIKU, SLOW, BatchService, make_batch_service

ASK = ChatPromptTemplate.from_template("Say {word}")
WORDS = [{"word": f"word{number % 4}"} for number in range(8)]
WINDOW = 0.05


@pytest.fixture
def service(aws_environment: None) -> BatchService:
    return make_batch_service(min_records=3)


def model_of(service: BatchService, **options: Any) -> BedrockBatch:
    inner = ChatBedrockConverse(
        model=HAIKU, client=service.runtime, bedrock_client=service.bedrock, max_tokens=99
    )
    return BedrockBatch(
        model=inner,
        s3_uri=f"s3://{service.bucket}/batches/",
        role_arn=service.role_arn,
        s3_client=service.s3,
        min_records=3,
        below_minimum="error",
        **options,
    )


def jobs(service: BatchService) -> list[Any]:
    return list(service.emulator.jobs.list())


@pytest.fixture
def llm_cache() -> Iterator[InMemoryCache]:
    cache = InMemoryCache()
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


FORMS: dict[str, Callable[[Any], Any]] = {
    "stages": lambda model: ASK | model,
    "collected": lambda model: RunnableParallel(said=ASK | model) | (lambda item: item["said"]),
}


@pytest.mark.parametrize("form", FORMS)
def test_tokens_are_counted_once(form: str, service: BatchService) -> None:
    """Equal inputs share an answer: its tokens are counted once, and its job is named."""
    usage = UsageMetadataCallbackHandler()
    chain: Any = as_batch(FORMS[form](model_of(service)), window=WINDOW)
    answers = chain.batch(WORDS, {"callbacks": [usage]})
    (job,) = jobs(service)
    assert job.counts.total == 4
    assert {answer.response_metadata["bedrock_opt"]["batch"] for answer in answers} == {job.arn}
    (counted,) = usage.usage_metadata.values()
    paid = {answer.text: answer.usage_metadata for answer in answers[:4]}
    assert counted["output_tokens"] == sum(each["output_tokens"] for each in paid.values())


@pytest.mark.parametrize("form", FORMS)
def test_a_cache_is_asked_first(form: str, service: BatchService, llm_cache: InMemoryCache) -> None:
    """What a cache has learnt from one batch is not sent by the next."""
    chain: Any = as_batch(FORMS[form](model_of(service)), window=WINDOW)
    first = chain.batch(WORDS)
    assert [answer.text for answer in chain.batch(WORDS)] == [answer.text for answer in first]
    assert len(jobs(service)) == 1


@pytest.mark.parametrize("form", FORMS)
def test_ctrl_c_leaves_the_jobs_and_says_so(
    form: str, capsys: pytest.CaptureFixture[str], aws_environment: None
) -> None:
    """On Ctrl-C the job goes on, and how to come back to it is printed."""
    service = make_batch_service(min_records=3, pace=SLOW)
    presses = iter([signal.SIGINT])

    def press(_status: Any) -> None:
        for each in presses:
            signal.pthread_kill(threading.main_thread().ident or 0, each)

    model = model_of(service, progress=press)
    chain: Any = as_batch(FORMS[form](model), window=WINDOW)
    config: Any = {"metadata": {"bedrock_opt_run_id": "nightly"}}
    with pytest.raises(KeyboardInterrupt):
        chain.batch(WORDS, config)
    said = capsys.readouterr().err
    assert f"BatchRun.attach('s3://{service.bucket}/batches/runs/nightly" in said
    (job,) = jobs(service)
    assert job.status != "Stopping"
    service.clock.now += 10_000  # it ends, and whoever still waits for it


class Where(AsyncCallbackHandler):
    """Remembers the event loops that it is called on."""

    def __init__(self) -> None:
        self.loops: set[Any] = set()
        self.events: list[str] = []

    def _note(self, event: str) -> None:
        self.loops.add(asyncio.get_running_loop())
        self.events.append(event)

    async def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self._note("model")

    async def on_llm_end(self, *_: Any, **__: Any) -> None:
        self._note("answer")

    async def on_chain_start(self, *_: Any, **__: Any) -> None:
        self._note("chain")

    async def on_chain_error(self, *_: Any, **__: Any) -> None:
        self._note("error")


@pytest.mark.parametrize("form", FORMS)
async def test_async_handlers_are_called_on_the_caller_s_loop(
    form: str, service: BatchService
) -> None:
    """A handler that belongs to an event loop hears of each event once, there."""
    where = Where()
    model = model_of(service).with_config(callbacks=[where])
    chain: Any = as_batch(FORMS[form](model), window=WINDOW)
    await chain.abatch([{"word": f"word{n}"} for n in range(4)], {"callbacks": [where]})
    assert where.loops == {asyncio.get_running_loop()}
    assert where.events.count("model") == where.events.count("answer") == 4


async def test_async_handlers_hear_of_a_batch_that_fails(service: BatchService) -> None:
    """A batch that can't be made ends the runs of its inputs, on the caller's loop."""
    service.s3.delete_bucket(Bucket=service.bucket)
    where = Where()
    chain: Any = as_batch(FORMS["stages"](model_of(service)))
    with pytest.raises(BatchStorageError):
        await asyncio.wait_for(chain.abatch(WORDS, {"callbacks": [where]}), 20)
    assert where.events.count("error") == where.events.count("chain")
    assert where.loops <= {asyncio.get_running_loop()}


class SharedCache(InMemoryCache):
    """A cache that answers when several have asked."""

    def __init__(self, askers: int) -> None:
        super().__init__()
        self.together = threading.Barrier(askers, timeout=5)

    def lookup(self, prompt: str, llm_string: str) -> Any:
        self.together.wait()
        return super().lookup(prompt, llm_string)


@pytest.mark.parametrize("form", FORMS)
def test_a_cache_is_asked_many_at_once(form: str, service: BatchService) -> None:
    """A cache may be a network away: it is not asked one input after the other."""
    cache = SharedCache(len(WORDS))
    set_llm_cache(cache)
    try:
        as_batch(FORMS[form](model_of(service)), window=WINDOW).batch(WORDS)
    finally:
        set_llm_cache(None)
    assert not cache.together.broken


def test_nothing_more_is_sent_after_ctrl_c(
    aws_environment: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A batch of collected calls that is broken off creates no more jobs behind one's back."""
    service = make_batch_service(min_records=3, pace=SLOW, quotas={"max_running": 1})
    is_broken_off = threading.Event()

    def press(_status: Any) -> None:
        if not is_broken_off.is_set():
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            is_broken_off.wait(10)

    model = batch_model(service, progress=press, max_records=5)
    chain: Any = as_batch(FORMS["collected"](model), window=WINDOW)
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        chain.batch([{"word": f"word{number}"} for number in range(10)])
    is_broken_off.set()
    for thread in set(threading.enumerate()) - before:
        if thread.name == "bedrock-batch-round":
            thread.join(10)
    assert len(jobs(service)) == 1
    assert "come back to them with\n  BatchRun.attach(" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["stages", "coalesce"])
def test_handlers_of_the_inner_model_hear_of_each_answer(mode: Any) -> None:
    """Handlers, tags and metadata of the user's own model count in whole chains, too, once."""
    service = make_batch_service(min_records=3)
    usage = BedrockUsageCallbackHandler(metadata_keys=["team"])
    inner = inner_model(service)
    inner.callbacks, inner.tags, inner.metadata = [usage], ["nightly"], {"team": "search"}
    chain: Any = as_batch(
        RunnableLambda(str) | batch_model(service, inner), mode=mode, window=WINDOW
    )

    chain.batch(["one", "two", "three"], {"callbacks": [usage]})

    records = list(usage.ledger.records())
    assert [record.price_tier for record in records] == ["batch"] * 3
    assert all("nightly" in record.tags for record in records)
    assert [record.metadata for record in records] == [{"team": "search"}] * 3
