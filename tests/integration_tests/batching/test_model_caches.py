"""Caches and batches: asked before a job, taught by its answers, never in the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage

from langchain_bedrock_opt import BedrockSemanticCache, BedrockUsageCallbackHandler
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage import get_bedrock_usage_callback
from tests.batch_models import batch_model, calls_of, inner_model, jobs_of, questions
from tests.batch_service import BatchService


@pytest.fixture(autouse=True)
def _no_global_cache() -> Iterator[None]:
    yield
    set_llm_cache(None)


def cached_model(service: BatchService, cache: Any, **fields: Any) -> Any:
    """A batch model whose inner model has a cache."""
    return batch_model(service, inner_model(service, cache=cache, temperature=0), **fields)


def statuses(answers: list[AIMessage]) -> list[Any]:
    """What our cache did with each."""
    return [each.response_metadata["bedrock_opt"]["cache"]["status"] for each in answers]


CACHES = [
    pytest.param(BedrockSemanticCache, id="layer"),
    pytest.param(InMemoryCache, id="langchain"),
    pytest.param(lambda: set_llm_cache(BedrockSemanticCache()), id="global"),
]


@pytest.mark.parametrize("make_cache", CACHES)
def test_what_was_answered_is_not_sent(batch_service: BatchService, make_cache: Any) -> None:
    """A second batch sends only what is new, and single calls hit what a job has answered."""
    model = cached_model(batch_service, make_cache())
    first = model.batch(questions(8))
    usage = BedrockUsageCallbackHandler()

    second = model.batch(questions(16), {"callbacks": [usage]})
    single = model.invoke(questions(1)[0])

    assert [each.text for each in second[:8]] == [each.text for each in first]
    assert single.text == first[0].text
    assert sorted(job["totalRecordCount"] for job in jobs_of(batch_service)) == [8, 8]
    assert calls_of(batch_service) == 0
    hits = [record for record in usage.ledger.records() if record.cache_hit]
    assert len(hits) == 8
    assert all(hit.usage is not None and hit.usage.total == 0 for hit in hits)
    saved = [each.usage_metadata["total_tokens"] for each in first]
    assert sorted(hit.saved.total for hit in hits) == sorted(saved)


@pytest.mark.parametrize("make_cache", CACHES)
async def test_a_batch_hits_what_single_calls_have_stored(
    batch_service: BatchService, make_cache: Any
) -> None:
    """The keys are the same: a batch is answered by what `invoke` and `ainvoke` have stored."""
    model = cached_model(batch_service, make_cache())
    singles = [model.invoke(prompt) for prompt in questions(3)]
    singles += [await model.ainvoke(prompt) for prompt in questions(6)[3:]]

    answers = model.batch(questions(6))
    again = await model.abatch(questions(6))

    assert [each.text for each in answers] == [each.text for each in singles]
    assert [each.text for each in again] == [each.text for each in singles]
    assert jobs_of(batch_service) == []


def test_the_global_cache_is_asked(batch_service: BatchService) -> None:
    """`set_llm_cache` holds for batches as it does for single calls."""
    set_llm_cache(InMemoryCache())
    model = batch_model(batch_service)

    first, second = model.batch(questions(6)), model.batch(questions(6))

    assert [each.text for each in first] == [each.text for each in second]
    assert len(jobs_of(batch_service)) == 1


def test_a_model_without_a_cache_asks_none(batch_service: BatchService) -> None:
    """`cache=False` keeps the global cache out."""
    set_llm_cache(InMemoryCache())
    model = cached_model(batch_service, cache=False)

    model.batch(questions(6))
    model.batch(questions(6))

    assert len(jobs_of(batch_service)) == 2


def test_a_cache_that_is_not_there_is_said(batch_service: BatchService) -> None:
    """`cache=True` without a cache is refused as in single calls, with the fix."""
    with pytest.raises(ConfigurationError, match="set_llm_cache"):
        cached_model(batch_service, cache=True).batch(questions(6))


def test_statistics_count_each_question_once(batch_service: BatchService) -> None:
    """A miss is one miss, and one store, though the cache is asked before and taught after."""
    cache = BedrockSemanticCache()
    model = cached_model(batch_service, cache)

    first = model.batch(questions(8))
    second = model.batch(questions(8))

    stats = cache.stats()
    assert (stats.misses, stats.stores, stats.hits, stats.errors) == (8, 8, 8, 0)
    assert statuses(first) == ["miss"] * 8
    assert statuses(second) == ["hit"] * 8


@pytest.mark.parametrize(("mode", "stored"), [("bypass", 8), ("refresh", 16)])
def test_a_call_can_speak_to_the_cache(batch_service: BatchService, mode: str, stored: int) -> None:
    """What the config's metadata asks of the cache holds for each record."""
    cache = BedrockSemanticCache()
    model = cached_model(batch_service, cache)
    model.batch(questions(8))

    answers = model.batch(questions(8), {"metadata": {"bedrock_opt_cache": mode}})

    stats = cache.stats()
    assert len(jobs_of(batch_service)) == 2
    assert (stats.stores, stats.bypassed, stats.hits) == (stored, 8, 0)
    assert len(answers) == 8


def test_blocks_of_a_cache_hold_for_batches(batch_service: BatchService) -> None:
    """`with cache.bypass():` around a batch keeps the cache out of it."""
    cache = BedrockSemanticCache()
    model = cached_model(batch_service, cache)
    model.batch(questions(8))

    with cache.bypass():
        model.batch(questions(8))

    assert len(jobs_of(batch_service)) == 2


def test_failed_records_are_not_stored(batch_service: BatchService) -> None:
    """Only answers are stored: what failed is asked again."""
    from langchain_bedrock_opt.emulator import OutputFault

    batch_service.emulator.jobs.faults.add(OutputFault(errors=[2], times=1))
    model = cached_model(batch_service, BedrockSemanticCache(), below_minimum="on_demand")
    model.batch(questions(8), return_exceptions=True)

    answers = model.batch(questions(8))

    assert statuses(answers).count("hit") == 7
    assert isinstance(answers[2], AIMessage)
    assert calls_of(batch_service) == 1


def test_equal_inputs_are_one_question(batch_service: BatchService) -> None:
    """Of equal inputs that no cache has, one is sent and stored."""
    cache = BedrockSemanticCache()
    model = cached_model(batch_service, cache)

    answers = model.batch([*questions(6), *questions(6)])

    assert jobs_of(batch_service)[0]["totalRecordCount"] == 6
    assert statuses(answers) == ["miss"] * 6 + ["hit"] * 6
    assert cache.stats().stores == 6


@pytest.mark.parametrize("fails", ["lookup", "update"])
def test_a_broken_cache_breaks_no_batch(
    batch_service: BatchService, fails: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If a cache fails, all is sent and answered, and it is logged once."""

    class Broken(InMemoryCache):
        pass

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the cache is down")

    setattr(Broken, fails, fail)

    answers = cached_model(batch_service, Broken()).batch(questions(8))

    assert len([each for each in answers if isinstance(each, AIMessage)]) == 8
    assert caplog.text.count("A cache failed") == 1


def test_asking_the_cache_is_no_run(batch_service: BatchService) -> None:
    """Nobody who counts runs hears of the questions to the cache."""
    caches: list[BaseCache] = [BedrockSemanticCache(), InMemoryCache()]

    with get_bedrock_usage_callback() as usage:
        for cache in caches:
            cached_model(batch_service, cache, callbacks=[usage]).batch(questions(6))

    assert usage.ledger.totals().calls == 12


def test_answers_of_tools_are_cached_in_their_own_format(batch_service: BatchService) -> None:
    """An answer of an InvokeModel job is stored as the Converse answer that a call would give."""
    from tests.batch_service import HAIKU

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    cache = BedrockSemanticCache()
    inner = inner_model(batch_service, HAIKU, cache=cache, temperature=0)
    model = batch_model(batch_service, inner).bind_tools([add], tool_choice="any")

    first = model.batch(questions(6))
    single = inner.bind_tools([add], tool_choice="any").invoke(questions(1)[0])

    assert calls_of(batch_service) == 0
    assert [call["args"] for call in single.tool_calls] == [
        call["args"] for call in first[0].tool_calls
    ]


def test_a_submitted_run_asks_the_cache(batch_service: BatchService) -> None:
    """`submit` sends nothing that a cache has."""
    model = cached_model(batch_service, BedrockSemanticCache())
    model.batch(questions(8))

    run = model.submit(questions(16), run_id="mine")

    assert len(run.outputs()) == 16
    assert sorted(job["totalRecordCount"] for job in jobs_of(batch_service)) == [8, 8]
