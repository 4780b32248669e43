"""Amazon Bedrock inference, made cheaper, faster and steadier from inside LangChain.

The rooms, each with a card in its `__init__`:

* `chat_model`: `ChatBedrockOptimized`, a `ChatBedrockConverse` with layers;
* `routing`: which model answers which prompt;
* `caching`: answers that are not paid for twice;
* `usage`: what was used, what it cost, and what it may cost;
* `batching`: `.batch()` as invocation jobs, at half the price;
* `capacity`: provisioned throughput, its planning, lanes, admission control;
* `prompting`: prompts without what means nothing, and within what fits;
* `emulator`: a local Bedrock;
* `demo`: the main job on the emulator;
* below them `aws` (the door to boto3), `catalog` (facts as data), `contracts`, `errors`.

Names are imported when they are first used: importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from langchain_bedrock_opt.batching import (
        BatchPlan,
        BatchRun,
        BedrockBatch,
        as_batch,
        coalesced,
    )
    from langchain_bedrock_opt.caching import (
        BedrockSemanticCache,
        DiskCacheStore,
        DynamoDBCacheStore,
        InMemoryCacheStore,
        RedisCacheStore,
    )
    from langchain_bedrock_opt.capacity import (
        Lane,
        Overflow,
        ProvisionedThroughputManager,
        TokenQuota,
        plan_throughput,
    )
    from langchain_bedrock_opt.catalog.policies import iam_policy
    from langchain_bedrock_opt.catalog.price_book import PriceBook
    from langchain_bedrock_opt.catalog.tokens import estimate_tokens
    from langchain_bedrock_opt.chat_model import ChatBedrockOptimized
    from langchain_bedrock_opt.contracts import RouteDecision, UsageRecord
    from langchain_bedrock_opt.emulator import BedrockEmulator
    from langchain_bedrock_opt.errors import BedrockOptError, BedrockServiceError
    from langchain_bedrock_opt.prompting import limit_context, optimize_prompt
    from langchain_bedrock_opt.routing import (
        BedrockRoutingMiddleware,
        ChatBedrockRouter,
        ComplexityScorer,
        RoutingPolicy,
    )
    from langchain_bedrock_opt.usage import (
        BedrockUsageCallbackHandler,
        Budget,
        CloudWatchEMFSink,
        CloudWatchMetricsSink,
        UsageLedger,
    )

__version__ = "0.1.0"

_HOMES: Final = {
    "BatchPlan": "batching",
    "BatchRun": "batching",
    "BedrockBatch": "batching",
    "BedrockEmulator": "emulator",
    "BedrockOptError": "errors",
    "BedrockRoutingMiddleware": "routing",
    "BedrockSemanticCache": "caching",
    "BedrockServiceError": "errors",
    "BedrockUsageCallbackHandler": "usage",
    "Budget": "usage",
    "ChatBedrockOptimized": "chat_model",
    "ChatBedrockRouter": "routing",
    "CloudWatchEMFSink": "usage",
    "CloudWatchMetricsSink": "usage",
    "ComplexityScorer": "routing",
    "DiskCacheStore": "caching",
    "DynamoDBCacheStore": "caching",
    "InMemoryCacheStore": "caching",
    "Lane": "capacity",
    "Overflow": "capacity",
    "PriceBook": "catalog.price_book",
    "ProvisionedThroughputManager": "capacity",
    "RedisCacheStore": "caching",
    "RouteDecision": "contracts",
    "RoutingPolicy": "routing",
    "TokenQuota": "capacity",
    "UsageLedger": "usage",
    "UsageRecord": "contracts",
    "as_batch": "batching",
    "coalesced": "batching",
    "estimate_tokens": "catalog.tokens",
    "iam_policy": "catalog.policies",
    "limit_context": "prompting",
    "optimize_prompt": "prompting",
    "plan_throughput": "capacity",
}

__all__ = [
    "BatchPlan",
    "BatchRun",
    "BedrockBatch",
    "BedrockEmulator",
    "BedrockOptError",
    "BedrockSemanticCache",
    "BedrockServiceError",
    "BedrockUsageCallbackHandler",
    "Budget",
    "ChatBedrockOptimized",
    "ChatBedrockRouter",
    "CloudWatchEMFSink",
    "CloudWatchMetricsSink",
    "ComplexityScorer",
    "DiskCacheStore",
    "DynamoDBCacheStore",
    "InMemoryCacheStore",
    "Lane",
    "Overflow",
    "PriceBook",
    "ProvisionedThroughputManager",
    "RedisCacheStore",
    "RouteDecision",
    "RoutingPolicy",
    "TokenQuota",
    "UsageLedger",
    "UsageRecord",
    "as_batch",
    "coalesced",
    "estimate_tokens",
    "iam_policy",
    "limit_context",
    "optimize_prompt",
    "plan_throughput",
]

if find_spec("langchain") is not None:
    # `import *` asks for all of these. Asked for by its name, it says which extra it needs.
    __all__ += ["BedrockRoutingMiddleware"]


def __getattr__(name: str) -> Any:
    """Import a public name from its room when it is first used."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *__all__})
