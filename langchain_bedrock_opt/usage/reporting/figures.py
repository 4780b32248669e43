"""The report as a matplotlib figure. Needs the extra `report`, and no display."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from langchain_bedrock_opt.errors import MissingExtraError
from langchain_bedrock_opt.usage.reporting.svg import (
    COLOURS,
    LOST_COLOUR,
    REST_COLOUR,
    SAVED_COLOUR,
    colours,
)
from langchain_bedrock_opt.usage.reporting.tables import money, short
from langchain_bedrock_opt.usage.reporting.timeline import model_of
from langchain_bedrock_opt.usage.waiting import latency_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from langchain_bedrock_opt.usage.reporting.report import UsageReport

_SIZE: Final = (9, 9)  # inches


def figure(report: UsageReport) -> Figure:
    """Cost over time, savings, and how latencies are spread, one below the other.

    Args:
        report: The report.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        # Not pyplot: it keeps every figure for the process, and looks for a display.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plots", "report") from error
    made = Figure(figsize=_SIZE, layout="constrained")
    over_time, savings, latencies = made.subplots(3, 1)
    _plot_timeline(over_time, report)
    _plot_savings(savings, report)
    _plot_latencies(latencies, report)
    for axes in (over_time, savings, latencies):
        axes.spines[["top", "right"]].set_visible(False)
        if not axes.has_data():
            axes.text(0.5, 0.5, "nothing to show", ha="center", transform=axes.transAxes)
            axes.set_axis_off()
    return made


def _plot_timeline(axes: Axes, report: UsageReport) -> None:
    line = report.timeline
    axes.set_title("Cost over time", loc="left")
    axes.set_ylabel("USD")
    of = colours(line.cost_pico_usd)
    bottoms = [0.0] * len(line.starts)
    days = line.step.total_seconds() / 86_400
    for model, costs in line.cost_pico_usd.items():
        heights = [cost / 1e12 for cost in costs]
        axes.bar(
            line.starts,  # type: ignore[arg-type] # it takes times, and its hints do not say so
            heights,
            width=days * 0.8,
            bottom=bottoms,
            align="edge",
            color=of[model],
            label=short(model),
        )
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    if line.cost_pico_usd:
        axes.set_ylim(top=max(bottoms) * (1.05 + 0.1 * len(of)))  # room for the legend
        axes.legend(fontsize="small", frameon=False, loc="upper left")


def _plot_savings(axes: Axes, report: UsageReport) -> None:
    savings = report.savings
    axes.set_title("Savings", loc="left")
    axes.set_xlabel("USD")
    steps = [(name, saved) for name, saved in savings.saved_pico_usd.items() if saved]
    if not steps:
        return
    level = savings.without_pico_usd
    bars = [("without optimisation", 0, level, REST_COLOUR)]
    for name, saved in steps:
        bars.append((name, level, -saved, SAVED_COLOUR if saved > 0 else LOST_COLOUR))
        level -= saved
    bars.append(("actual", 0, level, COLOURS[0]))
    drawn = axes.barh(
        [name for name, *_ in bars],
        [change / 1e12 for _, _, change, _ in bars],
        left=[start / 1e12 for _, start, _, _ in bars],
        color=[colour for *_, colour in bars],
    )
    axes.bar_label(drawn, [money(change) for _, _, change, _ in bars], padding=3, fontsize="small")
    axes.margins(x=0.12)
    axes.invert_yaxis()


def _plot_latencies(axes: Axes, report: UsageReport) -> None:
    """The share of calls that are done after so long, by model."""
    axes.set_title("Calls done within", loc="left")
    axes.set_xlabel("milliseconds")
    models = [model for model in report.timeline.cost_pico_usd if model in report.models]
    for model, colour in colours(models).items():
        times = [
            latency
            for record in report.records
            if (latency := latency_of(record)) and model_of(record) == model
        ]
        if times:
            axes.ecdf(times, color=colour, label=short(model))
    if axes.lines:
        axes.set_xscale("log")
        axes.set_ylim(0, 1)
        axes.legend(fontsize="small", frameon=False, loc="upper left")
