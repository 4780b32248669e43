"""Which runs a sink has counted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.recording.seen import SeenRuns


@given(runs=st.lists(st.sampled_from("abcdefgh")), capacity=st.integers(1, 4))
def test_a_run_among_the_last_ones_is_known(runs: list[str], capacity: int) -> None:
    """A run that is among the last `capacity` new ones is never new again, and nothing piles up."""
    seen = SeenRuns(capacity)
    new: list[str] = []
    for run in runs:
        is_new = seen.is_new(run)
        assert not (is_new and run in new[-capacity:])
        assert is_new or run in new
        if is_new:
            new.append(run)
        assert len(seen) <= 2 * capacity


def test_of_many_threads_one_hears_that_a_run_is_new() -> None:
    """When threads tell of the same runs at the same time, each run is new exactly once."""
    seen, start = SeenRuns(), Barrier(8)

    def tell(_: int) -> int:
        start.wait()
        return sum(seen.is_new(f"run-{number}") for number in range(2000))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(tell, range(8))) == 2000


def test_capacity_must_be_positive() -> None:
    """A memory that remembers nothing is refused with its value."""
    with pytest.raises(ConfigurationError, match="capacity=0"):
        SeenRuns(0)
