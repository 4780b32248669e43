"""Token counts of recorded Bedrock answers, through LangChain and the handler."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from langchain_aws import ChatBedrockConverse

from langchain_bedrock_opt.usage.recording.callback import BedrockUsageCallbackHandler


def answer_with(body: str, **request: Any) -> Any:
    return json.loads(body)


def test_recorded_answers_count_what_bedrock_counted(
    chat: Callable[..., ChatBedrockConverse],
    recordings: Callable[[str], list[dict[str, Any]]],
) -> None:
    """For each recorded answer, the billed kinds are the numbers that Bedrock sent."""
    checked = 0
    for exchange in recordings("Converse"):
        body = json.loads(exchange["response"]["body"])
        wire = body.get("usage")
        if wire is None:
            continue  # a recorded refusal
        # The words do not matter here, and some hold bytes that only botocore would decode.
        body["output"]["message"]["content"] = [{"text": "ok"}]
        client = SimpleNamespace(
            meta=SimpleNamespace(region_name="us-east-1"),
            converse=partial(answer_with, json.dumps(body)),
        )
        usage = BedrockUsageCallbackHandler()
        chat(client=client).invoke("Hello", {"callbacks": [usage]})
        (record,) = usage.ledger.records()
        assert record.usage is not None
        assert (record.usage.input, record.usage.output) == (
            wire["inputTokens"],
            wire["outputTokens"],
        )
        assert record.usage.cache_read == wire.get("cacheReadInputTokens", 0)
        writes = record.usage.cache_write_5m + record.usage.cache_write_1h
        assert writes == wire.get("cacheWriteInputTokens", 0)
        checked += 1
    assert checked > 20


def test_writes_by_time_to_live_reach_the_record(
    chat: Callable[..., ChatBedrockConverse], bedrock: Any
) -> None:
    """Cache writes of five minutes and of one hour, which cost differently, stay apart."""
    bedrock.usage = {
        "inputTokens": 10,
        "outputTokens": 2,
        "totalTokens": 100,
        "cacheReadInputTokens": 8,
        "cacheWriteInputTokens": 80,
        "cacheDetails": [{"ttl": "5m", "inputTokens": 30}, {"ttl": "1h", "inputTokens": 50}],
    }
    usage = BedrockUsageCallbackHandler()
    chat().invoke("Hello", {"callbacks": [usage]})
    counted = usage.ledger.totals().usage
    assert (counted.input, counted.cache_read) == (10, 8)
    assert (counted.cache_write_5m, counted.cache_write_1h) == (30, 50)
