"""Series as entries of a PutMetricData request, and packed for keeping until they are taken."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import islice
from typing import Any

from langchain_bedrock_opt.usage.cloudwatch.aggregate import Aggregate, Distribution
from langchain_bedrock_opt.usage.cloudwatch.limits import MAX_VALUES
from langchain_bedrock_opt.usage.cloudwatch.series import SECONDS, Dimensions, Row


def datums_of(row: Row, *, max_values: int = MAX_VALUES) -> Iterator[dict[str, Any]]:
    """One row as metrics of a request: a statistic set, or values with their counts.

    A distribution with more values than one metric may hold becomes several, which CloudWatch
    adds up.

    Args:
        row: The row.
        max_values: Distinct values in one metric.
    """
    head = _head(row.metric.name, row.metric.unit, row.dimensions, row.minute)
    per_unit = row.metric.per_unit
    if not isinstance(row.total, Distribution):
        yield {**head, "StatisticValues": statistics_of(row.total, per_unit)}
        return
    values = iter(row.total.values())
    while part := list(islice(values, max_values)):
        yield {
            **head,
            "Values": [value / per_unit for value, _ in part],
            "Counts": [float(count) for _, count in part],
        }


def statistics_of(total: Aggregate, per_unit: int) -> dict[str, float]:
    """A statistic set as CloudWatch takes it."""
    return {
        "SampleCount": float(total.count),
        "Sum": total.total / per_unit,
        "Minimum": total.minimum / per_unit,
        "Maximum": total.maximum / per_unit,
    }


def count_datum(name: str, count: int, dimensions: Dimensions, minute: int) -> dict[str, Any]:
    """A plain count as one metric of a request."""
    return {**_head(name, "Count", dimensions, minute), "Value": float(count)}


def _head(name: str, unit: str, dimensions: Dimensions, minute: int) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Dimensions": [{"Name": label, "Value": value} for label, value in dimensions],
        "Timestamp": datetime.fromtimestamp(minute * SECONDS, timezone.utc),
        "Unit": unit,
    }


@dataclass(frozen=True, slots=True)
class Parcel:
    """The metrics of one request, packed: an outage of hours fits into a few megabytes.

    Attributes:
        packed: Compressed JSON.
        size: How many metrics.
    """

    packed: bytes
    size: int

    @classmethod
    def pack(cls, data: Sequence[Mapping[str, Any]]) -> Parcel:
        """Pack metrics.

        Example:
            >>> at = datetime(2026, 11, 22, tzinfo=timezone.utc)
            >>> data = [{"MetricName": "Calls", "Timestamp": at, "Value": 1.0}]
            >>> Parcel.pack(data).unpack() == data
            True
        """
        plain = [{**datum, "Timestamp": datum["Timestamp"].timestamp()} for datum in data]
        text = json.dumps(plain, separators=(",", ":"))
        return cls(zlib.compress(text.encode(), 1), len(data))

    def unpack(self) -> list[dict[str, Any]]:
        """The metrics again."""
        data: list[dict[str, Any]] = json.loads(zlib.decompress(self.packed))
        for datum in data:
            datum["Timestamp"] = datetime.fromtimestamp(datum["Timestamp"], timezone.utc)
        return data

    def halves(self) -> tuple[Parcel, Parcel]:
        """The same metrics in two parcels."""
        data = self.unpack()
        middle = len(data) // 2
        return Parcel.pack(data[:middle]), Parcel.pack(data[middle:])
