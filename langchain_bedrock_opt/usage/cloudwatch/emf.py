"""`CloudWatchEMFSink`: usage as log lines that CloudWatch makes metrics of, without a request."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final, TextIO

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.forks import when_forked
from langchain_bedrock_opt.usage.cloudwatch.aggregate import Distribution
from langchain_bedrock_opt.usage.cloudwatch.datums import statistics_of
from langchain_bedrock_opt.usage.cloudwatch.metrics import DEFAULT_METRICS, MetricSet
from langchain_bedrock_opt.usage.cloudwatch.series import SECONDS, Dimensions, Row, SeriesTable
from langchain_bedrock_opt.usage.cloudwatch.sink import check_names
from langchain_bedrock_opt.usage.inbox import Inbox
from langchain_bedrock_opt.usage.recording.seen import SeenRuns

logger = logging.getLogger(__name__)

MAX_METRICS: Final = 100
"""Metrics in one line."""

MAX_VALUES: Final = 100
"""Distinct values of one metric in one line."""

MAX_PROPERTIES_BYTES: Final = 200_000
"""The longest tail of a line: with its head it stays under 256 KB, which is taken everywhere."""

_SHORT: Final = ("run_id", "model_id", "status")  # properties of a line that would be too long
_REMEMBERED: Final = 1000


class CloudWatchEMFSink:
    """Writes usage in CloudWatch's embedded metric format, one line of JSON for each record.

    For AWS Lambda and for containers whose output goes to CloudWatch Logs: there is no thread, no
    request and no credentials. Each line is flushed at once, so a killed process loses none, and a
    fork writes only its own. A line holds the metrics and, as properties that can be searched in
    CloudWatch Logs Insights and are no dimensions, what the record says besides: run id, tags,
    metadata. No prompt text.

    With `aggregate=True` records are added up, and `flush` writes: one line for each combination
    of dimensions, without properties. That CloudWatch takes statistic sets and counted values in
    this format is unverified against AWS.

    Args:
        namespace: The CloudWatch namespace.
        service: Value of the dimension `Service`; None leaves it out.
        stream: Where lines go; None takes standard output, as it is at each write.
        aggregate: Whether to add records up until `flush`.
        metrics: Which metrics to write. It writes none about itself.
        dimensions: Sets of dimensions, as for `CloudWatchMetricsSink`. As there, `metadata:KEY`
            needs the handler's `metadata_keys`, and so does metadata as a property.
        max_series: The most series of this process, as for `CloudWatchMetricsSink`.
        top_values: As for `CloudWatchMetricsSink`.

    Attributes:
        lost_lines: Lines that could not be written.
        shortened_lines: Lines that went without their tags and metadata, since they were too long
            with them, or these have no JSON form (NaN, say).

    Raises:
        ConfigurationError: CloudWatch would refuse the namespace, the service or a dimension, or
            there are too many metrics for a line.

    Example:
        >>> from datetime import datetime, timezone
        >>> sink = CloudWatchEMFSink(service="search")
        >>> at = datetime(2026, 11, 22, tzinfo=timezone.utc)
        >>> sink.add(UsageRecord(run_id="r", started_at=at, model_id="m", status="ok"))
        ... # doctest: +ELLIPSIS
        {"_aws":{"Timestamp":1795305600000,"CloudWatchMetrics":[...
    """

    def __init__(
        self,
        namespace: str = "LangChainBedrock",
        *,
        service: str | None = None,
        stream: TextIO | None = None,
        aggregate: bool = False,
        metrics: MetricSet = DEFAULT_METRICS,
        dimensions: Sequence[Sequence[str]] | None = None,
        max_series: int = 200,
        top_values: int = 20,
    ) -> None:
        check_names(namespace, service)
        if len(metrics.metrics) > MAX_METRICS:
            raise ConfigurationError(
                f"metrics has {len(metrics.metrics)} metrics: a line takes {MAX_METRICS}."
            )
        self.lost_lines = 0
        self.shortened_lines = 0
        self._namespace = namespace
        self._stream = stream
        self._table = SeriesTable(
            metrics,
            service=service,
            dimensions=dimensions,
            max_series=max_series,
            top_values=top_values,
        )
        self._seen = SeenRuns()
        self._known: dict[tuple[tuple[int, tuple[int, ...]], ...], str] = {}
        self._inbox: Inbox[UsageRecord] = Inbox(
            self._table.add if aggregate else self._write_record
        )
        when_forked(self)

    def after_fork(self) -> None:
        """What a forked child does first: what was added up is written by its parent."""
        list(self._table.take())

    def add(self, record: UsageRecord) -> None:
        """Write one record, or add it up; once a run."""
        if self._seen.is_new(record.run_id):
            self._inbox.put(record)

    def flush(self) -> None:
        """Write what has been added up, and flush the stream."""
        self._inbox.exclusively(self._write_rows)

    def _write_record(self, record: UsageRecord) -> None:
        lines: list[_Line] = [_Line()]
        for index, values, held in self._table.place(record):
            dimensions = self._table.dimensions_of(index, values)
            if not lines[-1].has_room(dimensions):
                lines.append(_Line())  # a dimension that is folded for some metrics only
            line = lines[-1]
            line.members.update(dimensions)
            line.signature.append((index, tuple([place for place, _ in held])))
            for place, value in held:
                metric = self._table.metric_of(index, place)
                line.members[metric.name] = value / metric.per_unit
        timestamp = int(record.started_at.timestamp() * 1000)
        # Properties once: a record rarely needs more than one line.
        properties = properties_of(record)
        for line in lines:
            self._write(timestamp, self._directives(line), line.members, properties)
            properties = {}
        self._flush_stream()

    def _directives(self, line: _Line) -> str:
        """What a line's members are, as JSON: the same for nearly every record."""
        key = tuple(line.signature)
        text = self._known.get(key)
        if text is None:
            sets: dict[str, tuple[str, list[list[str]]]] = {}
            for index, places in key:
                for place in places:
                    metric = self._table.metric_of(index, place)
                    names = sets.setdefault(metric.name, (metric.unit, []))[1]
                    names.append(self._table.labels_of(index))
            text = _directives_json(self._namespace, sets)
            if len(self._known) < _REMEMBERED:
                self._known[key] = text
        return text

    def _write_rows(self) -> None:
        by_series: dict[tuple[int, Dimensions], list[Row]] = {}
        for row in self._table.take():
            by_series.setdefault((row.minute, row.dimensions), []).append(row)
        for (minute, dimensions), rows in by_series.items():
            for values in zip_longest(*(_values(row) for row in rows)):
                members: dict[str, Any] = dict(dimensions)
                sets: dict[str, tuple[str, list[list[str]]]] = {}
                for row, value in zip(rows, values, strict=True):
                    if value is not None:
                        members[row.metric.name] = value
                        sets[row.metric.name] = (
                            row.metric.unit,
                            [[name for name, _ in dimensions]],
                        )
                self._write(
                    minute * SECONDS * 1000, _directives_json(self._namespace, sets), members, {}
                )
        self._flush_stream()

    def _flush_stream(self) -> None:
        try:
            self._out.flush()
        except (OSError, ValueError) as error:
            self._lose(error)

    @property
    def _out(self) -> TextIO:
        return sys.stdout if self._stream is None else self._stream

    def _write(
        self,
        timestamp: int,
        directives: str,
        members: Mapping[str, Any],
        properties: Mapping[str, Any],
    ) -> None:
        text = _json_or_none({**properties, **members})
        if text is None or (properties and len(text) > MAX_PROPERTIES_BYTES):
            self.shortened_lines += 1
            text = _json({name: properties[name] for name in _SHORT} | dict(members))
        head = f'{{"_aws":{{"Timestamp":{timestamp},"CloudWatchMetrics":{directives}}},'
        try:
            # One call for the whole line: lines of threads and processes don't mix.
            self._out.write(f"{head}{text[1:]}\n")
        except (OSError, ValueError) as error:  # a full disk, a closed stream
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        self.lost_lines += 1
        if self.lost_lines == 1:
            logger.warning("Usage metrics could not be written: %s", error)


def properties_of(record: UsageRecord) -> dict[str, Any]:
    """What a record says besides metrics, for searching in logs. What is absent is left out."""
    usage = record.usage
    properties = {
        "run_id": record.run_id,
        "parent_run_id": record.parent_run_id,
        "model_id": record.model_id,
        "resolved_id": record.resolved_id,
        "region": record.region,
        "status": record.status,
        "stop_reason": record.stop_reason,
        "error": record.error,
        "service_tier": record.service_tier,
        "cache_tier": record.cache_tier,
        "cost_pico_usd": record.cost_pico_usd,
        "route": record.route.tier if record.route is not None else None,
        "path": list(record.path),
        "tags": list(record.tags),
        "metadata": dict(record.metadata),
    }
    if usage is not None:
        properties["input_tokens"] = usage.input
        properties["output_tokens"] = usage.output
        properties["cache_read_tokens"] = usage.cache_read
        properties["cache_write_tokens"] = usage.cache_write_5m + usage.cache_write_1h
    return {name: value for name, value in properties.items() if value not in (None, [], {})}


class _Line:
    """One line to be: its members, and which series they are in."""

    __slots__ = ("members", "signature")

    def __init__(self) -> None:
        self.members: dict[str, Any] = {}
        self.signature: list[tuple[int, tuple[int, ...]]] = []

    def has_room(self, dimensions: Dimensions) -> bool:
        """Whether no dimension has another value here already."""
        members = self.members
        return all(members.get(label, value) == value for label, value in dimensions)


def _directives_json(
    namespace: str, sets: Mapping[str, tuple[str, Sequence[Sequence[str]]]]
) -> str:
    """The directives of a line: metrics that share their dimension sets stand together."""
    together: dict[str, tuple[Sequence[Sequence[str]], list[dict[str, str]]]] = {}
    for name, (unit, dimension_sets) in sets.items():
        key = json.dumps(dimension_sets)
        together.setdefault(key, (dimension_sets, []))[1].append({"Name": name, "Unit": unit})
    return _json(
        [
            {"Namespace": namespace, "Dimensions": dimension_sets, "Metrics": metrics}
            for dimension_sets, metrics in together.values()
        ]
    )


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), default=str, skipkeys=True, allow_nan=False)


def _json_or_none(value: Any) -> str | None:
    try:
        return _json(value)
    except Exception:  # noqa: BLE001 - metadata is the user's own, and its text too
        return None


def _values(row: Row) -> list[Any]:
    """The values of a row, each for a line of its own: a statistic set, or values with counts."""
    per_unit = row.metric.per_unit
    if not isinstance(row.total, Distribution):
        statistics = statistics_of(row.total, per_unit)
        return [
            {
                "Min": statistics["Minimum"],
                "Max": statistics["Maximum"],
                "Count": int(statistics["SampleCount"]),
                "Sum": statistics["Sum"],
            }
        ]
    values = list(row.total.values())
    return [
        {
            "Values": [value / per_unit for value, _ in values[start : start + MAX_VALUES]],
            "Counts": [count for _, count in values[start : start + MAX_VALUES]],
        }
        for start in range(0, len(values), MAX_VALUES)
    ]
