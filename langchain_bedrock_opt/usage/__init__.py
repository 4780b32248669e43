"""What was used and what it cost.

Lives here: the callback handler that makes one `UsageRecord` of each model run (`recording`), and
the sinks that take records: a `ledger` in memory or in a file, `cloudwatch` metrics. `reporting`
adds records up.
Does not live here: prices (`catalog.prices`), what a cache or a router did (they say so in
`response_metadata` and in the run's metadata), boto3 clients (`aws`).
Start at `recording.callback.BedrockUsageCallbackHandler`. Tests: `tests/unit_tests/usage`.
"""

from langchain_bedrock_opt.usage.cloudwatch.sink import CloudWatchMetricsSink
from langchain_bedrock_opt.usage.ledger.ledger import UsageLedger
from langchain_bedrock_opt.usage.recording.callback import BedrockUsageCallbackHandler
from langchain_bedrock_opt.usage.recording.context import get_bedrock_usage_callback
from langchain_bedrock_opt.usage.reporting.counterfactual import counterfactual_cost
from langchain_bedrock_opt.usage.reporting.totals import UsageTotals

__all__ = [
    "BedrockUsageCallbackHandler",
    "CloudWatchMetricsSink",
    "UsageLedger",
    "UsageTotals",
    "counterfactual_cost",
    "get_bedrock_usage_callback",
]
