"""Dashboards and alarms: what CloudWatch takes, and names only metrics that sinks send."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import boto3
import pytest
from moto import mock_aws

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.cloudwatch.alarms import alarm_requests, apply
from langchain_bedrock_opt.usage.cloudwatch.dashboard import (
    check_dashboard,
    dashboard_body,
    guide_dashboard_body,
)
from langchain_bedrock_opt.usage.cloudwatch.metrics import (
    DEFAULT_METRICS,
    GUIDE_METRICS,
    HEALTH_METRICS,
)

MODELS = ("us.amazon.nova-lite-v1:0", "anthropic.claude-3-haiku-20240307-v1:0")
SENT = {metric.name for metric in DEFAULT_METRICS.metrics} | set(HEALTH_METRICS)


def metrics_of(body: dict[str, Any]) -> list[list[Any]]:
    return [metric for widget in body["widgets"] for metric in widget["properties"]["metrics"]]


def test_a_dashboard_shows_what_is_sent() -> None:
    """Each metric of ours on it is one that the sink sends, with the sink's dimensions."""
    body = dashboard_body(region="us-east-1", models=MODELS, service="search")
    ours = [metric for metric in metrics_of(body) if metric[0] == "LangChainBedrock"]
    assert {metric[1] for metric in ours} <= SENT
    assert all(metric[2:4] == ["Service", "search"] for metric in ours)
    assert {metric[0] for metric in metrics_of(body)} == {"LangChainBedrock", "AWS/Bedrock"}
    assert all(widget["properties"]["metrics"] for widget in body["widgets"])


def test_widgets_do_not_lie_on_each_other() -> None:
    """Each widget has a place of its own on the grid."""
    body = dashboard_body(region="us-east-1", models=MODELS)
    places = [(widget["x"], widget["y"]) for widget in body["widgets"]]
    assert len(set(places)) == len(places)


def test_the_guides_dashboard_shows_the_guides_metrics() -> None:
    """The preset has a dashboard of its own."""
    body = guide_dashboard_body(region="us-east-1", models=MODELS)
    assert {metric[1] for metric in metrics_of(body)} == {
        metric.name for metric in GUIDE_METRICS.metrics
    }


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: check_dashboard("a b", {"widgets": [{}]}), "other characters"),
        (lambda: check_dashboard("a", {"widgets": []}), "0 widgets"),
        (lambda: guide_dashboard_body(region="us-east-1", models=()), "0 widgets"),
        (lambda: dashboard_body(region="r", models=["m"] * 501), "501 metrics"),
        (lambda: dashboard_body(region="r", service=""), "names no metric"),
        (lambda: alarm_requests(cost_per_hour_usd=0), "positive"),
        (lambda: alarm_requests(namespace="AWS/Bedrock"), "namespace"),
        (lambda: alarm_requests(service="検索"), "ASCII"),
        (lambda: alarm_requests(actions=["arn"] * 6), "6 actions"),
        (lambda: alarm_requests(prefix=""), "prefix"),
    ],
)
def test_what_cloudwatch_would_refuse_is_refused(build: Callable[[], Any], complaint: str) -> None:
    """A dashboard or an alarm that CloudWatch would refuse is refused with the reason."""
    with pytest.raises(ConfigurationError, match=complaint):
        build()


def test_a_days_budget_has_two_alarms() -> None:
    """At 80 and at 100 per cent, in the metric's micro-dollars."""
    alarms = {
        alarm["AlarmName"]: alarm for alarm in alarm_requests(daily_budget_usd=Decimal("0.1"))
    }
    assert alarms["bedrock-budget-80"]["Threshold"] == 80_000.0
    assert alarms["bedrock-budget-100"]["Threshold"] == 100_000.0
    assert alarms["bedrock-budget-100"]["Period"] == 86_400


def test_alarms_are_about_what_is_sent() -> None:
    """Each alarm watches a metric that the sink sends, and a quiet night is no alarm."""
    alarms = alarm_requests(cost_per_hour_usd=1, daily_budget_usd=5, ttft_p95_ms=900)
    for alarm in alarms:
        metrics = (
            [alarm]
            if "MetricName" in alarm
            else [
                query["MetricStat"]["Metric"] for query in alarm["Metrics"] if "MetricStat" in query
            ]
        )
        assert {metric["MetricName"] for metric in metrics} <= SENT
        assert alarm["TreatMissingData"] == "notBreaching"
    assert len({alarm["AlarmName"] for alarm in alarms}) == len(alarms) == 8


def test_applied_they_are_there() -> None:
    """CloudWatch has the dashboard and the alarms, and a second time changes nothing."""
    with mock_aws():
        client = boto3.Session().client("cloudwatch", region_name="us-east-1")
        body = dashboard_body(region="us-east-1", models=MODELS, service="search")
        alarms = alarm_requests(service="search", cost_per_hour_usd=1, ttft_p95_ms=900)
        for _ in range(2):
            apply("bedrock", body, alarms, client)
        stored = json.loads(client.get_dashboard(DashboardName="bedrock")["DashboardBody"])
        names = {alarm["AlarmName"] for alarm in client.describe_alarms()["MetricAlarms"]}
    assert stored == body
    assert names == {alarm["AlarmName"] for alarm in alarms}


def test_what_cloudwatch_finds_fault_with_is_said() -> None:
    """Messages in CloudWatch's answer become an error, and no alarm is made."""

    class Client:
        def put_dashboard(self, **_: Any) -> dict[str, Any]:
            return {"DashboardValidationMessages": [{"Message": "no such region"}]}

    body = dashboard_body(region="us-east-1")
    with pytest.raises(ConfigurationError, match="no such region"):
        apply("bedrock", body, alarm_requests(), Client())
