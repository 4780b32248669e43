"""Packed cells: many records' signatures in one document, and how a full one is divided.

A scope begins as one cell. A cell that is full is closed: the same write that closes it also
writes down into which cells it is divided, so that whoever comes next, in any process, can finish
the division and gets the same result. The cells in use are listed in the scope's root, which is
made when the first cell is divided, each with a centroid by which the nearest are found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from langchain_bedrock_opt.caching.similarity.vectors import (
    from_nibbles,
    signs,
    to_nibbles,
)
from langchain_bedrock_opt.errors import CacheStoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CELL_TAG: Final = b"BXc1"
ROOT_TAG: Final = b"BXr1"
FIRST_CELL: Final = "first"

COPIES: Final = 3
"""In how many cells a record is written: those with the nearest centroids."""

_ID_SIZE: Final = 8
_ROUNDS: Final = 4
_MOST_IN_ONE: Final = 0.9
"""A division that leaves more than this share in one cell is not worth its writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """Into which cells a closed cell is divided.

    Attributes:
        cells: Their ids.
        centroids: Their centroids, as `to_nibbles` gives them.
        copies: Into how many of them each record goes.
    """

    cells: tuple[str, ...]
    centroids: bytes
    copies: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """Signatures of records, with the ids under which the records themselves are found.

    Attributes:
        dims: Dimensions of the vectors.
        ids: A row of eight bytes for each record.
        signatures: Its signature, likewise.
        expiry: When it expires, in seconds since the epoch; infinite if never.
        division: Set once the cell is closed: nothing is added to it any more.
    """

    dims: int
    ids: NDArray[np.uint8]
    signatures: NDArray[np.uint8]
    expiry: NDArray[np.float64]
    division: Division | None = None

    def __len__(self) -> int:
        """How many records it holds, expired ones included."""
        return len(self.expiry)

    @classmethod
    def empty(cls, dims: int) -> Cell:
        """A cell without records."""
        return cls._of(dims, b"", b"", b"")

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Cell:
        """A cell out of the store.

        Raises:
            CacheStoreError: The document is no cell.
        """
        try:
            parts = document["division"]
            division = parts and Division(
                cells=tuple(parts["cells"]), centroids=parts["centroids"], copies=parts["copies"]
            )
            return cls._of(
                document["dims"],
                document["ids"],
                document["signatures"],
                document["expiry"],
                division or None,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CacheStoreError("a document of the similarity tier is no cell") from error

    @classmethod
    def _of(
        cls,
        dims: int,
        ids: bytes,
        signatures: bytes,
        expiry: bytes,
        division: Division | None = None,
    ) -> Cell:
        import numpy as np

        return cls(
            dims=dims,
            ids=np.frombuffer(ids, dtype=np.uint8).reshape(-1, _ID_SIZE),
            signatures=np.frombuffer(signatures, dtype=np.uint8).reshape(-1, (dims + 7) // 8),
            expiry=np.frombuffer(expiry, dtype="<f8"),
            division=division,
        )

    def to_document(self) -> dict[str, Any]:
        """The cell as data for the store."""
        division = self.division and {
            "cells": list(self.division.cells),
            "centroids": self.division.centroids,
            "copies": self.division.copies,
        }
        return {
            "dims": self.dims,
            "ids": self.ids.tobytes(),
            "signatures": self.signatures.tobytes(),
            "expiry": self.expiry.astype("<f8").tobytes(),
            "division": division,
        }

    def select(self, chosen: NDArray[Any]) -> Cell:
        """An open cell with some of the records, by a mask or by their numbers."""
        return Cell(
            dims=self.dims,
            ids=self.ids[chosen],
            signatures=self.signatures[chosen],
            expiry=self.expiry[chosen],
        )

    def joined(self, other: Cell) -> Cell:
        """An open cell with the records of both; of two with one id, the other's counts."""
        # Compared each with each, since `numpy.isin` takes ten times as long on so few.
        ids = _as_numbers(self.ids)[:, None] == _as_numbers(other.ids)
        return Cell.together([self.select(~ids.any(axis=1)), other])

    @classmethod
    def together(cls, cells: Sequence[Cell]) -> Cell:
        """An open cell with the records of all, those in two cells twice; at least one cell."""
        import numpy as np

        return cls(
            dims=cells[0].dims,
            ids=np.concatenate([cell.ids for cell in cells]),
            signatures=np.concatenate([cell.signatures for cell in cells]),
            expiry=np.concatenate([cell.expiry for cell in cells]),
        )

    def alive(self, now: float) -> Cell:
        """An open cell with the records that have not expired."""
        return self.select(self.expiry > now)

    def lasting(self, limit: int) -> Cell:
        """An open cell with the `limit` records that expire last."""
        import numpy as np

        if len(self) <= limit:
            return self
        return self.select(np.sort(np.argsort(-self.expiry, kind="stable")[:limit]))

    def lifetime(self, now: float) -> float | None:
        """Seconds until its last record expires; None if one never does."""
        last = float(self.expiry.max()) if len(self) else now
        return None if math.isinf(last) else max(last - now, 1.0)

    def nearest_ids(self, query: NDArray[np.float32], limit: int) -> list[str]:
        """The ids of the records whose signatures are nearest, each once, as hexadecimal digits."""
        import numpy as np

        _, first = np.unique(_as_numbers(self.ids), return_index=True)
        scores = signs(self.signatures[first], self.dims) @ query
        best = first[np.argsort(-scores, kind="stable")[:limit]]
        return [row.tobytes().hex() for row in self.ids[best]]

    def divide(self, names: Sequence[str], *, copies: int) -> Division | None:
        """Find into which cells this one is best divided: k-means over the signatures.

        Args:
            names: The ids of the new cells.
            copies: Into how many of them each record goes.

        Returns:
            The division; None if nearly all records would stay together.
        """
        import numpy as np

        rows = signs(self.signatures, self.dims)
        centroids = rows[np.linspace(0, len(rows) - 1, len(names)).astype(int)]
        for _ in range(_ROUNDS):
            nearest = (rows @ _with_unit_length(centroids).T).argmax(axis=1)
            centroids = np.stack(
                [
                    rows[nearest == number].mean(axis=0) if (nearest == number).any() else centroid
                    for number, centroid in enumerate(centroids)
                ]
            )
        division = Division(cells=tuple(names), centroids=to_nibbles(centroids), copies=copies)
        sizes = [len(cell) for cell in self.divided(division)]
        return None if max(sizes) > _MOST_IN_ONE * len(self) else division

    def divided(self, division: Division) -> list[Cell]:
        """The cells of a division, in its order, as they are before anything is added to them."""
        import numpy as np

        rows = signs(self.signatures, self.dims)
        scores = rows @ from_nibbles(division.centroids, self.dims).T
        nearest = np.argsort(-scores, axis=1, kind="stable")[:, : division.copies]
        return [
            self.select((nearest == number).any(axis=1)) for number in range(len(division.cells))
        ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Root:
    """The cells of a scope that has more than one.

    Attributes:
        dims: Dimensions of the vectors.
        cells: The ids of the cells in use.
        centroids: Their centroids, unit vectors, one a row.
        packed: The same as `to_nibbles` gave them.
        expiry: When the last record expires, or later; infinite if never.
    """

    dims: int
    cells: tuple[str, ...]
    centroids: NDArray[np.float32]
    packed: bytes
    expiry: float

    @classmethod
    def of(cls, dims: int, cells: Sequence[str], packed: bytes, expiry: float) -> Root:
        """A root of cells and their centroids as `to_nibbles` gives them.

        Raises:
            CacheStoreError: These are not as many centroids as cells.
        """
        centroids = from_nibbles(packed, dims)
        if len(centroids) != len(cells):
            raise CacheStoreError(f"{len(cells)} cells can't have {len(centroids)} centroids")
        return cls(dims=dims, cells=tuple(cells), centroids=centroids, packed=packed, expiry=expiry)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Root:
        """A root out of the store.

        Raises:
            CacheStoreError: The document is no root.
        """
        try:
            return cls.of(
                document["dims"], document["cells"], document["centroids"], document["expiry"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CacheStoreError("a document of the similarity tier is no root") from error

    def to_document(self) -> dict[str, Any]:
        """The root as data for the store."""
        return {
            "dims": self.dims,
            "cells": list(self.cells),
            "centroids": self.packed,
            "expiry": self.expiry,
        }

    def nearest(self, vector: NDArray[np.float32], count: int) -> list[str]:
        """The ids of the cells whose centroids are nearest to a vector."""
        import numpy as np

        scores = self.centroids @ vector
        return [self.cells[number] for number in np.argsort(-scores, kind="stable")[:count]]

    def beside(self, division: Division, count: int) -> list[str]:
        """The cells of a division, and the nearest other ones."""
        import numpy as np

        new = [number for number, name in enumerate(self.cells) if name in division.cells]
        scores = (self.centroids @ self.centroids[new].T).max(axis=1)
        order = np.argsort(-scores, kind="stable")[: len(new) + count]
        return [self.cells[number] for number in order]

    def homes(
        self, cell: Cell, copies: int, *, among: Sequence[str]
    ) -> dict[str, NDArray[np.bool_]]:
        """Which records of a cell belong into which cells: the nearest by their signatures."""
        import numpy as np

        places = {name: number for number, name in enumerate(self.cells)}
        centroids = self.centroids[[places[name] for name in among]]
        scores = signs(cell.signatures, cell.dims) @ centroids.T
        nearest = np.argsort(-scores, axis=1, kind="stable")[:, :copies]
        return {among[number]: (nearest == number).any(axis=1) for number in np.unique(nearest)}

    def replaced(self, cell_id: str, division: Division) -> Root:
        """The root with the cells of a division in place of the cell that was divided."""
        size = (self.dims + 1) // 2
        kept = [number for number, name in enumerate(self.cells) if name != cell_id]
        packed = b"".join(self.packed[number * size : (number + 1) * size] for number in kept)
        return Root.of(
            self.dims,
            [*(self.cells[number] for number in kept), *division.cells],
            packed + division.centroids,
            self.expiry,
        )

    def lifetime(self, now: float) -> float | None:
        """Seconds until it may go; None if never."""
        return None if math.isinf(self.expiry) else max(self.expiry - now, 1.0)


def moves(
    cells: Mapping[str, Cell], root: Root, division: Division, around: Sequence[str]
) -> tuple[dict[str, Cell], dict[str, Cell]]:
    """How records move between the cells of a division and those beside them.

    Args:
        cells: The new cells and those beside them, by their ids.
        root: The root after the division.
        division: The division.
        around: The cells to which records may belong.

    Returns:
        What arrives in each cell, and what stays in each old cell that something leaves.
    """
    import numpy as np

    arriving: dict[str, Cell] = {}
    staying: dict[str, Cell] = {}
    for name, cell in cells.items():
        is_new = name in division.cells
        homes = root.homes(cell, COPIES, among=around)
        others = [
            target for target in homes if target in cells and (target in division.cells) != is_new
        ]
        for target in others:
            moved = cell.select(homes[target])
            arriving[target] = arriving[target].joined(moved) if target in arriving else moved
        if others and not is_new:
            leaving = np.any([homes[target] for target in others], axis=0)
            if name in homes:
                leaving &= ~homes[name]
            staying[name] = cell.select(~leaving)
    return arriving, staying


def _as_numbers(ids: NDArray[np.uint8]) -> NDArray[np.uint64]:
    import numpy as np

    return np.ascontiguousarray(ids).view("<u8").astype(np.uint64).reshape(-1)


def _with_unit_length(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = rows / np.maximum(lengths, np.float32(1e-9))
    return unit
