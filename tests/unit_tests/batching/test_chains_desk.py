"""The desk: when single calls of many tasks are sent, and who gets which answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_bedrock_opt.batching.chains.asking import Asked, Question, Spot
from langchain_bedrock_opt.batching.chains.desk import Desk
from langchain_bedrock_opt.batching.parts import JobKind, Outcome
from langchain_bedrock_opt.errors import BatchError, ConfigurationError, RecordNotProcessedError

KIND = JobKind("model", "Converse")
NEVER = 60.0


async def scribe(
    model: Any, messages: list[Any], stop: list[str] | None, kwargs: Mapping[str, Any]
) -> Question:
    """A question whose body is the text."""
    return Question(JobKind(str(model), "Converse"), messages[0].content.encode(), read)


def read(outcome: Outcome) -> AIMessage:
    if outcome.error is not None:
        raise outcome.error
    assert outcome.output is not None
    return AIMessage(outcome.output.decode())


class Echo:
    """A post that answers each body in capitals and keeps what it was sent."""

    def __init__(self, *, min_records: int = 1, max_records: int = 1000) -> None:
        self.min_records = min_records
        self.max_records = max_records
        self.rounds: list[list[Asked]] = []
        self.past: dict[bytes, Spot] = {}
        self.failure: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.stopped: threading.Event | None = None

    def known(self) -> Mapping[bytes, Spot]:
        return self.past

    def send(self, questions: Sequence[Asked], stopped: threading.Event) -> Iterator[Outcome]:
        self.rounds.append(list(questions))
        self.stopped = stopped
        self.gate.wait(10)
        if self.failure is not None:
            raise self.failure
        return self.again(len(self.rounds) - 1, stopped)

    def again(self, number: int, stopped: threading.Event) -> Iterator[Outcome]:
        for place, asked in enumerate(self.rounds[number]):
            if asked.body.startswith(b"bad"):
                yield Outcome(place, error=RecordNotProcessedError("Not processed."))
            else:
                yield Outcome(place, output=asked.body.upper())


@pytest.fixture
def post() -> Echo:
    return Echo()


@pytest.fixture
def open_desk(post: Echo) -> Callable[..., Desk]:
    def build(window: float = 0.02, patience: float = NEVER, **options: Any) -> Desk:
        return Desk(scribe, lambda _model: post, window=window, patience=patience, **options)

    return build


async def ask(desk: Desk, text: str, model: str = "model") -> str:
    return str((await desk.ask(model, [HumanMessage(text)], None, {})).content)


async def test_calls_of_many_tasks_are_one_round(
    open_desk: Callable[..., Desk], post: Echo
) -> None:
    """Calls that wait together are sent together, and each gets its own answer."""
    desk = open_desk()
    answers = await asyncio.gather(*(ask(desk, f"q{number}") for number in range(500)))
    assert answers == [f"Q{number}" for number in range(500)]
    assert [len(sent) for sent in post.rounds] == [500]


async def test_each_step_of_all_tasks_is_one_round(
    open_desk: Callable[..., Desk], post: Echo
) -> None:
    """Tasks that ask again after an answer make one more round, all of them together."""
    desk = open_desk()

    async def agent(number: int) -> str:
        first = await ask(desk, f"a{number}")
        await asyncio.sleep(0.001 * number)  # tools take their time
        return await ask(desk, f"{first} then")

    tasks = [desk.start(agent(number)) for number in range(20)]
    assert await asyncio.gather(*tasks) == [f"A{number} THEN" for number in range(20)]
    assert [len(sent) for sent in post.rounds] == [20, 20]


async def test_equal_calls_are_sent_once(open_desk: Callable[..., Desk], post: Echo) -> None:
    """Equal questions of different tasks share a line and its answer."""
    desk = open_desk()
    tasks = [desk.start(ask(desk, text)) for text in ("a", "b", "a", "a")]
    assert await asyncio.gather(*tasks) == ["A", "B", "A", "A"]
    assert [asked.body for asked in post.rounds[0]] == [b"a", b"b"]


async def test_who_asks_the_same_again_gets_another_line(
    open_desk: Callable[..., Desk], post: Echo
) -> None:
    """A second question of the same input is a question of its own, though the text is equal."""
    desk = open_desk()

    async def twice() -> list[str]:
        return [await ask(desk, "same"), await ask(desk, "same")]

    assert await desk.start(twice()) == ["SAME", "SAME"]
    first, second = (sent[0].key for sent in post.rounds)
    assert first != second


async def test_kinds_are_rounds_of_their_own(open_desk: Callable[..., Desk], post: Echo) -> None:
    """Calls of two models do not share a job."""
    desk = open_desk()
    await asyncio.gather(ask(desk, "a", "one"), ask(desk, "a", "two"))
    assert sorted(sent[0].kind.model_id for sent in post.rounds) == ["one", "two"]


async def test_one_bad_record_is_the_error_of_its_own_task(open_desk: Callable[..., Desk]) -> None:
    """An error of one record is raised where it was asked, and nowhere else."""
    desk = open_desk()
    answers = await asyncio.gather(ask(desk, "good"), ask(desk, "bad"), return_exceptions=True)
    assert answers[0] == "GOOD"
    assert isinstance(answers[1], RecordNotProcessedError)


async def test_a_failed_round_is_an_error_of_all_its_tasks(
    open_desk: Callable[..., Desk], post: Echo
) -> None:
    """When a round can't be sent, whoever waits for it hears why."""
    desk = open_desk()
    post.failure = ConfigurationError("No such bucket.")
    answers = await asyncio.gather(ask(desk, "a"), ask(desk, "b"), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["No such bucket."] * 2


async def test_nothing_is_sent_while_a_known_input_is_busy(
    open_desk: Callable[..., Desk], post: Echo
) -> None:
    """A round waits for an input that is still at work, and goes when that one has ended."""
    desk = open_desk(window=0.01)
    busy = asyncio.Event()
    idler = desk.start(_wait_for(busy.wait()))
    asker = desk.start(ask(desk, "a"))
    await asyncio.sleep(0.1)
    assert post.rounds == []
    busy.set()
    assert await asker == "A"
    assert await idler


async def test_patience_ends(open_desk: Callable[..., Desk], post: Echo) -> None:
    """An input that stays busy does not hold up the others for ever."""
    desk = open_desk(window=0.01, patience=0.05)
    busy = asyncio.Event()
    idler = desk.start(_wait_for(busy.wait()))
    assert await desk.start(ask(desk, "a")) == "A"
    busy.set()
    assert await idler


async def test_a_full_job_goes_at_once(open_desk: Callable[..., Desk], post: Echo) -> None:
    """As many calls as a job takes are sent without waiting for anybody."""
    post.max_records = 10
    desk = open_desk(window=0.05)
    await asyncio.gather(*(ask(desk, f"q{number}") for number in range(25)))
    assert [len(sent) for sent in post.rounds] == [10, 10, 5]


async def test_too_few_wait_for_the_round_in_the_air(
    open_desk: Callable[..., Desk], post: Echo
) -> None:
    """Calls that are too few for a job join those that come when the round in the air lands."""
    post.min_records = 2
    post.gate.clear()
    desk = open_desk(window=0.01)

    async def agent() -> str:
        return await ask(desk, f"{await ask(desk, 'a')} then")

    early = asyncio.gather(agent(), ask(desk, "b"))
    await _until(lambda: len(post.rounds) == 1)
    late = asyncio.create_task(ask(desk, "late"))
    await asyncio.sleep(0.05)
    assert len(post.rounds) == 1
    post.gate.set()
    assert list(await early) == ["A THEN", "B"]
    assert await late == "LATE"
    assert [len(sent) for sent in post.rounds] == [2, 2]


async def test_too_few_of_unknown_tasks_wait_for_more(
    open_desk: Callable[..., Desk], post: Echo
) -> None:
    """Calls that trickle in from a user's own tasks are not sent before they are enough."""
    post.min_records = 3
    desk = open_desk(window=0.01)

    async def agent(number: int) -> str:
        await asyncio.sleep(0.05 * number)
        return await ask(desk, f"q{number}")

    assert await asyncio.gather(*map(agent, range(3))) == ["Q0", "Q1", "Q2"]
    assert [len(sent) for sent in post.rounds] == [3]


async def test_too_few_of_unknown_tasks_are_sent_when_patience_ends(
    open_desk: Callable[..., Desk], post: Echo
) -> None:
    """Calls that stay too few for a job are sent all the same, after a while."""
    post.min_records = 3
    desk = open_desk(window=0.01, patience=0.1)
    assert await ask(desk, "a") == "A"


async def test_too_few_of_started_tasks_do_not_wait(
    open_desk: Callable[..., Desk], post: Echo
) -> None:
    """When all inputs are known, and each waits or has ended, nobody will ask more."""
    post.min_records = 3
    desk = open_desk(window=0.01)
    assert await desk.start(ask(desk, "a")) == "A"


async def test_a_cancelled_call_is_not_sent(open_desk: Callable[..., Desk], post: Echo) -> None:
    """A call that is given up before its round goes out costs nothing."""
    desk = open_desk(window=0.05)
    kept, dropped = (asyncio.create_task(ask(desk, text)) for text in ("kept", "dropped"))
    await asyncio.sleep(0.01)
    dropped.cancel()
    assert await kept == "KEPT"
    assert [asked.body for asked in post.rounds[0]] == [b"kept"]


async def test_calls_from_threads_wait_too(open_desk: Callable[..., Desk], post: Echo) -> None:
    """Sync calls in threads join the same round."""
    desk = open_desk()
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(8) as pool:
        calls = [
            loop.run_in_executor(
                pool, desk.ask_from_thread, "model", [HumanMessage(f"q{number}")], None, {}
            )
            for number in range(8)
        ]
        answers = [answer.content for answer in await asyncio.gather(*calls)]
    assert answers == [f"Q{number}" for number in range(8)]
    assert len(post.rounds) == 1


async def test_a_pool_that_is_too_small_is_warned_of(
    open_desk: Callable[..., Desk], post: Echo
) -> None:
    """With fewer threads than calls the window sends what is there, and a warning says why."""
    desk = open_desk(threads=2)
    loop = asyncio.get_running_loop()

    async def node(pool: ThreadPoolExecutor, text: str) -> Any:
        call = partial(desk.ask_from_thread, "model", [HumanMessage(text)], None, {})
        return (await loop.run_in_executor(pool, call)).content

    with ThreadPoolExecutor(2) as pool:
        tasks = [desk.start(node(pool, f"q{number}")) for number in range(4)]
        with pytest.warns(UserWarning, match="2 calls wait in threads"):
            answers = await asyncio.gather(*tasks)
    assert answers == ["Q0", "Q1", "Q2", "Q3"]
    assert [len(sent) for sent in post.rounds] == [2, 2]


async def test_a_sync_call_on_the_loop_is_refused(open_desk: Callable[..., Desk]) -> None:
    """A sync call inside an async function would hang: it says so instead."""
    desk = open_desk()
    with pytest.raises(ConfigurationError, match="ainvoke"):
        desk.ask_from_thread("model", [HumanMessage("a")], None, {})


async def test_a_loop_that_waits_for_a_thread_that_waits_for_it_is_found_out(
    open_desk: Callable[..., Desk], post: Echo
) -> None:
    """A call whose event loop waits for it to end does not hang: it says so, and costs nothing."""
    desk = open_desk(deaf_after=0.05)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(desk.ask_from_thread, "model", [HumanMessage("a")], None, {})
        with pytest.raises(ConfigurationError, match="ainvoke"):
            call.result(10)
    assert await ask(desk, "b") == "B"
    assert [[asked.body for asked in sent] for sent in post.rounds] == [[b"b"]]


async def test_earlier_answers_are_not_asked_for_again(
    open_desk: Callable[..., Desk], post: Echo
) -> None:
    """What a round of this run has asked before is answered by that round."""
    await asyncio.gather(*(ask(open_desk(), text) for text in ("a", "b")))
    post.past = {asked.key: Spot(0, place) for place, asked in enumerate(post.rounds[0])}
    answers = await asyncio.gather(*(ask(open_desk(), text) for text in ("b", "a", "b")))
    assert answers == ["B", "A", "B"]


async def test_closing_waits_for_all(open_desk: Callable[..., Desk]) -> None:
    """At the end of the block nothing is left behind, and a call that comes later is refused."""
    desk = open_desk()
    late = asyncio.create_task(ask(desk, "a"))
    await asyncio.sleep(0)
    await desk.close()
    assert await late == "A"
    with pytest.raises(ConfigurationError, match="await all tasks"):
        await ask(desk, "b")


async def test_closing_waits_for_what_was_started(
    open_desk: Callable[..., Desk], post: Echo
) -> None:
    """At the end of the block all started work has ended, whatever it asks on its way."""
    desk = open_desk()

    async def agent(number: int) -> str:
        first = await ask(desk, f"a{number}")
        await asyncio.sleep(0.01)
        return await ask(desk, f"{first} then")

    tasks = [desk.start(agent(number)) for number in range(3)]
    await desk.close()
    assert [task.result() for task in tasks] == [f"A{number} THEN" for number in range(3)]


async def test_giving_up_leaves_nobody_waiting(open_desk: Callable[..., Desk], post: Echo) -> None:
    """When a batch is given up its rounds are to stop, and whoever waits for an answer hears so."""
    post.gate.clear()
    post.min_records = 2
    desk = open_desk()
    sent = [desk.start(ask(desk, text)) for text in ("a", "b")]
    await _until(lambda: len(post.rounds) == 1)
    unsent = asyncio.create_task(ask(desk, "c"))
    await asyncio.sleep(0.05)
    desk.abandon()
    answers = await asyncio.wait_for(asyncio.gather(*sent, unsent, return_exceptions=True), 10)
    assert [type(answer) for answer in answers] == [BatchError] * 3
    assert post.stopped is not None
    assert post.stopped.is_set()
    post.gate.set()


async def _wait_for(event: Awaitable[bool]) -> bool:
    return await event


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.005)
