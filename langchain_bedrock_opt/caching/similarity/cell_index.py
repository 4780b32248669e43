"""`CellIndex`: near questions found in any cache store, by compare-and-set alone."""

from __future__ import annotations

import math
import random as random_module
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from langchain_bedrock_opt.caching.similarity.cells import (
    CELL_TAG,
    COPIES,
    FIRST_CELL,
    ROOT_TAG,
    Cell,
    Division,
    Root,
    moves,
)
from langchain_bedrock_opt.caching.similarity.index import Candidate, Record
from langchain_bedrock_opt.caching.similarity.packing import Packer
from langchain_bedrock_opt.caching.similarity.vectors import cosines, signature, to_int8
from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RECORD_TAG: Final = b"BXq1"
_ID_BYTES: Final = 8

_FIRST_CELLS: Final = 8
"""Into how many cells a scope's first one is divided."""

_NEW_CELLS: Final = 4
"""Into how many each further one."""

_NEIGHBOURS: Final = 8
"""How many cells beside a divided one are looked through for records that belong elsewhere now."""

_AROUND: Final = 64
"""How many cells around a divided one such records may belong to."""

_DOCUMENT_BYTES: Final = 256 * 1024
"""The most bytes of a cell or a root, well under the 400 KB of a DynamoDB item."""

_CLOSED_SECONDS: Final = 3600.0
"""How long a cell that was divided stays, for processes that don't know it yet."""

_ROOT_SECONDS: Final = 30.0
"""How long a root is believed without reading it again; far less than `_CLOSED_SECONDS`."""

_ROOTS: Final = 32
"""Roots held in memory: of 4 MB each at most."""

_Document = TypeVar("_Document")

_TRIES: Final = 100
_PAUSE: Final = 0.02


class CellIndex:
    """Keeps records in packed cells of a cache store; works on every store.

    A record lies under a key of its own, with its vector (a byte for each dimension) and facts;
    cells hold its signature (a bit for each dimension) and eight bytes of id. So a search reads
    the root and the first cell at once, or, in a scope of several cells, `cells_read` cells, and
    then the best records together: two round trips, and one more twice a minute for the root. A
    record is in three cells, all within compare-and-set: a lost race is tried again, and a cell
    that fills up is divided without losing what others write meanwhile.

    A scope of one cell, up to about `cell_size` records, is searched in full. Beyond, cells are
    divided as they fill, and a search finds some 99 % of the neighbours with a cosine of 0.9 or
    more (`python -m benchmarks cache_index`). When a scope's root is full, at 256 KB, its cells
    grow to 256 KB too and then drop the records that expire first.

    Bytes that are broken, or not of this index, count as if they were not there, and `broken`
    counts them.

    Args:
        store: Any cache store.
        secret: Keys the checksums and ids; indexes of different secrets can't read each other.
        cell_size: Records in a cell before it is divided.
        cells_read: How many cells a search reads.
        shortlist: How many records a search reads, those whose signatures are nearest.
        clock: Seconds since the epoch.
        sleep: Waits between tries, in seconds.
        random: Numbers from 0 to 1, for cell ids and the length of such waits.

    Raises:
        ConfigurationError: A number is out of its range.

    Example:
        A store that holds one record:

        >>> from langchain_bedrock_opt.caching.similarity.vectors import unit_vector
        >>> from langchain_bedrock_opt import InMemoryCacheStore
        >>> index = CellIndex(InMemoryCacheStore())
        >>> record = Record(
        ...     entry_key="answer", vector=unit_vector([1.0, 0.0]), facts=b"", answer=b""
        ... )
        >>> index.add("ab12", record, ttl=60)
        >>> index.search("ab12", unit_vector([1.0, 0.1]), k=1)[0].entry_key
        'answer'
    """

    def __init__(
        self,
        store: CacheStore,
        *,
        secret: bytes = b"",
        cell_size: int = 128,
        cells_read: int = 4,
        shortlist: int = 24,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        for name, value, least in (
            ("cell_size", cell_size, 2 * _FIRST_CELLS),
            ("cells_read", cells_read, 1),
            ("shortlist", shortlist, 1),
        ):
            if value < least:
                raise ConfigurationError(f"{name}={value!r}: must be {least} or more")
        self._store = store
        self._packer = Packer(secret)
        self._cell_size = cell_size
        self._cells_read = cells_read
        self._shortlist = shortlist
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._lock = Lock()
        self._roots: OrderedDict[str, tuple[Root, float]] = OrderedDict()
        self._broken = 0

    @property
    def broken(self) -> int:
        """How many documents could not be read since the index was made."""
        return self._broken

    def add(self, scope: str, record: Record, ttl: float | None) -> None:
        """Keep a record for `ttl` seconds: first itself, then its signature in the cells."""
        expiry = math.inf if ttl is None else self._clock() + ttl
        self._put_record(scope, record, expiry, ttl)
        new = self._one(scope, record, expiry)
        for _ in range(_TRIES):
            root = self._root(scope)
            if root is None:
                targets = [FIRST_CELL]
            else:
                _check_dims(root.dims, new.dims)
                targets = root.nearest(record.vector, COPIES)
                self._prolong(scope, root, expiry)
            found = self._store.get_many([_cell_key(scope, name) for name in targets])
            added = [
                self._insert(scope, name, new, found.get(_cell_key(scope, name)))
                for name in targets
            ]
            if all(added):
                return
            self._forget_root(scope)
        raise CacheStoreError(f"cells of the similarity index kept changing for {_TRIES} tries")

    def search(self, scope: str, vector: NDArray[np.float32], k: int) -> list[Candidate]:
        """The `k` nearest records, the nearest first."""
        cell = self._read_cells(scope, vector)
        if cell is None:
            return []
        _check_dims(cell.dims, len(vector))
        keys = [
            _record_key(scope, name)
            for name in cell.alive(self._clock()).nearest_ids(vector, max(self._shortlist, k))
        ]
        found = self._store.get_many(keys) if keys else {}
        documents = [
            document
            for key, data in found.items()
            if (document := self._open(key, _RECORD_TAG, data, dict)) is not None
            and len(document["vector"]) == len(vector)
        ]
        if not documents:
            return []
        similarities = cosines(vector, [document["vector"] for document in documents])
        candidates = [
            Candidate(
                entry_key=document["entry_key"],
                similarity=float(similarity),
                facts=document["facts"],
                answer=document["answer"],
                ok=document["ok"],
                errors=document["errors"],
            )
            for document, similarity in zip(documents, similarities, strict=True)
        ]
        return sorted(candidates, key=lambda each: -each.similarity)[:k]

    def is_empty(self, scope: str) -> bool:
        """Whether a scope holds nothing."""
        if self._known_root(scope) is not None:
            return False
        keys = [_root_key(scope), _cell_key(scope, FIRST_CELL)]
        return not self._store.get_many(keys)

    def remove(self, scope: str, entry_key: str) -> None:
        """Forget a record. Its signature stays in the cells and leads to nothing."""
        self._store.delete(_record_key(scope, self._id_of(scope, entry_key)))

    def learn(self, scope: str, entry_key: str, *, correct: bool) -> None:
        """Count that an answer was right or wrong for another question."""
        key = _record_key(scope, self._id_of(scope, entry_key))
        for _ in range(_TRIES):
            data = self._store.get(key)
            document = self._open(key, _RECORD_TAG, data, dict)
            if document is None:
                return
            document["ok" if correct else "errors"] += 1
            ttl = None if math.isinf(document["expiry"]) else document["expiry"] - self._clock()
            if ttl is not None and ttl <= 0:
                return
            if self._store.swap(key, data, self._packer.pack(key, _RECORD_TAG, document), ttl):
                return
            self._pause()
        raise CacheStoreError(f"a record of the similarity index kept changing for {_TRIES} tries")

    # Records and cells.

    def _put_record(self, scope: str, record: Record, expiry: float, ttl: float | None) -> None:
        key = _record_key(scope, self._id_of(scope, record.entry_key))
        document = {
            "entry_key": record.entry_key,
            "vector": to_int8(record.vector),
            "facts": record.facts,
            "answer": record.answer,
            "expiry": expiry,
            "ok": 0,
            "errors": 0,
        }
        self._store.put(key, self._packer.pack(key, _RECORD_TAG, document), ttl)

    def _one(self, scope: str, record: Record, expiry: float) -> Cell:
        """A cell with this record alone."""
        import numpy as np

        return Cell(
            dims=len(record.vector),
            ids=np.frombuffer(
                bytes.fromhex(self._id_of(scope, record.entry_key)), dtype=np.uint8
            ).reshape(1, -1),
            signatures=np.frombuffer(signature(record.vector), dtype=np.uint8).reshape(1, -1),
            expiry=np.array([expiry]),
        )

    def _insert(
        self, scope: str, name: str, new: Cell, data: bytes | None, *, may_divide: bool = True
    ) -> bool:
        """Add records to a cell; False if the cell is closed, after its division was finished."""
        key = _cell_key(scope, name)
        for _ in range(_TRIES):
            cell = self._open_cell(key, data)
            if cell is None:
                cell = Cell.empty(new.dims)
            _check_dims(cell.dims, new.dims)
            if cell.division is not None:
                self._finish_division(scope, name, cell)
                return False
            now = self._clock()
            cell = cell.alive(now).joined(new)
            if may_divide:
                cell = self._divided_if_full(scope, name, cell)
            if self._swap_cell(key, data, cell, cell.lifetime(now)):
                if cell.division is not None:
                    self._finish_division(scope, name, cell)
                return True
            self._pause()
            data = self._store.get(key)
        raise CacheStoreError(f"a cell of the similarity index kept changing for {_TRIES} tries")

    def _divided_if_full(self, scope: str, name: str, cell: Cell) -> Cell:
        """The cell, closed with its division if it is full; bounded in any case."""
        if len(cell) > self._cell_size:
            is_first = name == FIRST_CELL
            root = None if is_first else self._root(scope)
            count = _FIRST_CELLS if is_first else _NEW_CELLS
            used = len(root.cells) if root is not None else 0
            if used + count <= _most_cells(cell.dims):
                names = [f"{int(self._random() * 2**48):012x}" for _ in range(count)]
                copies = COPIES if is_first else 1
                division = cell.divide(names, copies=copies)
                if division is not None:
                    return replace(cell, division=division)
        return cell.lasting(_most_records(cell.dims))

    def _finish_division(self, scope: str, name: str, cell: Cell) -> None:
        """Write the new cells, then put them into the root. Anyone may do it, and more than once.

        A new cell that is already there was written by another and may have grown since.
        """
        division = cell.division
        if division is None:
            return
        now = self._clock()
        for new_name, part in zip(division.cells, cell.divided(division), strict=True):
            self._swap_cell(_cell_key(scope, new_name), None, part, cell.lifetime(now))
        root = self._divide_in_root(scope, name, cell, division)
        if root is None:
            return
        key = _cell_key(scope, name)
        data = self._store.get(key)
        if data is not None:
            self._store.swap(key, data, data, _CLOSED_SECONDS)
        self._rebalance(scope, root, division)

    def _divide_in_root(self, scope: str, name: str, cell: Cell, division: Division) -> Root | None:
        """Put new cells in the place of a divided one; None if that is done or the root is gone."""
        for _ in range(_TRIES):
            data = self._store.get(_root_key(scope))
            root = self._open_root(scope, data)
            if root is None and name == FIRST_CELL:
                expiry = float(cell.expiry.max())
                new = Root.of(cell.dims, division.cells, division.centroids, expiry)
            elif root is not None and name in root.cells:
                new = root.replaced(name, division)
            else:  # another was faster, or the root is gone and the scope starts anew
                return None
            if self._swap_root(scope, data, new):
                return new
            self._pause()
        raise CacheStoreError(f"a root of the similarity index kept changing for {_TRIES} tries")

    def _rebalance(self, scope: str, root: Root, division: Division) -> None:
        """Move records between new cells and those beside them to where they are found best.

        Only signatures move, and a copy leaves a cell after it has arrived in another.
        """
        around = root.beside(division, _AROUND)
        names = around[: len(division.cells) + _NEIGHBOURS]
        keys = {name: _cell_key(scope, name) for name in names}
        found = self._store.get_many(list(keys.values()))
        cells = {
            name: cell
            for name in names
            if (cell := self._open_cell(keys[name], found.get(keys[name]))) is not None
            and cell.division is None
        }
        arriving, staying = moves(cells, root, division, around)
        for name in names:  # the new cells first
            arrived, rest = arriving.get(name), staying.get(name)
            data = found.get(keys[name])
            if rest is not None:
                # Once, and only if nobody has written it meanwhile: a copy too many does no harm.
                rest = rest if arrived is None else rest.joined(arrived)
                if self._swap_cell(keys[name], data, rest, rest.lifetime(self._clock())):
                    continue
            if arrived is not None and not self._insert(
                scope, name, arrived, data, may_divide=False
            ):
                return  # it was divided meanwhile: nothing may leave that has not arrived

    def _read_cells(self, scope: str, vector: NDArray[np.float32]) -> Cell | None:
        """The cells nearest to a vector, as one."""
        root = self._known_root(scope)
        if root is None:
            keys = [_root_key(scope), _cell_key(scope, FIRST_CELL)]
            found = self._store.get_many(keys)
            root = self._open_root(scope, found.get(keys[0]))
            if root is None:
                return self._open_cell(keys[1], found.get(keys[1]))
            self._keep_root(scope, root)
        _check_dims(root.dims, len(vector))
        keys = [_cell_key(scope, name) for name in root.nearest(vector, self._cells_read)]
        found = self._store.get_many(keys)
        opened = [self._open_cell(key, found.get(key)) for key in keys]
        cells = [cell for cell in opened if cell is not None]
        if len(cells) < len(keys) or any(cell.division for cell in cells):
            self._forget_root(scope)
        return Cell.together([Cell.empty(root.dims), *cells])

    def _open_cell(self, key: str, data: bytes | None) -> Cell | None:
        return self._open(key, CELL_TAG, data, Cell.from_document)

    def _swap_cell(self, key: str, data: bytes | None, cell: Cell, ttl: float | None) -> bool:
        new = self._packer.pack(key, CELL_TAG, cell.to_document())
        return self._store.swap(key, data, new, ttl)

    # The root.

    def _root(self, scope: str) -> Root | None:
        """The root as it was at most half a minute ago; None if there is but one cell."""
        root = self._known_root(scope)
        if root is None:
            root = self._open_root(scope, self._store.get(_root_key(scope)))
            if root is not None:
                self._keep_root(scope, root)
        return root

    def _open_root(self, scope: str, data: bytes | None) -> Root | None:
        return self._open(_root_key(scope), ROOT_TAG, data, Root.from_document)

    def _swap_root(self, scope: str, data: bytes | None, root: Root) -> bool:
        key = _root_key(scope)
        new = self._packer.pack(key, ROOT_TAG, root.to_document())
        if not self._store.swap(key, data, new, root.lifetime(self._clock())):
            return False
        self._keep_root(scope, root)
        return True

    def _prolong(self, scope: str, root: Root, expiry: float) -> None:
        """Let the root live at least as long as a new record, and some more to write it seldom."""
        now = self._clock()
        for _ in range(_TRIES):
            if root.expiry >= expiry:
                return
            data = self._store.get(_root_key(scope))
            current = self._open_root(scope, data)
            if current is None:
                self._forget_root(scope)
                return
            longer = max(current.expiry, expiry + (expiry - now))
            root = replace(current, expiry=longer)
            if self._swap_root(scope, data, root):
                return
            self._pause()

    def _known_root(self, scope: str) -> Root | None:
        with self._lock:
            root, until = self._roots.get(scope, (None, 0.0))
            if root is None or until <= self._clock():
                return None
            self._roots.move_to_end(scope)
            return root

    def _keep_root(self, scope: str, root: Root) -> None:
        with self._lock:
            self._roots[scope] = (root, self._clock() + _ROOT_SECONDS)
            self._roots.move_to_end(scope)
            while len(self._roots) > _ROOTS:
                self._roots.popitem(last=False)

    def _forget_root(self, scope: str) -> None:
        with self._lock:
            self._roots.pop(scope, None)

    def _id_of(self, scope: str, entry_key: str) -> str:
        return self._packer.digest(scope, entry_key)[: 2 * _ID_BYTES]

    def _open(
        self, key: str, tag: bytes, data: bytes | None, parse: Callable[[Any], _Document]
    ) -> _Document | None:
        """What the store holds under a key; None, and counted, if it can't be read."""
        if data is None:
            return None
        try:
            return parse(self._packer.unpack(key, tag, data))
        except CacheStoreError:
            with self._lock:
                self._broken += 1
            return None

    def _pause(self) -> None:
        self._sleep(self._random() * _PAUSE)


def _check_dims(stored: int, given: int) -> None:
    if stored != given:
        raise CacheStoreError(
            f"an embedding has {given} dimensions and the index {stored}: "
            "give the changed embeddings another name (embedder=)"
        )


def _most_cells(dims: int) -> int:
    return _DOCUMENT_BYTES // (dims // 2 + 16)


def _most_records(dims: int) -> int:
    return _DOCUMENT_BYTES // (dims // 8 + 20)


def _root_key(scope: str) -> str:
    return f"sim:{scope}:root"


def _cell_key(scope: str, name: str) -> str:
    return f"sim:{scope}:c:{name}"


def _record_key(scope: str, name: str) -> str:
    return f"sim:{scope}:q:{name}"
