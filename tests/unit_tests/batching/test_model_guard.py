"""The guard on single calls of a batch model."""

from __future__ import annotations

import warnings
from uuid import UUID, uuid4

import pytest
from langchain_core.callbacks import CallbackManager
from langchain_core.runnables import RunnableConfig

from langchain_bedrock_opt.batching.guard import (
    FullPriceWarning,
    InvokeGuard,
    OnInvoke,
    check_guarding,
)
from langchain_bedrock_opt.errors import ConfigurationError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def inside(parent: UUID | None = None) -> RunnableConfig:
    """The config of a call that is a part of a run, by default of one of its own."""
    return RunnableConfig(callbacks=CallbackManager([], parent_run_id=parent or uuid4()))


def warnings_of(
    guard: InvokeGuard,
    *configs: RunnableConfig | None,
    limit: int = 3,
    on_invoke: OnInvoke = "warn",
) -> int:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for config in configs:
            guard.called(config, limit=limit, on_invoke=on_invoke)
    return sum(each.category is FullPriceWarning for each in caught)


def test_a_chain_that_asks_one_by_one_is_warned_of_once() -> None:
    """Of ten single calls within one parent run, the fourth warns and the others don't."""
    parent = uuid4()

    assert warnings_of(InvokeGuard(), *[inside(parent)] * 3) == 0
    assert warnings_of(InvokeGuard(), *[inside(parent)] * 10) == 1


def test_the_inputs_of_a_broken_up_batch_are_seen_together() -> None:
    """Where each input has a run of its own, the calls still count as one burst."""
    assert warnings_of(InvokeGuard(), *(inside() for _ in range(10))) == 1


def test_a_pause_ends_a_burst() -> None:
    """Single calls that come minutes apart, of chains of their own, are nobody's business."""
    clock = Clock()
    guard = InvokeGuard(clock)
    warned = 0

    for _ in range(10):
        clock.now += 61
        warned += warnings_of(guard, inside())

    assert warned == 0


def test_a_slow_agent_is_warned_of_all_the_same() -> None:
    """Calls of one parent run are counted however slowly they come."""
    clock, parent = Clock(), uuid4()
    guard = InvokeGuard(clock)
    warned = []

    for _ in range(6):
        clock.now += 600
        warned.append(warnings_of(guard, inside(parent)))

    assert warned == [0, 0, 0, 1, 0, 0]


def test_calls_of_the_users_own_do_not_count() -> None:
    """A call that no chain has made is the user's wish."""
    assert warnings_of(InvokeGuard(), *[None] * 10, limit=0) == 0


def test_configurable_models_are_made_anew_for_each_input() -> None:
    """Calls without a run around them count where LangChain has made the model for the call."""
    config = RunnableConfig(configurable={"below": "error"})

    assert warnings_of(InvokeGuard(), *[config] * 10) == 1


def test_single_calls_can_be_refused() -> None:
    """With `on_invoke="error"` each call beyond the limit is refused, and says what to do."""
    guard = InvokeGuard()
    guard.called(inside(), limit=1, on_invoke="error")

    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"as_batch\(chain\)"):
            guard.called(inside(), limit=1, on_invoke="error")


def test_single_calls_can_be_ignored() -> None:
    """With `on_invoke="ignore"` nothing is said."""
    assert warnings_of(InvokeGuard(), *[inside()] * 5, limit=0, on_invoke="ignore") == 0


def test_many_parent_runs_are_not_remembered_for_ever() -> None:
    """The guard forgets the oldest runs."""
    guard = InvokeGuard()
    for _ in range(1500):
        guard.called(inside(), limit=10_000, on_invoke="warn")

    assert len(guard._by_run) == 1000


@pytest.mark.parametrize(("limit", "on_invoke"), [(-1, "warn"), (3, "shout")])
def test_what_can_not_be_is_refused(limit: int, on_invoke: str) -> None:
    """A limit below zero and an unknown reaction are configuration errors."""
    with pytest.raises(ConfigurationError, match=str(limit) if limit < 0 else on_invoke):
        check_guarding(limit, on_invoke)
