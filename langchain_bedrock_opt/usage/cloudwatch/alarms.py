"""CloudWatch alarms over our metrics, as PutMetricAlarm requests; and how to apply them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.cloudwatch.dashboard import check_dashboard
from langchain_bedrock_opt.usage.cloudwatch.limits import dimension_problem, namespace_problem

_MICRO_USD: Final = 1_000_000
_DAY: Final = 86_400
_MAX_ALARM_NAME: Final = 255
_MAX_ACTIONS: Final = 5


def alarm_requests(
    *,
    namespace: str = "LangChainBedrock",
    service: str | None = None,
    prefix: str = "bedrock",
    cost_per_hour_usd: Decimal | float | None = None,
    daily_budget_usd: Decimal | float | None = None,
    ttft_p95_ms: float | None = None,
    throttle_percent: float | None = 5.0,
    actions: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """PutMetricAlarm requests: one for each limit that is given, and for what should never be.

    Those are calls without a price, metrics that were dropped, and requests to CloudWatch that
    may be lost. Minutes without data are no alarm.

    Args:
        namespace: As the sink's.
        service: As the sink's.
        prefix: What the alarms' names begin with.
        cost_per_hour_usd: Alarm if an hour costs more.
        daily_budget_usd: Alarm at 80 % and at 100 % of it, over a day of 24 hours.
        ttft_p95_ms: Alarm if the 95th percentile of the time to first token is longer, three
            times one after another in 5 minutes each.
        throttle_percent: Alarm if more attempts are throttled, for a hundred calls.
        actions: ARNs of what to do, such as SNS topics; up to five.

    Raises:
        ConfigurationError: A limit is not positive, or CloudWatch would refuse a name.

    Example:
        >>> [alarm["AlarmName"] for alarm in alarm_requests(cost_per_hour_usd=20)][:2]
        ['bedrock-cost-per-hour', 'bedrock-throttles']
    """
    limits = (cost_per_hour_usd, daily_budget_usd, ttft_p95_ms, throttle_percent)
    if any(limit is not None and limit <= 0 for limit in limits):
        raise ConfigurationError(
            f"alarm limits {limits!r} must be positive; leave out an alarm with None."
        )
    maker = _Maker(namespace, service, prefix, tuple(actions))
    alarms = []
    if cost_per_hour_usd is not None:
        alarms.append(
            maker.simple("cost-per-hour", "EstimatedCost", _micro(cost_per_hour_usd), period=3600)
        )
    if daily_budget_usd is not None:
        budget = _micro(daily_budget_usd)
        alarms.extend(
            maker.simple(f"budget-{part}", "EstimatedCost", budget * part / 100, period=_DAY)
            for part in (80, 100)
        )
    if ttft_p95_ms is not None:
        alarms.append(maker.percentile("ttft-p95", "ClientTimeToFirstToken", ttft_p95_ms))
    if throttle_percent is not None:
        alarms.append(maker.rate("throttles", "Throttles", "Calls", throttle_percent))
    for name, metric in (
        ("unpriced-calls", "UnpricedCalls"),
        ("telemetry-dropped", "TelemetryDropped"),
        ("flush-ambiguous", "FlushAmbiguous"),
    ):
        alarms.append(maker.simple(name, metric, 0.0, period=300))
    return alarms


def _micro(dollars: Decimal | float) -> float:
    return float(Decimal(str(dollars)) * _MICRO_USD)


class _Maker:
    """Makes requests that differ only in what they are about."""

    def __init__(
        self, namespace: str, service: str | None, prefix: str, actions: tuple[str, ...]
    ) -> None:
        problem = namespace_problem(namespace)
        if problem is None and service is not None:
            problem = dimension_problem("Service", service)
        if problem is None and len(actions) > _MAX_ACTIONS:
            problem = f"{len(actions)} actions of an alarm, allowed are {_MAX_ACTIONS}"
        if problem is None and not 1 <= len(prefix) <= _MAX_ALARM_NAME // 2:
            problem = (
                f"prefix {prefix!r} of alarms' names has not 1 to {_MAX_ALARM_NAME // 2} characters"
            )
        if problem is not None:
            raise ConfigurationError(f"CloudWatch does not take this: {problem}.")
        self._namespace = namespace
        self._dimensions = [] if service is None else [{"Name": "Service", "Value": service}]
        self._prefix = prefix
        self._actions = list(actions)

    def simple(self, name: str, metric: str, above: float, *, period: int) -> dict[str, Any]:
        """Alarm if a metric's sum over a period is above a limit."""
        return {
            **self._common(name, above),
            **self._metric(metric),
            "Statistic": "Sum",
            "Period": period,
            "EvaluationPeriods": 1,
        }

    def percentile(self, name: str, metric: str, above: float) -> dict[str, Any]:
        """Alarm if the 95th percentile is above a limit three times one after another."""
        return {
            **self._common(name, above),
            **self._metric(metric),
            "ExtendedStatistic": "p95",
            "EvaluateLowSampleCountPercentile": "ignore",
            "Period": 300,
            "EvaluationPeriods": 3,
        }

    def rate(self, name: str, part: str, whole: str, percent: float) -> dict[str, Any]:
        """Alarm if one metric is more than so many percent of another, three times over."""
        queries: list[dict[str, Any]] = [
            {
                "Id": key,
                "MetricStat": {"Metric": self._metric(metric), "Period": 300, "Stat": "Sum"},
                "ReturnData": False,
            }
            for key, metric in (("part", part), ("whole", whole))
        ]
        # A metric without values sends nothing, so the part is 0 where it is missing.
        rate = {"Id": "rate", "Expression": "100 * FILL(part, 0) / whole", "ReturnData": True}
        return {
            **self._common(name, percent),
            "Metrics": [*queries, rate],
            "EvaluationPeriods": 3,
        }

    def _metric(self, name: str) -> dict[str, Any]:
        return {
            "Namespace": self._namespace,
            "MetricName": name,
            "Dimensions": self._dimensions,
        }

    def _common(self, name: str, above: float) -> dict[str, Any]:
        return {
            "AlarmName": f"{self._prefix}-{name}",
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": above,
            "TreatMissingData": "notBreaching",
            "AlarmActions": self._actions,
        }


def apply(
    name: str, body: Mapping[str, Any], alarms: Sequence[Mapping[str, Any]], client: Any
) -> None:
    """Write a dashboard and alarms to CloudWatch; those with the same names are replaced.

    Args:
        name: The dashboard's name.
        body: Its body, as from `dashboard.dashboard_body`.
        alarms: As from `alarm_requests`.
        client: A boto3 CloudWatch client.

    Raises:
        ConfigurationError: CloudWatch would refuse the dashboard, or has found fault with it.
    """
    check_dashboard(name, body)
    answer = client.put_dashboard(DashboardName=name, DashboardBody=json.dumps(body))
    if faults := answer.get("DashboardValidationMessages"):
        raise ConfigurationError(f"CloudWatch found fault with dashboard {name!r}: {faults}.")
    for alarm in alarms:
        client.put_metric_alarm(**alarm)
