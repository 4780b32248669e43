"""What PutMetricData accepts, checked here: local stand-ins for CloudWatch accept far more.

Source of the limits: botocore's model of CloudWatch (1.44.5, checked 2026-11-22).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from langchain_bedrock_opt.errors import ConfigurationError

MAX_METRICS: Final = 1000
"""Metrics in one request."""

MAX_BODY_BYTES: Final = 800_000
"""Our cut for one request's body: CloudWatch's is 1 MB, and the client may write it longer."""

MAX_VALUES: Final = 150
"""Distinct values in one metric."""

MAX_DIMENSIONS: Final = 30
"""Dimensions of one metric."""

MAX_PAST: Final = timedelta(days=14)
"""How old a data point may be."""

MAX_FUTURE: Final = timedelta(hours=2)
"""How far a data point's time may be ahead."""

MAX_DIMENSION_VALUE: Final = 1024
"""Characters of the value of a dimension."""

_MAX_NAME: Final = 255
_ENVELOPE_BYTES: Final = 400  # the namespace and the names around the metrics
_MAX_MAGNITUDE: Final = 2.0**360


def check_request(
    namespace: str, metric_data: Sequence[Mapping[str, Any]], *, now: datetime | None = None
) -> None:
    """Check one PutMetricData request.

    Args:
        namespace: Its namespace.
        metric_data: Its `MetricData`.
        now: The time to check timestamps against; None leaves them unchecked.

    Raises:
        ConfigurationError: CloudWatch would refuse it; the message says why.

    Example:
        >>> check_request("LangChainBedrock", [{"MetricName": "Calls", "Value": 1.0}])
    """
    problem = namespace_problem(namespace)
    if problem is None and len(metric_data) > MAX_METRICS:
        problem = f"{len(metric_data)} metrics in one request, allowed are {MAX_METRICS}"
    if problem is None and (size := sum(map(datum_size, metric_data))) > MAX_BODY_BYTES:
        problem = f"{size} bytes in one request, allowed are {MAX_BODY_BYTES}"
    for datum in metric_data:
        problem = problem or datum_problem(datum, now=now)
    if problem is not None:
        raise ConfigurationError(f"CloudWatch does not take this: {problem}.")


def namespace_problem(namespace: str) -> str | None:
    """Why CloudWatch would refuse a namespace; None if it takes it."""
    if namespace.startswith(("AWS/", ":")):
        return f"namespace {namespace!r} starts with 'AWS/' or ':'"
    return _text_problem("namespace", namespace, _MAX_NAME)


def dimension_problem(name: str, value: str) -> str | None:
    """Why CloudWatch would refuse a dimension; None if it takes it."""
    if name.startswith(":"):
        return f"dimension name {name!r} starts with ':'"
    return _text_problem("dimension name", name, _MAX_NAME) or _text_problem(
        f"value of dimension {name}", value, MAX_DIMENSION_VALUE
    )


def _text_problem(what: str, text: str, longest: int) -> str | None:
    if not 1 <= len(text) <= longest:
        return f"{what} has {len(text)} characters, allowed are 1 to {longest}"
    if not (text.isascii() and text.isprintable() and text.strip()):
        return f"{what} {text!r} is not plain visible ASCII"
    return None


def datum_problem(datum: Mapping[str, Any], *, now: datetime | None = None) -> str | None:
    """Why CloudWatch would refuse one metric of a request; None if it takes it.

    Args:
        datum: One entry of `MetricData`.
        now: The time to check its timestamp against; None leaves it unchecked.
    """
    dimensions = datum.get("Dimensions", ())
    problem = _text_problem("metric name", datum["MetricName"], _MAX_NAME)
    if problem is None and len(dimensions) > MAX_DIMENSIONS:
        problem = f"{len(dimensions)} dimensions on one metric, allowed are {MAX_DIMENSIONS}"
    for dimension in dimensions:
        problem = problem or dimension_problem(dimension["Name"], dimension["Value"])
    return problem or _numbers_problem(datum) or _time_problem(datum.get("Timestamp"), now)


def _numbers_problem(datum: Mapping[str, Any]) -> str | None:
    values, counts = datum.get("Values", ()), datum.get("Counts", ())
    if len(values) > MAX_VALUES:
        return f"{len(values)} values in one metric, allowed are {MAX_VALUES}"
    if counts and len(counts) != len(values):
        return f"{len(counts)} counts for {len(values)} values"
    numbers = [*values, *counts, *datum.get("StatisticValues", {}).values()]
    if "Value" in datum:
        numbers.append(datum["Value"])
    if not numbers:
        return "metric has no value"
    for number in numbers:
        if not math.isfinite(number) or abs(number) > _MAX_MAGNITUDE:
            return f"value {number!r} is not finite or beyond ±2^360"
    return None


def _time_problem(timestamp: datetime | None, now: datetime | None) -> str | None:
    if timestamp is None or now is None:
        return None
    if not -MAX_PAST <= timestamp - now <= MAX_FUTURE:
        return f"timestamp {timestamp.isoformat()} is over 14 days old or over 2 hours ahead"
    return None


def datum_size(datum: Mapping[str, Any]) -> int:
    """Bytes of one metric in a request's JSON body, with the comma after it."""
    return len(json.dumps(datum, default=str)) + 1


def cut(metric_data: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Cut metrics into requests that are within the limits, in order.

    Example:
        >>> [len(part) for part in cut([{"MetricName": "Calls"}] * 2500)]
        [1000, 1000, 500]
    """
    part: list[Mapping[str, Any]] = []
    size = _ENVELOPE_BYTES
    for datum in metric_data:
        bytes_more = datum_size(datum)
        if part and (len(part) == MAX_METRICS or size + bytes_more > MAX_BODY_BYTES):
            yield part
            part, size = [], _ENVELOPE_BYTES
        part.append(datum)
        size += bytes_more
    if part:
        yield part
