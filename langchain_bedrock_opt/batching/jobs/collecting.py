"""A job's output, joined with the places that it answers: each place once, whatever was written.

Answers are joined by `recordId` and by nothing else. For each place there is one `Answer`: a
success, an error, or neither if the output has nothing of it.
"""

from __future__ import annotations

import tempfile
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Final, NamedTuple, TypeAlias

from langchain_bedrock_opt.batching.jobs.documents import read_document
from langchain_bedrock_opt.batching.jobs.download import read_lines
from langchain_bedrock_opt.batching.jobs.folder import S3Folder
from langchain_bedrock_opt.batching.jobs.output import OutputLine, RecordError, read_line
from langchain_bedrock_opt.batching.jobs.states import JobState
from langchain_bedrock_opt.batching.parts import Order
from langchain_bedrock_opt.errors import BatchStorageError

_OUTPUT: Final = ".jsonl.out"
_MANIFEST: Final = "manifest.json.out"

# What is known of a place; a byte each.
_MISSING: Final = 0
_SUCCESS: Final = 1
_ERROR: Final = 2


class Answer(NamedTuple):
    """What a job's output says of one record. Neither field is set if it says nothing.

    Attributes:
        place: The record's place.
        output: `modelOutput` as JSON text.
        error: The error's code and Bedrock's words.
    """

    place: int
    output: bytes | None = None
    error: RecordError | None = None


class Manifest(NamedTuple):
    """The counts in `manifest.json.out`; None for each that it does not have."""

    total: int | None = None
    processed: int | None = None
    success: int | None = None
    errors: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Integrity:
    """What was found in a job's output. success + errors + missing = records, always.

    Attributes:
        records: Records that the job was given.
        success: Records with an answer.
        errors: Records with an error and no answer.
        frequent_code: The code that most of these have; None if there are none.
        missing: Records of which nothing was found.
        unknown: Lines whose `recordId` is of no record of this job.
        duplicates: Lines beyond the first of a record.
        bad_lines: Lines that could not be read.
        files: `.jsonl.out` objects.
        manifest: The job's own counts; None if it has none.
    """

    records: int
    success: int
    errors: int
    frequent_code: str | None
    missing: int
    unknown: int
    duplicates: int
    bad_lines: int
    files: int
    manifest: Manifest | None

    def disagreements(self, state: JobState | None = None) -> list[str]:
        """Where the lines do not add up with what the job says of itself, a sentence each.

        Args:
            state: The job. Counts that it does not have are not compared.
        """
        found = [
            f"{count} {what}."
            for count, what in (
                (self.unknown, "lines have the recordId of no record of this job"),
                (self.duplicates, "lines are about a record that another line was about"),
                (self.bad_lines, "lines could not be read"),
            )
            if count
        ]
        claims: list[tuple[str, Manifest | JobState]] = []
        if self.manifest is not None:
            claims.append((f"{_MANIFEST} says", self.manifest))
        if state is not None:
            claims.append(("the job says", state))
        for who, counts in claims:
            found += self._differences(who, counts)
        return found

    def _differences(self, who: str, counts: Manifest | JobState) -> Iterator[str]:
        # A job that has counted nothing yet says 0 records.
        if not counts.total:
            return
        for name, mine, theirs in (
            ("records", self.records, counts.total),
            ("answers", self.success, counts.success),
            ("errors", self.errors, counts.errors),
        ):
            if theirs is not None and theirs != mine:
                yield f"There are {mine} {name}, and {who} {theirs}."


Spill: TypeAlias = Callable[[], IO[bytes]]
"""Opens a new file to be written and read, which is gone when it is closed."""


class Collector:
    """Reads a job's output, as often as it is iterated over: one `Answer` for each place.

    One iteration at a time: each begins its counts anew.

    `order="any"` gives answers as they come, then errors, then what is missing; memory: a byte a
    record. `order="input"` gives them by place, once all of the output is in a temporary file;
    memory: 17 bytes a record.

    Args:
        folder: The job's own folder in its output folder.
        places: The places of its records, ascending. Not copied; a `range` or an `array` will do.
        order: The order of the answers.
        spill: Opens the temporary file.

    Raises:
        BatchStorageError: While iterating: S3 failed, or the disk is full. Nothing is lost by
            it: all of the output is still in S3.
    """

    def __init__(
        self,
        folder: S3Folder,
        places: Sequence[int],
        *,
        order: Order = "input",
        spill: Spill = tempfile.TemporaryFile,
    ) -> None:
        self._folder = folder
        self._places = places
        self._order = order
        self._spill = spill
        self._begin()

    def _begin(self) -> None:
        self._known = bytearray(len(self._places))
        self._errors: dict[int, RecordError] = {}
        # A job's errors are mostly alike: each text is kept once.
        self._texts: dict[RecordError, RecordError] = {}
        self._unknown = self._duplicates = self._bad_lines = self._files = 0

    def __iter__(self) -> Iterator[Answer]:
        """The answers, from the output's beginning."""
        self._begin()
        return self._as_they_come() if self._order == "any" else self._by_place()

    def files(self) -> list[str]:
        """The names of the objects with answers, as they are in S3 now.

        Raises:
            BatchStorageError: S3 failed.
        """
        return [found.name for found in self._folder.list() if found.name.endswith(_OUTPUT)]

    def report(self) -> Integrity:
        """What the last iteration found; it has to be at its end.

        Raises:
            BatchStorageError: S3 failed.
        """
        count = self._known.count
        return Integrity(
            records=len(self._known),
            success=count(_SUCCESS),
            errors=count(_ERROR),
            frequent_code=_most_frequent(code for code, _ in self._errors.values()),
            missing=count(_MISSING),
            unknown=self._unknown,
            duplicates=self._duplicates,
            bad_lines=self._bad_lines,
            files=self._files,
            manifest=read_manifest(self._folder),
        )

    def _as_they_come(self) -> Iterator[Answer]:
        for index, output in self._successes():
            yield Answer(self._places[index], output)
        # An error may be followed by a success as long as there are lines to read.
        for wanted in (_ERROR, _MISSING):
            index = self._known.find(wanted)
            while index >= 0:
                yield Answer(self._places[index], error=self._errors.get(index))
                index = self._known.find(wanted, index + 1)

    def _by_place(self) -> Iterator[Answer]:
        try:
            file = self._spill()
        except OSError as error:
            raise self._disk_full(error) from error
        try:
            offsets, lengths = self._spilled_to(file)
            for index, known in enumerate(self._known):
                output = None
                if known == _SUCCESS:
                    file.seek(offsets[index])
                    output = file.read(lengths[index])
                yield Answer(self._places[index], output, self._errors.get(index))
        finally:
            with suppress(OSError):  # a full disk is told once
                file.close()

    def _spilled_to(self, file: IO[bytes]) -> tuple[array[int], array[int]]:
        """Write the answers to a file as they come; by index, where they are and how long."""
        offsets = array("Q", bytes(8 * len(self._places)))
        lengths = array("Q", bytes(8 * len(self._places)))
        end = 0
        try:
            for index, output in self._successes():
                file.write(output)
                offsets[index], lengths[index] = end, len(output)
                end += len(output)
            file.flush()
        except OSError as error:
            raise self._disk_full(error) from error
        return offsets, lengths

    def _successes(self) -> Iterator[tuple[int, bytes]]:
        """The first answer of each record; what else there is, is counted."""
        for name in self.files():
            self._files += 1
            for line in read_lines(self._folder, name):
                if not line.data or line.data.isspace():
                    continue
                read = read_line(line.data)
                if read is None:
                    self._bad_lines += 1
                    continue
                index = self._index_of(read.place)
                if index is None:
                    self._unknown += 1
                elif self._is_news(index, read) and read.output is not None:
                    yield index, read.output

    def _is_news(self, index: int, line: OutputLine) -> bool:
        """Take down what a line says; whether it is the first success of its record."""
        known = self._known[index]
        if known != _MISSING:
            self._duplicates += 1
        if line.error is not None:
            if known == _MISSING:
                self._known[index] = _ERROR
                self._errors[index] = self._texts.setdefault(line.error, line.error)
            return False
        self._known[index] = _SUCCESS
        self._errors.pop(index, None)
        return known != _SUCCESS

    def _index_of(self, place: int | None) -> int | None:
        if place is None:
            return None
        index = bisect_left(self._places, place)
        return index if index < len(self._places) and self._places[index] == place else None

    def _disk_full(self, error: OSError) -> BatchStorageError:
        return BatchStorageError(
            f"Answers could not be put in order in {tempfile.gettempdir()} ({error.strerror}): "
            "set TMPDIR to a folder with more room, or take them in any order (order='any'). "
            f"Nothing is lost: they are in {self._folder.uri}."
        )


def _most_frequent(codes: Iterable[str]) -> str | None:
    return next((code for code, _ in Counter(codes).most_common(1)), None)


def read_manifest(folder: S3Folder) -> Manifest | None:
    """A job's own counts; None if it has left none that can be read.

    Args:
        folder: The job's own folder in its output folder.

    Raises:
        BatchStorageError: S3 failed.
    """
    body = folder.get_bytes(_MANIFEST)
    document = None if body is None else read_document(body)
    if document is None:
        return None
    return Manifest(
        total=_count(document, "totalRecordCount"),
        processed=_count(document, "processedRecordCount"),
        success=_count(document, "successRecordCount"),
        errors=_count(document, "errorRecordCount"),
        input_tokens=_count(document, "inputTokenCount"),
        output_tokens=_count(document, "outputTokenCount"),
    )


def _count(document: dict[str, Any], name: str) -> int | None:
    value = document.get(name)
    return value if isinstance(value, int) else None
