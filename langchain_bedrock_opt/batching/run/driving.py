"""A run is seen to its end: queued shards get jobs, jobs are waited for, stages follow stages.

Any process may drive a run, and several may at once: each step is written down in S3 when it is
done, and doing it twice gives the same jobs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import Any, Final

from langchain_bedrock_opt.batching.jobs.poller import JobPoller, States
from langchain_bedrock_opt.batching.jobs.states import JobState
from langchain_bedrock_opt.batching.run.cancelling import stop_job
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.direct import answer_part
from langchain_bedrock_opt.batching.run.notes import Note
from langchain_bedrock_opt.batching.run.reading import StageReader
from langchain_bedrock_opt.batching.run.rounds import may_be_sent, send_again
from langchain_bedrock_opt.batching.run.sending import create_job
from langchain_bedrock_opt.batching.run.stage import NOT_CREATED, Part, Stage
from langchain_bedrock_opt.batching.run.submitting import submit_later_stage
from langchain_bedrock_opt.batching.run.tally import Tally
from langchain_bedrock_opt.errors import BatchError, BatchJobError

_logger: Final = logging.getLogger(__name__)

# Somebody else's jobs may hold all slots: then there is nothing of ours to wait for.
_PAUSE_FOR_A_SLOT: Final = 60.0
# Or some of them, and one may be free long before a job of ours ends.
_LOOK_FOR_A_SLOT: Final = 300.0

Watch = Callable[[Stage, list[Part], States], object]
"""Is told after each look: the stage, its shards, and their jobs."""


class OutOfTimeError(Exception):
    """The time that a wait was given is over; the run goes on."""


@dataclass
class Driver:
    """Drives one run.

    Attributes:
        context: The run.
        watch: Is told after each look.
        deadline: When to give up, by the services' clock; None never does.
        stopped: Set by another thread to have the wait end at its next look.
        tallies: What stages came to, by their number, as far as they were read.
        trouble: Why records were left for later, if some were.
    """

    context: Context
    watch: Watch = lambda *_: None
    deadline: float | None = None
    stopped: Event = field(default_factory=Event)
    tallies: dict[int, Tally] = field(default_factory=dict)
    trouble: Exception | None = None
    _has_told: bool = False

    def drive(self) -> None:
        """Return when nothing of the run is left to be done here.

        Records of the last stage that can't be sent just now are left: what the others have come
        to can be read, and whoever drives the run again sends them.

        Raises:
            OutOfTimeError: The deadline has come, or the wait was stopped.
            BatchError: The run was never submitted whole, or records of an earlier stage can't be
                sent just now.
        """
        if self.stopped.is_set():
            raise OutOfTimeError
        for number in range(self.context.program.stages):
            stage = self.context.stage(number)
            if stage.plan() is None:
                if self.context.is_cancelled():
                    self._settle(stage)
                    return
                if number == 0:
                    raise BatchError(
                        f"Not all inputs of {self.context.folder.uri} were taken before its "
                        "process ended: submit it again with the same inputs and run_id, and "
                        "nothing is sent twice; or cancel it, and read what its jobs have done."
                    )
                submit_later_stage(self.context, number, partial(self._items_after, number - 1))
            self._settle(stage)
            if self.trouble is not None and number < self.context.program.stages - 1:
                raise self.trouble

    def _items_after(self, number: int) -> Iterator[tuple[int, Any] | Note]:
        """What a stage's results are to the next one."""
        tally = Tally(self.context.tariff)
        reader = StageReader(self.context, self.context.stage(number), tally)
        for ending in reader.endings("input"):
            if isinstance(ending, Note):
                yield ending
                continue
            try:
                item = self.context.program.result(number, ending)
            except Exception as error:  # noqa: BLE001 - only this input fails
                yield Note(ending.place, error=error, is_dropped=True)
            else:
                yield ending.place, item
        self.tallies[number] = tally
        self.context.spent[number] = tally.money.cost

    def _settle(self, stage: Stage) -> None:
        """See a stage's shards to their end, and those of what is sent again."""
        for part in stage.parts():
            if part.is_refused:
                stage.hold(part, None)  # by now it may work
        attempt = 1
        while True:
            parts = stage.parts()
            self._answer(stage, parts)
            self._wait(stage, parts)
            attempt += 1
            self.trouble = next((part.held for part in parts if part.is_refused), None)
            if self.trouble is not None or self.context.is_cancelled():
                return
            if not may_be_sent(self.context, attempt):
                return
            if not send_again(self.context, stage, attempt):
                return

    def _answer(self, stage: Stage, parts: list[Part]) -> None:
        for part in parts:
            if part.shard.route == "refused" and part.end is None:
                part.end = {"status": "NotSent"}
            if part.shard.route in ("on_demand", "flex") and part.end is None:
                # Jobs first: they take hours, and these take seconds.
                self.create_queued(stage, parts)
                self._answer_one(stage, part)

    def _answer_one(self, stage: Stage, part: Part) -> None:
        if self.context.is_cancelled():
            stage.store_end(part, status="NotSent")
            return
        trouble = answer_part(self.context, stage, part, self._pause)
        if self.context.is_cancelled():
            stage.store_end(part, status="Stopped")
        elif trouble is not None:
            self._hold(stage, part, trouble)
        else:
            stage.store_end(part, status="Completed", success=part.shard.records)

    def _wait(self, stage: Stage, parts: list[Part]) -> None:
        poller = JobPoller.of(self.context.services)
        while True:
            self.create_queued(stage, parts)
            live = {part.arn: part for part in parts if part.arn and part.end is None}
            queued = [part for part in parts if _is_queued(part)]
            if not live and not queued:
                return
            self._check_time()
            if not live:
                self.watch(stage, parts, {})
                self._tell_of_no_slot(queued[0])
                self._pause(_PAUSE_FOR_A_SLOT)
                continue
            states = poller.wait(
                list(live),
                until=partial(self._look, stage, parts, bool(queued)),
                timeout=self._patience(is_queued=bool(queued)),
            )
            for arn, state in states.items():
                if state.is_over:
                    _store_end(stage, live[arn], state)

    def _look(self, stage: Stage, parts: list[Part], is_queued: bool, states: States) -> bool:  # noqa: FBT001 - bound by `partial`
        """Whether to end the wait: a slot may be free for a shard that is queued."""
        self.watch(stage, parts, states)
        has_ended = any(state.is_over for state in states.values())
        return self.stopped.is_set() or (is_queued and has_ended)

    def create_queued(self, stage: Stage, parts: list[Part]) -> None:
        """Create the jobs of shards that have none, as far as there are slots for them.

        Args:
            stage: The stage.
            parts: Its shards.

        Raises:
            BatchJobError: Bedrock refuses a job.
        """
        full = set()
        for part in parts:
            if not _is_queued(part):
                continue
            if self.context.is_cancelled():
                stop_job(self.context, stage, part)
                if part.arn is None:
                    stage.store_end(part, status=NOT_CREATED, message="the run was cancelled")
            elif part.shard.kind not in full and not self._create(stage, part):
                full.add(part.shard.kind)

    def _create(self, stage: Stage, part: Part) -> bool:
        """Create a job; False if there is no slot for it."""
        try:
            return create_job(self.context, stage, part, may_exist=True, sleep=self._pause)
        except BatchJobError as error:
            # The other shards are gone on with: what they have done must not be hidden by it.
            self._hold(stage, part, error)
            return True

    def _hold(self, stage: Stage, part: Part, why: Exception) -> None:
        stage.hold(part, why)
        _logger.warning(
            "%d records of %s are left for now: %s. Wait for the run again once that is mended.",
            part.shard.records,
            self.context.folder.uri,
            str(why).rstrip("."),
        )

    def _tell_of_no_slot(self, part: Part) -> None:
        if not self._has_told:
            self._has_told = True
            _logger.warning("No job of %s is running: %s", self.context.folder.uri, part.held)

    def _patience(self, *, is_queued: bool) -> float | None:
        """Seconds to wait for jobs, before a slot is tried for shards that are queued."""
        left = self._time_left()
        if not is_queued:
            return left
        return _LOOK_FOR_A_SLOT if left is None else min(left, _LOOK_FOR_A_SLOT)

    def _pause(self, seconds: float) -> None:
        """Wait, but not beyond the deadline.

        Raises:
            OutOfTimeError: The deadline has come, or the wait was stopped.
        """
        left = self._time_left()
        if left is not None:
            seconds = min(seconds, left)
        if seconds > 0:
            self.context.services.sleep(seconds)
        self._check_time()

    def _check_time(self) -> None:
        left = self._time_left()
        if self.stopped.is_set() or (left is not None and left <= 0):
            raise OutOfTimeError

    def _time_left(self) -> float | None:
        return None if self.deadline is None else self.deadline - self.context.services.clock()


def _is_queued(part: Part) -> bool:
    """Whether a shard waits for a job."""
    is_open = part.arn is None and part.end is None and not part.is_refused
    return is_open and part.shard.route == "job"


def create_missing(context: Context) -> None:
    """Create the jobs of the first stage that an earlier process has not come to.

    Raises:
        BatchJobError: Bedrock refuses one.
    """
    stage = context.stage(0)
    parts = stage.parts()
    Driver(context).create_queued(stage, parts)
    for part in parts:
        if part.held is not None and part.is_refused:
            raise part.held


def _store_end(stage: Stage, part: Part, state: JobState) -> None:
    stage.store_end(
        part,
        status=state.status,
        name=state.name,
        message=state.message,
        total=state.total,
        processed=state.processed,
        success=state.success,
        errors=state.errors,
        submitted_at=state.submitted_at.isoformat() if state.submitted_at else None,
        ended_at=state.ended_at.isoformat() if state.ended_at else None,
    )
