"""`ThroughputPlan`: how many units to buy, and what each other number would cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from langchain_bedrock_opt.capacity.planning.load import MINUTES_A_DAY
from langchain_bedrock_opt.catalog.model_units import UnitCapacity
from langchain_bedrock_opt.errors import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    from matplotlib.figure import Figure

Commitment: TypeAlias = Literal["OneMonth", "SixMonths"]
"""For how long units are bought; None for no commitment."""

HOURS_A_MONTH: Final = 730

_ROUNDING: Final = 1e-9
"""Minutes that fill units to the edge need no further one, however their float was rounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """What so many units would come to. Money is US dollars an hour.

    Attributes:
        units: How many.
        hourly_cost: Units and overflow together.
        units_cost: The units, used or not.
        overflow_cost: What does not fit into them, on demand.
        overflow_share: The share of the tokens that does not fit.
        overflow_minutes: The share of the minutes in which something does not fit.
        utilisation: The share of the units that is used; None without units.
        unit_value: What the last of these units takes off on-demand; None without units.
    """

    units: int
    hourly_cost: Decimal
    units_cost: Decimal
    overflow_cost: Decimal
    overflow_share: float
    overflow_minutes: float
    utilisation: float | None
    unit_value: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOption:
    """The best number of units at one price.

    Attributes:
        commitment: For how long they are bought; None for no commitment.
        unit_price: US dollars an hour of one unit.
        units: How many pay.
        hourly_cost: What they and the overflow cost, in US dollars an hour.
        is_allowed: False for a commitment that rests on too few days.
    """

    commitment: Commitment | None
    unit_price: Decimal
    units: int
    hourly_cost: Decimal
    is_allowed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """Where a unit begins to pay.

    Attributes:
        unit_value: What an hour of a unit in full use takes off on-demand in US dollars, with
            this load's mix of input and output; None for a load of nothing.
        utilisation: The share of a unit that must be in use for it to pay at the plan's price;
            above 1 if none ever does.
        unit_price: US dollars an hour below which the first unit pays with this load.
    """

    unit_value: Decimal | None
    utilisation: float | None
    unit_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughputPlan:
    """How many units to buy. A notebook shows it as a table, `print` as text.

    Amounts are US dollars an hour, rounded to a millionth of a dollar; the choice itself is that
    of exact arithmetic.

    Attributes:
        units: How many to buy; 0 for none.
        commitment: For how long; None for no commitment.
        unit_price: The price of a unit that the rows are about.
        hourly_cost: What the units and the overflow cost.
        on_demand_hourly: What the load costs without units.
        rows: What no unit, one, two, … come to, up to the peak or the most that was asked for.
        options: The best number at each price that was given.
        break_even: Where a unit begins to pay.
        capacity: What a unit can take.
        headroom: The share of each unit that is kept free.
        growth: By how much the load was multiplied.
        minutes: How many minutes of load there are.
        start: When the first began; None if that is not known.
        notes: What to know before buying.
        minute_units: How many units each minute fills.
    """

    units: int
    commitment: Commitment | None
    unit_price: Decimal
    hourly_cost: Decimal
    on_demand_hourly: Decimal
    rows: tuple[PlanRow, ...]
    options: tuple[PlanOption, ...]
    break_even: BreakEven
    capacity: UnitCapacity
    headroom: float
    growth: float
    minutes: int
    start: datetime | None
    notes: tuple[str, ...]
    minute_units: NDArray[np.float64] = field(repr=False, compare=False)

    @property
    def saving(self) -> Decimal:
        """What the plan takes off on-demand, in US dollars an hour; never below zero."""
        return self.on_demand_hourly - self.hourly_cost

    @property
    def days(self) -> float:
        """How many days of load it rests on."""
        return self.minutes / MINUTES_A_DAY

    def row(self, units: int) -> PlanRow:
        """What so many units come to.

        Args:
            units: How many; at most those of the last row.

        Raises:
            ConfigurationError: There is no such row.
        """
        if not 0 <= units < len(self.rows):
            raise ConfigurationError(
                f"units={units!r}: the plan has rows for 0 to {len(self.rows) - 1}; max_units= "
                "says how many it looks at."
            )
        return self.rows[units]

    def sized_for(self, percentile: float) -> PlanRow:
        """What the usual rule of thumb comes to: units enough for so many of the minutes.

        Args:
            percentile: The share of minutes that shall fit, such as 95, in percent.

        Raises:
            ConfigurationError: It is no percentage.
        """
        if not 0 <= percentile <= 100:  # noqa: PLR2004 - a percentage
            raise ConfigurationError(f"percentile={percentile!r} must be from 0 to 100.")
        units = ceil(np.percentile(self.minute_units, percentile) - _ROUNDING)
        return self.rows[min(units, len(self.rows) - 1)]

    def to_dict(self) -> dict[str, Any]:
        """The plan as a JSON-ready dict, without the minutes. Amounts are text, to stay exact."""
        names = [name for name in type(self).__dataclass_fields__ if name != "minute_units"]
        plain = {name: _plain(getattr(self, name)) for name in names}
        return {**plain, "saving": _plain(self.saving)}

    def to_json(self, *, indent: bool = True) -> str:
        """The plan as JSON.

        Args:
            indent: Whether it is for people to read.
        """
        return orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2 if indent else 0).decode()

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a frame, by number of units. Amounts are US dollars an hour, as floats.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("frames", "report") from error
        frame = pd.DataFrame([asdict(row) for row in self.rows]).set_index("units")
        return frame.astype(float)

    def plot(self) -> Figure:
        """Cost over the number of units, and the load over time, as one matplotlib figure.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        from langchain_bedrock_opt.capacity.planning.figures import figure

        return figure(self)

    def __str__(self) -> str:
        """The plan as text: what to buy, the rows around it, and what to know."""
        from langchain_bedrock_opt.capacity.planning.presenting import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        """The plan as a notebook shows it: no script, no network."""
        from langchain_bedrock_opt.capacity.planning.presenting import as_html

        return as_html(self)


def _plain(value: Any) -> Any:
    """Records as dicts, money as text, times in ISO 8601, as JSON has them."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value
