"""What `input_tokens` means, by the release of langchain-aws that says it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from langchain_aws import ChatBedrock, ChatBedrockConverse
from langchain_core.messages import AIMessage

from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.usage.recording.callback import BedrockUsageCallbackHandler
from langchain_bedrock_opt.usage.recording.meaning import input_includes_cache, release_of
from langchain_bedrock_opt.usage.recording.records import read_message

TRUE_USAGE = TokenUsage(input=8000, output=5, cache_read=7000, cache_write_5m=502)


@pytest.mark.parametrize(
    ("provider", "release", "input_tokens"),
    [
        ("bedrock_converse", "0.2.35", 8000),
        ("bedrock_converse", "1.4.5", 8000),
        ("bedrock_converse", "1.4.6", 15502),
        ("bedrock_converse", "1.6.0", 15502),
        ("bedrock_converse", "1.10.0", 15502),
        ("bedrock", "1.8.2", 8000),
        ("bedrock", "1.9.0", 15502),
        ("bedrock", "1.9.1rc1", 15502),
        ("openai", "1.4.5", 15502),
        (None, "1.4.5", 15502),
    ],
)
def test_each_release_gives_the_same_tokens(
    provider: str | None, release: str, input_tokens: int
) -> None:
    """Messages of every release's form come to the tokens that Bedrock counted.

    The base input is larger than the cached part, so that the number alone does not tell.
    """
    message = AIMessage(
        "",
        usage_metadata={
            "input_tokens": input_tokens,
            "output_tokens": 5,
            "total_tokens": 15507,
            "input_token_details": {"cache_read": 7000, "cache_creation": 502},
        },
        response_metadata={} if provider is None else {"model_provider": provider},
    )
    assert read_message(message, release=release).usage == TRUE_USAGE


def test_fewer_input_tokens_than_cached_ones_can_include_none() -> None:
    """Whatever the release says, an input below its cached part is taken as counted apart."""
    counts: Any = {
        "input_tokens": 18,
        "output_tokens": 5,
        "total_tokens": 7525,
        "input_token_details": {"cache_read": 7000},
    }
    usage = read_message(AIMessage("", usage_metadata=counts), release="1.9.1").usage
    assert usage == TokenUsage(input=18, output=5, cache_read=7000)


def test_the_installed_converse_model_is_inclusive(
    chat: Callable[..., ChatBedrockConverse], bedrock: Any
) -> None:
    """The installed ChatBedrockConverse, for real, comes to the tokens that Bedrock counted."""
    bedrock.usage = {
        "inputTokens": 8000,
        "outputTokens": 5,
        "totalTokens": 15507,
        "cacheReadInputTokens": 7000,
        "cacheWriteInputTokens": 502,
    }
    usage = BedrockUsageCallbackHandler()
    answer = chat().invoke("Hello", {"callbacks": [usage]})
    list(chat().stream("Hello", {"callbacks": [usage]}))
    assert input_includes_cache(answer.response_metadata["model_provider"], None)
    assert [record.usage for record in usage.ledger.records()] == [TRUE_USAGE, TRUE_USAGE]


def test_the_installed_invoke_model_is_read() -> None:
    """The installed ChatBedrock, over InvokeModel, counts what its answer names."""
    client = BedrockEmulator().client()
    model = ChatBedrock(
        model="anthropic.claude-3-haiku-20240307-v1:0",
        client=client,
        bedrock_client=client,
        region="us-east-1",
    )
    usage = BedrockUsageCallbackHandler()
    answer = model.invoke("Hello", {"callbacks": [usage]})
    (record,) = usage.ledger.records()
    assert answer.usage_metadata is not None
    assert record.usage is not None
    assert record.usage.total == answer.usage_metadata["total_tokens"]
    assert input_includes_cache("bedrock", version("langchain-aws"))


def test_the_release_is_the_one_that_made_the_run() -> None:
    """A run's metadata names its langchain-aws; a run that names none is the installed one's."""
    assert release_of({"lc_versions": {"langchain-aws": "1.4.5"}}) == "1.4.5"
    assert release_of({"lc_versions": None}) is None
    assert release_of({}) is None
