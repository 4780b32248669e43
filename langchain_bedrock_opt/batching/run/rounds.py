"""Records that failed and may be sent again are sent again, if the user wants that."""

from __future__ import annotations

from typing import Final

from langchain_bedrock_opt.batching.parts import Outcome
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.reading import StageReader
from langchain_bedrock_opt.batching.run.sending import Sender, stored_records
from langchain_bedrock_opt.batching.run.stage import Stage
from langchain_bedrock_opt.batching.run.state import Route
from langchain_bedrock_opt.batching.run.tally import Tally
from langchain_bedrock_opt.errors import BedrockServiceError

_LAST_ATTEMPT: Final = {"raise": 1, "on_demand": 2, "resubmit": 3}


def may_be_sent(context: Context, attempt: int) -> bool:
    """Whether records may be sent an `attempt`th time.

    Args:
        context: The run.
        attempt: From 2 on.
    """
    on_failed = context.settings.on_failed
    if on_failed == "on_demand" and context.services.direct is None:
        return False
    return attempt <= _LAST_ATTEMPT[on_failed]


def send_again(context: Context, stage: Stage, attempt: int) -> int:
    """Send what failed and may be sent again.

    Args:
        context: The run.
        stage: A stage whose shards have all ended.
        attempt: The how manieth time, from 2.

    Returns:
        How many records were sent.
    """
    known = stage.retried(attempt)
    if known is not None:
        return known
    failed = _failed(context, stage, attempt)
    parts = stage.parts()
    sent_before = [part.shard for part in parts if part.shard.attempt == 1]
    stored = [part.shard for part in parts if part.shard.attempt == attempt]
    below: Route | None = "on_demand" if context.services.direct is not None else None
    always = below if context.settings.on_failed == "on_demand" else None
    sender = Sender(context, stage, stored, attempt=attempt, route_below=below, always=always)
    with sender:
        if any(failed):
            for record in stored_records(stage, sent_before):
                if record.place < len(failed) and failed[record.place]:
                    sender.add(record)
        sender.finish()
    count = sender.records - sender.few
    stage.store_retried(attempt, count)
    return count


def _failed(context: Context, stage: Stage, attempt: int) -> bytearray:
    """A byte for each place, 1 where a job's record failed and may be sent again."""
    # Shards of this attempt may be there, if a process was killed while it sent them.
    reader = StageReader(context, stage, Tally(context.tariff), before=attempt)
    failed = bytearray()
    for ending in reader.endings("any"):
        if isinstance(ending, Outcome) and _may_succeed(ending):
            missing = ending.place + 1 - len(failed)
            if missing > 0:
                failed.extend(bytes(missing))
            failed[ending.place] = 1
    return failed


def _may_succeed(outcome: Outcome) -> bool:
    # A single call was already tried several times.
    error = outcome.error
    return (
        outcome.source == "job"
        and outcome.kind is not None
        and isinstance(error, BedrockServiceError)
        and error.retry_safe
    )
