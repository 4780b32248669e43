"""The report as a notebook shows it: figures, charts and tables; every text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from langchain_bedrock_opt.usage.reporting.svg import timeline_svg, waterfall_svg
from langchain_bedrock_opt.usage.reporting.tables import Table, headline, period, tables
from langchain_bedrock_opt.usage.reporting.text import NOTHING

if TYPE_CHECKING:
    from langchain_bedrock_opt.usage.reporting.report import UsageReport

_OPEN: Final = ("Cost by model", "Findings", "Calls without a price")
"""Sections that are shown without being asked for."""

_LEFT: Final = ' style="text-align:left"'
_RIGHT: Final = ' style="text-align:right"'


def as_html(report: UsageReport) -> str:
    """The report as one piece of HTML, without script, style sheet or anything to fetch."""
    if not report.totals.calls:
        return f"<p>{NOTHING}</p>"
    charts = "".join(
        f'<div style="margin:8px 32px 8px 0">{chart}</div>'
        for chart in (timeline_svg(report.timeline), waterfall_svg(report.savings))
        if chart
    )
    return (
        f"<div><b>Usage</b>, {period(report)}{_figures(report)}"
        f'<div style="display:flex;flex-wrap:wrap">{charts}</div>'
        f"{''.join(map(_section, tables(report)))}</div>"
    )


def _figures(report: UsageReport) -> str:
    boxes = "".join(
        f'<div style="margin:8px 28px 8px 0"><div style="font-size:1.4em">{escape(value)}</div>'
        f'<div style="opacity:.7">{escape(name)}</div></div>'
        for name, value in headline(report).items()
    )
    return f'<div style="display:flex;flex-wrap:wrap">{boxes}</div>'


def _section(table: Table) -> str:
    return table_html(table, is_open=table.title in _OPEN)


def table_html(table: Table, *, is_open: bool) -> str:
    """One table as HTML; every text is escaped.

    Args:
        table: The table.
        is_open: Whether it is shown without being asked for.
    """
    state = " open" if is_open else ""
    head = "".join(
        f'<th scope="col"{_LEFT if column < table.texts else _RIGHT}>{escape(name)}</th>'
        for column, name in enumerate(table.head)
    )
    body = "".join(_row(row, table.texts) for row in table.rows)
    note = f'<div style="opacity:.7">{escape(table.note)}</div>' if table.note else ""
    return (
        f"<details{state}><summary><b>{escape(table.title)}</b></summary>"
        f'<table style="border-spacing:10px 2px"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{note}</details>"
    )


def _row(row: Sequence[str], texts: int) -> str:
    cells = "".join(
        f"<td{_LEFT if column < texts else ''}>{escape(cell)}</td>"
        for column, cell in enumerate(row)
    )
    return f"<tr{_RIGHT}>{cells}</tr>"
