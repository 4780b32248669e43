"""Where single calls of many tasks wait until they make a job worth sending.

A call comes in as a question and waits. When no task can go on without an answer, all questions
of a kind are sent as one round, which is a run of its own; its answers are handed out, the tasks
go on, and what they ask next is the next round. So n agents of k steps take k jobs.

All of it happens on one event loop; only the sending waits in a thread.
"""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import inf
from typing import Any, Final, NamedTuple, TypeVar

from langchain_core.messages import AIMessage

from langchain_bedrock_opt.batching.chains.asking import Asked, Post, Question, Scribe, Spot
from langchain_bedrock_opt.batching.chains.sources import SOURCE, Source, digest_of
from langchain_bedrock_opt.batching.parts import COALESCER, JobKind, Outcome
from langchain_bedrock_opt.batching.run.threads import in_thread
from langchain_bedrock_opt.errors import BatchError, BedrockOptError, ConfigurationError

_T = TypeVar("_T")

# Outcomes that are handed from a round's thread to the event loop at a time.
_HANDFUL: Final = 256


class _Round:
    """A round on its way, and who waits for its outcomes.

    Args:
        keeps: Keep the outcomes that nobody has asked for yet.
    """

    def __init__(self, *, keeps: bool) -> None:
        self._keeps = keeps
        self._waiters: dict[int, list[asyncio.Future[Outcome]]] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._failure: Exception | None = None

    def wait(self, place: int, waiter: asyncio.Future[Outcome]) -> None:
        """Have somebody wait for an outcome."""
        if place in self._outcomes:
            waiter.set_result(self._outcomes[place])
            self._outcomes[place] = _again(self._outcomes[place])
        elif self._failure is not None:
            waiter.set_exception(self._failure)
        else:
            self._waiters.setdefault(place, []).append(waiter)

    def deliver(self, outcomes: Iterable[Outcome]) -> None:
        """Hand out what came."""
        for outcome in outcomes:
            given = outcome
            for waiter in self._waiters.pop(outcome.place, ()):
                if not waiter.done():
                    waiter.set_result(given)
                    given = _again(outcome)
            if self._keeps:
                self._outcomes[outcome.place] = given

    def end(self, failure: Exception | None) -> None:
        """Nothing more will come."""
        self._failure = failure or BedrockOptError("A round has ended without this record.")
        for waiters in self._waiters.values():
            _fail(waiters, self._failure)
        self._waiters.clear()


class _Waiting(NamedTuple):
    """A question that is not sent yet, and who waits for its answer."""

    asked: Asked
    waiters: list[asyncio.Future[Outcome]]


class Desk:
    """Collects the calls of one event loop's tasks. A `parts.Coalescer`.

    Attributes:
        calls: How many calls were made so far.
        rounds: How many rounds were sent so far, or gone on with.

    Args:
        scribe: Makes a question of a model's call.
        post_of: Who sends the questions of a model.
        window: Seconds without a new question after which what waits is sent, once all inputs
            that are known wait.
        patience: Seconds after which what waits is sent although an input is busy elsewhere, or
            although it is too few for a job and came from tasks that were not started here.
        threads: How many calls can come from threads at once: when all of those wait, nobody
            else gets a thread to ask from.
        deaf_after: Seconds after which a call from a thread is given up that the event loop has
            not even taken.
    """

    def __init__(
        self,
        scribe: Scribe,
        post_of: Callable[[Any], Post],
        *,
        window: float,
        patience: float,
        threads: int | None = None,
        deaf_after: float = 60.0,
    ) -> None:
        self._scribe = scribe
        self._post_of = post_of
        self._window = window
        self._patience = max(window, patience)
        self._threads = threads or min(32, (os.cpu_count() or 1) + 4)
        self._deaf_after = deaf_after
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[tuple[Post, JobKind], dict[bytes, _Waiting]] = {}
        self._flying: dict[bytes, tuple[_Round, int]] = {}
        self._replays: dict[tuple[Post, int], _Round] = {}
        self._known: dict[Post, asyncio.Task[Mapping[bytes, Spot]]] = {}
        self._in_air: set[_Round] = set()
        self._stopped = threading.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._busy = 0
        self._unanswered = 0
        self._strangers = 0
        self._in_threads = 0
        self._timer: asyncio.TimerHandle | None = None
        self._last = self._loop.time()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_open = True
        self._has_warned = False
        self.calls = 0
        self.rounds = 0

    # --- who asks

    async def ask(
        self, model: Any, messages: list[Any], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> AIMessage:
        """Answer one call of a model, when the job that it joined has ended.

        Raises:
            Exception: This call's record could not be made, or has no answer, or its round failed.
        """
        if not self._is_open:
            raise ConfigurationError(
                "A call came after its `coalesced` block had ended: await all tasks inside of it."
            )
        self.calls += 1
        question = await self._scribe(model, messages, stop, kwargs)
        if isinstance(question, AIMessage):
            return question
        source = SOURCE.get()
        digest = digest_of(repr(question.kind).encode(), question.body)
        key = digest if source is None else source.key(digest)
        with self._counted(source):
            outcome = await self._outcome(self._post_of(model), key, question)
        return question.read(outcome)

    def ask_from_thread(
        self, model: Any, messages: list[Any], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> AIMessage:
        """The same, for a call from a thread that is not the event loop's.

        Raises:
            ConfigurationError: It is the event loop's, which can't wait for itself; or that one
                takes no call, since it waits for this thread.
        """
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_here = False
        if is_here:
            raise ConfigurationError(
                "A sync call (`invoke`) inside an async function would wait for itself while "
                "calls are coalesced: call `await model.ainvoke(...)`."
            )
        is_heard = threading.Event()
        call = self._ask_for_thread(is_heard, model, messages, stop, kwargs)
        answer = asyncio.run_coroutine_threadsafe(call, self._loop)
        if not is_heard.wait(self._deaf_after):
            answer.cancel()
            raise ConfigurationError(
                f"The event loop has not taken a call from a thread for {self._deaf_after} "
                "seconds. A sync call of a chain inside an async function waits for itself while "
                "calls are coalesced: call `await chain.ainvoke(...)`."
            )
        return answer.result()

    async def _ask_for_thread(self, is_heard: threading.Event, *call: Any) -> AIMessage:
        is_heard.set()
        self._in_threads += 1
        try:
            return await self.ask(*call)
        finally:
            self._in_threads -= 1

    def start(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Run one input's work as a task that is known: nothing is sent while it is busy.

        Args:
            work: A coroutine, such as `agent.ainvoke(...)`.
        """
        source = Source()
        self._busy += 1
        task: asyncio.Task[_T] = self._loop.create_task(self._as_source(source, work))
        self._tasks.add(task)
        task.add_done_callback(partial(self._end, source, work))
        return task

    async def _as_source(self, source: Source, work: Coroutine[Any, Any, _T]) -> _T:
        COALESCER.set(self)
        SOURCE.set(source)
        return await work

    def _end(self, source: Source, work: Coroutine[Any, Any, Any], task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not self._is_open and not task.cancelled():
            task.exception()  # the batch's own error is told, not that of each task as well
        work.close()  # a task that is cancelled before it begins leaves it unawaited
        source.has_ended = True
        if not source.waiting:
            self._busy -= 1
        if not self._busy:
            self._look_after(0.0)

    async def close(self) -> None:
        """Wait until all that was started has ended and nobody waits, and take no further calls."""
        while self._tasks or self._unanswered:
            if self._tasks:
                await asyncio.wait(self._tasks)
            else:
                await self._idle.wait()
        self.abandon()

    def abandon(self) -> None:
        """Take no further calls, and send nothing more. Jobs that were sent go on.

        Whoever still waits is told so.
        """
        self._is_open = False
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()
        for group in self._waiting.values():
            for item in group.values():
                _fail(item.waiters, _given_up())
        self._waiting.clear()
        for flight in self._in_air:
            flight.end(_given_up())

    # --- how a call gets its outcome

    async def _outcome(self, post: Post, key: bytes, question: Question) -> Outcome:
        spot = (await self._known_of(post)).get(key)
        if not self._is_open:
            raise _given_up()
        waiter: asyncio.Future[Outcome] = self._loop.create_future()
        if spot is not None:
            self._replay_of(post, spot.round).wait(spot.place, waiter)
        elif key in self._flying:
            flight, place = self._flying[key]
            flight.wait(place, waiter)
        else:
            self._join(post, Asked(key, question.kind, question.body), waiter)
        return await waiter

    async def _known_of(self, post: Post) -> Mapping[bytes, Spot]:
        task = self._known.get(post)
        if task is None:
            # In a thread of its own: sync calls that wait may hold all those of the loop's pool.
            task = self._known[post] = self._loop.create_task(in_thread(post.known))
        # Whoever is cancelled while it is read must not cancel it for the others.
        return task.result() if task.done() else await asyncio.shield(task)

    def _join(self, post: Post, asked: Asked, waiter: asyncio.Future[Outcome]) -> None:
        group = self._waiting.setdefault((post, asked.kind), {})
        group.setdefault(asked.key, _Waiting(asked, [])).waiters.append(waiter)
        self._last = self._loop.time()
        if len(group) >= post.max_records:
            self._send(post, asked.kind)
        else:
            self._look_after(self._window)

    def _replay_of(self, post: Post, number: int) -> _Round:
        replay = self._replays.get((post, number))
        if replay is None:
            replay = self._replays[post, number] = _Round(keeps=True)
            self._fly(replay, lambda: post.again(number, self._stopped), ())
        return replay

    @contextmanager
    def _counted(self, source: Source | None) -> Iterator[None]:
        """Count a call that waits, and its input as one that can't go on."""
        self._unanswered += 1
        self._idle.clear()
        if source is None:
            self._strangers += 1
        else:
            source.waiting += 1
            if source.waiting == 1 and not source.has_ended:
                self._busy -= 1
        try:
            yield
        finally:
            self._unanswered -= 1
            if not self._unanswered:
                self._idle.set()
            if source is None:
                self._strangers -= 1
            else:
                source.waiting -= 1
                if not source.waiting and not source.has_ended:
                    self._busy += 1

    # --- when a round is sent

    def _time_to_wait(self, post: Post, size: int) -> float:
        """Seconds of quiet after which so many calls are sent."""
        is_small = size < post.min_records
        if is_small and self._in_air:
            return inf  # those who wait for the rounds in the air will ask more
        if self._in_threads >= self._threads:
            return self._window  # nobody else gets a thread to ask from
        # Of tasks that were not started here nobody knows how many there are: more may come, and
        # what is too few for a job costs twice as much.
        if self._busy or (is_small and self._strangers):
            return self._patience
        return self._window

    def _look_after(self, delay: float) -> None:
        """Look in so many seconds, unless that is going to happen sooner."""
        due = self._loop.time() + delay
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        due = {
            key: self._last + self._time_to_wait(key[0], len(group))
            for key, group in self._waiting.items()
        }
        for (post, kind), when in due.items():
            if when <= now:
                self._send(post, kind)
        later = min((when for when in due.values() if now < when < inf), default=None)
        if later is not None:
            self._look_after(later - now)
        if len(self._waiting) < len(due):
            self._warn_of_threads()

    def _send(self, post: Post, kind: JobKind) -> None:
        group = self._waiting.pop((post, kind)).values()
        # Who was cancelled meanwhile needs no answer.
        wanted = [item for item in group if not all(waiter.done() for waiter in item.waiters)]
        if not wanted:
            return
        flight = _Round(keeps=False)
        questions = [item.asked for item in wanted]
        for place, item in enumerate(wanted):
            self._flying[item.asked.key] = flight, place
            for waiter in item.waiters:
                flight.wait(place, waiter)
        keys = [asked.key for asked in questions]
        self._fly(flight, lambda: post.send(questions, self._stopped), keys)

    def _fly(
        self, flight: _Round, outcomes: Callable[[], Iterator[Outcome]], keys: Sequence[bytes]
    ) -> None:
        """Wait for a round in a thread, which does not keep the process from ending."""
        self._in_air.add(flight)
        self.rounds += 1

        def wait() -> None:
            failure: Exception | None = None
            try:
                for handful in _handfuls(outcomes()):
                    self._call(self._deliver, flight, handful, keys)
            except Exception as error:  # noqa: BLE001 - raised where the answers are awaited
                failure = error
            self._call(self._land, flight, failure, keys)

        threading.Thread(target=wait, name="bedrock-batch-round", daemon=True).start()

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _deliver(self, flight: _Round, outcomes: list[Outcome], keys: Sequence[bytes]) -> None:
        self._last = self._loop.time()
        if keys:
            for outcome in outcomes:
                self._flying.pop(keys[outcome.place], None)
        flight.deliver(outcomes)

    def _land(self, flight: _Round, failure: Exception | None, keys: Sequence[bytes]) -> None:
        self._last = self._loop.time()
        self._in_air.discard(flight)
        for key in keys:
            self._flying.pop(key, None)
        flight.end(failure)
        self._look_after(self._window)

    def _warn_of_threads(self) -> None:
        # More of them than we think there can be: then the pool is larger than we think.
        if self._in_threads != self._threads or self._has_warned:
            return
        self._has_warned = True
        warnings.warn(
            f"{self._in_threads} calls wait in threads and there are no more threads to ask from, "
            "so that jobs are smaller than they could be: make the nodes that call the model "
            "async, or give the event loop a larger pool (`loop.set_default_executor`).",
            stacklevel=2,
        )


def _fail(waiters: Iterable[asyncio.Future[Outcome]], error: Exception) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_exception(error)


def _given_up() -> BatchError:
    return BatchError(
        "The batch was given up before this call had an answer. Jobs that were sent go on: a batch "
        "with a run id finds their answers when it is made again."
    )


def _again(outcome: Outcome) -> Outcome:
    """An outcome for the second who asks: it is paid for once."""
    return outcome._replace(source="same") if outcome.error is None else outcome


def _handfuls(outcomes: Iterable[Outcome]) -> Iterator[list[Outcome]]:
    handful: list[Outcome] = []
    for outcome in outcomes:
        handful.append(outcome)
        if len(handful) == _HANDFUL:
            yield handful
            handful = []
    if handful:
        yield handful
