"""What planning a year of minutes takes: ours beside trying each number of units in turn."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Result, compare
from langchain_bedrock_opt.capacity.planning import plan_throughput
from langchain_bedrock_opt.catalog.model_units import UnitCapacity

MINUTES = 365 * 1440
CAPACITY = UnitCapacity(input_per_minute=180_000, output_per_minute=36_000)
PRICE = (3, 15)
UNIT_PRICE = 20
ROUNDS = 5


def trace() -> NDArray[np.int64]:
    """A year with days and bursts, up to some tens of units."""
    random = np.random.default_rng(20261122)
    day = 1 + np.sin(np.arange(MINUTES) / 1440 * 2 * np.pi)
    prompts = random.gamma(2, 4 * 180_000 * day)
    return np.stack([prompts, prompts * random.random(MINUTES) * 0.3], axis=1).astype(np.int64)


def brute_force(load: NDArray[np.int64]) -> int:
    """The cheapest number of units, each tried with numpy over the whole load."""
    units = (load / [CAPACITY.input_per_minute, CAPACITY.output_per_minute]).max(axis=1)
    costs = load @ np.asarray(PRICE) / 1e6
    hours = len(load) / 60
    totals = [
        count * UNIT_PRICE * hours
        + (costs * np.maximum(0, units - count) / np.maximum(units, 1e-30)).sum()
        for count in range(int(np.ceil(units.max())) + 1)
    ]
    return int(np.argmin(totals))


def run() -> Result:
    """Compare the time, and say what memory a plan takes beside its load."""
    load = trace()
    if plan_throughput(load, CAPACITY, UNIT_PRICE, PRICE).units != brute_force(load):
        raise AssertionError("both must come to the same number of units")

    def ours() -> float:
        start = time.perf_counter()
        plan_throughput(load, CAPACITY, UNIT_PRICE, PRICE)
        return time.perf_counter() - start

    def theirs() -> float:
        start = time.perf_counter()
        brute_force(load)
        return time.perf_counter() - start

    planning = compare(ours, theirs, rounds=ROUNDS)
    tracemalloc.start()
    plan_throughput(load, CAPACITY, UNIT_PRICE, PRICE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Result(
        benchmark="throughput_plan",
        figures={
            "a year of minutes / brute force, time ratio": planning.ratio,
            "a year of minutes, ms": planning.ours * 1e3,
            "memory at its peak / load": peak / load.nbytes,
        },
        baselines={"brute force with numpy, ms": planning.baseline * 1e3},
        goals={
            "a year of minutes / brute force, time ratio": ("<=", 0.75),
            "memory at its peak / load": ("<=", 12),
        },
    )
