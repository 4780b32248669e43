"""`Line`: calls that wait for one quota, first come, first served, and what they hold of it."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from langchain_bedrock_opt.aws.call_context import current_caller
from langchain_bedrock_opt.capacity.admission.bucket import MinuteBucket
from langchain_bedrock_opt.capacity.admission.requests import quota_tokens, whole_prompt
from langchain_bedrock_opt.contracts import UNSENT
from langchain_bedrock_opt.forks import when_forked

Wait: TypeAlias = Callable[[threading.Event, float], object]
"""Waits for so many seconds, or until the event is set."""

_LONGEST_WAIT: Final = 60.0
"""In one piece: an event can't wait forever."""
_WEIGHT: Final = 0.2
"""How much one call changes what is known of a model's answers."""
_FACTORS: Final = (0.25, 4.0)
"""Between these a prompt's estimate is corrected: an odd call must not stop all others."""
_CERTAIN: Final = 0.5
"""The share of its estimate that a prompt has for certain."""


@dataclass(slots=True)
class Habits:
    """What calls to one model have shown so far.

    Attributes:
        burndown: Quota tokens of an output token.
        output: Tokens that its answers have, on a moving average; None before the first.
        factor: By how much prompts are longer than estimated, likewise.
    """

    burndown: int
    output: float | None = None
    factor: float = 1.0

    def learn(self, usage: Mapping[str, int], estimate: int) -> None:
        """Take in what a call spent whose prompt was estimated at so many tokens."""
        output = usage.get("outputTokens", 0)
        self.output = output if self.output is None else _moved(self.output, output)
        if estimate:
            least, most = _FACTORS
            seen = min(max(whole_prompt(usage) / estimate, least), most)
            self.factor = _moved(self.factor, seen)


def _moved(average: float, value: float) -> float:
    return average + _WEIGHT * (value - average)


@dataclass(frozen=True, slots=True)
class Demand:
    """What one call asks of the quota.

    Attributes:
        habits: What is known of its model.
        estimate: Tokens of its prompt, as estimated.
        most_output: The most tokens its answer can have.
    """

    habits: Habits
    estimate: int
    most_output: int

    @property
    def prompt(self) -> int:
        """Tokens of its prompt, corrected by what earlier calls had."""
        return math.ceil(self.estimate * self.habits.factor)

    @property
    def least(self) -> int:
        """What Bedrock holds at its start, however far the estimate is off.

        It goes without the correction: that is learned from prompts which may be of another kind.
        """
        return math.floor(self.estimate * _CERTAIN) + self.most_output

    @property
    def reserved(self) -> int:
        """What Bedrock holds at its start."""
        return self.prompt + self.most_output

    @property
    def expected(self) -> int:
        """What it is likely to take in the end; what Bedrock holds if nothing is known."""
        if self.habits.output is None:
            return self.reserved
        output = min(self.habits.output, self.most_output)
        return self.prompt + math.ceil(output * self.habits.burndown)

    @property
    def tokens(self) -> int:
        """What to hold for it: it must fit at its start, and at its end with the burndown."""
        return max(self.reserved, self.expected)


class Reservation:
    """What one admitted call holds, until it is settled or released; the first of these counts.

    Args:
        line: Where it was let in.
        demand: What it asked for.
        tokens: What it holds.
        seconds: Under which seconds its tokens and its request are booked.
    """

    __slots__ = ("_line", "demand", "is_open", "seconds", "tokens")

    def __init__(self, line: Line, demand: Demand, tokens: int, seconds: tuple[int, int]) -> None:
        self._line = line
        self.demand = demand
        self.tokens = tokens
        self.seconds = seconds
        self.is_open = True

    def settle(self, usage: Mapping[str, int] | None) -> None:
        """The call was answered.

        Args:
            usage: What it spent; None if nobody says, as of a stream that was broken off.
        """
        burndown = self.demand.habits.burndown
        used = quota_tokens(usage, burndown) if usage else self.demand.expected
        self._line.close(self, used, usage)

    def release(self) -> None:
        """The call was not answered and counts nowhere."""
        self._line.close(self, None, None)

    def drop(self) -> None:
        """Nobody will say more of the call: settle it as unknown when the line is next used.

        The garbage collector may come here in the middle of anything, so nothing is locked.
        """
        if self.is_open:
            self._line.dropped.append(self)

    def throttled(self, pause: float) -> None:
        """The call was throttled: it counts nowhere, and nobody is let in for so many seconds."""
        self.release()
        self._line.throttled(pause)


class Line:
    """Calls that wait for one quota.

    Args:
        buckets: What is left of its tokens and its requests, either may be None.
        clock: Seconds that only go forward.
        wait: How a call waits.

    Attributes:
        dropped: What is to be settled when the line is next used.
    """

    def __init__(
        self,
        tokens: MinuteBucket | None,
        requests: MinuteBucket | None,
        *,
        clock: Callable[[], float],
        wait: Wait,
    ) -> None:
        self.tokens = tokens
        self.requests = requests
        self._clock = clock
        self._wait = wait
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._reserved = 0
        self.dropped: deque[Reservation] = deque()
        when_forked(self)

    def after_fork(self) -> None:
        """Forget those who wait and who are under way: they are not in a forked process."""
        self._lock = threading.Lock()
        self._waiting.clear()
        self.dropped.clear()
        self._reserved = 0

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._waiting)

    @property
    def reserved(self) -> int:
        """The tokens that calls under way hold."""
        self._settle_dropped()
        return self._reserved

    def enter(self, demand: Demand, deadline: float, *, again: bool = False) -> Reservation | None:
        """Wait for the call's turn and for room, and hold what it needs.

        Args:
            demand: What the call asks for.
            deadline: When to give up.
            again: Whether it was let in before and Bedrock refused it: it goes first then.

        Returns:
            What it holds; None if there was no room until the deadline.

        Raises:
            CancelledError: The task that awaits the call has given it up. It is not sent.
        """
        turn = threading.Event()
        caller = current_caller()
        caller.hold(turn.set)
        with self._lock:
            if again:
                self._waiting.appendleft(turn)
            else:
                self._waiting.append(turn)
        try:
            while True:
                self._settle_dropped()
                with self._lock:
                    turn.clear()  # before anything is looked at that may have set it
                    now = self._clock()
                    seconds = self._seconds_left(turn, demand, now)
                    if caller.has_left or (seconds <= 0 and not caller.let_go()):
                        raise _given_up()
                    if seconds <= 0:
                        return self._hold(demand, now)
                if now >= deadline:
                    return None
                self._wait(turn, min(seconds, deadline - now, _LONGEST_WAIT))
        finally:  # also where a thread is interrupted in its wait
            caller.let_go()
            with self._lock:
                self._waiting.remove(turn)
                self._call_first()

    def close(self, held: Reservation, used: int | None, usage: Mapping[str, int] | None) -> None:
        """End what `enter` returned, for `Reservation`; once.

        Args:
            held: What is held.
            used: What the call took of it; None for a call that counts nowhere.
            usage: What the call spent, if its answer said so.
        """
        with self._lock:
            if not held.is_open:
                return
            held.is_open = False
            now = self._clock()
            self._reserved -= held.tokens
            if self.tokens is not None:
                self.tokens.give(held.tokens - (used or 0), held.seconds[0], now)
            if self.requests is not None and used is None:
                self.requests.give(1, held.seconds[1], now)
            if usage:
                held.demand.habits.learn(usage, held.demand.estimate)
            self._call_first()

    def throttled(self, pause: float) -> None:
        """Bedrock has less room than was reckoned: let nobody in for so many seconds."""
        with self._lock:
            for bucket in (self.tokens, self.requests):
                if bucket is not None:
                    bucket.pause(pause, self._clock())

    def _settle_dropped(self) -> None:
        while self.dropped:
            try:
                held = self.dropped.popleft()
            except IndexError:  # another thread was quicker
                return
            held.settle(None)

    def _seconds_left(self, turn: threading.Event, demand: Demand, now: float) -> float:
        """Seconds until a call may go; it is called sooner if something changes."""
        if self._waiting[0] is not turn:
            return math.inf
        tokens = self.tokens.wait_for(demand.tokens, now) if self.tokens else 0.0
        return max(tokens, self.requests.wait_for(1, now) if self.requests else 0.0)

    def _hold(self, demand: Demand, now: float) -> Reservation:
        tokens = demand.tokens if self.tokens else 0
        self._reserved += tokens
        seconds = (
            self.tokens.take(tokens, now) if self.tokens else 0,
            self.requests.take(1, now) if self.requests else 0,
        )
        return Reservation(self, demand, tokens, seconds)

    def _call_first(self) -> None:
        if self._waiting:
            self._waiting[0].set()


def _given_up() -> asyncio.CancelledError:
    error = asyncio.CancelledError("given up while it waited for a quota")
    setattr(error, UNSENT, True)
    return error
