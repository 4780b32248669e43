"""The records of one job: its input on disk, run as far as it is wanted, and its output."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from langchain_bedrock_opt.emulator.http.jsontext import compact_json
from langchain_bedrock_opt.emulator.jobs.faults import Figures, OutputFault, told_figures
from langchain_bedrock_opt.emulator.jobs.output import Output
from langchain_bedrock_opt.emulator.jobs.records import RecordAnswer, RecordError, RecordRunner
from langchain_bedrock_opt.emulator.jobs.storage import Spool, Storage, lines_of


class CountedFile(NamedTuple):
    """An input file that has been checked.

    Attributes:
        name: Its name below the input's folder.
        spool: Its bytes.
        records: How many records it has.
    """

    name: str
    spool: Spool
    records: int


class Work:
    """The records of one job. Not thread-safe: the job's lock guards it.

    Args:
        files: Its input.
        runner: Runs its records.
        fault: What shall be wrong with its output.

    Attributes:
        total: How many records it has.
        succeeded: How many were answered.
        failed: How many failed.
        input_tokens: What the prompts took.
        output_tokens: What the answers took.
    """

    def __init__(
        self, files: Sequence[CountedFile], runner: RecordRunner, fault: OutputFault
    ) -> None:
        firsts = accumulate((file.records for file in files), initial=0)
        self._runner = runner
        self._fault = fault
        self._outputs = [
            Output(file.name, first) for file, first in zip(files, firsts, strict=False)
        ]
        closers = [file.spool.close for file in files] + [out.close for out in self._outputs]
        self._finalizer = weakref.finalize(self, _call_each, closers)
        self._lines = _all_lines(files, self._outputs)
        self._next: tuple[Output, bytes] | None = None
        self.total = sum(file.records for file in files)
        self.succeeded = 0
        self.failed = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self._errors = fault.choose("errors", self.total)
        self._error = RecordError(fault.error_code, fault.error_message, fault.errors_in_output)

    @property
    def processed(self) -> int:
        """How many records were run."""
        return self.succeeded + self.failed

    def run_to(self, count: int) -> None:
        """Run records until so many are run.

        Raises:
            Exception: What a responder raises that is no answer; its record is the next one.
        """
        while self.processed < min(count, self.total):
            if self._next is None:
                self._next = next(self._lines)
            output, line = self._next
            number = self.processed
            error = self._error if number in self._errors else None
            answer = self._runner.run(line, number, error)
            self._next = None
            output.add(answer.line)
            self._count(answer)

    def write_output(self, storage: Storage, folder: str, manifest: Figures) -> None:
        """Write one file for each input file, and the manifest.

        Args:
            storage: S3.
            folder: The URI of the job's own folder.
            manifest: Whether the manifest tells what is so.
        """
        for output in self._outputs:
            pieces = output.pieces(self._fault, self.total)
            storage.write(f"{folder}{output.name}.out", pieces)
        if manifest != "missing":
            figures = told_figures(manifest, self.total, self.succeeded, self.failed)
            tokens = {
                "inputTokenCount": self.input_tokens,
                "outputTokenCount": self.output_tokens,
            }
            storage.write(f"{folder}manifest.json.out", [compact_json({**figures, **tokens})])

    def close(self) -> None:
        """Give the disk back. It happens by itself to a job that nobody follows to its end."""
        self._finalizer()

    def _count(self, answer: RecordAnswer) -> None:
        self.failed += answer.is_error
        self.succeeded += not answer.is_error
        self.input_tokens += answer.input_tokens
        self.output_tokens += answer.output_tokens


def _all_lines(
    files: Sequence[CountedFile], outputs: Sequence[Output]
) -> Iterator[tuple[Output, bytes]]:
    for file, output in zip(files, outputs, strict=True):
        for line in lines_of(file.spool):
            yield output, line


def _call_each(functions: Iterable[Callable[[], object]]) -> None:
    for function in functions:
        function()
