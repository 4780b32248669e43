"""The garbage collector, a fork or another handler may come at any moment: no call hangs for it."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from langchain_bedrock_opt import ChatBedrockOptimized
from langchain_bedrock_opt.contracts import UNSENT, HearsOfCancels
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.budget import Budget, InMemoryBudgetStore
from langchain_bedrock_opt.usage.refusals import REFUSALS
from tests.extras import needs_fork
from tests.unit_tests.usage.budget.conftest import MODEL, WORST
from tests.unit_tests.usage.conftest import FakeClock

Model = Callable[..., ChatBedrockOptimized]
NOTHING = Decimal(0)
COST = Decimal("0.000066")
"""What ten tokens of prompt and ten of answer cost."""


def start(budget: Budget, run_id: UUID) -> None:
    budget.on_chat_model_start(
        {"kwargs": {"model_id": MODEL, "max_tokens": 10}}, [[HumanMessage("2+2?")]], run_id=run_id
    )


def end(budget: Budget, run_id: UUID) -> None:
    usage: Any = {"input_tokens": 10, "output_tokens": 10, "total_tokens": 20}
    answer = ChatGeneration(message=AIMessage("4", usage_metadata=usage))
    budget.on_llm_end(LLMResult(generations=[[answer]]), run_id=run_id)


def in_time(work: Callable[[], None]) -> bool:
    """Whether some work ends at all."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(30)
    return not thread.is_alive()


def interrupted(number: int, work: Callable[[], None], interruption: Callable[[], None]) -> bool:
    """Do some work and interrupt it before or after its n-th call; whether it makes so many.

    Those are the points at which the collector runs, from Python 3.12 on.
    """
    seen = 0

    def count(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            interruption()

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return seen >= number


def test_a_run_may_end_inside_any_step_of_another() -> None:
    """Whenever the collector closes an abandoned stream, all sums are right and nothing hangs."""
    budgets: list[Budget] = []
    rounds: list[int] = []

    def every_point() -> None:
        number = is_reached = 1
        while is_reached:
            budget = Budget(1, on_threshold=lambda *_: None)
            budgets.append(budget)
            abandoned, run_id = uuid4(), uuid4()
            start(budget, abandoned)

            def call(budget: Budget = budget, run_id: UUID = run_id) -> None:
                start(budget, run_id)
                budget.status()
                end(budget, run_id)

            def close(budget: Budget = budget, abandoned: UUID = abandoned) -> None:
                end(budget, abandoned)

            is_reached = interrupted(number, call, close)
            if not is_reached:
                close()
            number += 1
        rounds.append(number)

    assert in_time(every_point)
    assert rounds[0] > 100
    for budget in budgets:
        assert (budget.spent_usd, budget.reserved_usd) == (2 * COST, NOTHING)


def test_the_collector_closes_a_stream_while_the_store_is_busy(model: Model) -> None:
    """An abandoned stream that is collected inside the store's own lock settles there."""

    def collecting_clock() -> float:
        gc.collect()
        return time.monotonic()

    budget = Budget(1, per="hour", store=InMemoryBudgetStore(clock=collecting_clock))
    chat = model()

    def abandon_and_call() -> None:
        stream = chat.stream("2+2?", {"callbacks": [budget]})
        next(stream)
        ring: list[Any] = [stream]
        ring.append(ring)
        del stream, ring
        budget._account._store.reserve("another window", "a", 1, limit=None, ttl=None)

    gc.disable()
    try:
        assert in_time(abandon_and_call)
    finally:
        gc.enable()
    assert budget.spent_usd > WORST
    assert budget.reserved_usd == 0


@needs_fork
def test_a_fork_while_another_thread_is_in_a_budget() -> None:
    """A child makes its calls, without its parent's runs and with what was spent before."""
    is_in, may_go = threading.Event(), threading.Event()

    def waiting_clock() -> float:
        if threading.current_thread() is not threading.main_thread():
            is_in.set()
            may_go.wait(30)
        return time.monotonic()

    budget = Budget(1, store=InMemoryBudgetStore(clock=waiting_clock))
    other = Budget(1, name="other", store=budget._account._store)
    run_id = uuid4()
    start(budget, run_id)
    end(budget, run_id)
    start(budget, run_id)
    thread = threading.Thread(target=start, args=(other, uuid4()))
    thread.start()
    is_in.wait(30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
        child = os.fork()
    if child == 0:
        begun = (budget.spent_usd, budget.reserved_usd)
        end(budget, run_id)
        start(budget, run_id)
        end(budget, run_id)
        os._exit(0 if (begun, budget.spent_usd) == ((COST, NOTHING), 2 * COST) else 1)
    codes: list[int] = []
    is_over = in_time(lambda: codes.append(os.waitpid(child, 0)[1]))
    may_go.set()
    thread.join()

    assert is_over
    assert codes == [0]
    end(budget, run_id)
    assert (budget.spent_usd, budget.reserved_usd) == (2 * COST, NOTHING)


class Guard(BaseCallbackHandler):
    """A handler that refuses every call."""

    raise_error = True
    run_inline = True

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        raise PermissionError("PII in the prompt")


def test_a_run_that_never_ends_is_given_up(model: Model, clock: FakeClock) -> None:
    """What a handler behind the budget stopped counts as spent after a while, and leaks nothing."""
    budget = Budget(1, per=None, run_ttl=60, clock=clock)
    for _ in range(3):
        with pytest.raises(PermissionError):
            model().invoke("2+2?", {"callbacks": [budget, Guard()]})
    held = budget.reserved_usd
    assert held > 3 * WORST

    clock.advance(61)
    for _ in range(2):
        model().invoke("2+2?", {"callbacks": [budget]})

    assert budget.reserved_usd == 0
    assert budget.spent_usd > held
    assert budget.counts.uncertain == 3


def test_a_run_needs_some_time() -> None:
    """A budget that would forget each run at once says so."""
    with pytest.raises(ConfigurationError, match="run_ttl=0"):
        Budget(1, run_ttl=0)


@pytest.mark.parametrize(("unsent", "counted"), [(True, 0), (False, 1)])
def test_a_call_that_was_given_up(unsent: bool, counted: int) -> None:  # noqa: FBT001 - a parameter
    """One that was never sent costs nothing, any other counts whole; being told twice is once."""
    budget, run_id = Budget(1), uuid4()
    assert isinstance(budget, HearsOfCancels)
    start(budget, run_id)
    held = budget.reserved_usd
    error = asyncio.CancelledError()
    setattr(error, UNSENT, unsent)

    budget.on_cancel(error, run_id=run_id)
    budget.on_llm_error(error, run_id=run_id)

    assert budget.reserved_usd == 0
    assert budget.spent_usd == held * counted
    assert budget.counts.uncertain == counted


class SlowStore(InMemoryBudgetStore):
    """A store that waits for a server, and notes the threads that ask it to settle."""

    is_blocking = True

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[threading.Thread] = []

    def settle(self, *args: Any) -> Any:
        self.threads.append(threading.current_thread())
        return super().settle(*args)


def test_a_cancel_does_not_hold_up_the_event_loop() -> None:
    """Where the store waits for a server, a call that was given up settles in another thread."""
    store = SlowStore()
    budget, inside, outside = Budget(1, store=store), uuid4(), uuid4()
    start(budget, inside)
    start(budget, outside)

    async def cancel() -> None:
        budget.on_cancel(asyncio.CancelledError(), run_id=inside)

    asyncio.run(cancel())  # its end waits for the thread
    budget.on_cancel(asyncio.CancelledError(), run_id=outside)

    assert [thread is threading.main_thread() for thread in store.threads] == [False, True]
    assert budget.reserved_usd == 0


def test_a_budget_has_refusals_noted() -> None:
    """From the first budget of a process on, handlers are told of the runs it refuses."""
    Budget(1)

    assert REFUSALS.is_used
