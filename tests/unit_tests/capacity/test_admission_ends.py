"""However a call ends, what it held of the quota ends with it."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.virtual_time import VirtualTime
from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.aws.layers import LayeredClient, NotAsked
from langchain_bedrock_opt.capacity.admission import TokenQuota
from langchain_bedrock_opt.errors import (
    InvalidRequestError,
    ModelTimeoutError,
    ServiceUnavailableError,
    ThrottledError,
)
from tests.admission import Failing, ask, layer
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

    for way in ways:
        with suppress(Exception, KeyboardInterrupt):
            if way == 0:
                client.converse(**ask())
            else:
                stream = client.converse_stream(**ask())["stream"]
                for _ in zip(range(way - 1), stream, strict=False):
                    pass
                stream.close()

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
