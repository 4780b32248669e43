"""How much of a limit may be taken, second by second."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.capacity.admission.bucket import MinuteBucket


def bucket(limit: int = 6000, *, share: float = 1.0, burst: float = 10.0) -> MinuteBucket:
    return MinuteBucket(limit, share=share, burst_seconds=burst, now=0.0)


def test_it_fills_evenly_and_holds_ten_seconds() -> None:
    """After a lull a tenth of a minute's worth may go at once, then as much as flows in."""
    ours = bucket()

    assert ours.wait_for(1000, 1000.0) == 0
    ours.take(1000, 1000.0)
    assert ours.wait_for(100, 1000.0) == pytest.approx(1.0)
    assert ours.wait_for(100, 1001.0) == 0


def test_what_is_larger_than_it_is_let_through_when_it_is_full() -> None:
    """A call that needs more than fits waits for a full bucket, and others for what it took."""
    ours = bucket()

    assert ours.wait_for(5000, 0.0) == 0
    ours.take(5000, 0.0)
    assert ours.wait_for(1, 0.0) == pytest.approx(40.01)


def test_a_pause_holds_also_what_is_given_back() -> None:
    """Nobody is let in during a pause, and it begins empty."""
    ours = bucket()
    second = ours.take(500, 0.0)

    ours.pause(5, 0.0)
    ours.give(500, second, 1.0)

    assert ours.wait_for(100, 1.0) == pytest.approx(4.0)


calls = st.lists(
    st.tuples(
        st.floats(0, 20),  # seconds since the call before
        st.integers(1, 3000),  # what it holds
        st.floats(0, 1),  # the share that it uses
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=50, deadline=None)
@given(calls, st.sampled_from([0.5, 0.95, 1.0]), st.sampled_from([1.0, 10.0, 60.0]))
def test_no_minute_holds_more_than_the_limit(
    calls: list[tuple[float, int, float]], share: float, burst: float
) -> None:
    """Whoever waits as told keeps every minute within the limit, and never waits for long."""
    ours = bucket(3000, share=share, burst=burst)
    now, kept = 0.0, []
    for pause, held, used in calls:
        now += pause
        while wait := ours.wait_for(held, now):
            assert 0 < wait <= 61 + 3000 / (50 * share)
            now += wait
        second = ours.take(held, now)
        kept.append((now, round(held * used)))
        ours.give(held - kept[-1][1], second, now)

    for begin, _ in kept:
        minute = [tokens for at, tokens in kept if begin <= at < begin + 60]
        assert sum(minute) <= 3000
