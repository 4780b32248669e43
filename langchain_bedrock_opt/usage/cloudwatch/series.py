"""From records to series: adds records up by minute and dimensions, within a bound of series."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.cloudwatch.aggregate import Aggregate, Distribution
from langchain_bedrock_opt.usage.cloudwatch.cardinality import SeriesCap, TopValues
from langchain_bedrock_opt.usage.cloudwatch.dimensions import (
    OTHER,
    DimensionSet,
    ascii_value,
    check_sets,
    is_free,
    label_of,
    reader_of,
)
from langchain_bedrock_opt.usage.cloudwatch.metrics import HEALTH_METRICS, Metric, MetricSet

SECONDS: Final = 60
"""CloudWatch's standard resolution."""

_REMEMBERED: Final = 10_000  # combinations whose folding is remembered

Dimensions: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values of a metric's dimensions, as CloudWatch gets them."""

Cell: TypeAlias = "dict[int, Aggregate | Distribution]"
"""What one minute and one combination add up to, by the metric's place in its group."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one metric adds up to in one minute for one combination of dimensions."""

    minute: int
    metric: Metric
    dimensions: Dimensions
    total: Aggregate | Distribution


@dataclass(slots=True)
class _Group:
    """The metrics that share a dimension set."""

    names: DimensionSet
    readers: tuple[Callable[[UsageRecord], str], ...]
    labels: tuple[str, ...]
    varies: bool
    metrics: list[tuple[int, Metric]] = field(default_factory=list)
    known: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)


class SeriesTable:
    """Adds records up. Not thread-safe: one thread at a time.

    Args:
        metrics: Which metrics.
        service: Value of the dimension `Service`; None leaves it out.
        dimensions: Dimension sets of the metrics that have none of their own; None takes those
            of `metrics`.
        max_series: The most series; beyond it combinations are folded into `__other__`.
        top_values: How many values of a tag or metadata key get series of their own.

    Attributes:
        folded: Values of records that went to a series of `__other__`.

    Raises:
        ConfigurationError: A dimension set or `max_series` is not possible.
    """

    def __init__(
        self,
        metrics: MetricSet,
        *,
        service: str | None,
        dimensions: Sequence[Sequence[str]] | None,
        max_series: int,
        top_values: int,
    ) -> None:
        if top_values < 1:
            raise ConfigurationError(f"top_values={top_values!r} must be 1 or more.")
        self.folded = 0
        self._service = service
        self._metrics = metrics
        self._readers = [metric.value for metric in metrics.metrics]
        self._groups = self._grouped(
            check_sets(metrics.dimensions if dimensions is None else dimensions)
        )
        # What does not vary, and what all else is folded into, has its series from the start.
        self._cap = SeriesCap(max_series)
        reserved = sum(len(group.metrics) for group in self._groups)
        if not self._cap.take(reserved + (len(HEALTH_METRICS) if metrics.health else 0)):
            raise ConfigurationError(
                f"max_series={max_series} is too few for {reserved} metrics: allow more series, "
                "or pass a smaller MetricSet."
            )
        self._top = {
            name: TopValues(top_values)
            for group in self._groups
            for name in group.names
            if is_free(name)
        }
        self._live: dict[tuple[int, int, tuple[str, ...]], Cell] = {}

    def _grouped(self, default: tuple[DimensionSet, ...]) -> list[_Group]:
        groups: dict[DimensionSet, _Group] = {}
        for position, metric in enumerate(self._metrics.metrics):
            sets = default if metric.dimensions is None else check_sets(metric.dimensions)
            # A set that is another one save the service becomes the same without it.
            for names in dict.fromkeys(map(self._without_absent, sets)):
                group = groups.get(names)
                if group is None:
                    group = groups[names] = _Group(
                        names=names,
                        readers=tuple(map(self._reader, names)),
                        labels=tuple(map(self._label, names)),
                        varies=any(name != "Service" for name in names),
                    )
                group.metrics.append((position, metric))
        return list(groups.values())

    def _without_absent(self, names: DimensionSet) -> DimensionSet:
        if self._service is not None:
            return names
        return tuple(name for name in names if name != "Service")

    def _reader(self, name: str) -> Callable[[UsageRecord], str]:
        if name == "Service":
            service = str(self._service)
            return lambda _: service
        return reader_of(name)

    def _label(self, name: str) -> str:
        return self._metrics.model_dimension if name == "Model" else label_of(name)

    def __len__(self) -> int:
        """Combinations of a minute and dimensions that are held."""
        return len(self._live)

    def add(self, record: UsageRecord) -> None:
        """Add one record up, in the minute in which its call started."""
        minute = int(record.started_at.timestamp()) // SECONDS
        values = [read(record) for read in self._readers]
        top = {name: seen.name_of(reader_of(name)(record)) for name, seen in self._top.items()}
        for index, group in enumerate(self._groups):
            held = [
                (place, values[position])
                for place, (position, _) in enumerate(group.metrics)
                if values[position] is not None
            ]
            if not held:
                continue
            raw = tuple([read(record) for read in group.readers])
            if top:
                raw = tuple(
                    top.get(name, value) for name, value in zip(group.names, raw, strict=True)
                )
            key = (minute, index, group.known.get(raw) or self._admitted(group, raw))
            cell = self._live.get(key)
            if cell is None:
                cell = self._live[key] = {}
            if OTHER in key[2]:
                self.folded += len(held)
            for place, value in held:
                total = cell.get(place)
                if total is None:
                    is_spread = group.metrics[place][1].percentiles
                    total = cell[place] = Distribution() if is_spread else Aggregate()
                total.add(value)  # type: ignore[arg-type] # None was left out above

    def _admitted(self, group: _Group, raw: tuple[str, ...]) -> tuple[str, ...]:
        """The values a new combination gets: its own while there are series left."""
        values = tuple(map(ascii_value, raw))
        is_remembered = len(group.known) < _REMEMBERED
        if group.varies and not (is_remembered and self._cap.take(len(group.metrics))):
            # The service is one; all that varies becomes one series.
            values = tuple(
                value if name == "Service" else OTHER
                for name, value in zip(group.names, values, strict=True)
            )
        if is_remembered:
            group.known[raw] = values
        return values

    def take(self) -> Iterator[Row]:
        """Everything that has been added up since the last time, which is then forgotten here."""
        live, self._live = self._live, {}
        for (minute, index, values), cell in live.items():
            group = self._groups[index]
            dimensions = tuple(zip(group.labels, values, strict=True))
            for place, total in cell.items():
                yield Row(minute, group.metrics[place][1], dimensions, total)
