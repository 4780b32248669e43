"""Records that failed and may be sent again are sent again, if the user wants that."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from langchain_bedrock_opt.batching.parts import Outcome, Record
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.pricing import Bill
from langchain_bedrock_opt.batching.run.reading import StageReader
from langchain_bedrock_opt.batching.run.sending import Sender, stored_records
from langchain_bedrock_opt.batching.run.stage import Stage
from langchain_bedrock_opt.batching.run.state import Route, Shard
from langchain_bedrock_opt.batching.run.tally import Tally
from langchain_bedrock_opt.catalog.model_price import usd
from langchain_bedrock_opt.errors import BedrockServiceError

_logger: Final = logging.getLogger(__name__)
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
        How many records were sent. None are if that could cost more than the run may.
    """
    known = stage.retried(attempt)
    if known is not None:
        return known
    tally = Tally(context.tariff)
    failed = _failed(context, stage, attempt, tally)
    parts = stage.parts()
    sent_before = [part.shard for part in parts if part.shard.attempt == 1]
    if context.settings.max_cost_usd is not None and any(failed):
        records = _chosen(stage, sent_before, failed)
        if not _is_affordable(context, stage, records, tally.money.cost):
            return 0
    stored = [part.shard for part in parts if part.shard.attempt == attempt]
    below: Route | None = "on_demand" if context.services.direct is not None else None
    always = below if context.settings.on_failed == "on_demand" else None
    sender = Sender(context, stage, stored, attempt=attempt, route_below=below, always=always)
    with sender:
        if any(failed):
            for record in _chosen(stage, sent_before, failed):
                sender.add(record)
        sender.finish()
    count = sender.records - sender.few
    stage.store_retried(attempt, count)
    return count


def _chosen(stage: Stage, shards: list[Shard], failed: bytearray) -> Iterator[Record]:
    for record in stored_records(stage, shards):
        if record.place < len(failed) and failed[record.place]:
            yield record


def _is_affordable(context: Context, stage: Stage, records: Iterable[Record], spent: int) -> bool:
    """Whether records may be sent again within `max_cost_usd`; says so if not.

    Args:
        context: The run, which has a limit.
        stage: The stage.
        records: The records.
        spent: What the stage has cost so far, in pico-US-dollars.
    """
    settings = context.settings
    bill = Bill(
        # Too few for a job go by plain single calls, whatever was said of the first time.
        replace(settings, below_minimum="on_demand"),
        context.tariff,
        context.estimate,
        tier="default" if settings.on_failed == "on_demand" else None,
    )
    for record in records:
        bill.add(record.kind, record.place, record.body)
    cost, limit = bill.estimate().at_most_usd, settings.max_cost_usd
    before = sum(_spent_in(context, number) for number in range(stage.number))
    if limit is None or (cost is not None and usd(before + spent) + cost <= limit):
        return True
    _logger.warning(
        "Records of %s that failed are not sent again: that could cost %s US dollars beside the "
        "%s that were spent, and max_cost_usd is %s.",
        context.folder.uri,
        cost,
        usd(before + spent),
        limit,
    )
    return False


def _spent_in(context: Context, number: int) -> int:
    """What an earlier stage has cost, which another process may have driven."""
    if number not in context.spent:
        tally = Tally(context.tariff)
        for _ in StageReader(context, context.stage(number), tally).endings("any"):
            pass
        context.spent[number] = tally.money.cost
    return context.spent[number]


def _failed(context: Context, stage: Stage, attempt: int, tally: Tally) -> bytearray:
    """A byte for each place, 1 where a job's record failed and may be sent again."""
    # Shards of this attempt may be there, if a process was killed while it sent them.
    reader = StageReader(context, stage, tally, before=attempt)
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
