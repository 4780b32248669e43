"""A CloudWatch dashboard over our metrics and the free ones of `AWS/Bedrock`, as data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.cloudwatch.metrics import HEALTH_METRICS

MAX_WIDGETS: Final = 500
"""Widgets of one dashboard."""

MAX_WIDGET_METRICS: Final = 500
"""Metrics of one widget."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_GRID: Final = 24
_HEIGHT: Final = 6
_Graph: TypeAlias = tuple[str, list[list[Any]]]

# Title, and the name, label and statistic of each line.
_PERCENTILES: Final = ("p50", "p95", "p99")
_OVERALL: Final = (
    (
        "Cost (micro-USD a minute)",
        [("EstimatedCost", "cost", "Sum"), ("CacheSavings", "saved by the cache", "Sum")],
    ),
    (
        "Calls",
        [
            (name, name, "Sum")
            for name in ("Calls", "Errors", "CacheHits", "CacheMisses", "Throttles")
        ],
    ),
    ("Client latency (ms)", [("ClientLatency", stat, stat) for stat in _PERCENTILES]),
    (
        "Client time to first token (ms)",
        [("ClientTimeToFirstToken", stat, stat) for stat in _PERCENTILES],
    ),
    (
        "Tokens",
        [
            (name, name, "Sum")
            for name in ("InputTokens", "OutputTokens", "CacheReadTokens", "CacheWriteTokens")
        ],
    ),
    (
        "Prompt read from the cache (%)",
        [("PromptCacheReadRatio", "of prompts that use it", "Average")],
    ),
    (
        "What is not known or not sent",
        [(name, name, "Sum") for name in ("UnpricedCalls", "UnmeteredCalls", *HEALTH_METRICS)],
    ),
)
# AWS's own metrics, by model. Names are unverified against AWS.
_FREE: Final = (
    (
        "Bedrock: invocations and throttles",
        [("Invocations", "Sum"), ("InvocationThrottles", "Sum")],
    ),
    (
        "Bedrock: latency and time to first token (ms)",
        [("InvocationLatency", "p95"), ("TimeToFirstToken", "p95")],
    ),
    ("Bedrock: quota used (tokens a minute)", [("EstimatedTPMQuotaUsage", "Maximum")]),
)
_STATISTIC: Final = re.compile(r"Sum|Average|Minimum|Maximum|SampleCount|p\d{1,2}(\.\d+)?|p100")


def dashboard_body(
    *,
    region: str,
    models: Sequence[str] = (),
    namespace: str = "LangChainBedrock",
    service: str | None = None,
) -> dict[str, Any]:
    """The body of a dashboard: cost, savings, calls, latency, tokens and the sink's own health.

    Args:
        region: The region whose metrics it shows.
        models: Model ids to show one by one; the rest of it is over all models.
        namespace: As the sink's.
        service: As the sink's.

    Raises:
        ConfigurationError: It would be too large.

    Example:
        >>> body = dashboard_body(region="us-east-1", service="search")
        >>> body["widgets"][0]["properties"]["title"]
        'Cost (micro-USD a minute)'
    """
    base = [] if service is None else ["Service", service]
    graphs: list[_Graph] = [
        (
            title,
            [
                [namespace, name, *base, {"label": label, "stat": stat}]
                for name, label, stat in shown
            ],
        )
        for title, shown in _OVERALL
    ]
    by_model = [
        [namespace, "EstimatedCost", *base, "Model", model, {"label": model, "stat": "Sum"}]
        for model in models
    ]
    graphs.insert(1, ("Cost by model (micro-USD a minute)", by_model))
    for title, free in _FREE:
        graphs.append((title, [_free(*each, model) for each in free for model in models]))
    return _body(region, graphs)


def _free(name: str, statistic: str, model: str) -> list[Any]:
    options = {"label": f"{name} {model}", "stat": statistic}
    return ["AWS/Bedrock", name, "ModelId", model, options]


def guide_dashboard_body(*, region: str, models: Sequence[str]) -> dict[str, Any]:
    """The body of a dashboard over the metrics of `CloudWatchMetricsSink.guide_preset`.

    Args:
        region: The region whose metrics it shows.
        models: The model ids.

    Raises:
        ConfigurationError: There is no model, or it would be too large.
    """

    def metrics(name: str, statistic: str) -> list[list[Any]]:
        return [
            ["Custom/Bedrock", name, "ModelId", model, {"label": model, "stat": statistic}]
            for model in models
        ]

    return _body(
        region,
        [
            ("InferenceLatency (ms, p95)", metrics("InferenceLatency", "p95")),
            ("InferenceLatency (ms, average)", metrics("InferenceLatency", "Average")),
            ("TokensProcessed", metrics("TokensProcessed", "Sum")),
        ],
    )


def _body(region: str, graphs: Sequence[_Graph]) -> dict[str, Any]:
    """Graphs in two columns; those without metrics are left out."""
    widgets: list[dict[str, Any]] = []
    for title, metrics in graphs:
        if metrics:
            place = len(widgets)
            widgets.append(
                {
                    "type": "metric",
                    "x": place % 2 * (_GRID // 2),
                    "y": place // 2 * _HEIGHT,
                    "width": _GRID // 2,
                    "height": _HEIGHT,
                    "properties": {
                        "title": title,
                        "region": region,
                        "view": "timeSeries",
                        "period": 60,
                        "metrics": metrics,
                    },
                }
            )
    body = {"widgets": widgets}
    check_dashboard("dashboard", body)
    return body


def check_dashboard(name: str, body: Mapping[str, Any]) -> None:
    """Check a dashboard against what CloudWatch documents.

    Args:
        name: Its name.
        body: Its body.

    Raises:
        ConfigurationError: CloudWatch would refuse it; the message says why.
    """
    widgets = body["widgets"]
    if _NAME.fullmatch(name) is None:
        problem = f"name {name!r} has other characters than A-Z, a-z, 0-9, '-' and '_'"
    elif not 1 <= len(widgets) <= MAX_WIDGETS:
        problem = f"{len(widgets)} widgets, allowed are 1 to {MAX_WIDGETS}"
    else:
        found = (_widget_problem(widget) for widget in widgets)
        problem = next((each for each in found if each is not None), "")
    if problem:
        raise ConfigurationError(f"CloudWatch does not take this dashboard: {problem}.")


def _widget_problem(widget: Mapping[str, Any]) -> str | None:
    properties = widget["properties"]
    metrics = properties["metrics"]
    title = properties["title"]
    if len(metrics) > MAX_WIDGET_METRICS:
        return f"{len(metrics)} metrics in {title!r}, allowed are {MAX_WIDGET_METRICS}"
    if widget["x"] + widget["width"] > _GRID:
        return f"{title!r} is wider than the grid of {_GRID} columns"
    for *names, options in metrics:
        is_complete = len(names) % 2 == 0 and all(isinstance(each, str) and each for each in names)
        if not is_complete or _STATISTIC.fullmatch(options["stat"]) is None:
            return f"{title!r} has {json.dumps([*names, options])}, which names no metric"
    return None
