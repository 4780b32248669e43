"""What was used and what it cost.

Lives here: the callback handler that makes one `UsageRecord` of each model run (`recording`); the
sinks that take records: a `ledger` in memory or on disk, `cloudwatch` metrics, log lines,
dashboard and alarms, OpenTelemetry (`otel`); `reporting`, which adds records up and shows them;
`budget`, which refuses a call before it costs too much (`refusals` tells other handlers).
Does not live here: prices (`catalog`), what a cache or a router did (they say so in
`response_metadata` and in the run's metadata), boto3 clients (`aws`).
Start at `recording.callback.BedrockUsageCallbackHandler`. Tests: `tests/unit_tests/usage`.
"""

from langchain_bedrock_opt.usage.budget import (
    Budget,
    DynamoDBBudgetStore,
    InMemoryBudgetStore,
    RedisBudgetStore,
)
from langchain_bedrock_opt.usage.cloudwatch.emf import CloudWatchEMFSink
from langchain_bedrock_opt.usage.cloudwatch.metrics import Metric, MetricSet
from langchain_bedrock_opt.usage.cloudwatch.sink import CloudWatchMetricsSink
from langchain_bedrock_opt.usage.ledger.ledger import UsageLedger
from langchain_bedrock_opt.usage.otel import OpenTelemetrySink
from langchain_bedrock_opt.usage.recording.callback import BedrockUsageCallbackHandler
from langchain_bedrock_opt.usage.recording.context import get_bedrock_usage_callback
from langchain_bedrock_opt.usage.reporting.counterfactual import counterfactual_cost
from langchain_bedrock_opt.usage.reporting.report import UsageReport
from langchain_bedrock_opt.usage.reporting.totals import UsageTotals

__all__ = [
    "BedrockUsageCallbackHandler",
    "Budget",
    "CloudWatchEMFSink",
    "CloudWatchMetricsSink",
    "DynamoDBBudgetStore",
    "InMemoryBudgetStore",
    "Metric",
    "MetricSet",
    "OpenTelemetrySink",
    "RedisBudgetStore",
    "UsageLedger",
    "UsageReport",
    "UsageTotals",
    "counterfactual_cost",
    "get_bedrock_usage_callback",
]
