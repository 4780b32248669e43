"""A plan as a matplotlib figure. Needs the extra `report`, and no display."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from langchain_bedrock_opt.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from langchain_bedrock_opt.capacity.planning.plan import ThroughputPlan

_SIZE: Final = (9, 7)  # inches
_POINTS: Final = 2000
"""As many as a figure can show; more of them would only be slow."""
_LINES: Final = 10
_UNITS, _OVERFLOW, _CHOICE, _LOAD = "#3b82f6", "#f59e0b", "#16a34a", "#64748b"


def figure(plan: ThroughputPlan) -> Figure:
    """Cost over the number of units with the choice marked; below it the load over time.

    Args:
        plan: The plan.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        # Not pyplot: it keeps every figure for the process, and looks for a display.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plots", "report") from error
    made = Figure(figsize=_SIZE, layout="constrained")
    costs, load = made.subplots(2, 1)
    _plot_costs(costs, plan)
    _plot_load(load, plan)
    for axes in (costs, load):
        axes.spines[["top", "right"]].set_visible(False)
    return made


def _plot_costs(axes: Axes, plan: ThroughputPlan) -> None:
    # Units for the last few minutes are never a choice, and would flatten the rest.
    rows = plan.rows[: max(plan.units, plan.sized_for(99).units) + 3]
    numbers = [row.units for row in rows]
    units = [float(row.units_cost) for row in rows]
    overflow = [float(row.overflow_cost) for row in rows]
    axes.set_title("Cost by number of units", loc="left")
    axes.set_xlabel(f"units at ${plan.unit_price} an hour")
    axes.set_ylabel("USD an hour")
    axes.stackplot(
        numbers, units, overflow, labels=["units", "overflow"], colors=[_UNITS, _OVERFLOW]
    )
    axes.plot(
        [plan.units],
        [float(plan.rows[plan.units].hourly_cost)],
        "o",
        color=_CHOICE,
        label=f"the plan: {plan.units}",
    )
    axes.locator_params(axis="x", integer=True)
    axes.margins(x=0.02)
    axes.legend(fontsize="small", frameon=False)


def _plot_load(axes: Axes, plan: ThroughputPlan) -> None:
    """The highest minute of each stretch: what units must be measured by."""
    step = -(-plan.minutes // _POINTS)
    load = np.append(plan.minute_units, np.zeros(-plan.minutes % step))
    days = np.arange(len(load) // step) * step / (24 * 60)
    axes.set_title("Load", loc="left")
    axes.set_xlabel("days" if plan.start is None else f"days from {plan.start:%Y-%m-%d %H:%M} on")
    axes.set_ylabel("units filled")
    axes.plot(days, load.reshape(-1, step).max(axis=1), color=_LOAD, linewidth=0.8)
    for number in range(1, min(plan.units, _LINES) + 1):
        axes.axhline(number, color=_UNITS, linewidth=0.6, linestyle="--")
    if plan.units:
        axes.axhline(plan.units, color=_CHOICE, linewidth=1.2, label=f"{plan.units} bought")
        axes.legend(fontsize="small", frameon=False)
    axes.set_ylim(bottom=0)
