"""Invocation jobs: `.batch()` at half the on-demand price, with nothing lost.

Lives here: what a job's records say and how their answers are read (`records`); S3 and the
control plane (`jobs`); one durable run from its inputs to its results (`run`); the chat model
whose batches are jobs (`chat_model`, `BedrockBatch`); whole chains, graphs and agents (`chains`,
`as_batch`). `parts` holds what these hand to each other. Does not live here: limits and prices
(`catalog`), boto3 clients (`aws`), the service that runs jobs in tests (`emulator`).
Start at `chat_model.BedrockBatch`. Tests: `tests/unit_tests/batching`,
`tests/integration_tests/batching`.
"""

from langchain_bedrock_opt.batching.chains import BatchChain, as_batch, coalesced
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from langchain_bedrock_opt.batching.guard import FullPriceWarning
from langchain_bedrock_opt.batching.parts import BatchResult
from langchain_bedrock_opt.batching.run.batch_run import BatchRun
from langchain_bedrock_opt.batching.run.plan import BatchPlan
from langchain_bedrock_opt.batching.run.status import BatchStatus
from langchain_bedrock_opt.batching.run.summary import BatchSummary

__all__ = [
    "BatchChain",
    "BatchPlan",
    "BatchResult",
    "BatchRun",
    "BatchStatus",
    "BatchSummary",
    "BedrockBatch",
    "FullPriceWarning",
    "as_batch",
    "coalesced",
]
