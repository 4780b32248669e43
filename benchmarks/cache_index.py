"""Finding near questions through a store: how many are found, what is read, how long it takes.

The vectors are made up: topics, questions about them, and paraphrases of half of the questions,
with cosines of 0.9 to 0.99 to their originals. Recall is the share of true neighbours, among the
five nearest with a cosine of 0.9 or more, that a search finds. The baseline is the exact search
over a numpy matrix in the memory of one process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from benchmarks.harness import Result, compare
from langchain_bedrock_opt import InMemoryCacheStore
from langchain_bedrock_opt.caching.similarity.cell_index import CellIndex
from langchain_bedrock_opt.caching.similarity.index import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIZES = (1_000, 10_000, 100_000)
DIMS, QUERIES, NEAREST, LEAST = 384, 400, 5, 0.9
SIGNATURE_BYTES = DIMS // 8 + 16  # and the id and expiry beside it
SCOPE = "5c0be"


class CountingStore(InMemoryCacheStore):
    """A store in memory that counts what is read and written."""

    def __init__(self) -> None:
        super().__init__(max_entries=10_000_000)
        self.round_trips = 0
        self.cells = 0
        self.cell_bytes = 0
        self.swaps = 0
        self.sizes: dict[str, int] = {}

    def get(self, key: str) -> bytes | None:
        """Count one round trip."""
        self.round_trips += 1
        return super().get(key)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Count one round trip, and the cells it brings."""
        self.round_trips += 1
        found = super().get_many(keys)
        # The first cell comes with the root, twice a minute, and in a large scope is not used.
        cells = [v for key, v in found.items() if ":c:" in key and not key.endswith(":first")]
        self.cells += len(cells)
        self.cell_bytes += sum(map(len, cells))
        return found

    def put(self, key: str, value: bytes, ttl: float | None, *, lease: str | None = None) -> bool:
        """Note how long the value is."""
        self.sizes[key] = len(value)
        return super().put(key, value, ttl, lease=lease)

    def swap(self, key: str, old: bytes | None, new: bytes, ttl: float | None) -> bool:
        """Count one write, and note how long the value is."""
        self.swaps += 1
        self.sizes[key] = len(new)
        return super().swap(key, old, new, ttl)


def run() -> Result:
    """Fill indexes of growing size and search them beside an exact search."""
    figures: dict[str, float] = {}
    baselines: dict[str, float] = {}
    goals: dict[str, tuple[str, float]] = {}
    for size in SIZES:
        name = f"{size // 1000}k"
        for label, value in _measure(size).items():
            (baselines if "numpy" in label else figures)[f"{name}: {label}"] = value
        goals[f"{name}: recall at cosine 0.9"] = (">=", 0.99)
        goals[f"{name}: cells read"] = ("<=", 4)
    goals["100k: share of the scope read"] = ("<=", 0.01)
    return Result(benchmark="cache_index", figures=figures, baselines=baselines, goals=goals)


def _measure(size: int) -> dict[str, float]:
    import numpy as np

    vectors = questions(size)
    store = CountingStore()
    index = CellIndex(store, random=np.random.default_rng(1).random)
    start = time.process_time()
    for number, vector in enumerate(vectors):
        index.add(SCOPE, Record(entry_key=str(number), vector=vector, facts=b"", answer=b""), 3600)
    adding = (time.process_time() - start) / size
    swaps = store.swaps / size
    chosen = np.random.default_rng(2).choice(size, QUERIES, replace=False)
    recall = _recall(index, vectors, chosen)
    store.round_trips = store.cells = store.cell_bytes = 0
    times = compare(
        _timer(lambda vector: index.search(SCOPE, vector, NEAREST), vectors[chosen]),
        _timer(lambda vector: np.argsort(-(vectors @ vector))[:NEAREST], vectors[chosen]),
        rounds=5,
    )
    searches = 5 * QUERIES
    return {
        "recall at cosine 0.9": recall,
        "cells read": store.cells / searches,
        "round trips a search": store.round_trips / searches,
        "bytes of cells read": store.cell_bytes / searches,
        "share of the scope read": store.cell_bytes / searches / SIGNATURE_BYTES / size,
        "search µs": times.ours,
        "exact numpy search µs": times.baseline,
        "search / exact search": times.ratio,
        "add, CPU µs": adding * 1e6,
        "compare-and-sets an add": swaps,
        "bytes a record": sum(store.sizes.values()) / size,
    }


def _recall(index: CellIndex, vectors: NDArray[np.float32], chosen: NDArray[np.int64]) -> float:
    """The share of true neighbours that are found."""
    import numpy as np

    found = wanted = 0
    for number in chosen:
        scores = vectors @ vectors[number]
        nearest = [n for n in np.argsort(-scores)[: NEAREST + 1] if scores[n] >= LEAST]
        names = {each.entry_key for each in index.search(SCOPE, vectors[number], NEAREST + 1)}
        wanted += len(nearest) - 1
        found += sum(str(n) in names for n in nearest if n != number)
    return found / wanted


def _timer(
    search: Callable[[NDArray[np.float32]], object], vectors: NDArray[np.float32]
) -> Callable[[], float]:
    def measure() -> float:
        start = time.perf_counter()
        for vector in vectors:
            search(vector)
        return (time.perf_counter() - start) / len(vectors) * 1e6

    return measure


def questions(size: int, *, dims: int = DIMS) -> NDArray[np.float32]:
    """Unit vectors of questions about some topics, in random order; half are paraphrases."""
    import numpy as np

    rng = np.random.default_rng(0)
    topics = _unit(rng.normal(size=(max(size // 20, 1), dims)))
    originals = size // 2
    asked = 0.75 * topics[rng.integers(len(topics), size=originals)]
    asked = _unit(asked + 0.66 * _unit(rng.normal(size=(originals, dims))))
    of = asked[rng.integers(originals, size=size - originals)]
    aside = rng.normal(size=of.shape)
    aside = _unit(aside - (aside * of).sum(axis=1, keepdims=True) * of)
    cosine = rng.uniform(0.9, 0.99, size=(len(of), 1))
    vectors = np.concatenate([asked, cosine * of + np.sqrt(1 - cosine**2) * aside])
    rng.shuffle(vectors)
    return vectors.astype(np.float32)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
