"""Sums are exact, and percentiles are as near as they are said to be."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.usage.cloudwatch.aggregate import (
    PERCENTILE_ERROR,
    Aggregate,
    Distribution,
)

MICROSECONDS = st.integers(0, 3_600_000_000)


def distribution(values: list[int]) -> Distribution:
    result = Distribution()
    for value in values:
        result.add(value)
    return result


def percentile(ascending: list[int], percent: float) -> int:
    return ascending[max(0, math.ceil(len(ascending) * percent / 100) - 1)]


@given(st.lists(MICROSECONDS, min_size=1, max_size=300))
def test_percentiles_are_near_and_sums_exact(values: list[int]) -> None:
    """Count, sum and extremes are the values' own, and each percentile is within one per cent."""
    sent = [value for value, count in distribution(values).values() for _ in range(count)]
    exact = sorted(values)
    assert (len(sent), sum(sent), min(sent), max(sent)) == (
        len(exact),
        sum(exact),
        exact[0],
        exact[-1],
    )
    assert sent == sorted(sent)
    for percent in (50, 90, 95, 99, 99.9):
        true = percentile(exact, percent)
        assert abs(percentile(sent, percent) - true) <= true * PERCENTILE_ERROR


@given(st.lists(MICROSECONDS), st.lists(MICROSECONDS))
def test_distributions_merge_into_the_whole(some: list[int], others: list[int]) -> None:
    """Two distributions merge into that of all their values."""
    merged = distribution(some)
    merged.merge(distribution(others))
    assert list(merged.values()) == list(distribution(some + others).values())


def test_a_clock_that_was_set_back_counts_as_no_time() -> None:
    """A latency below zero counts as zero: CloudWatch takes no negative values in a histogram."""
    assert list(distribution([-5, 7]).values()) == [(0, 1), (7, 1)]


@given(st.lists(st.lists(st.integers(-(10**18), 10**18))))
def test_parts_merge_into_the_whole(parts: list[list[int]]) -> None:
    """Merging the aggregates of parts, in either order, gives the aggregate of all values."""

    def aggregate(values: list[int]) -> Aggregate:
        result = Aggregate()
        for value in values:
            result.add(value)
        return result

    def merged(order: list[list[int]]) -> Aggregate:
        result = Aggregate()
        for part in order:
            result.merge(aggregate(part))
        return result

    everything = [value for part in parts for value in part]
    assert merged(parts) == merged(parts[::-1]) == aggregate(everything)
    if everything:
        assert (aggregate(everything).minimum, aggregate(everything).maximum) == (
            min(everything),
            max(everything),
        )
