"""Equal inputs were sent once: the answer is given to each of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from copy import copy
from types import TracebackType
from typing import IO

from typing_extensions import Self

from langchain_bedrock_opt.batching.parts import Outcome
from langchain_bedrock_opt.batching.run.notes import Note
from langchain_bedrock_opt.errors import BatchRecordError


class SameAnswers:
    """Knows which inputs are equal to which, and keeps answers that are needed again.

    Answers wait in a temporary file; an input that has equal ones takes some 200 bytes of memory.

    Args:
        notes: The stage's notes.
    """

    def __init__(self, notes: Iterable[Note]) -> None:
        self._copies: dict[int, list[int]] = {}
        for note in notes:
            if note.same is not None:
                self._copies.setdefault(note.same, []).append(note.place)
        self._kept: dict[int, tuple[Outcome, int, int]] = {}
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Use the answers while the block runs."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove the temporary file."""
        if self._file is not None:
            self._file.close()

    def of(self, outcome: Outcome) -> Iterator[Outcome]:
        """What the inputs get that are equal to this one's."""
        for place in self._copies.get(outcome.place, ()):
            yield _at(place, outcome)

    def keep(self, outcome: Outcome) -> None:
        """Keep an outcome if equal inputs are to come."""
        if outcome.place not in self._copies:
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this
        output = outcome.output or b""
        offset = self._file.seek(0, 2)
        self._file.write(output)
        self._kept[outcome.place] = (outcome._replace(output=None), offset, len(output))

    def recall(self, first: int, place: int) -> Outcome:
        """What an input gets that is equal to one that was kept."""
        outcome, offset, length = self._kept[first]
        if length and self._file is not None:
            self._file.seek(offset)
            outcome = outcome._replace(output=self._file.read(length))
        return _at(place, outcome)


def _at(place: int, outcome: Outcome) -> Outcome:
    error = outcome.error
    if isinstance(error, BatchRecordError):
        error = copy(error)
        error.index = place
    return outcome._replace(place=place, source="same", error=error, attempts=0)
