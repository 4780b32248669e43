"""The scorers' memory: what is asked once, by threads and by tasks."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.scoring.memo import Memo

MANY = 50


class Network:
    """Answers a text with its length, after a while; fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.asked: list[str] = []
        self.failures = failures
        self.is_open = threading.Event()
        self.is_open.set()

    def ask(self, text: str) -> int:
        self.asked.append(text)
        assert self.is_open.wait(10)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("down")
        return len(text)

    async def aask(self, text: str) -> int:
        return await asyncio.to_thread(self.ask, text)


def wait_for(text: str, network: Network) -> None:
    while text not in network.asked:
        time.sleep(0.001)


@given(st.lists(st.text(max_size=3), max_size=40), st.integers(1, 5))
def test_a_memo_gives_what_the_network_would(texts: list[str], size: int) -> None:
    """Whatever is asked in whichever order, the answers are right, and no more are kept."""
    memo, network = Memo[int](size), Network()

    assert [memo.get(text, lambda text=text: network.ask(text)) for text in texts] == [  # type: ignore[misc]
        len(text) for text in texts
    ]
    assert len(memo) <= size


def test_the_last_used_stays_longest() -> None:
    """A full memo drops the answer that was used longest ago."""
    memo, network = Memo[int](2), Network()

    for text in ("a", "b", "a", "c", "a", "b"):
        memo.get(text, lambda text=text: network.ask(text))  # type: ignore[misc]

    assert network.asked == ["a", "b", "c", "b"]


def test_threads_that_ask_the_same_at_once_ask_once() -> None:
    """Fifty threads with one question make one request, and all get its answer."""
    memo, network = Memo[int](10), Network()
    network.is_open.clear()

    with ThreadPoolExecutor(MANY) as pool:
        answers = [pool.submit(memo.get, "abc", lambda: network.ask("abc")) for _ in range(MANY)]
        wait_for("abc", network)
        network.is_open.set()

    assert [answer.result() for answer in answers] == [3] * MANY
    assert network.asked == ["abc"]


async def test_tasks_that_ask_the_same_at_once_ask_once() -> None:
    """Fifty tasks with one question make one request, and all get its answer."""
    memo, network = Memo[int](10), Network()

    answers = await asyncio.gather(
        *(memo.aget("abc", lambda: network.aask("abc")) for _ in range(MANY))
    )

    assert answers == [3] * MANY
    assert network.asked == ["abc"]
    assert await memo.aget("abc", lambda: network.aask("abc")) == 3
    assert memo.get("abc", lambda: network.ask("abc")) == 3
    assert len(network.asked) == 1


async def test_a_task_that_gives_up_leaves_the_answer_to_the_others() -> None:
    """Who asked first may be cancelled: the request goes on, is answered once and kept."""
    memo, network = Memo[int](10), Network()
    network.is_open.clear()
    first = asyncio.create_task(memo.aget("abc", lambda: network.aask("abc")))
    while not network.asked:
        await asyncio.sleep(0.001)
    second = asyncio.create_task(memo.aget("abc", lambda: network.aask("abc")))
    await asyncio.sleep(0)

    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    network.is_open.set()

    assert await second == 3
    assert network.asked == ["abc"]


async def test_a_failure_is_told_to_all_and_not_kept() -> None:
    """All who waited see the error; who asks later gets an answer."""
    memo, network = Memo[int](10), Network(failures=1)

    failed = await asyncio.gather(
        *(memo.aget("abc", lambda: network.aask("abc")) for _ in range(3)), return_exceptions=True
    )

    assert [type(error) for error in failed] == [ConnectionError] * 3
    assert await memo.aget("abc", lambda: network.aask("abc")) == 3
    network.failures = 1
    with pytest.raises(ConnectionError):
        memo.get("other", lambda: network.ask("other"))
    assert memo.get("other", lambda: network.ask("other")) == 5


async def test_a_failure_that_nobody_waits_for_is_silent() -> None:
    """An error after all have given up is not reported as one that nobody looked at."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    memo, network = Memo[int](10), Network(failures=1)
    network.is_open.clear()
    only = asyncio.create_task(memo.aget("abc", lambda: network.aask("abc")))
    while not network.asked:
        await asyncio.sleep(0.001)
    only.cancel()
    network.is_open.set()
    while network.failures:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    gc.collect()

    assert told == []


def test_an_interrupt_is_for_its_own_thread() -> None:
    """Ctrl-C in the thread that asks ends it; those who wait see a failure, and can go on."""
    memo = Memo[int](10)
    has_begun, may_end = threading.Event(), threading.Event()

    def interrupted() -> int:
        has_begun.set()
        assert may_end.wait(10)
        raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(memo.get, "abc", interrupted)
        assert has_begun.wait(10)
        second = pool.submit(memo.get, "abc", lambda: 4)
        time.sleep(0.05)
        may_end.set()

    assert isinstance(first.exception(), KeyboardInterrupt)
    assert isinstance(second.exception(), CancelledError)
    assert memo.get("abc", lambda: 3) == 3


def test_each_event_loop_asks_for_itself() -> None:
    """A memo serves one loop after another, and several at once."""
    memo, network = Memo[int](10), Network()

    def run(text: str) -> int:
        return asyncio.run(memo.aget(text, lambda: network.aask(text)))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, ["a", "bb", "ccc", "dddd"])) == [1, 2, 3, 4]
    assert run("a") == 1


def test_a_closed_event_loop_is_let_go() -> None:
    """A loop that was closed while it waited for an answer is gone after the next question."""
    memo, network = Memo[int](10), Network()

    async def never() -> int:
        await asyncio.Event().wait()
        return 0

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(memo.aget("abc", never), 0.01)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(give_up())
    loop.close()
    closed = weakref.ref(loop)
    del loop
    gc.collect()

    assert asyncio.run(memo.aget("abc", lambda: network.aask("abc"))) == 3
    gc.collect()

    assert closed() is None


def test_no_text_is_kept() -> None:
    """What a memo holds of a question is a hash, another one in each memo."""
    memo, other = Memo[int](10), Memo[int](10)

    memo.get("Quokka", lambda: 1)
    other.get("Quokka", lambda: 1)

    assert set(memo._kept) != set(other._kept)
    assert "Quokka" not in repr(vars(memo))


@pytest.mark.parametrize("size", [0, -1, 1.5, True])
def test_a_size_is_a_whole_number_above_zero(size: int) -> None:
    """Anything else is a configuration error that names it."""
    with pytest.raises(ConfigurationError, match="cache_size="):
        Memo(size)
