"""The report as text: plain, as Markdown, and for rich."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final
from unicodedata import east_asian_width

from langchain_bedrock_opt.usage.reporting.tables import Table, headline, period, tables

if TYPE_CHECKING:
    from langchain_bedrock_opt.usage.reporting.report import UsageReport

NOTHING: Final = "No calls."


def as_text(report: UsageReport) -> str:
    """The report as plain text."""
    if not report.totals.calls:
        return NOTHING
    figures = "\n".join(_aligned(list(headline(report).items()), texts=2))
    return "\n\n".join([f"Usage, {period(report)}", figures, *map(table_text, tables(report))])


def table_text(table: Table) -> str:
    """One table as plain text.

    Args:
        table: The table.
    """
    head, *rows = _aligned([table.head, *table.rows], table.texts)
    rule = "-" * max(map(_width, (head, *rows)))
    return "\n".join(filter(None, (table.title, rule, head, rule, *rows, table.note)))


def _aligned(rows: Sequence[Sequence[str]], texts: int) -> list[str]:
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_padded(row, widths, texts)).rstrip() for row in rows]


def _padded(row: Sequence[str], widths: Sequence[int], texts: int) -> Iterable[str]:
    for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
        space = " " * (width - _width(cell))
        yield cell + space if column < texts else space + cell


def _width(text: str) -> int:
    """How many columns a terminal needs: a Japanese tag takes two a character."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def as_markdown(report: UsageReport) -> str:
    """The report as Markdown, a heading and a table a section."""
    if not report.totals.calls:
        return f"{NOTHING}\n"
    figures = Table(
        title=f"Usage, {period(report)}",
        head=("figure", "value"),
        rows=tuple(headline(report).items()),
    )
    return "\n\n".join(map(_markdown_table, (figures, *tables(report)))) + "\n"


def _markdown_table(table: Table) -> str:
    sides = [":--" if column < table.texts else "--:" for column in range(len(table.head))]
    lines = [table.head, sides, *table.rows]
    body = "\n".join(f"| {' | '.join(map(_markdown_cell, line))} |" for line in lines)
    return f"## {table.title}\n\n{body}" + (f"\n\n{table.note}" if table.note else "")


def _markdown_cell(cell: str) -> str:
    plain = cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return " ".join(plain.splitlines())


def as_rich(report: UsageReport) -> Any:
    """The report for a terminal, by rich: only rich asks for this."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    if not report.totals.calls:
        return Text(NOTHING)
    figures = Text.assemble(
        *(part for name, value in headline(report).items()
          for part in ((value, "bold"), f" {name}   "))
    )  # fmt: skip
    title = f"Usage, {period(report)}"
    return Group(Panel(figures, title=title), *map(_rich_table, tables(report)))


def _rich_table(table: Table) -> Any:
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(title=table.title, title_justify="left", caption=table.note or None)
    for column, name in enumerate(table.head):
        shown.add_column(name, justify="left" if column < table.texts else "right")
    for row in table.rows:
        shown.add_row(*map(Text, row))  # as they are: a name in brackets is no markup
    return shown
