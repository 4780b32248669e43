"""What one stage of a run keeps in S3, read and written."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from langchain_bedrock_opt.batching.jobs.control import NoFreeSlot
from langchain_bedrock_opt.batching.jobs.download import read_lines
from langchain_bedrock_opt.batching.jobs.folder import S3Folder
from langchain_bedrock_opt.batching.run.notes import Note
from langchain_bedrock_opt.batching.run.sharding import parts_of
from langchain_bedrock_opt.batching.run.state import PLAN, VERSION, Plan, Shard, checked

NOT_CREATED: Final = "NotCreated"
"""The status of a shard that no job was made of, since the run was cancelled."""

_READERS: Final = 8


@dataclass(slots=True)
class Part:
    """A shard and what has become of it.

    Attributes:
        shard: The shard.
        arn: Its job; None if there is none yet, or it is answered by calls.
        end: How it ended, as `Stage.store_end` was told; None while it has not.
        held: Why it can't be gone on with just now. Only this process knows, so that another
            one tries again.
    """

    shard: Shard
    arn: str | None = None
    end: dict[str, Any] | None = None
    held: Exception | None = None

    @property
    def is_refused(self) -> bool:
        """Whether waiting does not help; a shard whose turn has not come is not refused."""
        return self.held is not None and not isinstance(self.held, NoFreeSlot)


def notes_name(owner: str, *, is_dropped: bool) -> str:
    """The object of a process's notes.

    Inputs that failed in an earlier stage have one of their own: they are met before it is known
    what becomes of the inputs in front of them.

    Args:
        owner: The process.
        is_dropped: Whether it is for inputs that failed in an earlier stage.
    """
    return f"{'dropped' if is_dropped else 'notes'}-{owner}.jsonl"


class Stage:
    """The folder of one stage.

    Args:
        folder: The run's folder.
        number: The stage's number.
    """

    def __init__(self, folder: S3Folder, number: int) -> None:
        self.number = number
        self.folder = folder.child(f"stage-{number}")
        # Each is written once, so what was read needs not be read again.
        self._documents: dict[str, dict[str, Any]] = {}
        self._held: dict[int, Exception] = {}

    def plan(self) -> Plan | None:
        """The plan; None while not all inputs were taken."""
        values = self._read(PLAN)
        return None if values is None else Plan.from_dict(values)

    def store_plan(self, plan: Plan) -> None:
        """Say that all inputs were taken."""
        self.folder.put_json(PLAN, plan.as_dict(), if_absent=True)

    def retried(self, attempt: int) -> int | None:
        """How many records were sent an `attempt`th time; None if that was not done yet."""
        values = self._read(f"retry-{attempt}.json")
        return None if values is None else int(values["records"])

    def store_retried(self, attempt: int, records: int) -> None:
        """Say that all records were sent that are to be sent an `attempt`th time."""
        values = {"version": VERSION, "records": records}
        self.folder.put_json(f"retry-{attempt}.json", values, if_absent=True)

    def parts(self) -> list[Part]:
        """All shards by their number, with what has become of them."""
        names = [found.name for found in self.folder.list("shards/")]
        unread = [name for name in names if name not in self._documents]
        if unread:
            with ThreadPoolExecutor(_READERS) as pool:
                list(pool.map(self._read, unread))
        read = self._documents
        parts = []
        for name in names:
            if name.count(".") > 1:
                continue
            shard = Shard.from_dict(read[name])
            job = read.get(f"shards/{shard.name}.job.json")
            end = read.get(f"shards/{shard.name}.end.json")
            if job is not None and end is not None and end["status"] == NOT_CREATED:
                end = None  # somebody was about to make it when another one gave it up
            arn = job["arn"] if job else None
            held = self._held.get(shard.number) if end is None and arn is None else None
            parts.append(Part(shard, arn, end, held))
        return sorted(parts, key=lambda part: part.shard.number)

    def shard(self, number: int) -> Shard | None:
        """The shard of that number, if it is there."""
        values = self._read(f"shards/{number:05d}.json")
        return None if values is None else Shard.from_dict(values)

    def store_shard(self, shard: Shard) -> bool:
        """Say that a shard is complete; False if another process has said so before."""
        return self.folder.put_json(f"shards/{shard.name}.json", shard.as_dict(), if_absent=True)

    def store_job(self, shard: Shard, arn: str) -> None:
        """Say which job was made of a shard."""
        self.folder.put_json(f"shards/{shard.name}.job.json", {"version": VERSION, "arn": arn})

    def hold(self, part: Part, why: Exception | None) -> None:
        """Remember why a shard can't be gone on with; None lets it go."""
        part.held = why
        if why is None:
            self._held.pop(part.shard.number, None)
        else:
            self._held[part.shard.number] = why

    def store_end(self, part: Part, **values: Any) -> None:
        """Say how a shard ended."""
        part.end = {"version": VERSION, **values}
        name = f"shards/{part.shard.name}.end.json"
        self.folder.put_json(name, part.end)
        self._documents[name] = part.end

    def output_of(self, shard: Shard) -> str:
        """The name of the folder that a shard's job writes to."""
        return f"output/{shard.name}"

    def records(self, shard: Shard) -> Iterator[tuple[int, bytes]]:
        """Places and bodies of a shard's input, in their order."""
        for line in read_lines(self.folder, shard.input):
            yield parts_of(line.data)

    def notes(self) -> Iterator[Note]:
        """What is known of inputs that are in no shard, by rising place, once all were taken."""
        plan = self.plan()
        if plan is None:
            return iter(())
        names = (notes_name(plan.owner, is_dropped=is_dropped) for is_dropped in (False, True))
        return heapq.merge(*map(self._noted, names), key=lambda note: note.place)

    def _noted(self, name: str) -> Iterator[Note]:
        if self.folder.exists(name):
            for line in read_lines(self.folder, name):
                yield Note.from_line(line.data)

    def _read(self, name: str) -> dict[str, Any] | None:
        if name not in self._documents:
            values = self.folder.get_json(name)
            if values is None:
                return None
            self._documents[name] = dict(checked(values, self.folder.uri_of(name)))
        return self._documents[name]
