"""The report's sections as tables of texts, which every way of showing it shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from langchain_bedrock_opt.catalog.prices import usd
from langchain_bedrock_opt.usage.reporting.timeline import OTHER
from langchain_bedrock_opt.usage.reporting.totals import UsageTotals

if TYPE_CHECKING:
    from langchain_bedrock_opt.usage.reporting.report import UsageReport

MAX_ROWS: Final = 8
"""Rows of a table; what is beyond them is one row."""

_MAX_NAME: Final = 48
_DOLLAR: Final = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A section.

    Attributes:
        title: Its name.
        head: The columns' names.
        rows: The cells.
        texts: How many columns, from the left, are text; the others are figures.
        note: What to know when reading it.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    note: str = ""


def money(pico_usd: int) -> str:
    """An amount in dollars, as exact as one wants to read it.

    Args:
        pico_usd: In 10⁻¹² US dollars.

    Example:
        >>> money(1_234_560_000_000_000), money(-1_234_000_000), money(0)
        ('$1,234.56', '-$0.001234', '$0.00')
    """
    sign, amount = ("-" if pico_usd < 0 else ""), abs(pico_usd)
    digits = 2 if not amount or amount >= _DOLLAR else 4 if amount >= _DOLLAR // 100 else 6
    return f"{sign}${usd(amount):,.{digits}f}"


def milliseconds(value: float | None) -> str:
    """A time in milliseconds or seconds; a dash if there is none.

    Example:
        >>> milliseconds(240.4), milliseconds(12_345.6), milliseconds(None)
        ('240 ms', '12.3 s', '–')
    """
    if value is None:
        return "–"
    return f"{value:,.0f} ms" if value < 1000 else f"{value / 1000:,.1f} s"  # noqa: PLR2004 - as said


def headline(report: UsageReport) -> dict[str, str]:
    """The figures that come first, by name."""
    totals, savings = report.totals, report.savings
    saved = money(savings.total_saved_pico_usd)
    if savings.without_pico_usd:
        saved += f" ({savings.total_saved_pico_usd / savings.without_pico_usd:.0%})"
    cost = money(totals.cost_pico_usd)
    if totals.unpriced_calls:
        cost += f" + {totals.unpriced_calls:,} unpriced"
    hourly = f"{report.hourly_calls:,} calls, in no cost here"
    return {
        "cost": cost,
        **({"billed by the hour": hourly} if report.hourly_calls else {}),
        "saved": saved,
        "calls": f"{totals.calls:,}",
        "latency p50 / p95": f"{milliseconds(totals.latency_p50_ms)} / "
        f"{milliseconds(totals.latency_p95_ms)}",
        "first token p50": milliseconds(totals.ttft_p50_ms),
        "errors": f"{totals.error_rate:.1%}",
        "cache hits": f"{totals.hit_rate:.1%}",
    }


def period(report: UsageReport) -> str:
    """From when to when, in UTC."""
    if report.first is None or report.last is None:
        return ""
    return f"{report.first:%Y-%m-%d %H:%M} to {report.last:%Y-%m-%d %H:%M} UTC"


def tables(report: UsageReport) -> list[Table]:
    """All sections that have something to say, in order."""
    found = [
        _costs("Cost by model", "model", report.models),
        _costs(
            "Cost by tag",
            "tag",
            report.tags,
            "A call counts under each of its tags.",
            whole=report.totals.cost_pico_usd,
        ),
        _costs("Cost by chain node", "node", report.nodes),
        _savings(report),
        _latencies(report),
        _tokens(report),
        _costs("Routes", "route", report.routes),
        _prices(report),
        _unpriced(report),
        _unmetered(report),
        _findings(report),
    ]
    return [table for table in found if table.rows]


def _costs(
    title: str,
    name: str,
    groups: Mapping[str, UsageTotals],
    note: str = "",
    *,
    whole: int | None = None,
) -> Table:
    if whole is None:
        whole = sum(totals.cost_pico_usd for totals in groups.values())

    def cells(of: Sequence[UsageTotals]) -> tuple[str, str, str]:
        cost = sum(totals.cost_pico_usd for totals in of)
        calls = sum(totals.calls for totals in of)
        if not cost and any(totals.unpriced_calls for totals in of):
            return f"{calls:,}", "no price", "–"
        if not cost and any(totals.provisioned_calls for totals in of):
            return f"{calls:,}", "by the hour", "–"
        return f"{calls:,}", money(cost), f"{cost / whole:.1%}" if whole else "–"

    rows = [(short(group), *cells([totals])) for group, totals in list(groups.items())[:MAX_ROWS]]
    if rest := list(groups.values())[MAX_ROWS:]:
        rows.append((_rest(len(rest)), *cells(rest)))
    return Table(title=title, head=(name, "calls", "cost", "share"), rows=tuple(rows), note=note)


def _savings(report: UsageReport) -> Table:
    savings = report.savings
    if not any(savings.saved_pico_usd.values()):
        return Table(title="Savings", head=("step", "amount"), rows=())
    rows = [
        ("without optimisation", money(savings.without_pico_usd)),
        *((step, money(-saved)) for step, saved in savings.saved_pico_usd.items() if saved),
        ("actual", money(savings.actual_pico_usd)),
    ]
    notes = []
    if savings.baseline is not None:
        notes.append(f"Routing against {savings.baseline} with the same tokens: an estimate.")
    if savings.replaced_pico_usd:
        notes.append(
            f"In it: {money(savings.replaced_pico_usd)} for answers that were asked for again."
        )
    if savings.left_out_calls:
        notes.append(f"Calls left out, as they have no price a token: {savings.left_out_calls:,}.")
    if savings.uncompared_calls:
        notes.append(
            f"Routed calls that have no price on that model: {savings.uncompared_calls:,}."
        )
    return Table(title="Savings", head=("step", "amount"), rows=tuple(rows), note=" ".join(notes))


def _latencies(report: UsageReport) -> Table:
    return Table(
        title="Latency and time to first token",
        head=("model", "p50", "p95", "p99", "first token p50", "p95"),
        rows=_first_rows(
            report.models,
            lambda totals: (
                milliseconds(totals.latency_p50_ms),
                milliseconds(totals.latency_p95_ms),
                milliseconds(totals.latency_p99_ms),
                milliseconds(totals.ttft_p50_ms),
                milliseconds(totals.ttft_p95_ms),
            ),
        ),
    )


def _tokens(report: UsageReport) -> Table:
    return Table(
        title="Tokens",
        head=("model", "input", "cache read", "cache write", "output", "reasoning", "saved"),
        rows=_first_rows(
            report.models,
            lambda totals: tuple(
                f"{count:,}"
                for count in (
                    totals.usage.input,
                    totals.usage.cache_read,
                    totals.usage.cache_write_5m + totals.usage.cache_write_1h,
                    totals.usage.output,
                    totals.usage.reasoning,
                    totals.saved.total,
                )
            ),
        ),
        note="Reasoning is a part of output. Saved: by cache hits.",
    )


def _prices(report: UsageReport) -> Table:
    return Table(
        title="Prices",
        head=("source", "checked", "calls", "cost"),
        rows=tuple(
            (origin.source, origin.checked or "–", f"{origin.calls:,}", money(origin.cost_pico_usd))
            for origin in report.prices[:MAX_ROWS]
        ),
        texts=2,
    )


def _unpriced(report: UsageReport) -> Table:
    rows = [(short(model), f"{calls:,}") for model, calls in report.unpriced.items()]
    rest = rows[MAX_ROWS:]
    return Table(
        title="Calls without a price",
        head=("model", "calls"),
        rows=(*rows[:MAX_ROWS], *([(_rest(len(rest)), "")] if rest else [])),
        note="They are in no sum of money.",
    )


def _unmetered(report: UsageReport) -> Table:
    return Table(
        title="Calls whose tokens nobody said",
        head=("model", "calls", "tokens, estimated", "cost, estimated"),
        rows=_first_rows(
            report.unmetered,
            lambda totals: (
                f"{totals.calls:,}",
                f"{totals.estimate.total:,}",
                money(totals.estimate_pico_usd),
            ),
        ),
        note="Streams that were broken off, and calls that timed out: Bedrock may bill them. "
        "They are in no other sum.",
    )


def _findings(report: UsageReport) -> Table:
    return Table(
        title="Findings",
        head=("what", "where", "why", "calls", "cost"),
        rows=tuple(
            (each.kind, short(each.where), each.text, f"{each.calls:,}", money(each.cost_pico_usd))
            for each in report.findings[:MAX_ROWS]
        ),
        texts=3,
    )


def _first_rows(
    groups: Mapping[str, UsageTotals], cells: Callable[[UsageTotals], Sequence[str]]
) -> tuple[tuple[str, ...], ...]:
    """A row of cells for each of the first groups; how many more there are is said."""
    rows: Iterable[tuple[str, ...]] = [
        (short(group), *cells(totals)) for group, totals in list(groups.items())[:MAX_ROWS]
    ]
    if len(groups) <= MAX_ROWS:
        return tuple(rows)
    empty = [""] * len(cells(UsageTotals()))
    return (*rows, (_rest(len(groups) - MAX_ROWS), *empty))


def _rest(count: int) -> str:
    return f"{OTHER} ({count:,})"


def short(name: str) -> str:
    """A name that fits in a column: an ARN differs from another at its end.

    Example:
        >>> len(short("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/" * 2))
        48
    """
    if len(name) <= _MAX_NAME:
        return name
    half = _MAX_NAME // 3
    return f"{name[:half]}…{name[half + 1 - _MAX_NAME :]}"
