"""However a call ends, what it held of the quota ends with it."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.virtual_time import VirtualTime
from langchain_bedrock_opt import (
    BedrockEmulator,
    BedrockUsageCallbackHandler,
    ChatBedrockOptimized,
)
from langchain_bedrock_opt.aws.call_context import Caller, awaited_by
from langchain_bedrock_opt.aws.layers import LayeredClient, NotAsked
from langchain_bedrock_opt.capacity.admission import TokenQuota
from langchain_bedrock_opt.contracts import UNSENT
from langchain_bedrock_opt.errors import (
    InvalidRequestError,
    ModelTimeoutError,
    ServiceUnavailableError,
    ThrottledError,
)
from tests.admission import HAIKU, Failing, ask, layer
from tests.extras import needs_fork


@pytest.mark.parametrize("read", [0, 1])
def test_a_stream_that_is_broken_off_holds_nothing(read: int) -> None:
    """A stream that is closed, read or not, gives back what it held."""
    quota = layer(VirtualTime())
    client = LayeredClient(BedrockEmulator().client(), [quota])

    stream = client.converse_stream(**ask())["stream"]
    for _ in zip(range(read), stream, strict=False):
        pass
    assert quota.reserved_tokens > 0
    stream.close()

    assert quota.reserved_tokens == 0


@pytest.mark.parametrize("read", [0, 1])
def test_a_stream_that_is_forgotten_holds_nothing(read: int) -> None:
    """A stream that nobody reads to its end nor closes gives back what it held, once it is gone."""
    quota = layer(VirtualTime())
    client = LayeredClient(BedrockEmulator().client(), [quota])

    stream = client.converse_stream(**ask())["stream"]
    for _ in zip(range(read), stream, strict=False):
        pass
    assert quota.reserved_tokens > 0
    del stream
    gc.collect()

    assert quota.reserved_tokens == 0


def test_a_stream_that_is_forgotten_while_others_count_stops_nobody() -> None:
    """The garbage collector may end a stream in the middle of another call's turn."""
    streams: list[Any] = []

    def clock() -> float:  # asked while the line is locked
        streams.clear()
        gc.collect()
        return 0.0

    quota = TokenQuota(10**6, clock=clock)
    client = LayeredClient(BedrockEmulator().client(), [quota])
    forgotten = client.converse_stream(**ask())["stream"]
    next(iter(forgotten))
    streams.append(forgotten)
    del forgotten

    client.converse(**ask())

    assert quota.reserved_tokens == 0


async def eventually(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("streams", [False, True])
async def test_a_call_that_is_cancelled_while_it_waits_is_not_sent(*, streams: bool) -> None:
    """It leaves the line at once, nothing of it is sent, and its record is not unmetered."""
    emulator, usage = BedrockEmulator(), BedrockUsageCallbackHandler()
    client, quota = emulator.client(), TokenQuota(None, requests_per_minute=1)
    model = ChatBedrockOptimized(
        model=HAIKU, client=client, bedrock_client=client, max_tokens=9, layers=[quota]
    )
    await model.ainvoke("one")

    async def ask_again() -> None:
        if streams:
            _ = [chunk async for chunk in model.astream("two", {"callbacks": [usage]})]
        else:
            await model.ainvoke("two", {"callbacks": [usage]})

    waiting = asyncio.create_task(ask_again())
    await eventually(lambda: quota.waiting == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await eventually(lambda: quota.waiting == 0)

    assert emulator.journal.count("Converse") + emulator.journal.count("ConverseStream") == 1
    (record,) = usage.ledger.records()
    assert (record.status, record.unmetered) == ("aborted", False)
    assert quota.reserved_tokens == 0


def test_a_call_that_is_given_up_as_its_turn_comes_holds_nothing() -> None:
    """Between its turn and its being sent nobody can leave unnoticed; afterwards it is too late."""
    caller = Caller()
    caller.begin()
    waits: list[bool] = []

    def wait(_turn: threading.Event, _seconds: float) -> None:
        waits.append(caller.give_up())

    quota = TokenQuota(None, 1, clock=VirtualTime().clock, wait=wait)
    client = LayeredClient(BedrockEmulator().client(), [quota])
    client.converse(**ask())

    def work() -> None:
        awaited_by(caller)
        with pytest.raises(asyncio.CancelledError) as told:
            client.converse(**ask())
        assert getattr(told.value, UNSENT)

    copy_context().run(work)

    assert waits == [True]
    assert quota.waiting == 0
    sent = Caller()
    sent.begin()
    sent.let_go()
    assert sent.give_up() is False


def test_a_stream_that_is_throttled_on_its_way_pauses_the_others() -> None:
    """A throttle inside a stream reaches its reader, and the next call waits."""
    time = VirtualTime()
    quota = layer(time)
    ends = iter([None, ThrottledError("slow down"), None])
    client = LayeredClient(Failing(ends), [quota])
    answers: list[dict[str, Any]] = []

    def work() -> None:
        with pytest.raises(ThrottledError):
            list(client.converse_stream(**ask())["stream"])
        answers.append(client.converse(**ask()))

    time.run([work])

    assert answers[0]["bedrock_opt"]["lane"]["waited_seconds"] >= 5


@needs_fork
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_process_begins_with_an_empty_line() -> None:
    """Calls that the parent has under way are not the child's to end, nor to wait for."""
    quota = layer(VirtualTime())
    client = LayeredClient(BedrockEmulator().client(), [quota])
    stream = client.converse_stream(**ask())["stream"]

    child = os.fork()
    if not child:
        client.converse(**ask())
        os._exit(quota.reserved_tokens)
    _, status = os.waitpid(child, 0)
    stream.close()

    assert os.waitstatus_to_exitcode(status) == 0
    assert quota.reserved_tokens == 0


ends = st.sampled_from(
    [
        None,
        ServiceUnavailableError("down"),
        ModelTimeoutError("late"),
        InvalidRequestError("no"),
        ThrottledError("daily: too many tokens per day"),
        NotAsked(),
        KeyboardInterrupt(),
        ValueError("odd"),
    ]
)


@settings(max_examples=50, deadline=None)
@given(st.lists(ends, min_size=40, max_size=40), st.lists(st.integers(0, 3), max_size=15))
def test_nothing_is_held_once_calls_have_ended(
    ends: list[BaseException | None], ways: list[int]
) -> None:
    """However calls and streams end, what they held comes back to zero."""
    time = VirtualTime()
    quota = layer(time, 10**6, 10**6)
    client = LayeredClient(Failing(iter(ends)), [quota])

    def work() -> None:
        for way in ways:
            with suppress(Exception, KeyboardInterrupt):
                if way == 0:
                    client.converse(**ask())
                else:
                    stream = client.converse_stream(**ask())["stream"]
                    for _ in zip(range(way - 1), stream, strict=False):
                        pass
                    stream.close()

    time.run([work])  # a throttle inside a stream has the next call wait

    assert quota.reserved_tokens == 0
    assert quota.waiting == 0


def test_what_may_have_been_answered_counts() -> None:
    """A call that timed out may have used its tokens; one that was refused has not."""
    time = VirtualTime()
    quota = layer(time, 6000, share=1.0, max_wait=0)
    ends = iter([InvalidRequestError("no"), ModelTimeoutError("late")])
    client = LayeredClient(Failing(ends), [quota])

    for error in (InvalidRequestError, ModelTimeoutError):
        with pytest.raises(error):
            client.converse(**ask(most=900))
    with pytest.raises(ThrottledError):
        client.converse(**ask(most=900))


def test_a_waiter_that_is_interrupted_leaves_the_line() -> None:
    """Ctrl-C in a wait takes the call out of the line, and the next one gets its turn."""

    def interrupted(_event: threading.Event, _seconds: float) -> None:
        raise KeyboardInterrupt

    quota = TokenQuota(1000, clock=VirtualTime().clock, wait=interrupted)
    client = LayeredClient(BedrockEmulator().client(), [quota])
    stream = client.converse_stream(**ask(most=900))["stream"]

    with pytest.raises(KeyboardInterrupt):
        client.converse(**ask(most=900))

    assert quota.waiting == 0
    stream.close()
    assert quota.reserved_tokens == 0
