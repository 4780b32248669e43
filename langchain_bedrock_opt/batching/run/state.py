"""What a run keeps in S3, as versioned JSON.

```
runs/<run id>/
  run.json                     what it is: fingerprint, number of stages, the last settings
  cancelled.json               it was cancelled: nothing more is sent
  stage-0/
    input/00000-<owner>.jsonl  a shard's records; the process that uploaded it is in its name
    shards/00000.json          the shard is complete: where its input is, its digest, its places
    shards/00000.job.json      the job that was made of it
    shards/00000.end.json      how that ended
    output/00000/…             what Bedrock wrote
    direct/00000/<recordId>.json   an answer that came on demand
    claims/00000-00000.json    which process asks for these, and until when it is believed to
    notes-<owner>.jsonl        inputs that are in no job: equal ones, known ones, refused ones
    dropped-<owner>.jsonl      inputs that failed in an earlier stage
    plan.json                  all inputs were taken: how many of what, and whose notes hold
    retry-2.json               what failed was sent a second time: how many records
```

Each object is written once, but for the settings and for claims, which their owners renew. Two
processes that go on with the same run race by `If-None-Match`: whoever comes second takes over
what the first one wrote.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from typing import Any, Final, Literal, TypeVar

from langchain_bedrock_opt.batching.parts import BatchSettings, JobKind
from langchain_bedrock_opt.errors import BatchStorageError

VERSION: Final = 1
RUN: Final = "run.json"
CANCELLED: Final = "cancelled.json"
PLAN: Final = "plan.json"

_T = TypeVar("_T")

Route = Literal["job", "on_demand", "flex", "refused"]
"""How a shard's records are answered; `refused` are too few for a job, and nobody is asked."""


def checked(document: Mapping[str, Any], uri: str) -> Mapping[str, Any]:
    """The document, if this version of the package can read it.

    Args:
        document: What was read.
        uri: Where it was read.

    Raises:
        BatchStorageError: It has another version, or none.
    """
    version = document.get("version")
    if version != VERSION:
        raise BatchStorageError(
            f"{uri} has version {version!r} of a run's state and this package reads version "
            f"{VERSION}: use the release of langchain-bedrock-opt that began the run."
        )
    return document


class Places:
    """Rising places, as ranges: most shards are one range, of any length.

    Example:
        >>> places = Places()
        >>> for place in (3, 4, 5, 9):
        ...     places.add(place)
        >>> places.ranges(), len(places), list(places)
        ([[3, 5], [9, 9]], 4, [3, 4, 5, 9])
    """

    def __init__(self, ranges: list[list[int]] | None = None) -> None:
        self._bounds = array("Q", (bound for pair in ranges or () for bound in pair))

    def add(self, place: int) -> None:
        """Add a place that comes after all others."""
        if self._bounds and self._bounds[-1] + 1 == place:
            self._bounds[-1] = place
        else:
            self._bounds.extend((place, place))

    @property
    def first(self) -> int:
        """The lowest place."""
        return self._bounds[0]

    @property
    def last(self) -> int:
        """The highest place."""
        return self._bounds[-1]

    def ranges(self) -> list[list[int]]:
        """Firsts and lasts, for JSON."""
        return [list(pair) for pair in zip(self._bounds[::2], self._bounds[1::2], strict=True)]

    def as_sequence(self) -> Sequence[int]:
        """The places, to be looked up by their index."""
        ranges = self.ranges()
        if len(ranges) == 1:
            return range(ranges[0][0], ranges[0][1] + 1)
        return array("Q", self)

    def __len__(self) -> int:
        """How many places there are."""
        return sum(last - first + 1 for first, last in self.ranges())

    def __iter__(self) -> Iterator[int]:
        """The places, rising."""
        for first, last in self.ranges():
            yield from range(first, last + 1)


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a stage's records: one input file, and one job or a series of calls.

    Attributes:
        number: Its number in the stage, from 0.
        kind: What its records have in common.
        route: How they are answered.
        input: The name of its input in the stage's folder.
        records: How many records.
        bytes: What its input weighs.
        sha256: The digest of its input.
        places: Its records' places.
        attempt: The how manieth time these records are sent, from 1.
    """

    number: int
    kind: JobKind
    route: Route
    input: str
    records: int
    bytes: int
    sha256: str
    places: Places
    attempt: int = 1

    @property
    def name(self) -> str:
        """Its number, as it stands in keys."""
        return f"{self.number:05d}"

    def as_dict(self) -> dict[str, Any]:
        """The shard as JSON."""
        return {
            "version": VERSION,
            "number": self.number,
            "model_id": self.kind.model_id,
            "invocation": self.kind.invocation,
            "route": self.route,
            "input": self.input,
            "records": self.records,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "places": self.places.ranges(),
            "attempt": self.attempt,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Shard:
        """Read a shard back."""
        return cls(
            number=values["number"],
            kind=JobKind(values["model_id"], values["invocation"]),
            route=values["route"],
            input=values["input"],
            records=values["records"],
            bytes=values["bytes"],
            sha256=values["sha256"],
            places=Places(values["places"]),
            attempt=values["attempt"],
        )


def lanes(items: Iterable[_T], shard_of: Callable[[_T], Shard]) -> list[list[_T]]:
    """Shards in lanes whose records rise by place, to be merged.

    Mostly the shards of one kind follow one another. But an input that needed no record may need
    one when the run is gone on with, since a cache has forgotten its answer, or a step that had
    failed does not fail again: then a later shard has lower places.

    Args:
        items: Shards, or what has them.
        shard_of: Gives an item's shard.

    Returns:
        The lanes. Those of earlier attempts come first.
    """
    found: dict[tuple[int, JobKind], list[list[_T]]] = {}
    for item in items:
        shard = shard_of(item)
        of_kind = found.setdefault((shard.attempt, shard.kind), [])
        for lane in of_kind:
            if shard_of(lane[-1]).places.last < shard.places.first:
                lane.append(item)
                break
        else:
            of_kind.append([item])
    return [lane for _, of_kind in sorted(found.items()) for lane in of_kind]


@dataclass(slots=True)
class Plan:
    """How many of a stage's inputs became what.

    Attributes:
        inputs: All of them.
        records: Records in shards.
        same: Equal to a record that came before.
        known: Answered by a cache.
        refused: No record could be made of them.
        dropped: They failed in an earlier stage.
        owner: The process that took them: its notes hold. Another one that did so at the same
            time may have found other answers in a cache.
    """

    inputs: int = 0
    records: int = 0
    same: int = 0
    known: int = 0
    refused: int = 0
    dropped: int = 0
    owner: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Plan:
        """Read a plan back."""
        return cls(**{field.name: values[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class RunState:
    """What `run.json` says.

    Attributes:
        run_id: The run's id.
        fingerprint: Of the chain.
        stages: How many stages there are.
        settings: How its jobs are made, as was last said.
        created_at: When the run was begun, ISO 8601.
    """

    run_id: str
    fingerprint: str
    stages: int
    settings: BatchSettings
    created_at: str

    def as_dict(self) -> dict[str, Any]:
        """The state as JSON."""
        settings = {
            field.name: getattr(self.settings, field.name) for field in fields(self.settings)
        }
        settings["tags"] = dict(self.settings.tags)
        if self.settings.vpc_config is not None:
            settings["vpc_config"] = dict(self.settings.vpc_config)
        if self.settings.max_cost_usd is not None:
            settings["max_cost_usd"] = str(self.settings.max_cost_usd)
        return {
            "version": VERSION,
            "run_id": self.run_id,
            "fingerprint": self.fingerprint,
            "stages": self.stages,
            "created_at": self.created_at,
            "settings": settings,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunState:
        """Read the state back."""
        settings = dict(values["settings"])
        if settings["max_cost_usd"] is not None:
            settings["max_cost_usd"] = Decimal(settings["max_cost_usd"])
        return cls(
            run_id=values["run_id"],
            fingerprint=values["fingerprint"],
            stages=values["stages"],
            settings=BatchSettings(**settings),
            created_at=values["created_at"],
        )
