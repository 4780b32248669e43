"""What was used and what it cost.

Lives here: the callback handler that makes one `UsageRecord` of each model run (`callback`, and
`context` for a `with` block), how a record is read off an answer (`records`), and the sinks:
`ledger` in memory or in a file, `cloudwatch` as metrics. `totals` and `report` add records up.
Does not live here: prices (`catalog.prices`), what a cache or a router did (they say so in
`response_metadata` and in the run's metadata), boto3 clients (`aws`).
Start at `callback.BedrockUsageCallbackHandler`. Tests: `tests/unit_tests/usage`.
"""

from langchain_bedrock_opt.usage.callback import BedrockUsageCallbackHandler
from langchain_bedrock_opt.usage.cloudwatch import CloudWatchMetricsSink
from langchain_bedrock_opt.usage.context import get_bedrock_usage_callback
from langchain_bedrock_opt.usage.ledger import UsageLedger
from langchain_bedrock_opt.usage.report import counterfactual_cost
from langchain_bedrock_opt.usage.totals import UsageTotals

__all__ = [
    "BedrockUsageCallbackHandler",
    "CloudWatchMetricsSink",
    "UsageLedger",
    "UsageTotals",
    "counterfactual_cost",
    "get_bedrock_usage_callback",
]
