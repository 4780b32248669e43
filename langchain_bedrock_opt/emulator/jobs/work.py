"""The records of one job: its input on disk, run as far as it is wanted, and its output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from langchain_bedrock_opt.emulator.http.jsontext import compact_json
from langchain_bedrock_opt.emulator.jobs.faults import JobFault
from langchain_bedrock_opt.emulator.jobs.records import RecordAnswer, RecordError, RecordRunner
from langchain_bedrock_opt.emulator.jobs.storage import Spool, Storage, lines_of, new_spool


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


class _Output(NamedTuple):
    """The answers of one input file, one line each."""

    name: str
    spool: Spool
    ends: list[int]


class Work:
    """The records of one job. Not thread-safe: the job's lock guards it.

    Args:
        files: Its input.
        runner: Runs its records.
        errors: Records that fail without being asked, by their place in the job.
        first: The place of its first record among all that the service ever ran.

    Attributes:
        total: How many records it has.
        succeeded: How many were answered.
        failed: How many failed.
        input_tokens: What the prompts took.
        output_tokens: What the answers took.
    """

    def __init__(
        self, files: Iterable[CountedFile], runner: RecordRunner, errors: dict[int, RecordError]
    ) -> None:
        self._files = tuple(files)
        self._runner = runner
        self._errors = errors
        self._outputs = [_Output(file.name, new_spool(), []) for file in self._files]
        self._lines = self._all_lines()
        self._waiting: tuple[_Output, bytes] | None = None
        self.total = sum(file.records for file in self._files)
        self.succeeded = 0
        self.failed = 0
        self.input_tokens = 0
        self.output_tokens = 0

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
            if self._waiting is None:
                self._waiting = next(self._lines)
            output, line = self._waiting
            number = self.processed
            answer = self._runner.run(line, number, self._errors.get(number))
            self._waiting = None
            output.spool.write(answer.line)
            output.ends.append((output.ends[-1] if output.ends else 0) + len(answer.line))
            self._count(answer)

    def write_output(self, storage: Storage, folder: str, fault: JobFault) -> None:
        """Write one file for each input file, and the manifest.

        Args:
            storage: S3.
            folder: The URI of the job's own folder.
            fault: What shall be wrong with it.
        """
        for output in self._outputs:
            storage.write(f"{folder}{output.name}.out", _from_start(output.spool))
        storage.write(f"{folder}manifest.json.out", [compact_json(self._manifest())])

    def close(self) -> None:
        """Give the disk back."""
        for file in self._files:
            file.spool.close()
        for output in self._outputs:
            output.spool.close()

    def _all_lines(self) -> Iterator[tuple[_Output, bytes]]:
        for file, output in zip(self._files, self._outputs, strict=True):
            for line in lines_of(file.spool):
                yield output, line

    def _count(self, answer: RecordAnswer) -> None:
        self.failed += answer.is_error
        self.succeeded += not answer.is_error
        self.input_tokens += answer.input_tokens
        self.output_tokens += answer.output_tokens

    def _manifest(self) -> dict[str, int]:
        return {
            "totalRecordCount": self.total,
            "processedRecordCount": self.processed,
            "successRecordCount": self.succeeded,
            "errorRecordCount": self.failed,
            "inputTokenCount": self.input_tokens,
            "outputTokenCount": self.output_tokens,
        }


def _from_start(spool: Spool) -> Iterator[bytes]:
    spool.seek(0)
    return iter(spool)
