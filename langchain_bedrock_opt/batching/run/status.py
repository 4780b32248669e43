"""How far a run is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from langchain_bedrock_opt.batching.jobs.poller import States
from langchain_bedrock_opt.batching.run.stage import NOT_CREATED, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStatus:
    """One shard.

    Attributes:
        number: Its number in its stage.
        model_id: The model that its records ask.
        records: Its records.
        attempt: The how manieth time they are sent.
        status: Its job's status as Bedrock says it; `Queued` while there is no job, `OnDemand`
            while it is answered by single calls, `NotSent` if it is not sent at all.
        done: Records that are through, as far as the service says.
        message: What Bedrock says of the job; empty if nothing.
        job_arn: Its job.
        is_over: Whether it stays as it is.
    """

    number: int
    model_id: str
    records: int
    attempt: int
    status: str
    done: int
    message: str = ""
    job_arn: str | None = None
    is_over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStatus:
    """One stage.

    Attributes:
        number: Its number.
        is_submitted: Whether all of its inputs were taken.
        shards: Its shards.
    """

    number: int
    is_submitted: bool
    shards: tuple[ShardStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatus:
    """How far a run is.

    Attributes:
        run_id: The run.
        stages: The stages that were begun.
        total: Records of these stages.
        done: Those that are through.
        is_over: Whether all shards of all stages have ended.
        eta: How long the jobs that are running will take at their pace; None if that is not
            known yet. Stages that follow are not in it.
    """

    run_id: str
    stages: tuple[StageStatus, ...]
    total: int
    done: int
    is_over: bool
    eta: timedelta | None = None

    def __str__(self) -> str:
        """One line for the run, and one for each shard."""
        eta = f", about {self.eta} left" if self.eta is not None else ""
        lines = [f"Run {self.run_id}: {self.done:,} of {self.total:,} records{eta}"]
        for stage in self.stages:
            for shard in stage.shards:
                note = f"  {shard.message}" if shard.message else ""
                lines.append(
                    f"  stage {stage.number} shard {shard.number}: {shard.status} "
                    f"{shard.done:,}/{shard.records:,}{note}"
                )
        return "\n".join(lines)


def shard_status(part: Part, states: States) -> ShardStatus:
    """The status of a shard.

    Args:
        part: The shard.
        states: Jobs as they were last seen.
    """
    shard = part.shard
    state = states.get(part.arn or "")
    status, done, message = "Queued", 0, ""
    if part.end is not None:
        status, message = str(part.end["status"]), str(part.end.get("message") or "")
        done = shard.records if part.end.get("processed") is None else part.end["processed"]
        if status in ("NotSent", NOT_CREATED):
            done = 0
    elif state is not None:
        status, done, message = state.status, state.processed or 0, state.message
    elif part.arn is not None:
        status = "Submitted"
    elif shard.route == "refused":
        status = "NotSent"
    elif shard.route != "job":
        status = "OnDemand"
    return ShardStatus(
        number=shard.number,
        model_id=shard.kind.model_id,
        records=shard.records,
        attempt=shard.attempt,
        status=status,
        done=done,
        message=message or str(part.held or ""),
        job_arn=part.arn,
        is_over=part.end is not None or status == "NotSent" or bool(state and state.is_over),
    )


def time_left(states: States, now: float) -> timedelta | None:
    """How long running jobs will take at their pace so far; None if that is not known.

    Args:
        states: Jobs as they were last seen.
        now: Seconds since 1970.
    """
    longest: float | None = None
    for state in states.values():
        if state.is_over:
            continue
        if not state.total or not state.processed or state.submitted_at is None:
            return None
        taken = max(0.0, now - state.submitted_at.timestamp())
        left = taken * (state.total - state.processed) / state.processed
        longest = max(left, longest or 0.0)
    return None if longest is None else timedelta(seconds=round(longest))
