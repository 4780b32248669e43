"""`UsageReport`: what a ledger's records say, section by section, as data that shows itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.usage.reporting.findings import Finding, findings
from langchain_bedrock_opt.usage.reporting.grouping import UNGROUPED
from langchain_bedrock_opt.usage.reporting.savings import Waterfall, waterfall
from langchain_bedrock_opt.usage.reporting.timeline import Timeline, model_of, timeline
from langchain_bedrock_opt.usage.reporting.totals import (
    UsageTotals,
    grouped,
    is_hourly,
    is_unpriced,
    total,
    totals_by,
)

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    from matplotlib.figure import Figure

_SHOWN_MODELS = 5
"""Models that the timeline tells apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceOrigin:
    """Where the prices of some calls come from.

    Attributes:
        source: The layer, such as `shipped` or `override`; `(none)` if the records don't say.
        checked: The date at which the prices were checked, or None.
        calls: Calls that were priced so.
        cost_pico_usd: What these cost.
    """

    source: str
    checked: str | None
    calls: int
    cost_pico_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """Usage and cost, from the headline figures to what should be looked at.

    A notebook shows it with charts, `print` as text, `rich.print` as tables in colour.

    Attributes:
        first: When the first call started; None without calls.
        last: When the last one did.
        totals: All calls together.
        timeline: Cost over time, stacked by model.
        models: Totals by model, the dearest first; by the id that an ARN stands for, if known.
        tags: Totals by tag, the dearest first; a call counts under each of its tags.
        nodes: Totals by the chain's node that made the call, the dearest first.
        savings: What was saved, step by step.
        routes: Totals by route, such as `complex (escalated from simple)`.
        prices: Where prices come from.
        hourly_calls: Calls on capacity that is billed by the hour. What the hours cost is in no
            sum of money.
        unpriced: Calls without a price, by model. They are in no sum of money.
        unmetered: Totals of calls of which nobody said the tokens, by model, with estimates.
        findings: What may be spent for nothing, the dearest first.
        records: The records themselves.
    """

    first: datetime | None
    last: datetime | None
    totals: UsageTotals
    timeline: Timeline
    models: Mapping[str, UsageTotals]
    tags: Mapping[str, UsageTotals]
    nodes: Mapping[str, UsageTotals]
    savings: Waterfall
    routes: Mapping[str, UsageTotals]
    prices: tuple[PriceOrigin, ...]
    hourly_calls: int
    unpriced: Mapping[str, int]
    unmetered: Mapping[str, UsageTotals]
    findings: tuple[Finding, ...]
    records: tuple[UsageRecord, ...] = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The report as a JSON-ready dict, without the records. Money is in 10⁻¹² US dollars."""
        values = {
            name: getattr(self, name)
            for name in type(self).__dataclass_fields__
            if name not in ("records", "first", "last", "timeline")
        }
        line = self.timeline
        return {
            "first": None if self.first is None else self.first.isoformat(),
            "last": None if self.last is None else self.last.isoformat(),
            **{name: _plain(value) for name, value in values.items()},
            "timeline": {
                "starts": [start.isoformat() for start in line.starts],
                "step_seconds": line.step.total_seconds(),
                "cost_pico_usd": _plain(line.cost_pico_usd),
            },
        }

    def to_json(self, *, indent: int | None = 2) -> str:
        """The report as JSON.

        Args:
            indent: Spaces of each level; None for one line.
        """
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def to_markdown(self) -> str:
        """The report as Markdown tables."""
        from langchain_bedrock_opt.usage.reporting.text import as_markdown

        return as_markdown(self)

    def to_pandas(self) -> dict[str, pd.DataFrame]:
        """The report as frames: `records`, `models`, `tags`, `nodes`, `routes`, `timeline`, ….

        Raises:
            MissingExtraError: pandas is not installed.
        """
        from langchain_bedrock_opt.usage.reporting.frames import frames

        return frames(self)

    def plot(self) -> Figure:
        """Cost over time, savings and latencies as one matplotlib figure; needs no display.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        from langchain_bedrock_opt.usage.reporting.figures import figure

        return figure(self)

    def __str__(self) -> str:
        """The report as text."""
        from langchain_bedrock_opt.usage.reporting.text import as_text

        return as_text(self)

    def __rich__(self) -> Any:
        """The report as rich shows it."""
        from langchain_bedrock_opt.usage.reporting.text import as_rich

        return as_rich(self)

    def to_html_page(self) -> str:
        """The report as a page of its own, for a browser."""
        title = "<meta charset='utf-8'><title>Bedrock usage</title>"
        page = f"<!doctype html><html lang='en'><head>{title}</head><body>"
        return f"{page}{self._repr_html_()}</body></html>"

    def _repr_html_(self) -> str:
        """The report as a notebook shows it: tables and small charts, no script, no network."""
        from langchain_bedrock_opt.usage.reporting.html import as_html

        return as_html(self)


def usage_report(
    records: Iterable[UsageRecord],
    *,
    baseline: str | None = None,
    prices: PriceBook | None = None,
) -> UsageReport:
    """Make a report of records.

    Args:
        records: Any records.
        baseline: The model that routed calls would have gone to without a router; by default the
            one among the routes on which they would have cost the most.
        prices: Where prices come from; by default the process's own book.

    Raises:
        ConfigurationError: The baseline has no price.

    Example:
        >>> usage_report([]).totals.calls
        0
    """
    records = tuple(records)
    times = [record.started_at for record in records]
    models = _by_cost(grouped(records, lambda record: (model_of(record),)))
    unpriced = grouped(filter(is_unpriced, records), lambda record: (model_of(record),))
    unmetered = grouped(
        (record for record in records if record.unmetered), lambda record: (model_of(record),)
    )
    return UsageReport(
        first=min(times, default=None),
        last=max(times, default=None),
        totals=total(records),
        timeline=timeline(records, list(models)[:_SHOWN_MODELS]),
        models=models,
        tags=_named(records, "tag"),
        nodes=_named(records, "node"),
        savings=waterfall(records, baseline=baseline, prices=prices),
        routes=_named(records, "route"),
        prices=_origins(records),
        hourly_calls=sum(map(is_hourly, records)),
        unpriced={model: totals.calls for model, totals in unpriced.items()},
        unmetered=unmetered,
        findings=findings(records, prices=prices),
        records=records,
    )


def _by_cost(groups: Mapping[str, UsageTotals]) -> dict[str, UsageTotals]:
    return dict(sorted(groups.items(), key=lambda group: -group[1].cost_pico_usd))


def _named(records: Sequence[UsageRecord], by: str) -> dict[str, UsageTotals]:
    """Totals by a property; nothing if no record has it."""
    groups = _by_cost(totals_by(records, by))
    return {} if set(groups) <= {UNGROUPED} else groups


def _origins(records: Iterable[UsageRecord]) -> tuple[PriceOrigin, ...]:
    priced = (record for record in records if record.price_source or record.cost_pico_usd)
    groups = grouped(priced, lambda record: ((record.price_source, record.price_checked),))
    return tuple(
        PriceOrigin(
            source=source or UNGROUPED,
            checked=checked,
            calls=totals.calls,
            cost_pico_usd=totals.cost_pico_usd,
        )
        for (source, checked), totals in groups.items()
    )


def _plain(value: Any) -> Any:
    """Records as dicts, tuples as lists, as JSON has them."""
    if hasattr(value, "__dataclass_fields__"):
        return asdict(value)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
