"""What a run came to."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from langchain_bedrock_opt.batching.run.pricing import dollars
from langchain_bedrock_opt.batching.run.stage import Part
from langchain_bedrock_opt.batching.run.tally import Tally
from langchain_bedrock_opt.catalog.model_price import usd


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """One job.

    Attributes:
        arn: Its ARN; None if it was never created.
        status: Its last status.
        message: What Bedrock said of it; empty if nothing.
        records: Its records.
        stage: The stage it belongs to.
    """

    arn: str | None
    status: str
    message: str
    records: int
    stage: int

    def row(self) -> tuple[str, str]:
        """Its name and how it ended, for people."""
        said = f": {self.message}" if self.message else ""
        return f"job {self.arn or 'none'}", f"{self.status}, {self.records:,} records{said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSummary:
    """What a run came to. `success + error + missing` is `inputs`, always.

    How inputs ended is counted in the last stage; the rest in all of them. An
    answer counts as a success here even if a later step of the chain could not work with it.

    Attributes:
        run_id: The run.
        inputs: How many inputs it has.
        success: Those with an answer.
        error: Those that ended with an error.
        missing: Those of which nothing was found; they may be sent again.
        refused: Of the errors, those of inputs that no record could be made of.
        cached: Of the answers, those that a cache had.
        same: Inputs that have the answer, or the error, of an equal one.
        on_demand: Of the answers, those that came by single calls.
        cut_short: Answers of jobs and single calls that did not come to their own end, by the
            reason: `max_tokens`, `guardrail_intervened`, `refusal`, …
        attempts: How many records were sent, each as often as it was.
        input_tokens: Tokens of inputs that were paid for.
        output_tokens: Tokens of outputs that were paid for.
        cost_usd: What was paid; None if a model has no price.
        on_demand_usd: What single calls for all inputs would have cost; None likewise.
        unpriced: Models whose price, and so a sum, is not known, with the tier if it is a special
            one.
        jobs: The jobs.
    """

    run_id: str
    inputs: int
    success: int
    error: int
    missing: int
    refused: int
    cached: int
    same: int
    on_demand: int
    cut_short: Mapping[str, int]
    attempts: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    on_demand_usd: Decimal | None
    unpriced: tuple[str, ...]
    jobs: tuple[JobSummary, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, for people."""
        rows = [
            ("inputs", f"{self.inputs:,}"),
            ("success", f"{self.success:,}"),
            ("error", f"{self.error:,}"),
            ("missing", f"{self.missing:,}"),
        ]
        rows += [
            (f"of these {name.replace('_', ' ')}", f"{count:,}")
            for name in ("refused", "cached", "same", "on_demand")
            if (count := getattr(self, name))
        ]
        rows += [(f"cut short: {name}", f"{count:,}") for name, count in self.cut_short.items()]
        rows += [
            ("records sent", f"{self.attempts:,}"),
            ("tokens in, out", f"{self.input_tokens:,}, {self.output_tokens:,}"),
            ("cost", _dollars(self.cost_usd, self.unpriced)),
            ("on demand", _dollars(self.on_demand_usd, self.unpriced)),
        ]
        return rows + [job.row() for job in self.jobs]

    def __str__(self) -> str:
        """A table."""
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(
            [f"Run {self.run_id}", *(f"  {name:<{width}}  {value}" for name, value in rows)]
        )

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
            for name, value in self.rows()
        )
        return f"<table><caption>Run {html.escape(self.run_id)}</caption>{cells}</table>"


def summary_of(
    run_id: str, tallies: Sequence[Tally], parts: Sequence[Sequence[Part]]
) -> BatchSummary:
    """The summary of a run.

    Args:
        run_id: The run.
        tallies: What each stage came to.
        parts: The shards of each stage.
    """
    counts = tallies[-1].counts
    unpriced = set().union(*(tally.money.unpriced for tally in tallies))
    unpriced_on_demand = set().union(*(tally.money.unpriced_on_demand for tally in tallies))
    cost = usd(sum(tally.money.cost for tally in tallies))
    on_demand = usd(sum(tally.money.on_demand for tally in tallies))
    usages = [tally.usage for tally in tallies]
    return BatchSummary(
        run_id=run_id,
        inputs=counts.inputs,
        success=counts.success,
        error=counts.error,
        missing=counts.missing,
        refused=counts.refused,
        cached=counts.cached,
        same=counts.same,
        on_demand=counts.on_demand,
        cut_short=dict(sorted(sum((tally.cut_short for tally in tallies), Counter()).items())),
        attempts=sum(tally.counts.attempts for tally in tallies),
        input_tokens=sum(usage.total - usage.output for usage in usages),
        output_tokens=sum(usage.output for usage in usages),
        cost_usd=None if unpriced else cost,
        on_demand_usd=None if unpriced_on_demand else on_demand,
        unpriced=tuple(sorted(unpriced | unpriced_on_demand)),
        jobs=tuple(
            JobSummary(
                arn=part.arn,
                status=str((part.end or {}).get("status", "Queued")),
                message=str((part.end or {}).get("message") or ""),
                records=part.shard.records,
                stage=number,
            )
            for number, shards in enumerate(parts)
            for part in shards
            if part.shard.route == "job"
        ),
    )


def _dollars(amount: Decimal | None, unpriced: Sequence[str]) -> str:
    if amount is None:
        return f"unknown: there is no price for {', '.join(unpriced)}"
    return dollars(amount)
