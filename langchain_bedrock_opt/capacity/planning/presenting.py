"""A plan as text and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Final

from langchain_bedrock_opt.capacity.planning.plan import HOURS_A_MONTH

if TYPE_CHECKING:
    from langchain_bedrock_opt.capacity.planning.plan import PlanRow, ThroughputPlan

_HEAD: Final = (
    "units",
    "$/hour",
    "of it units",
    "of it overflow",
    "tokens over",
    "minutes over",
    "in use",
    "last unit saves",
)
_BOLD: Final = ' style="font-weight:bold"'
_NEAR: Final = 3
"""Rows shown on each side of the choice."""


def as_text(plan: ThroughputPlan) -> str:
    """The plan as plain text."""
    rows = [_HEAD, *_cells(plan)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    rule = "-" * len(lines[0])
    parts = [headline(plan), lines[0], rule, *lines[1:], rule, *_facts(plan)]
    return "\n".join([*parts, *(f"* {note}" for note in plan.notes)])


def as_html(plan: ThroughputPlan) -> str:
    """The plan as one piece of HTML, without script, style sheet or anything to fetch."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in _HEAD)
    body = "".join(
        f"<tr{_BOLD if row[0].endswith('*') else ''}>"
        + "".join(f'<td style="text-align:right">{escape(cell)}</td>' for cell in row)
        + "</tr>"
        for row in _cells(plan)
    )
    facts = "".join(f"<div>{escape(fact)}</div>" for fact in _facts(plan))
    notes = "".join(f"<li>{escape(note)}</li>" for note in plan.notes)
    return (
        f"<div><b>{escape(headline(plan))}</b>"
        f'<table style="border-spacing:10px 2px"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{facts}<ul>{notes}</ul></div>"
    )


def headline(plan: ThroughputPlan) -> str:
    """What to do, in a sentence."""
    if not plan.units:
        why = f"no unit at {money(plan.unit_price)} an hour saves more than it costs."
        if any(option.units for option in plan.options):
            why = "only units with a commitment would save anything."
        return (
            f"Buy no unit: on demand the load costs {money(plan.on_demand_hourly)} an hour, and "
            f"{why}"
        )
    units = "1 unit" if plan.units == 1 else f"{plan.units} units"
    what = (
        f"{units} {_term(plan.commitment)} at {money(plan.unit_price)} an hour: "
        f"{money(plan.hourly_cost)} instead of {money(plan.on_demand_hourly)} an hour"
    )
    if plan.days < 1:  # nobody knows the rest of the month by it
        return f"If all hours were like these {plan.minutes:,} minutes, {what}."
    return f"Buy {what}, {money(plan.saving * HOURS_A_MONTH)} saved a month."


def money(amount: Decimal) -> str:
    """US dollars with as many digits as one wants to read.

    Example:
        >>> money(Decimal("1234.5")), money(Decimal("0.0031"))
        ('$1,234.50', '$0.0031')
    """
    return f"${amount:,.2f}" if not amount or amount >= Decimal("0.1") else f"${amount:,.4f}"


def _length(plan: ThroughputPlan) -> str:
    return f"{plan.days:,.1f} days" if plan.days >= 1 else f"{plan.minutes:,} minutes"


def _term(commitment: str | None) -> str:
    return "without commitment" if commitment is None else f"for {commitment}"


def _cells(plan: ThroughputPlan) -> list[tuple[str, ...]]:
    """The first row, the last, and those around the choice; dots where some are left out."""
    shown: list[tuple[str, ...]] = []
    last = 0
    for row in plan.rows:
        edge = row.units in (0, len(plan.rows) - 1)
        if not edge and abs(row.units - plan.units) > _NEAR:
            continue
        if row.units > last + 1:
            shown.append(("…", *("" for _ in _HEAD[1:])))
        shown.append(_row_cells(row, is_chosen=row.units == plan.units))
        last = row.units
    return shown


def _row_cells(row: PlanRow, *, is_chosen: bool) -> tuple[str, ...]:
    return (
        f"{row.units}{' *' if is_chosen else '  '}",
        money(row.hourly_cost),
        money(row.units_cost),
        money(row.overflow_cost),
        f"{row.overflow_share:.1%}",
        f"{row.overflow_minutes:.1%}",
        "–" if row.utilisation is None else f"{row.utilisation:.0%}",
        "–" if row.unit_value is None else money(row.unit_value),
    )


def _facts(plan: ThroughputPlan) -> Sequence[str]:
    even = plan.break_even
    facts = [
        f"{_length(plan)} of load, at most {plan.minute_units.max():,.2f} units a minute.",
        f"The first unit pays below {money(even.unit_price)} an hour.",
    ]
    if even.unit_value is not None:
        facts.append(
            f"A unit in full use saves {money(even.unit_value)} an hour: at "
            f"{money(plan.unit_price)} it pays from {even.utilisation:.0%} of it in use."
        )
    return facts
