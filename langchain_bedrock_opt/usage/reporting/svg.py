"""Two small charts as inline SVG: no script, no font, readable on light and dark ground."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from html import escape
from typing import Final

from langchain_bedrock_opt.usage.reporting.savings import Waterfall
from langchain_bedrock_opt.usage.reporting.tables import money, short
from langchain_bedrock_opt.usage.reporting.timeline import OTHER, Timeline

COLOURS: Final = ("#4a90d9", "#e08a2e", "#2a9d78", "#b565a7", "#c9a227")
"""Of models, the dearest first: apart for most kinds of colour blindness too."""

REST_COLOUR: Final = "#8a8f98"
"""Of all other models, and of what is neither saved nor lost."""

SAVED_COLOUR: Final = "#2a9d78"
LOST_COLOUR: Final = "#d9534f"

_WIDTH: Final = 480
_PLOT_HEIGHT: Final = 120
_TOP: Final = 24
_LEGEND_LINE: Final = 16
_ROW: Final = 24
_LABELS: Final = 140
_AMOUNTS: Final = 80
_DAY: Final = timedelta(days=1)


def colours(models: Iterable[str]) -> dict[str, str]:
    """A colour for each model of a timeline."""
    named = zip((model for model in models if model != OTHER), COLOURS, strict=False)
    return {**dict(named), OTHER: REST_COLOUR}


def timeline_svg(timeline: Timeline) -> str:
    """Cost over time as stacked columns, with a legend; empty if nothing cost anything."""
    columns = timeline.columns
    highest = max(columns, default=0)
    if not highest:
        return ""
    of = colours(timeline.cost_pico_usd)
    step = _WIDTH / len(columns)
    bottoms = [0] * len(columns)
    shapes = []
    for model, costs in timeline.cost_pico_usd.items():
        path = "".join(
            _column(number * step, bottoms[number], cost, highest, step)
            for number, cost in enumerate(costs)
            if cost
        )
        bottoms = [bottom + cost for bottom, cost in zip(bottoms, costs, strict=True)]
        shapes.append(f'<path fill="{of[model]}" d="{path}"/>')
    base = _TOP + _PLOT_HEIGHT
    form = "%Y-%m-%d" if timeline.step >= _DAY else "%m-%d %H:%M"
    texts = [
        _text(0, 14, f"Cost over time, at most {money(highest)} a column"),
        _text(0, base + 14, f"{timeline.starts[0]:{form}}"),
        _text(_WIDTH, base + 14, f"{timeline.starts[-1]:{form}} UTC", anchor="end"),
    ]
    for line, model in enumerate(timeline.cost_pico_usd):
        y = base + 22 + line * _LEGEND_LINE
        shapes.append(f'<rect y="{y}" width="10" height="10" fill="{of[model]}"/>')
        texts.append(_text(16, y + 9, short(model)))
    axis = f'<path stroke="currentColor" opacity=".4" d="M0 {base + 0.5}h{_WIDTH}"/>'
    height = base + 26 + len(timeline.cost_pico_usd) * _LEGEND_LINE
    total = money(sum(columns))
    title = f"Cost over time by model: {total} in {len(columns)} columns of {timeline.step}"
    return _svg(height, title, [*shapes, axis, *texts])


def _column(x: float, bottom: int, cost: int, highest: int, step: float) -> str:
    low, high = (round(_PLOT_HEIGHT * part / highest) for part in (bottom, bottom + cost))
    width = max(1, round(step * 0.8))
    return f"M{round(x)} {_TOP + _PLOT_HEIGHT - low}h{width}v{low - high}h-{width}z"


def waterfall_svg(savings: Waterfall) -> str:
    """What each step saved, from what it would have cost to what it did; empty if nothing."""
    steps = [(name, saved) for name, saved in savings.saved_pico_usd.items() if saved]
    if not steps:
        return ""
    bars = [("without optimisation", 0, savings.without_pico_usd, REST_COLOUR)]
    level = savings.without_pico_usd
    for name, saved in steps:
        bars.append((name, level - saved, level, SAVED_COLOUR if saved > 0 else LOST_COLOUR))
        level -= saved
    bars.append(("actual", 0, savings.actual_pico_usd, COLOURS[0]))
    ends = [end for _, low, high, _ in bars for end in (low, high)]
    least, span = min(ends), max(max(ends) - min(ends), 1)
    room = _WIDTH - _LABELS - _AMOUNTS
    parts = [_text(0, 14, "Savings")]
    amounts = [savings.without_pico_usd, *(-saved for _, saved in steps), level]
    for row, ((name, low, high, colour), amount) in enumerate(zip(bars, amounts, strict=True)):
        y = _TOP + row * _ROW
        x, end = (_LABELS + room * (value - least) / span for value in sorted((low, high)))
        place = f'x="{x:.0f}" y="{y + 3}" width="{max(end - x, 1):.0f}" height="16"'
        parts.append(_text(0, y + 14, name))
        parts.append(f'<rect {place} fill="{colour}"/>')
        parts.append(_text(_WIDTH, y + 14, money(amount), anchor="end"))
    title = "Savings: " + ", ".join(
        f"{name} {money(amount)}" for (name, *_), amount in zip(bars, amounts, strict=True)
    )
    return _svg(_TOP + len(bars) * _ROW + 4, title, parts)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    end = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.0f}" y="{y:.0f}"{end}>{escape(text)}</text>'


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {_WIDTH} {height:.0f}" '
        f'width="{_WIDTH}" height="{height:.0f}" font-size="12" font-family="sans-serif" '
        f'fill="currentColor" style="max-width:100%"><title>{escape(title)}</title>'
        f"{''.join(parts)}</svg>"
    )
