"""PutMetricData's limits, which local stand-ins do not hold."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.cloudwatch.limits import MAX_BODY_BYTES, check_request, cut

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


def datum(**fields: Any) -> dict[str, Any]:
    return {"MetricName": "Calls", "Value": 1.0, **fields}


def dimensions(count: int, value: str = "v") -> list[dict[str, str]]:
    return [{"Name": f"d{index}", "Value": value} for index in range(count)]


@pytest.mark.parametrize(
    "metric_data",
    [
        [datum()] * 1000,
        [
            {
                "MetricName": "m" * 255,
                "Values": [float(n) for n in range(150)],
                "Counts": [1.0] * 150,
            }
        ],
        [datum(Dimensions=dimensions(30, "v" * 1024))],
        [datum(Timestamp=NOW - timedelta(days=14)), datum(Timestamp=NOW + timedelta(hours=2))],
        [datum(Value=2.0**360), datum(Value=-(2.0**360))],
    ],
    ids=["metrics", "values", "dimensions", "times", "magnitudes"],
)
def test_what_is_at_the_limit_is_taken(metric_data: list[dict[str, Any]]) -> None:
    """A request that is just within the limits passes."""
    check_request("LangChainBedrock", metric_data, now=NOW)


@pytest.mark.parametrize(
    ("metric_data", "complaint"),
    [
        ([datum()] * 1001, "1001 metrics"),
        ([{"MetricName": "m", "Values": [float(n) for n in range(151)]}], "151 values"),
        ([{"MetricName": "m", "Values": [1.0, 2.0], "Counts": [1.0]}], "1 counts for 2"),
        ([{"MetricName": "m"}], "no value"),
        ([datum(Dimensions=dimensions(31))], "31 dimensions"),
        ([datum(Dimensions=dimensions(1, ""))], "0 characters"),
        ([datum(Dimensions=dimensions(1, "v" * 1025))], "1025 characters"),
        ([datum(Dimensions=dimensions(1, "東京"))], "ASCII"),
        ([datum(Dimensions=[{"Name": ":d", "Value": "v"}])], "starts with ':'"),
        ([datum(MetricName="m" * 256)], "256 characters"),
        ([datum(MetricName="a\nb")], "ASCII"),
        ([datum(Value=float("nan"))], "nan"),
        ([datum(Value=float("inf"))], "inf"),
        ([datum(Value=2.0**361)], "360"),
        ([{"MetricName": "m", "StatisticValues": {"Sum": float("nan")}}], "nan"),
        ([datum(Timestamp=NOW - timedelta(days=14, seconds=1))], "14 days"),
        ([datum(Timestamp=NOW + timedelta(hours=2, seconds=1))], "2 hours"),
        ([datum(Dimensions=dimensions(30, "v" * 1000))] * 30, "bytes in one request"),
        ([datum(), datum(Value=float("nan"))], "nan"),
    ],
)
def test_what_is_beyond_a_limit_is_refused(
    metric_data: list[dict[str, Any]], complaint: str
) -> None:
    """A request that AWS would refuse is refused with the limit it breaks."""
    with pytest.raises(ConfigurationError, match=complaint):
        check_request("LangChainBedrock", metric_data, now=NOW)


@pytest.mark.parametrize("namespace", ["", "AWS/Bedrock", ":mine", "n" * 256, "名前", "a\tb", " "])
def test_bad_namespaces_are_refused(namespace: str) -> None:
    """A namespace that AWS keeps for itself or can't read is refused."""
    with pytest.raises(ConfigurationError, match="namespace"):
        check_request(namespace, [])


@given(st.lists(st.integers(1, 30), max_size=60), st.integers(900, 1024))
def test_requests_are_within_the_limits_and_lose_nothing(widths: list[int], length: int) -> None:
    """However wide metrics are, they are cut into requests that pass, in order and complete."""
    data = [datum(Dimensions=dimensions(width, "v" * length)) for width in widths]
    parts = list(cut(data))
    for part in parts:
        check_request("LangChainBedrock", part)
    assert [each for part in parts for each in part] == data
    assert all(parts)


def test_requests_are_as_full_as_they_may_be() -> None:
    """Metrics that fit into one request are not spread over two."""
    data = [datum(Dimensions=dimensions(30, "v" * 900))] * 25
    assert [len(part) for part in cut(data)] == [25]
    assert MAX_BODY_BYTES < 1_000_000
