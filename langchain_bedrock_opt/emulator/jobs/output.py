"""The output of one input file: its lines on disk, and how they are written to S3."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

import orjson

from langchain_bedrock_opt.emulator.jobs.faults import OutputFault
from langchain_bedrock_opt.emulator.jobs.storage import Spool, new_spool

_PIECE = 1 << 20


class Output:
    """The answers of one input file. Not thread-safe.

    Args:
        name: The input file's name.
        first: The place of its first record in the job.
    """

    def __init__(self, name: str, first: int) -> None:
        self.name = name
        self._first = first
        self._spool = new_spool()
        self._starts = [0]

    def add(self, line: bytes) -> None:
        """Add the answer of the next record, with its line break."""
        self._spool.write(line)
        self._starts.append(self._starts[-1] + len(line))

    def pieces(self, fault: OutputFault, total: int) -> Iterator[bytes]:
        """The file in pieces.

        Args:
            fault: What shall be wrong with it.
            total: How many records the job has.
        """
        if fault.spares_lines:
            yield from _range(self._spool, 0, self._starts[-1])
        else:
            with new_spool() as damaged:
                for line in self._damaged(fault, total):
                    damaged.write(line)
                size = damaged.tell()
                middle = size // 2
                yield from _range(damaged, 0, min(middle, size - fault.cut_tail))
                yield from _range(damaged, middle + fault.cut_middle, size - fault.cut_tail)
        self._spool.seek(0, 2)  # where the next answer goes

    def close(self) -> None:
        """Give the disk back."""
        self._spool.close()

    def _damaged(self, fault: OutputFault, total: int) -> Iterator[bytes]:
        """The lines in the order in which they are written."""
        count = len(self._starts) - 1
        chosen = _Chosen.of(fault, total)
        entries: list[tuple[int, Callable[[bytes], bytes]]] = []
        for index in range(count):
            place = self._first + index
            if place in chosen.drop:
                continue
            change = _change(chosen, place)
            entries += [(index, change)] * (2 if place in chosen.duplicate else 1)
        if not self._first and count:
            entries += [(n % count, _stranger(n)) for n in range(fault.unknown)]
        if fault.shuffle:
            random.Random(f"{fault.seed}/shuffle").shuffle(entries)  # noqa: S311 - no secret
        for index, change in entries:
            self._spool.seek(self._starts[index])
            yield change(self._spool.read(self._starts[index + 1] - self._starts[index]))


class _Chosen(NamedTuple):
    """The places of the records that something is wrong with."""

    drop: frozenset[int]
    duplicate: frozenset[int]
    nameless: frozenset[int]
    broken: frozenset[int]

    @classmethod
    def of(cls, fault: OutputFault, total: int) -> _Chosen:
        return cls(*(fault.choose(what, total) for what in cls._fields))


def _change(chosen: _Chosen, place: int) -> Callable[[bytes], bytes]:
    if place in chosen.broken:
        return lambda line: line[: len(line) // 2] + b"\n"
    return _without_id if place in chosen.nameless else bytes


def _without_id(line: bytes) -> bytes:
    record = orjson.loads(line)
    del record["recordId"]
    return orjson.dumps(record) + b"\n"


def _stranger(number: int) -> Callable[[bytes], bytes]:
    """Gives a line the id of a record that nobody sent."""
    return lambda line: (
        orjson.dumps({**orjson.loads(line), "recordId": f"STRANGER{number:03d}"}) + b"\n"
    )


def _range(spool: Spool, start: int, end: int) -> Iterator[bytes]:
    spool.seek(start)
    while start < end:
        piece = spool.read(min(_PIECE, end - start))
        start += len(piece)
        yield piece
