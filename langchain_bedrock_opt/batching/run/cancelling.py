"""A run is cancelled: its jobs are stopped, also those that nobody has written down.

What they have done is paid for. So a cancelled run has a result for each input that was taken,
whether or not its inputs were all taken.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import groupby

from langchain_bedrock_opt.batching.parts import Outcome
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.notes import Note
from langchain_bedrock_opt.batching.run.reading import Ending, StageReader
from langchain_bedrock_opt.batching.run.sending import job_request
from langchain_bedrock_opt.batching.run.stage import Part, Stage
from langchain_bedrock_opt.batching.run.state import CANCELLED, VERSION
from langchain_bedrock_opt.batching.run.tally import Tally
from langchain_bedrock_opt.errors import BatchJobError, RecordNotProcessedError


def cancel(context: Context) -> None:
    """Stop a run's jobs, and have no process create more.

    Args:
        context: The run.

    Raises:
        BatchStorageError: S3 refuses.
        BatchJobError: Bedrock refuses to stop a job; all others were stopped.
    """
    context.folder.put_json(CANCELLED, {"version": VERSION}, if_absent=True)
    refusal = None
    for number in range(context.program.stages):
        stage = context.stage(number)
        for part in stage.parts():
            try:
                stop_job(context, stage, part)
            except BatchJobError as error:  # noqa: PERF203 - next to a call of Bedrock
                refusal = error
    if refusal is not None:
        raise refusal


def stop_job(context: Context, stage: Stage, part: Part) -> None:
    """Stop the job of a shard that has not ended, if there is one.

    Args:
        context: A run that was cancelled.
        stage: The shard's stage.
        part: The shard. It has its job from now on, if a process was killed between the creation
            of the job and the note of it.

    Raises:
        BatchJobError: Bedrock refuses.
    """
    if part.shard.route != "job" or part.end is not None:
        return
    if part.arn is None:
        part.arn = context.control.made(job_request(context, stage, part.shard))
        if part.arn is None:
            return
        stage.store_job(part.shard, part.arn)
    context.control.stop(part.arn)


def cancelled_endings(context: Context, stage: Stage, tally: Tally) -> Iterator[Ending]:
    """How inputs have ended in a stage that was cancelled before all of them were taken.

    Args:
        context: The run.
        stage: The stage.
        tally: Counts them.

    Yields:
        One ending for each place, rising, up to the last that is known of.
    """
    expected = 0
    for ending in _known_endings(context, stage, tally):
        for place in range(expected, ending.place):
            yield _counted(_not_sent(place, stage), tally)
        expected = ending.place + 1
        yield ending


def _known_endings(context: Context, stage: Stage, tally: Tally) -> Iterator[Ending]:
    """Those of the stage's own, and in their absence those of the stage before."""
    own = StageReader(context, stage, tally).endings("input")
    lanes: list[Iterator[tuple[int, int, Ending]]] = [((end.place, 1, end) for end in own)]
    if stage.number > 0:
        before = context.stage(stage.number - 1)
        reader = StageReader(context, before, Tally(context.tariff))
        lanes.append((end.place, 0, end) for end in reader.endings("input"))
    merged = heapq.merge(*lanes, key=lambda lane: lane[:2])
    for place, group in groupby(merged, key=lambda lane: lane[0]):
        *_, (_, is_own, ending) = group
        if is_own:
            yield ending
        elif ending.error is not None:
            yield _counted(Note(place, error=ending.error, is_dropped=True), tally)
        else:
            yield _counted(_not_sent(place, stage), tally)


def _counted(ending: Ending, tally: Tally) -> Ending:
    tally.add(ending)
    return ending


def _not_sent(place: int, stage: Stage) -> Outcome:
    error = RecordNotProcessedError(
        f"Input {place} was not sent: the run was cancelled while stage {stage.number} was.",
        index=place,
    )
    return Outcome(place, error=error, attempts=0)
