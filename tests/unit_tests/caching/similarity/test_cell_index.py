"""The index in any store: what it finds, and that races lose nothing."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from langchain_bedrock_opt import DiskCacheStore, InMemoryCacheStore
from langchain_bedrock_opt.caching.similarity.cell_index import CellIndex
from langchain_bedrock_opt.caching.similarity.index import Record, VectorIndex
from langchain_bedrock_opt.caching.similarity.vectors import unit_vector
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

REPOSITORY = Path(__file__).parents[4]
SCOPE, DIMS = "5c0be", 64
Vectors = NDArray[np.float32]


class FakeClock:
    """A time that passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class ReadingStore(InMemoryCacheStore):
    """A store in memory that notes what is read and written."""

    def __init__(self) -> None:
        super().__init__(max_entries=1_000_000)
        self.reads: list[list[str]] = []
        self.written: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        self.reads.append([key])
        return super().get(key)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        self.reads.append(list(keys))
        return super().get_many(keys)

    def swap(self, key: str, old: bytes | None, new: bytes, ttl: float | None) -> bool:
        self.written[key] = new
        return super().swap(key, old, new, ttl)


def questions(count: int, *, dims: int = DIMS, seed: int = 0, topics: int = 20) -> Vectors:
    """Questions about some topics; every other one is a paraphrase of an earlier one."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(topics, dims))
    asked = centers[rng.integers(topics, size=count)] + rng.normal(size=(count, dims))
    near = asked[rng.integers(count, size=count)] + 0.25 * rng.normal(size=(count, dims))
    asked[1::2] = near[1::2]
    vectors: Vectors = (asked / np.linalg.norm(asked, axis=1, keepdims=True)).astype(np.float32)
    return vectors


def fill(
    index: VectorIndex, vectors: Vectors, *, ttl: float | None = 600.0, start: int = 0
) -> None:
    for number, vector in enumerate(vectors, start):
        index.add(
            SCOPE, Record(entry_key=str(number), vector=vector, facts=b"facts", answer=b""), ttl
        )


def found(index: VectorIndex, vector: Vectors, k: int = 5, scope: str = SCOPE) -> list[str]:
    return [candidate.entry_key for candidate in index.search(scope, vector, k)]


def recall(index: VectorIndex, vectors: Vectors, *, least: float = 0.9) -> float:
    """The share of each question's true neighbours, of its nearest five, that a search finds."""
    hits = []
    for number, vector in enumerate(vectors):
        scores = vectors @ vector
        nearest = [other for other in np.argsort(-scores)[:6] if scores[other] >= least]
        names = set(found(index, vector, 6))
        hits += [str(other) in names for other in nearest if other != number]
    assert len(hits) > 50
    return sum(hits) / len(hits)


def test_is_an_index() -> None:
    """It has the methods of the protocol."""
    assert isinstance(CellIndex(InMemoryCacheStore()), VectorIndex)


def test_nothing_is_found_in_an_empty_scope() -> None:
    """A scope without records is empty, and a search of it finds nothing in one read."""
    store = ReadingStore()
    index = CellIndex(store)

    assert index.is_empty(SCOPE)
    assert index.search(SCOPE, unit_vector([1.0] * DIMS), 5) == []
    assert len(store.reads) == 2


def test_a_small_scope_is_searched_in_full() -> None:
    """In a scope of one cell the nearest records are found, in their order, by exact cosines."""
    vectors = questions(20)
    index = CellIndex(InMemoryCacheStore())
    fill(index, vectors)

    candidates = index.search(SCOPE, vectors[3], 5)

    scores = vectors @ vectors[3]
    assert [each.entry_key for each in candidates] == [str(n) for n in np.argsort(-scores)[:5]]
    assert [each.similarity for each in candidates] == pytest.approx(
        sorted(scores, reverse=True)[:5], abs=0.01
    )
    assert candidates[0].facts == b"facts"
    assert not index.is_empty(SCOPE)


@pytest.mark.parametrize("dims", [64, 65, 384])
def test_recall_of_a_large_scope(dims: int) -> None:
    """In a scope of many cells nearly all near neighbours are found by reading four."""
    vectors = questions(1500, dims=dims)
    index = CellIndex(InMemoryCacheStore(max_entries=100_000), cell_size=64)

    fill(index, vectors)

    assert recall(index, vectors) >= 0.98
    assert index.broken == 0


def test_a_search_reads_cells_once_and_records_once() -> None:
    """A search in a large scope is two reads: four cells at once, then the best records at once."""
    store = ReadingStore()
    vectors = questions(1000)
    index = CellIndex(store, cell_size=64)
    fill(index, vectors)
    index.search(SCOPE, vectors[0], 5)  # which may read the root
    store.reads.clear()

    index.search(SCOPE, vectors[1], 5)

    cells, records = store.reads
    assert len(cells) == 4
    assert len(records) <= 24


def test_a_root_is_read_again_after_half_a_minute() -> None:
    """What another process made of the cells is seen by a process that knew an older root."""
    clock = FakeClock()
    store = InMemoryCacheStore(max_entries=100_000)
    mine, other = CellIndex(store, cell_size=16, clock=clock), CellIndex(store, cell_size=16)
    vectors = questions(600)
    fill(mine, vectors[:50], ttl=None)
    fill(other, vectors, ttl=None)
    clock.now += 31

    assert recall(mine, vectors) >= 0.9


def test_a_record_takes_the_place_of_an_older_one() -> None:
    """A second question for the same answer replaces the first one."""
    index = CellIndex(InMemoryCacheStore())
    old, new = unit_vector([1.0, 0.0, 0.1]), unit_vector([0.0, 1.0, 0.1])
    for vector in (old, new):
        index.add(SCOPE, Record(entry_key="answer", vector=vector, facts=b"", answer=b""), 60)

    (candidate,) = index.search(SCOPE, new, 5)

    assert candidate.similarity == pytest.approx(1.0, abs=0.01)


def test_scopes_are_apart() -> None:
    """A record of one scope is never found in another one."""
    index = CellIndex(InMemoryCacheStore())
    fill(index, questions(5))

    assert found(index, questions(5)[0], scope="5c0bf") == []


def test_secrets_are_apart() -> None:
    """Indexes of two tenants in one store don't read each other's records, even of equal scopes."""
    store = InMemoryCacheStore()
    fill(CellIndex(store, secret=b"one"), questions(5))

    other = CellIndex(store, secret=b"two")

    assert found(other, questions(5)[0]) == []
    assert other.broken == 1


def test_a_removed_record_is_not_found() -> None:
    """What was removed is found no more, and removing it again does nothing."""
    index = CellIndex(InMemoryCacheStore())
    vectors = questions(5)
    fill(index, vectors)

    index.remove(SCOPE, "3")
    index.remove(SCOPE, "3")

    assert sorted(found(index, vectors[3])) == ["0", "1", "2", "4"]


def test_expired_records() -> None:
    """A record is found until its time is over, and leaves its cell when that is next written."""
    clock = FakeClock()
    store = ReadingStore()
    index = CellIndex(store, clock=clock)
    vectors = questions(41)
    fill(index, vectors[:40], ttl=30)
    full = len(store.written[f"sim:{SCOPE}:c:first"])
    clock.now += 31

    assert found(index, vectors[0]) == []
    index.add(SCOPE, Record(entry_key="new", vector=vectors[40], facts=b"", answer=b""), 30)

    assert found(index, vectors[40]) == ["new"]
    assert len(store.written[f"sim:{SCOPE}:c:first"]) < full / 5


def test_a_scope_outlives_its_first_records() -> None:
    """Records that are added later are found when those from before a division have expired."""
    clock = FakeClock()
    store = InMemoryCacheStore(max_entries=100_000, clock=clock)
    index = CellIndex(store, cell_size=16, clock=clock)
    vectors = questions(200)
    fill(index, vectors[:100], ttl=60)
    clock.now += 50
    fill(index, vectors[100:], ttl=60, start=100)
    clock.now += 40

    fresh = CellIndex(store, cell_size=16, clock=clock)

    later = [found(fresh, vectors[number]) for number in range(100, 200)]
    assert sum(str(number) in names for number, names in enumerate(later, 100)) >= 95
    assert not {name for names in later for name in names} & {str(n) for n in range(100)}


def test_labels_are_counted() -> None:
    """How often an answer was right or wrong is told with the candidate, and keeps its time."""
    clock = FakeClock()
    index = CellIndex(InMemoryCacheStore(clock=clock), clock=clock)
    vectors = questions(2)
    fill(index, vectors, ttl=30)

    for correct in (True, True, False):
        index.learn(SCOPE, "0", correct=correct)
    index.learn(SCOPE, "unknown", correct=True)

    counts = {each.entry_key: (each.ok, each.errors) for each in index.search(SCOPE, vectors[0], 5)}
    assert counts == {"0": (2, 1), "1": (0, 0)}
    clock.now += 31
    index.learn(SCOPE, "0", correct=True)
    assert found(index, vectors[0]) == []


def test_changed_dimensions() -> None:
    """Vectors of another length are refused with the way out, in small and large scopes."""
    index = CellIndex(InMemoryCacheStore(), cell_size=16)
    for count in (5, 100):
        fill(index, questions(count))

        with pytest.raises(CacheStoreError, match=r"32 dimensions and the index 64.*embedder="):
            index.search(SCOPE, unit_vector([1.0] * 32), 5)
        record = Record(entry_key="new", vector=unit_vector([1.0] * 32), facts=b"", answer=b"")
        with pytest.raises(CacheStoreError, match="embedder="):
            index.add(SCOPE, record, 60)


def test_equal_questions_do_not_divide() -> None:
    """A thousand equal vectors stay together, are bounded, and don't stop others being found."""
    index = CellIndex(InMemoryCacheStore(max_entries=100_000), cell_size=16)
    equal, other = unit_vector([1.0, *[0.01] * 63]), unit_vector([-1.0, *[0.5] * 63])
    fill(index, np.stack([equal] * 200))

    index.add(SCOPE, Record(entry_key="other", vector=other, facts=b"", answer=b""), 60)

    assert found(index, other)[0] == "other"


def test_broken_bytes_count_as_none() -> None:
    """Whatever stands in the store of cells, roots and records breaks no call, and is replaced."""
    store = ReadingStore()
    index = CellIndex(store, cell_size=16)
    vectors = questions(200)
    fill(index, vectors)
    keys = list(store.written)
    rng = random.Random(1)

    for nonsense in (b"", b"nonsense", rng.randbytes(5000)):
        for key in keys:
            store.put(key, nonsense, 600)
        again = CellIndex(store, cell_size=16)
        again.search(SCOPE, vectors[0], 5)
        fill(again, vectors[:50])
        again.learn(SCOPE, "0", correct=True)

        assert again.broken > 0
        assert "7" in found(again, vectors[7])


def test_flipped_bits_are_noticed() -> None:
    """A cell with one bit flipped is not believed."""
    store = ReadingStore()
    index = CellIndex(store)
    vectors = questions(3)
    fill(index, vectors)
    key = f"sim:{SCOPE}:c:first"
    data = bytearray(store.written[key])

    for place in range(0, len(data), 7):
        data[place] ^= 1
        store.put(key, bytes(data), 600)
        assert found(index, vectors[0]) == []
        data[place] ^= 1


def test_a_cell_under_another_key_is_refused() -> None:
    """Bytes that are copied under another scope's key are not that scope's records."""
    store = ReadingStore()
    index = CellIndex(store)
    fill(index, questions(3))
    store.put("sim:0000:c:first", store.written[f"sim:{SCOPE}:c:first"], 600)

    assert found(index, questions(3)[0], scope="0000") == []
    assert index.broken == 1


def test_an_unfinished_division_is_finished_by_the_next() -> None:
    """A process that dies right after closing a cell loses nothing: the next one finishes it."""

    class Dies(InMemoryCacheStore):
        dead = True

        def swap(self, key: str, old: bytes | None, new: bytes, ttl: float | None) -> bool:
            if self.dead and not key.endswith(":first"):
                raise CacheStoreError("the power is out")
            return super().swap(key, old, new, ttl)

    store = Dies(max_entries=100_000)
    vectors = questions(40)
    with pytest.raises(CacheStoreError, match="power"):
        fill(CellIndex(store, cell_size=16), vectors)
    assert "5" in found(CellIndex(store), vectors[5])

    store.dead = False
    fill(CellIndex(store, cell_size=16), vectors[20:], start=20)

    everywhere = CellIndex(store, cells_read=10_000)
    assert all(str(number) in found(everywhere, vectors[number]) for number in range(17))


def test_a_race_that_never_ends_is_an_error() -> None:
    """A cell that is always changed by others meanwhile is given up in the end."""

    class Losing(InMemoryCacheStore):
        def swap(self, key: str, old: bytes | None, new: bytes, ttl: float | None) -> bool:
            return False

    waits: list[float] = []
    index = CellIndex(Losing(), sleep=waits.append)

    with pytest.raises(CacheStoreError, match="kept changing for 100 tries"):
        fill(index, questions(1))
    assert len(waits) == 100


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_threads_lose_no_record(kind: str, tmp_path: Path) -> None:
    """Eight threads that add to one scope, dividing its cells meanwhile, lose no record."""
    store = (
        InMemoryCacheStore(max_entries=100_000) if kind == "memory" else DiskCacheStore(tmp_path)
    )
    index = CellIndex(store, cell_size=32)
    vectors = questions(240)

    def add(number: int) -> None:
        index.add(
            SCOPE, Record(entry_key=str(number), vector=vectors[number], facts=b"", answer=b""), 600
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(len(vectors))))

    # Every cell is read, so that only a record that is in none of them is missed.
    everywhere = CellIndex(store, cells_read=10_000)
    assert all(str(n) in found(everywhere, vector) for n, vector in enumerate(vectors))
    store.close()


ADDER = """
    import sys
    from langchain_bedrock_opt import DiskCacheStore
    from langchain_bedrock_opt.caching.similarity.cell_index import CellIndex
    from langchain_bedrock_opt.caching.similarity.index import Record
    import numpy as np

    folder, process = sys.argv[1], int(sys.argv[2])
    vectors = np.load(folder + "/vectors.npy")
    index = CellIndex(DiskCacheStore(folder + "/cache"), cell_size=32)
    for number in range(process, len(vectors), 4):
        record = Record(entry_key=str(number), vector=vectors[number], facts=b"", answer=b"")
        index.add("5c0be", record, 600)
"""


def test_processes_lose_no_record(tmp_path: Path) -> None:
    """Four processes that add to one scope on a disk lose no record."""
    vectors = questions(160)
    np.save(tmp_path / "vectors.npy", vectors)
    command = [sys.executable, "-c", textwrap.dedent(ADDER), str(tmp_path)]
    processes = [subprocess.Popen([*command, str(number)], cwd=REPOSITORY) for number in range(4)]

    assert [process.wait() for process in processes] == [0] * 4
    store = DiskCacheStore(tmp_path / "cache")
    index = CellIndex(store, cells_read=10_000)
    assert all(str(n) in found(index, vector) for n, vector in enumerate(vectors))
    store.close()


def test_documents_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells and roots never grow beyond their limit; then the records that expire first go."""
    limit = 8 * 1024
    monkeypatch.setattr(
        "langchain_bedrock_opt.caching.similarity.cell_index._DOCUMENT_BYTES", limit
    )
    store = ReadingStore()
    index = CellIndex(store, cell_size=64)
    sizes = []
    for number, vector in enumerate(questions(1200)):
        record = Record(entry_key=str(number), vector=vector, facts=b"", answer=b"")
        index.add(SCOPE, record, 600 + number)
        sizes.append(max(map(len, store.written.values())))

    assert max(sizes) < limit * 1.3
    assert found(index, questions(1200)[1199])[0] == "1199"


@pytest.mark.parametrize("wrong", [{"cell_size": 8}, {"cells_read": 0}, {"shortlist": 0}])
def test_numbers_out_of_range(wrong: dict[str, Any]) -> None:
    """A number that can't work is refused when the index is made."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        CellIndex(InMemoryCacheStore(), **wrong)


def test_records_without_end() -> None:
    """Records without a time to live stay, in large scopes too."""
    clock = FakeClock()
    index = CellIndex(InMemoryCacheStore(max_entries=100_000, clock=clock), clock=clock)
    vectors = questions(300)
    fill(index, vectors, ttl=None)
    clock.now += 10**9

    assert "7" in found(index, vectors[7])
