"""Small tables, as text and as HTML, for what a router tells of itself."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from langchain_bedrock_opt.catalog.prices import usd


def money(pico_usd: int | None) -> str:
    """An amount in dollars; a price that is not known is not zero.

    Args:
        pico_usd: In 10⁻¹² US dollars.

    Example:
        >>> money(1_234_000_000), money(None)
        ('$0.001234', 'no price')
    """
    return "no price" if pico_usd is None else f"${usd(pico_usd):.6f}"


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows with their columns one below the other.

    Args:
        rows: All of the same length.

    Example:
        >>> text_table([("simple", "3"), ("complex", "12")]).splitlines()
        ['simple   3', 'complex  12']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain HTML table; every cell is escaped.

    Args:
        head: The columns' names.
        rows: The cells.
    """
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{_cells('th', head)}</tr></thead><tbody>{body}</tbody></table>"


def _cells(tag: str, cells: Sequence[str]) -> str:
    return "".join(f'<{tag} style="text-align:left">{escape(cell)}</{tag}>' for cell in cells)


def html_bar(share: float, marks: Sequence[float] = ()) -> str:
    """A bar, with marks on it, that needs neither script nor picture.

    Args:
        share: How much of it is filled, from 0 to 1.
        marks: Where it is marked, from 0 to 1.
    """
    ticks = "".join(
        f'<div style="position:absolute;left:{_percent(mark)};width:1px;height:100%;'
        'background:#333"></div>'
        for mark in marks
    )
    return (
        '<div style="position:relative;width:20em;height:0.8em;background:#ddd">'
        f'<div style="width:{_percent(share)};height:100%;background:#4a90d9"></div>{ticks}</div>'
    )


def _percent(share: float) -> str:
    return f"{min(max(share, 0.0), 1.0) * 100:.1f}%"
