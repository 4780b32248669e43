"""`BedrockBatch` models on a local Bedrock, for tests."""

from __future__ import annotations

from typing import Any

from langchain_bedrock_opt import ChatBedrockOptimized
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from tests.batch_service import NOVA, BatchService

BUCKET = "s3://some-bucket/prefix/"
ROLE = "arn:aws:iam::123456789012:role/bedrock-batch"


def inner_model(service: BatchService, model: str = NOVA, **fields: Any) -> ChatBedrockOptimized:
    """A model that asks the service."""
    place = {"client": service.runtime, "bedrock_client": service.bedrock}
    return ChatBedrockOptimized(model=model, **{"max_tokens": 200, **place, **fields})


def batch_model(service: BatchService, inner: Any = None, **fields: Any) -> BedrockBatch:
    """A batch model whose jobs the service takes."""
    place = {
        "s3_uri": f"s3://{service.bucket}/runs/",
        "role_arn": service.role_arn,
        "s3_client": service.s3,
        "min_records": service.min_records,
        "clock": service.clock,
        "sleep": service.clock.sleep,
    }
    return BedrockBatch(model=inner or inner_model(service), **{**place, **fields})


def jobs_of(service: BatchService) -> list[dict[str, Any]]:
    """The jobs that were created."""
    summaries: list[dict[str, Any]] = service.bedrock.list_model_invocation_jobs()[
        "invocationJobSummaries"
    ]
    return summaries


def calls_of(service: BatchService) -> int:
    """How many calls went to the runtime on demand."""
    journal = service.emulator.journal
    return sum(journal.count(name) for name in ("Converse", "ConverseStream", "InvokeModel"))


def questions(count: int) -> list[Any]:
    """So many different prompts."""
    return [f"What is {place} + {place}?" for place in range(count)]
