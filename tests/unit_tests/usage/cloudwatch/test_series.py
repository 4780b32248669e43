"""How many series there are: an allow-list of dimensions, top values, and a cap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.contracts import RouteDecision, UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.cloudwatch.aggregate import Aggregate
from langchain_bedrock_opt.usage.cloudwatch.cardinality import TopValues
from langchain_bedrock_opt.usage.cloudwatch.dimensions import OTHER, ascii_value, error_type
from langchain_bedrock_opt.usage.cloudwatch.limits import dimension_problem
from langchain_bedrock_opt.usage.cloudwatch.metrics import DEFAULT_METRICS, Metric, MetricSet
from langchain_bedrock_opt.usage.cloudwatch.series import SeriesTable
from langchain_bedrock_opt.usage.inbox import Inbox

Make = Callable[..., UsageRecord]
ONE = MetricSet(
    metrics=(Metric(name="Calls", unit="Count", value=lambda _: 1),),
    dimensions=(("Service",),),
    health=False,
)


def table_of(**settings: Any) -> SeriesTable:
    defaults = {"service": "s", "dimensions": None, "max_series": 200, "top_values": 20}
    metrics = settings.pop("metrics", DEFAULT_METRICS)
    return SeriesTable(metrics, **{**defaults, **settings})


def counts(table: SeriesTable, name: str = "Calls") -> dict[tuple[str, ...], int]:
    return {
        tuple(value for _, value in row.dimensions): row.total.count
        for row in table.take()
        if row.metric.name == name
    }


def test_series_end_at_the_cap(record: Make) -> None:
    """However many models there are, there are no more series, and no call is left out."""
    table = table_of()
    for index in range(500):
        table.add(record(model_id=f"acme.model-{index}"))
    rows = list(table.take())
    assert len({(row.metric.name, row.dimensions) for row in rows}) <= 200
    calls = {row.dimensions: row.total.count for row in rows if row.metric.name == "Calls"}
    assert calls[("Service", "s"),] == 500
    assert sum(count for key, count in calls.items() if len(key) == 2) == 500
    assert calls[("Service", "s"), ("Model", OTHER)] > 400
    assert table.folded > 400


def test_frequent_tenants_have_names(record: Make) -> None:
    """The tenants with most calls have series of their own, the rest share one."""
    table = table_of(metrics=ONE, dimensions=[("metadata:tenant",)], top_values=2)
    for tenant in ["rare"] + ["big", "large"] * 50 + [f"small-{index}" for index in range(20)]:
        table.add(record(metadata={"tenant": tenant}))
    found = counts(table)
    assert set(found) == {("rare",), ("big",), ("large",), (OTHER,)}
    assert found["big",] + found["large",] >= 98
    assert sum(found.values()) == 121


@given(st.lists(st.integers(0, 40).map(str)), st.integers(1, 5))
def test_top_values_are_bounded(values: list[str], size: int) -> None:
    """Whatever comes, no more values have names at once than allowed, and memory is bounded."""
    top = TopValues(size)
    for value in values:
        assert top.name_of(value) in {value, OTHER}
        assert len(top._named) <= size
        assert len(top._counted) <= size * 5 + 1


@given(st.text(max_size=2000))
def test_any_text_becomes_a_value(text: str) -> None:
    """Every text becomes a value that CloudWatch takes."""
    assert dimension_problem("tenant", ascii_value(text)) is None


@given(st.text(max_size=50), st.text(max_size=50))
def test_different_texts_stay_different(one: str, other: str) -> None:
    """Two values never fall together, save those that are only white space."""
    if one != other and one.strip() and other.strip():
        assert ascii_value(one) != ascii_value(other)


def test_long_values_stay_different() -> None:
    """A value that is too long is cut, and still not taken for another one."""
    assert ascii_value("長" * 500 + "a") != ascii_value("長" * 500 + "b")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("ThrottlingException", "Throttled"),
        ("ReadTimeoutError", "Timeout"),
        ("ServiceQuotaExceededException", "Quota"),
        ("ExpiredTokenException", "AccessDenied"),
        ("ResourceNotFoundException", "NotFound"),
        ("InternalServerException", "Unavailable"),
        ("modelStreamErrorException", "ModelError"),
        ("ValidationException", "Invalid"),
        ("EndpointConnectionError", "Connection"),
        ("KeyError", "Other"),
        (None, "(none)"),
    ],
)
def test_errors_are_of_few_kinds(error: str | None, kind: str) -> None:
    """Each error falls into one of ten kinds."""
    assert error_type(error) == kind


def test_a_call_is_split_by_what_was_asked_for(record: Make) -> None:
    """Tier, route, status and error type are dimensions too, and a missing value says so."""
    names = ("Tier", "Route", "Status", "ErrorType", "tag:team")
    table = table_of(metrics=ONE, dimensions=[names])
    route = RouteDecision(tier="simple", model_id="m", score=0.1)
    table.add(record(service_tier="flex", route=route, tags=("x", "team:a")))
    table.add(record(status="error", error="ThrottlingException", price_tier="batch"))
    assert counts(table) == {
        ("flex", "simple", "ok", "(none)", "a"): 1,
        ("batch", "(none)", "error", "Throttled", "(none)"): 1,
    }


def test_a_route_taken_is_counted_by_route(record: Make) -> None:
    """Decisions are counted by the router's tier, escalations over the service."""
    table = table_of()
    escalated = RouteDecision(tier="hard", model_id="m", score=0.1, escalated_from="simple")
    table.add(record(route=RouteDecision(tier="simple", model_id="m", score=0.1)))
    table.add(record(route=escalated))
    rows = {(row.metric.name, row.dimensions[-1][1]): row.total for row in table.take()}
    assert rows["RouteDecisions", "simple"] == rows["RouteDecisions", "hard"]
    assert rows["RouteEscalations", "s"] == Aggregate(1, 1, 1, 1)


def test_a_metric_with_the_sinks_own_dimensions_counts_once(record: Make) -> None:
    """Errors are by error type anyway; asked for by the sink too, they are not doubled."""
    table = table_of(dimensions=[("Service", "ErrorType")])
    table.add(record(status="error", error="ThrottlingException"))
    assert counts(table, "Errors") == {("s", "Throttled"): 1}


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"dimensions": [("Modell",)]}, "'Modell' is not known"),
        ({"dimensions": [("metadata:",)]}, "is not known"),
        ({"dimensions": [("metadata:利用者",)]}, "ASCII"),
        ({"dimensions": [("Model", "Model")]}, "each once"),
        ({"dimensions": ["Model"]}, "no list of sets"),
        ({"dimensions": []}, "no list of sets"),
        ({"max_series": 2001}, "from 1 to 2000"),
        ({"max_series": 0}, "from 1 to 2000"),
        ({"max_series": 5}, "too few"),
        ({"top_values": 0}, "1 or more"),
    ],
)
def test_what_is_not_possible_is_refused(settings: dict[str, Any], complaint: str) -> None:
    """A dimension or a number that can't be is refused when the sink is made."""
    with pytest.raises(ConfigurationError, match=complaint):
        table_of(**settings)


def test_a_record_within_a_record_is_not_lost() -> None:
    """A record that arrives while another is handled, in the same thread, is handled after it."""
    seen: list[int] = []

    def handle(item: int) -> None:
        if item == 1:
            inbox.put(2)  # as the garbage collector does, when it closes an abandoned stream
        seen.append(item)

    inbox = Inbox(handle)
    inbox.put(1)
    assert seen == [1, 2]
