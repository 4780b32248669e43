"""Who let a run start hears, once, that another handler refused it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest

from langchain_bedrock_opt.errors import BudgetExceededError
from langchain_bedrock_opt.usage.budget import Budget
from langchain_bedrock_opt.usage.refusals import Refusals
from tests.unit_tests.usage.budget.conftest import MODEL

Told = list[tuple[UUID, BaseException]]


def used(**bounds: int) -> Refusals:
    refusals = Refusals(**bounds)
    refusals.use()
    return refusals


def note_in(told: Told) -> Any:
    return lambda run_id, error: told.append((run_id, error))


def test_who_came_before_and_who_comes_after() -> None:
    """Both hear of the error, by which they can say why, and neither keeps its frames."""
    refusals, run_id = used(), uuid4()
    before: Told = []
    after: Told = []
    refusals.joined(run_id, note_in(before))
    with pytest.raises(BudgetExceededError) as caught:
        Budget(0, name="api").on_llm_start(
            {"kwargs": {"model_id": MODEL}}, ["2+2?"], run_id=uuid4()
        )
    refusals.refused(run_id, caught.value)
    refusals.joined(run_id, note_in(after))

    for told in (before, after):
        (heard, why), *others = told
        assert (heard, others) == (run_id, [])
        assert isinstance(why, BudgetExceededError)
        assert (str(why), why.budget) == (str(caught.value), "api")
        assert why.__traceback__ is None
        assert caught.value.__traceback__ is not None
    assert len(refusals) == 0


def test_a_run_that_has_ended_is_not_refused() -> None:
    """What ended is forgotten."""
    refusals, run_id = used(), uuid4()
    told: Told = []
    refusals.joined(run_id, note_in(told))
    refusals.ended(run_id)

    refusals.refused(run_id, BudgetExceededError("no"))

    assert told == []


def test_nothing_is_kept_without_a_budget() -> None:
    """Where nobody refuses runs, none is remembered."""
    refusals = Refusals()

    refusals.joined(uuid4(), note_in([]))

    assert not refusals.is_used
    assert len(refusals) == 0


def test_what_is_remembered_is_bounded() -> None:
    """Runs that never end don't pile up; the newest are told."""
    refusals = used(max_runs=10)
    told: Told = []
    runs = [uuid4() for _ in range(50)]
    for run_id in runs:
        refusals.joined(run_id, note_in(told))
    assert len(refusals) == 10

    for run_id in runs:
        refusals.refused(run_id, BudgetExceededError("no"))

    assert [run_id for run_id, _ in told] == runs[-10:]


def test_refused_while_others_join() -> None:
    """Whoever joins while a run is being refused hears of it exactly once."""
    refusals = used()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(300):
            told: Told = []
            run_id, barrier = uuid4(), Barrier(4)

            def join(run_id: UUID = run_id, barrier: Barrier = barrier, told: Told = told) -> None:
                barrier.wait()
                refusals.joined(run_id, note_in(told))

            def refuse(run_id: UUID = run_id, barrier: Barrier = barrier) -> None:
                barrier.wait()
                refusals.refused(run_id, BudgetExceededError("no"))

            for future in [pool.submit(work) for work in (join, join, refuse, join)]:
                future.result()
            assert len(told) == 3
    assert len(refusals) == 0
