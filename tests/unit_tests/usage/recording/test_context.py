"""Counting inside a `with` block."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.runnables import RunnableConfig, RunnableLambda

from langchain_bedrock_opt.usage.ledger.ledger import UsageLedger
from langchain_bedrock_opt.usage.recording import context
from langchain_bedrock_opt.usage.recording.callback import BedrockUsageCallbackHandler
from langchain_bedrock_opt.usage.recording.context import get_bedrock_usage_callback

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
