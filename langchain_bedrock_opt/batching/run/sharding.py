"""How records are cut into shards: by count, by bytes, and with no tail under the minimum.

A job takes at least so many records, and a stream does not say when it ends. So the last
`min_records` records are always held back: when the stream ends they either fit into the open
shard, or they are enough for one of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from langchain_bedrock_opt.batching.parts import BatchSettings, Record, record_id
from langchain_bedrock_opt.errors import ConfigurationError

_HEAD: Final = b'{"recordId":"'
_MIDDLE: Final = b'","modelInput":'
_TAIL: Final = b"}"
_FRAME_BYTES: Final = len(_HEAD) + len(record_id(0)) + len(_MIDDLE) + len(_TAIL) + 1
_PLACE: Final = slice(len(_HEAD), len(_HEAD) + len(record_id(0)))
_BODY: Final = slice(_PLACE.stop + len(_MIDDLE), -len(_TAIL))


def line_of(place: int, body: bytes) -> bytes:
    """The line of a job's input for a record, without its line break.

    Example:
        >>> line_of(7, b"{}")
        b'{"recordId":"00000000007","modelInput":{}}'
    """
    return b"%b%011d%b%b%b" % (_HEAD, place, _MIDDLE, body, _TAIL)


def parts_of(line: bytes) -> tuple[int, bytes]:
    """The place and the body of a line that `line_of` made.

    Example:
        >>> parts_of(line_of(7, b'{"a":1}'))
        (7, b'{"a":1}')
    """
    return int(line[_PLACE]), line[_BODY]


def line_bytes(body: bytes) -> int:
    """What a record weighs in a job's input, its line break included.

    Example:
        >>> line_bytes(b"{}") == len(line_of(7, b"{}")) + 1
        True
    """
    return len(body) + _FRAME_BYTES


@dataclass(frozen=True, slots=True)
class Limits:
    """What a shard may hold.

    Attributes:
        min_records: The least a job takes.
        max_records: The most a job takes.
        max_bytes: The most an input file may weigh.

    Raises:
        ConfigurationError: Some numbers of records could not be cut into shards.
    """

    min_records: int
    max_records: int
    max_bytes: int

    def __post_init__(self) -> None:
        """Refuse limits that leave a gap: 160 records are no shards of 100 to 150."""
        if self.max_records < 2 * self.min_records - 1:
            raise ConfigurationError(
                f"max_records={self.max_records} is less than twice min_records="
                f"{self.min_records}: some numbers of records could not be cut into jobs. Make it "
                f"{2 * self.min_records - 1} or more."
            )

    @classmethod
    def of(cls, settings: BatchSettings) -> Limits:
        """The limits that a run's settings give."""
        return cls(settings.min_records, settings.max_records, settings.max_file_bytes)


class Splitter:
    """Cuts the records of one kind into shards, in their order.

    A shard has `min_records` to `max_records` records. There are two exceptions, which `close`
    can tell by their count: all records together are too few; or they are so big that too few
    fit into a file.

    Args:
        limits: What a shard may hold. No record may be larger than a file: see `line_bytes`.
        write: Takes the next record of the open shard.
        close: Is told when the shard is complete.

    Example:
        >>> from langchain_bedrock_opt.batching.parts import JobKind
        >>> shards: list[list[int]] = [[]]
        >>> splitter = Splitter(
        ...     Limits(min_records=2, max_records=3, max_bytes=1000),
        ...     write=lambda record: shards[-1].append(record.place),
        ...     close=lambda: shards.append([]),
        ... )
        >>> for place in range(4):
        ...     splitter.add(Record(place, JobKind("m", "Converse"), b"{}"))
        >>> splitter.finish()
        >>> shards
        [[0, 1], [2, 3], []]
    """

    def __init__(
        self, limits: Limits, *, write: Callable[[Record], object], close: Callable[[], object]
    ) -> None:
        self._limits = limits
        self._write = write
        self._close = close
        self._held: deque[Record] = deque()
        self._held_bytes = 0
        self._open_records = 0
        self._open_bytes = 0

    def add(self, record: Record) -> None:
        """Take the next record; the one that it pushes out of the tail is written."""
        self._held.append(record)
        self._held_bytes += line_bytes(record.body)
        if len(self._held) > self._limits.min_records:
            self._put(self._held.popleft())

    def finish(self) -> None:
        """Write the tail: into the open shard if it fits there, else into one of its own."""
        fits = (
            self._open_records + len(self._held) <= self._limits.max_records
            and self._open_bytes + self._held_bytes <= self._limits.max_bytes
        )
        if not fits:
            self._end()
        while self._held:
            self._put(self._held.popleft())
        self._end()

    def _put(self, record: Record) -> None:
        size = line_bytes(record.body)
        self._held_bytes -= size
        is_full = self._open_records == self._limits.max_records
        if is_full or self._open_bytes + size > self._limits.max_bytes:
            self._end()
        self._write(record)
        self._open_records += 1
        self._open_bytes += size

    def _end(self) -> None:
        if self._open_records:
            self._close()
            self._open_records = self._open_bytes = 0
