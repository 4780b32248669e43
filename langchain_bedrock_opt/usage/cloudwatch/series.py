"""From records to series: adds records up by minute and dimensions, within a bound of series."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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

Cell: TypeAlias = dict[int, Aggregate]
"""What one minute and one combination add up to, by the metric's place in its group."""


Placed: TypeAlias = tuple[int, tuple[str, ...], list[tuple[int, int]]]
"""A group of series, the values of its dimensions, and places of metrics with their values."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one metric adds up to in one minute for one combination of dimensions."""

    minute: int
    metric: Metric
    dimensions: Dimensions
    total: Aggregate


@dataclass(slots=True)
class _Group:
    """The metrics that share a dimension set."""

    names: DimensionSet
    readers: tuple[Callable[[UsageRecord], str], ...]
    labels: tuple[str, ...]
    constant: tuple[str, ...] | None
    """The dimensions' values if they are the same for every record: the service, or none."""
    metrics: list[Metric] = field(default_factory=list)
    positions: list[tuple[int, int]] = field(default_factory=list)
    """Place here and place in the metric set, of each metric."""
    direct: list[tuple[int, int]] = field(default_factory=list)
    """Those of them that are added up record by record."""
    derives: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Metrics here from which another group's are added up, by the group and the place there."""
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
        self._groups = self._grouped(
            check_sets(metrics.dimensions if dimensions is None else dimensions)
        )
        self._all = self._places(lambda group: group.positions)
        self._direct = self._places(lambda group: group.direct)
        # What does not vary, and what all else is folded into, has its series from the start.
        self._cap = SeriesCap(max_series)
        reserved = sum(len(group.metrics) for group in self._groups)
        if not self._cap.take(reserved + (len(HEALTH_METRICS) if metrics.health else 0)):
            raise ConfigurationError(
                f"max_series={max_series} is too few for {reserved} metrics: allow more series, "
                "or pass a smaller MetricSet."
            )
        self._top = {
            name: (reader_of(name), TopValues(top_values))
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
                        constant=self._constant(names),
                    )
                # A metric's own set may be one of the sink's too; it counts once.
                if all(there.name != metric.name for there in group.metrics):
                    group.positions.append((len(group.metrics), position))
                    group.metrics.append(metric)
        _derive(tuple(groups.values()))
        return list(groups.values())

    def _without_absent(self, names: DimensionSet) -> DimensionSet:
        if self._service is not None:
            return names
        return tuple(name for name in names if name != "Service")

    def _constant(self, names: DimensionSet) -> tuple[str, ...] | None:
        if any(name != "Service" for name in names):
            return None
        return tuple(str(self._service) for _ in names)

    def _places(
        self, of: Callable[[_Group], list[tuple[int, int]]]
    ) -> list[tuple[Callable[[UsageRecord], int | None], list[tuple[int, int]]]]:
        """Each metric's value, and the groups and places it goes to, if there are any."""
        found: list[list[tuple[int, int]]] = [[] for _ in self._metrics.metrics]
        for index, group in enumerate(self._groups):
            for place, position in of(group):
                found[position].append((index, place))
        pairs = zip(self._metrics.metrics, found, strict=True)
        return [(metric.value, places) for metric, places in pairs if places]

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
        for index, values, held in self.place(record, derived=True):
            cell = self._live.get((minute, index, values))
            if cell is None:
                cell = self._live[minute, index, values] = {}
            for place, value in held:
                total = cell.get(place)
                if total is None:
                    total = cell[place] = _empty(self._groups[index].metrics[place])
                total.add(value)

    def place(self, record: UsageRecord, *, derived: bool = False) -> Iterator[Placed]:
        """Say which metrics of which series a record has values for.

        Args:
            record: The record.
            derived: Whether to leave out what can be added up from other series later.
        """
        # Once for all groups: each time counts.
        top = {name: seen.name_of(read(record)) for name, (read, seen) in self._top.items()}
        held: dict[int, list[tuple[int, int]]] = {}
        for read, places in self._direct if derived else self._all:
            value = read(record)
            if value is not None:
                for index, place in places:
                    if index in held:
                        held[index].append((place, value))
                    else:
                        held[index] = [(place, value)]
        for index, found in held.items():
            group = self._groups[index]
            series = group.constant
            if series is None:
                series = self._series(group, record, top)
                if OTHER in series:
                    self.folded += len(found)
            yield index, series, found

    def _series(
        self, group: _Group, record: UsageRecord, top: Mapping[str, str]
    ) -> tuple[str, ...]:
        raw = tuple([read(record) for read in group.readers])
        if top:
            raw = tuple(top.get(name, value) for name, value in zip(group.names, raw, strict=True))
        return group.known.get(raw) or self._admitted(group, raw)

    def dimensions_of(self, index: int, values: tuple[str, ...]) -> Dimensions:
        """The dimensions of a series that `place` named."""
        return tuple(zip(self._groups[index].labels, values, strict=True))

    def labels_of(self, index: int) -> list[str]:
        """The names of the dimensions of a series that `place` named."""
        return list(self._groups[index].labels)

    def metric_of(self, index: int, place: int) -> Metric:
        """The metric of a series that `place` named."""
        return self._groups[index].metrics[place]

    def _admitted(self, group: _Group, raw: tuple[str, ...]) -> tuple[str, ...]:
        """The values a new combination gets: its own while there are series left."""
        values = tuple(map(ascii_value, raw))
        is_remembered = len(group.known) < _REMEMBERED
        if not (is_remembered and self._cap.take(len(group.metrics))):
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
        for (minute, index, _), cell in list(live.items()):
            for place, (into, place_there) in self._groups[index].derives.items():
                if place in cell:
                    whole = live.setdefault((minute, into, self._groups[into].constant or ()), {})
                    if place_there not in whole:
                        whole[place_there] = _empty(self._groups[index].metrics[place])
                    whole[place_there].merge(cell[place])
        for (minute, index, values), cell in live.items():
            dimensions = self.dimensions_of(index, values)
            for place, total in cell.items():
                yield Row(minute, self.metric_of(index, place), dimensions, total)


def _empty(metric: Metric) -> Aggregate:
    return Distribution() if metric.percentiles else Aggregate()


def _derive(groups: Sequence[_Group]) -> None:
    """Find what need not be added up twice: what is sent for a service is the sum of its series.

    Only where a group does not vary: another one's values may have been folded.
    """
    for index, group in enumerate(groups):
        group.direct = list(group.positions)
        if group.constant is None:
            continue
        for place, position in group.positions:
            for finer in groups:
                places = {there: here for here, there in finer.positions}
                if finer.constant is None and position in places:
                    finer.derives[places[position]] = (index, place)
                    group.direct.remove((place, position))
                    break
