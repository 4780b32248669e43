"""Rounds of collected calls: each is a run of its own, and a named one can be gone on with.

```
runs/<run id>/rounds/
  00000.json              a round was about to be sent: where its questions are, how many
  00000-<owner>.jsonl     its questions: key, kind and record of each
runs/<run id>/round-00000/   the run that was made of it
```

Questions are written before anything is sent. So after a crash each of them is known, and whoever
asks it again waits for the round that it was in.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Event, Lock
from typing import Any, Final

import orjson

from langchain_bedrock_opt.batching.chains.asking import Asked, Post, Spot
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from langchain_bedrock_opt.batching.jobs.download import read_lines
from langchain_bedrock_opt.batching.jobs.folder import S3Folder
from langchain_bedrock_opt.batching.jobs.names import checked_run_id
from langchain_bedrock_opt.batching.parts import (
    BatchSettings,
    Entry,
    JobKind,
    Outcome,
    Record,
    Services,
)
from langchain_bedrock_opt.batching.run.batch_run import BatchRun, submit
from langchain_bedrock_opt.errors import BatchStorageError

_VERSION: Final = 1


class Journal:
    """The questions of a run's rounds, in S3. Used by many threads at once.

    Args:
        folder: The run's folder.
        run_id: The run's id.
    """

    def __init__(self, folder: S3Folder, run_id: str) -> None:
        self.run_id = run_id
        self._folder = folder.child("rounds")
        self._lock = Lock()
        self._owner = uuid.uuid4().hex[:8]
        self._names: dict[int, str] = {}
        self._next = 0
        self._known: dict[bytes, Spot] | None = None

    def known(self) -> Mapping[bytes, Spot]:
        """Where the questions of the rounds are that were there at the beginning.

        Raises:
            BatchStorageError: S3 refuses, or another version of this package wrote them.
        """
        with self._lock:
            if self._known is None:
                self._known = self._read()
            return self._known

    def add(self, questions: Sequence[Asked]) -> int:
        """Write down a round before it is sent; its number.

        Raises:
            BatchStorageError: S3 refuses, or another process sends rounds of this run, too.
        """
        with self._lock:
            number = self._next
            name = f"{number:05d}-{self._owner}.jsonl"
            with self._folder.upload(name) as upload:
                for asked in questions:
                    upload.write(_line(asked))
            claim = {"version": _VERSION, "questions": name, "records": len(questions)}
            told = f"{number:05d}.json"
            is_ours = self._folder.put_json(told, claim, if_absent=True)
            # An answer of S3's may have been lost: then what is there is ours all the same.
            if not is_ours and self._folder.get_json(told) != claim:
                raise BatchStorageError(
                    f"Another process sends rounds of run {self.run_id!r} at this moment: let one "
                    "of them go on with it, or give this one another run id."
                )
            self._names[number] = name
            self._next += 1
            return number

    def questions(self, number: int) -> list[Asked]:
        """A round's questions.

        Raises:
            BatchStorageError: S3 refuses.
        """
        lines = read_lines(self._folder, self._names[number])
        return [_asked(line.data) for line in lines]

    def _read(self) -> dict[bytes, Spot]:
        known: dict[bytes, Spot] = {}
        names = [found.name for found in self._folder.list() if found.name.endswith(".json")]
        for name in sorted(names):
            claim = self._folder.get_json(name) or {}
            if claim.get("version") != _VERSION:
                raise BatchStorageError(
                    f"{self._folder.uri_of(name)} has version {claim.get('version')!r} and this "
                    f"package reads version {_VERSION}: use the release that began the run."
                )
            number = int(name.removesuffix(".json"))
            self._names[number] = str(claim["questions"])
            self._next = max(self._next, number + 1)
            for place, asked in enumerate(self.questions(number)):
                known.setdefault(asked.key, Spot(number, place))
        return known


class Rounds:
    """Sends the rounds of one model. A `asking.Post`.

    Args:
        model: The model: its settings and clients are those of the rounds.
        journal: Where rounds are written down; None if they are not.
        under_way: Has the runs that are not over, while they are not.
    """

    def __init__(
        self, model: BedrockBatch, journal: Journal | None, under_way: set[BatchRun]
    ) -> None:
        self._under_way = under_way
        self._settings: BatchSettings = model.settings
        self._services: Services = model.services
        self._progress = model.progress
        self._journal = journal

    @property
    def min_records(self) -> int:
        """The least a job takes."""
        return self._settings.min_records

    @property
    def max_records(self) -> int:
        """The most a job takes."""
        return self._settings.max_records

    def known(self) -> Mapping[bytes, Spot]:
        """Where the questions of this run's earlier rounds are."""
        return {} if self._journal is None else self._journal.known()

    def send(self, questions: Sequence[Asked], stopped: Event) -> Iterator[Outcome]:
        """Send a new round, wait for it, and give its outcomes.

        Args:
            questions: The round.
            stopped: Set when nobody waits for it any more: then nothing more is sent.

        Raises:
            BatchError: It can't be sent.
        """
        number = None if self._journal is None else self._journal.add(questions)
        return self._outcomes(questions, number, stopped)

    def again(self, number: int, stopped: Event) -> Iterator[Outcome]:
        """Go on with an earlier round: nothing that was sent is sent twice.

        Args:
            number: The round's number.
            stopped: As for `send`.

        Raises:
            BatchError: It can't be gone on with.
        """
        if self._journal is None:
            raise ValueError("a round of a run that has no name: please report this as a bug")
        return self._outcomes(self._journal.questions(number), number, stopped)

    def _outcomes(
        self, questions: Sequence[Asked], number: int | None, stopped: Event
    ) -> Iterator[Outcome]:
        if stopped.is_set():
            return
        run_id = None
        if self._journal is not None:
            run_id = f"{self._journal.run_id}/round-{number:05d}"
        run = submit(RoundProgram(), questions, self._settings, self._services, run_id=run_id)
        self._under_way.add(run)
        if stopped.is_set():  # while it was sent: nobody has said how to come back to it
            run.interrupted()
            return
        try:
            run.wait(progress=self._progress, stopped=stopped)
            for result in run.results(order="any"):
                yield result.output or Outcome(result.index, error=result.error)
        finally:
            if not stopped.is_set():  # else it goes on, and `interrupted` says so
                self._under_way.discard(run)


class RoundProgram:
    """The program of a round: its inputs are records already, its results outcomes."""

    fingerprint = f"round-{_VERSION}"
    stages = 1

    def entries(self, _stage: int, items: Iterable[tuple[int, Any]]) -> Iterator[Entry]:
        """The records as they are."""
        return (Record(place, asked.kind, asked.body) for place, asked in items)

    def result(self, _stage: int, outcome: Outcome) -> Outcome:
        """The outcome, for the task that asked.

        Raises:
            Exception: There is no answer.
        """
        if outcome.error is not None:
            raise outcome.error
        return outcome


class PostOffice:
    """Who sends the rounds of which model.

    Args:
        run_id: A name for the run, by which it is gone on with after a crash; None for none.

    Raises:
        ConfigurationError: The name can't be one.
    """

    def __init__(self, run_id: str | None) -> None:
        self._run_id = None if run_id is None else checked_run_id(run_id)
        self._posts: dict[int, tuple[BedrockBatch, Post]] = {}
        self._journals: dict[str, Journal] = {}
        self._under_way: set[BatchRun] = set()

    def __call__(self, model: BedrockBatch) -> Post:
        """Who sends a model's questions."""
        found = self._posts.get(id(model))
        if found is None:
            found = self._posts[id(model)] = model, self._post(model)
        return found[1]

    def _post(self, model: BedrockBatch) -> Post:
        for other, post in self._posts.values():
            if other.model is model.model and other.settings == model.settings:
                return post
        return Rounds(model, self._journal(model), self._under_way)

    def interrupted(self) -> None:
        """Say on stderr what becomes of the jobs on Ctrl-C, and stop them if that is wanted."""
        runs = tuple(self._under_way)
        for run in runs:
            run.interrupted()
        if self._run_id is not None and runs:
            told = "The same batch under the same run id goes on where this one was."
            print(told, file=sys.stderr)  # noqa: T201 - Ctrl-C

    def _journal(self, model: BedrockBatch) -> Journal | None:
        if self._run_id is None:
            return None
        settings, services = model.settings, model.services
        journal = self._journals.get(settings.s3_uri)
        if journal is None:
            folder = S3Folder(
                services.s3,
                settings.s3_uri,
                bucket_owner=settings.bucket_owner,
                kms_key_id=settings.kms_key_id,
                sleep=services.sleep,
            )
            folder = folder.child("runs").child(self._run_id)
            journal = self._journals[settings.s3_uri] = Journal(folder, self._run_id)
        return journal


def _line(asked: Asked) -> bytes:
    return orjson.dumps(
        {
            "key": asked.key.hex(),
            "model_id": asked.kind.model_id,
            "invocation": asked.kind.invocation,
            "body": orjson.Fragment(asked.body),
        }
    )


def _asked(line: bytes) -> Asked:
    # The body's own bytes: written once more they could differ, and so could the job's token.
    head, _, body = line.partition(b',"body":')
    values = orjson.loads(head + b"}")
    kind = JobKind(values["model_id"], values["invocation"])
    return Asked(bytes.fromhex(values["key"]), kind, body[:-1])
