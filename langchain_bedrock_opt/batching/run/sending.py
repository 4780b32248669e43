"""Records become shards in S3, and each complete shard a job, at once.

The order of steps is what makes a run safe to kill: the input is uploaded, then the shard is
written down, then its job is created under a name and a token that only its content decides,
then the job is written down. Whoever goes on finds either the job, or the shard whose creation
may be tried again and gives the same job.

On the way back in, records of shards that are already there are compared with those at hand,
place by place: a run is never gone on with, with other inputs.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count, pairwise
from types import TracebackType
from typing import Any, Final

from typing_extensions import Self

from langchain_bedrock_opt.batching.jobs.control import JobRequest, NoFreeSlot
from langchain_bedrock_opt.batching.jobs.names import job_name, request_token
from langchain_bedrock_opt.batching.parts import Entry, JobKind, Known, Record
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.sharding import Limits, Splitter, line_of
from langchain_bedrock_opt.batching.run.stage import Part, Stage
from langchain_bedrock_opt.batching.run.state import Places, Route, Shard, lanes
from langchain_bedrock_opt.errors import BatchError, BatchJobError, InputsChangedError

# Shards are numbered so that two processes which send the same give them the same numbers: by
# attempt, by kind in the order in which they appear, and then one by one.
_LANE: Final = 10_000
_ATTEMPT: Final = 1_000_000


def job_request(context: Context, stage: Stage, shard: Shard) -> JobRequest:
    """The job that a shard asks for: the same one in every process.

    Args:
        context: The run.
        stage: The shard's stage.
        shard: The shard.
    """
    input_uri = stage.folder.uri_of(shard.input)
    # Of the place, too: a run of the same id elsewhere is another run.
    digest = sha256(f"{input_uri}\n{shard.sha256}".encode()).hexdigest()
    return JobRequest(
        name=job_name(context.run_id, stage.number, shard.number, digest),
        token=request_token(context.run_id, stage.number, shard.number, digest),
        kind=shard.kind,
        input_uri=input_uri,
        output_uri=stage.folder.child(stage.output_of(shard)).uri,
    )


def create_job(
    context: Context,
    stage: Stage,
    part: Part,
    *,
    may_exist: bool = False,
    sleep: Callable[[float], object] | None = None,
) -> bool:
    """Create the job of a shard, or find it, and write it down.

    Args:
        context: The run.
        stage: The shard's stage.
        part: The shard.
        may_exist: Whether a process that is no more may have created it.
        sleep: Waits between tries; it may raise an error to end them.

    Returns:
        False if no job may be added just now, or the run was cancelled: the shard stays queued.

    Raises:
        BatchJobError: Bedrock refuses the job.
    """
    if context.is_cancelled():
        return False
    try:
        part.arn = context.control.create(
            job_request(context, stage, part.shard), may_exist=may_exist, sleep=sleep
        )
    except NoFreeSlot as error:
        stage.hold(part, error)
        return False
    stage.hold(part, None)
    stage.store_job(part.shard, part.arn)
    # Who cancels writes that down and then looks for jobs: one of the two sees the other.
    if context.is_cancelled():
        context.control.stop(part.arn)
    return True


def stored_records(stage: Stage, shards: list[Shard]) -> Iterator[Record]:
    """The records of some shards of one attempt, by rising place.

    Args:
        stage: Their stage.
        shards: The shards by their number.
    """

    def of_lane(lane: list[Shard]) -> Iterator[Record]:
        for shard in lane:
            for place, body in stage.records(shard):
                yield Record(place, shard.kind, body)

    sent = [shard for shard in shards if shard.route != "refused"]
    rising = (of_lane(lane) for lane in lanes(sent, lambda shard: shard))
    return heapq.merge(*rising, key=lambda record: record.place)


class Sender:
    """Takes records in the order of their places, and sends them.

    Args:
        context: The run.
        stage: The stage they belong to.
        stored: The shards of this attempt that are already there.
        attempt: The how manieth time the records are sent.
        route_below: How shards that are too small for a job are answered; None forgets them.
        refuse: May raise an error for a shard whose route below is `refused`.
        is_strict: Whether a stored record must be equal to the one at hand. Without, the
            stored one stands: records of a later stage may depend on the moment.
        always: Send all records by this route, and no job.
    """

    def __init__(
        self,
        context: Context,
        stage: Stage,
        stored: list[Shard],
        *,
        attempt: int = 1,
        route_below: Route | None = None,
        refuse: Callable[[Shard], object] | None = None,
        is_strict: bool = True,
        always: Route | None = None,
    ) -> None:
        self.context = context
        self.stage = stage
        self.attempt = attempt
        self.route_below = route_below
        self.always = always
        self.refuse = refuse
        self.records = 0
        self.shards = len(stored)
        self.few = 0
        self._stored = [shard for shard in stored if shard.route != "refused"]
        self.is_strict = is_strict
        self._earlier = stored_records(stage, stored)
        self._next_earlier = next(self._earlier, None)
        self._lanes: dict[JobKind, _Lane] = {}

    def __enter__(self) -> Self:
        """Send records until the block ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave no half upload behind if the block ends with an error."""
        if error is not None:
            for lane in self._lanes.values():
                lane.abort(error)

    def sent(self, place: int) -> Record | None:
        """The record that an earlier process has sent from a place. Places must rise."""
        if not self.is_strict:
            # What was sent then, and would not be now: it stands.
            while self._next_earlier is not None and self._next_earlier.place < place:
                self._skip()
        earlier = self._next_earlier
        return earlier if earlier is not None and earlier.place == place else None

    def keep(self, entry: Entry) -> None:
        """Let the record that was sent from an entry's place stand for it.

        Raises:
            InputsChangedError: It is of another input.
        """
        earlier = self.sent(entry.place)
        if self.is_strict and not (earlier and _is_of(earlier, entry)):
            raise inputs_changed(self.context, entry.place)
        self._skip()

    def add(self, record: Record) -> None:
        """Send a record, if that was not done before.

        Args:
            record: The record. It must fit into a file.

        Raises:
            InputsChangedError: Another one was sent from its place.
        """
        if self.sent(record.place) is not None:
            self.keep(record)
            return
        self.records += 1
        self._lane(record.kind).splitter.add(record)

    def finish(self) -> None:
        """Send what was held back.

        Raises:
            InputsChangedError: Records were sent that are not among the inputs any more.
        """
        if self.is_strict and self._next_earlier is not None:
            raise inputs_changed(self.context, self._next_earlier.place)
        while self._next_earlier is not None:
            self._skip()
        for lane in self._lanes.values():
            lane.splitter.finish()

    def _skip(self) -> None:
        self._next_earlier = next(self._earlier, None)
        self.records += 1

    def _lane(self, kind: JobKind) -> _Lane:
        lane = self._lanes.get(kind)
        if lane is None:
            lane = self._lanes[kind] = _Lane(self, kind, self._first_number(kind))
        return lane

    def _first_number(self, kind: JobKind) -> int:
        """The number of a kind's next shard."""
        numbers = [shard.number for shard in self._stored if shard.kind == kind]
        if numbers:
            return max(numbers) + 1
        taken = [shard.number for shard in self._stored]
        taken += [lane.number for lane in self._lanes.values()]
        used = {number % _ATTEMPT // _LANE for number in taken}
        free = next(index for index in count() if index not in used)
        return (self.attempt - 1) * _ATTEMPT + free * _LANE


def _is_of(sent: Record, entry: Entry) -> bool:
    """Whether a record was made of the input that an entry is made of."""
    if isinstance(entry, Record):
        return (entry.kind, entry.body) == (sent.kind, sent.body)
    return isinstance(entry, Known) and entry.body == sent.body


class _Lane:
    """The records of one kind: one shard is open at a time."""

    def __init__(self, sender: Sender, kind: JobKind, number: int) -> None:
        self._sender = sender
        self._kind = kind
        self._upload: Any = None
        self.number = number
        self._input = ""
        self._places = Places()
        limits = Limits.of(sender.context.settings)
        self._min_records = limits.min_records
        self.splitter = Splitter(limits, write=self._write, close=self._close)

    def abort(self, error: BaseException) -> None:
        """Give up the open upload."""
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.__exit__(type(error), error, error.__traceback__)

    def _write(self, record: Record) -> None:
        if self._upload is None:
            self._input = f"input/{self.number:05d}-{self._sender.context.owner}.jsonl"
            self._places = Places()
            self._upload = self._sender.stage.folder.upload(self._input)
            self._upload.__enter__()
        self._upload.write(line_of(record.place, record.body))
        self._places.add(record.place)

    def _close(self) -> None:
        sender = self._sender
        records = len(self._places)
        route = sender.always or ("job" if records >= self._min_records else sender.route_below)
        few = sender.context.services.few
        if route == "on_demand" and sender.attempt == 1 and few is not None:
            few(records)
        upload, self._upload = self._upload, None
        if route is None or route == "refused":
            upload.__exit__(_NotSent, _NotSent(), None)
            sender.few += records
        else:
            upload.__exit__(None, None, None)
        if route is None:
            return
        shard = Shard(
            number=self.number,
            kind=self._kind,
            route=route,
            input=self._input,
            records=records,
            bytes=upload.bytes,
            sha256=upload.sha256,
            places=self._places,
            attempt=sender.attempt,
        )
        if route == "refused" and sender.refuse is not None:
            sender.refuse(shard)
        sender.context.declare()
        part = Part(_agreed(sender, shard))
        sender.shards += 1
        self.number += 1
        if route == "job":
            self._create(part)

    def _create(self, part: Part) -> None:
        sender = self._sender
        try:
            create_job(sender.context, sender.stage, part)
        except BatchJobError:
            # Who submits is told at once. Later on it must not hide what other jobs have done:
            # the driver asks for the job again, and holds this shard alone.
            if sender.stage.number == 0 and sender.attempt == 1:
                raise


class _NotSent(Exception):  # noqa: N818 - it ends an upload and is never seen
    """An upload is given up, since its records are too few for a job."""


class OvertakenError(BatchError):
    """Another process sends this stage at the same time, and cut another shard first."""


def _agreed(sender: Sender, shard: Shard) -> Shard:
    """The shard as it is written down: by us, or by a process that was here before.

    Raises:
        InputsChangedError: Theirs is of other inputs.
        OvertakenError: Theirs holds other records of the same inputs.
    """
    context, stage = sender.context, sender.stage
    if stage.store_shard(shard):
        return shard
    theirs = stage.shard(shard.number)
    if theirs is None:
        return shard
    try:
        if theirs.sha256 != shard.sha256:
            place = _first_difference(stage, theirs, shard) if sender.is_strict else None
            if place is not None:
                raise inputs_changed(context, place)
            raise OvertakenError(
                f"Another process sends the records of {context.folder.uri} at the same time, and "
                "began before this one or had other answers in its cache: submit the run again, "
                "or attach to it. Nothing is sent twice."
            )
    finally:
        # The same name is no other process: an answer of S3's was lost.
        if theirs.input != shard.input:
            stage.folder.delete(shard.input)
    return theirs


def _first_difference(stage: Stage, one: Shard, other: Shard) -> int | None:
    """The first place of which two shards hold different records; None if there is none."""
    if "refused" in (one.route, other.route):  # nothing was uploaded
        return None
    merged = heapq.merge(stage.records(one), stage.records(other))
    for (place, body), (next_place, next_body) in pairwise(merged):
        if place == next_place and body != next_body:
            return place
    return None


def inputs_changed(context: Context, place: int) -> InputsChangedError:
    """The error of a run that is gone on with, with other inputs.

    Args:
        context: The run.
        place: The first input that differs.
    """
    return InputsChangedError(
        f"Run {context.run_id!r} was begun with another input {place} (or other parameters of the "
        "model): submit it with the same inputs, or take another run_id.",
        index=place,
    )
