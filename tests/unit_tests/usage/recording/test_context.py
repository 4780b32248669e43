"""Counting inside a `with` block."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.runnables import RunnableConfig, RunnableLambda

from langchain_bedrock_opt.usage.ledger.ledger import UsageLedger
from langchain_bedrock_opt.usage.recording import context
from langchain_bedrock_opt.usage.recording.callback import BedrockUsageCallbackHandler
from langchain_bedrock_opt.usage.recording.context import get_bedrock_usage_callback
from tests.extras import needs_fork

Chat = Callable[..., ChatBedrockConverse]


def test_block_counts_what_starts_in_it(chat: Chat) -> None:
    """Calls inside the block count without any callback passed, and calls outside do not."""
    model = chat()
    with get_bedrock_usage_callback() as usage:
        model.invoke("Hello")
        model.batch(["a", "b"])
    model.invoke("Hello")
    assert usage.ledger.totals().calls == 3


def test_records_go_to_the_given_sinks(chat: Chat) -> None:
    """With sinks, records go to them."""
    ledger = UsageLedger()
    with get_bedrock_usage_callback(ledger):
        chat().invoke("Hello")
    assert ledger.totals().calls == 1


def test_block_ends_with_an_error(chat: Chat) -> None:
    """A block that is left by an error counts nothing afterwards."""
    with pytest.raises(ZeroDivisionError), get_bedrock_usage_callback() as usage:
        _ = 1 / 0
    chat().invoke("Hello")
    assert usage.ledger.totals().calls == 0


def test_thousand_uses_leave_one_hook_and_no_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is used, LangChain gets one hook to ask, and no handler stays behind."""
    hooks: list[Any] = []
    monkeypatch.setattr(context, "_hook_registered", False)
    monkeypatch.setattr(
        context, "register_configure_hook", lambda variable, **_: hooks.append(variable)
    )
    handlers = weakref.WeakSet[BedrockUsageCallbackHandler]()
    for _ in range(1000):
        with get_bedrock_usage_callback() as usage:
            handlers.add(usage)
    del usage
    gc.collect()
    assert (len(hooks), hooks[0].get(), len(handlers)) == (1, None, 0)


def test_blocks_nest(chat: Chat) -> None:
    """A call inside two blocks counts in both."""
    model = chat()
    with get_bedrock_usage_callback() as outer:
        model.invoke("Hello")
        with get_bedrock_usage_callback() as inner:
            list(model.stream("Hello"))
        model.invoke("Hello")
    assert (outer.ledger.totals().calls, inner.ledger.totals().calls) == (3, 1)
    assert inner.ledger.records()[0].run_id == outer.ledger.records()[1].run_id
    assert all(usage.ledger.records()[-1].status == "ok" for usage in (inner, outer))


def test_block_inside_a_chain_of_a_block_counts_once(chat: Chat) -> None:
    """A call that the outer block hears of on two ways, by its chain too, counts in it once."""
    model = chat()
    inner_calls = []

    def step(text: str, config: RunnableConfig) -> Any:
        with get_bedrock_usage_callback() as inner:
            answer = model.invoke(text, config)
        inner_calls.append(inner.ledger.totals().calls)
        return answer

    with get_bedrock_usage_callback() as outer:
        RunnableLambda(step).invoke("Hello")
    assert (outer.ledger.totals().calls, inner_calls) == (1, [1])


def test_failed_call_counts_in_nested_blocks(chat: Chat, bedrock: Any) -> None:
    """A call that fails inside two blocks counts as an error in both."""
    bedrock.error = ValueError("no")
    with (
        get_bedrock_usage_callback() as outer,
        get_bedrock_usage_callback() as inner,
        pytest.raises(ValueError, match="no"),
    ):
        chat().invoke("Hello")
    assert outer.ledger.totals().errors == inner.ledger.totals().errors == 1


async def test_tasks_count_in_their_own_blocks(chat: Chat) -> None:
    """Blocks of tasks that run side by side do not see each other's calls."""
    model = chat()

    async def task(calls: int) -> int:
        with get_bedrock_usage_callback() as usage:
            for _ in range(calls):
                await model.ainvoke("Hello")
                await asyncio.sleep(0)
            return usage.ledger.totals().calls

    assert [*await asyncio.gather(task(1), task(2), task(3))] == [1, 2, 3]


def test_plain_threads_started_in_a_block_count(chat: Chat) -> None:
    """Calls from a thread and a thread pool that start inside the block are not lost."""
    model = chat()
    with get_bedrock_usage_callback() as usage:
        thread = threading.Thread(target=model.invoke, args=("Hello",))
        thread.start()
        thread.join()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(model.invoke, ["Hello"] * 20))
    assert (usage.ledger.totals().calls, usage.unattributed_runs) == (21, 0)


def test_threads_in_nested_blocks_count_in_both(chat: Chat) -> None:
    """A plain thread that starts inside two nested blocks counts in both."""
    with get_bedrock_usage_callback() as outer, get_bedrock_usage_callback() as inner:
        thread = threading.Thread(target=chat().invoke, args=("Hello",))
        thread.start()
        thread.join()
    assert outer.ledger.totals().calls == inner.ledger.totals().calls == 1


def test_requests_side_by_side_never_count_each_other(chat: Chat) -> None:
    """Two threads with a block each, open at the same time, each count their own calls only."""
    model, both_open = chat(), threading.Barrier(2)

    def request(calls: int) -> tuple[int, int]:
        with get_bedrock_usage_callback() as usage:
            both_open.wait(10)
            for _ in range(calls):
                model.invoke("Hello")
            both_open.wait(10)
        return usage.ledger.totals().calls, usage.unattributed_runs

    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(request, [1, 3])] == [(1, 0), (3, 0)]


def test_older_threads_are_nobodys(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    """A call in a thread that is older than the block may be anybody's: told, but not counted."""
    model = chat()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()  # starts the pool's thread
        with get_bedrock_usage_callback() as usage:
            for _ in range(2):
                pool.submit(model.invoke, "Hello").result()
            chain = RunnableLambda(model.invoke)
            pool.submit(chain.invoke, "Hello").result()
    assert (usage.ledger.totals().calls, usage.unattributed_runs) == (0, 3)
    assert len([text for text in caplog.messages if "copy_context" in text]) == 1


def test_thread_in_one_of_two_blocks_is_told_in_both(chat: Chat) -> None:
    """With two open blocks that do not nest, nobody can say whose a new plain thread is."""
    opened, done = threading.Event(), threading.Event()
    handlers = []

    def other_request() -> None:
        with get_bedrock_usage_callback() as usage:
            handlers.append(usage)
            opened.set()
            done.wait(10)

    other = threading.Thread(target=other_request)
    with get_bedrock_usage_callback() as usage:
        other.start()
        opened.wait(10)
        stray = threading.Thread(target=chat().invoke, args=("Hello",))
        stray.start()
        stray.join()
        done.set()
        other.join()
    for handler in (usage, *handlers):
        assert (handler.ledger.totals().calls, handler.unattributed_runs) == (0, 1)


def test_nothing_is_told_outside_of_all_blocks(chat: Chat) -> None:
    """After a block has closed, a plain thread's call counts nowhere."""
    with get_bedrock_usage_callback() as usage:
        pass
    thread = threading.Thread(target=chat().invoke, args=("Hello",))
    thread.start()
    thread.join()
    assert (usage.ledger.totals().calls, usage.unattributed_runs) == (0, 0)


@needs_fork
def test_a_forked_process_leaves_the_parents_runs_to_the_parent(chat: Chat) -> None:
    """A run that is open when the process forks counts in the parent only."""
    usage = BedrockUsageCallbackHandler(run_ttl=60)
    usage.on_chat_model_start({}, [[]], run_id=uuid4())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        child = os.fork()
    if child == 0:
        os._exit(usage.open_runs)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert usage.open_runs == 1
