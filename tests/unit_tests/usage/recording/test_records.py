"""What an answer, a start event and an error say about a run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langchain_bedrock_opt.aws.errors import service_error
from langchain_bedrock_opt.contracts import REPORT_KEY, RouteDecision, TokenUsage
from langchain_bedrock_opt.usage.recording.records import (
    UNKNOWN_MODEL,
    error_code,
    model_id_at_start,
    read_message,
    status_of,
    token_usage,
)

TOKENS = st.integers(0, 10**7)


def usage_metadata(input_tokens: int, output_tokens: int = 5, **details: int) -> dict[str, Any]:
    return {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "input_token_details": details,
    }


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        pytest.param(usage_metadata(18), TokenUsage(input=18, output=5), id="no cache"),
        pytest.param(
            usage_metadata(7520, cache_read=7000, cache_creation=502),
            TokenUsage(input=18, output=5, cache_read=7000, cache_write_5m=502),
            id="input includes the cache",
        ),
        pytest.param(
            usage_metadata(18, cache_read=7000, cache_creation=502),
            TokenUsage(input=18, output=5, cache_read=7000, cache_write_5m=502),
            id="input beside the cache",
        ),
        pytest.param(
            usage_metadata(
                100, cache_creation=0, ephemeral_5m_input_tokens=30, ephemeral_1h_input_tokens=50
            ),
            TokenUsage(input=20, output=5, cache_write_5m=30, cache_write_1h=50),
            id="writes by time to live",
        ),
        pytest.param(
            usage_metadata(100, cache_creation=80, ephemeral_1h_input_tokens=50),
            TokenUsage(input=20, output=5, cache_write_5m=30, cache_write_1h=50),
            id="sum beside a part of it",
        ),
        pytest.param(
            usage_metadata(90, cache_read=90), TokenUsage(output=5, cache_read=90), id="all cached"
        ),
        pytest.param(
            {**usage_metadata(10, 50), "output_token_details": {"reasoning": 40}},
            TokenUsage(input=10, output=50, reasoning=40),
            id="reasoning is a part of the output",
        ),
        pytest.param(
            {"input_tokens": 3, "output_tokens": 4, "input_token_details": None},
            TokenUsage(input=3, output=4),
            id="no details",
        ),
        pytest.param({"total_cost": 0}, TokenUsage(), id="nothing but a cost"),
    ],
)
def test_tokens_are_split_as_they_are_billed(metadata: Any, expected: TokenUsage) -> None:
    """Each billed kind of token holds what Bedrock charges under it."""
    assert token_usage(metadata) == expected


@given(base=TOKENS, read=TOKENS, write_5m=TOKENS, write_1h=TOKENS)
def test_no_token_is_lost_or_counted_twice(
    base: int, read: int, write_5m: int, write_1h: int
) -> None:
    """Whatever langchain-aws adds into the input, taking it apart gives the parts back."""
    usage = token_usage(
        usage_metadata(
            base + read + write_5m + write_1h,
            cache_read=read,
            ephemeral_5m_input_tokens=write_5m,
            ephemeral_1h_input_tokens=write_1h,
        )
    )
    assert (usage.input, usage.cache_read) == (base, read)
    assert (usage.cache_write_5m, usage.cache_write_1h) == (write_5m, write_1h)


def message(usage: Any = None, **response_metadata: Any) -> AIMessage:
    return AIMessage(content="", usage_metadata=usage, response_metadata=response_metadata)


def test_hit_of_our_cache_costs_nothing_and_says_what_it_saved() -> None:
    """A hit of our cache spends no token, and its saved tokens come from the call report."""
    saved = TokenUsage(input=90, output=9, cache_read=7)
    report = {"cache": {"status": "hit", "saved": saved.as_dict()}}
    outcome = read_message(message(usage_metadata(0, 0), **{REPORT_KEY: report}))
    assert (outcome.cache_hit, outcome.usage, outcome.saved) == (True, TokenUsage(), saved)


def test_miss_of_our_cache_is_an_ordinary_call() -> None:
    """A miss spends the tokens that the answer names."""
    outcome = read_message(
        message(usage_metadata(18), **{REPORT_KEY: {"cache": {"status": "miss"}}})
    )
    assert (outcome.cache_hit, outcome.usage) == (False, TokenUsage(input=18, output=5))


def test_hit_of_langchains_cache_is_known_by_its_cost_of_zero() -> None:
    """A message with `total_cost` 0 came from LangChain's cache and saved what it names."""
    outcome = read_message(message({**usage_metadata(18), "total_cost": 0}))
    assert outcome.cache_hit
    assert (outcome.usage, outcome.saved) == (TokenUsage(), TokenUsage(input=18, output=5))


def test_answer_without_usage_is_not_taken_for_free() -> None:
    """An answer that names no tokens has no usage, which is not a usage of zero."""
    assert read_message(message()).usage is None


def test_prompt_routers_choice_is_the_model_that_was_called() -> None:
    """Behind a Bedrock prompt router, the model it invoked counts, not the router's ARN."""
    outcome = read_message(
        message(
            trace={"promptRouter": {"invokedModelId": "us.amazon.nova-lite-v1:0"}},
            **{REPORT_KEY: {"model_id": "arn:aws:bedrock:us-east-1:1:default-prompt-router/x"}},
        )
    )
    assert outcome.model_id == "us.amazon.nova-lite-v1:0"


@pytest.mark.parametrize(
    ("metadata", "service_tier", "price_tier"),
    [
        ({}, None, "default"),
        ({"serviceTier": {"type": "flex"}}, "flex", "flex"),
        ({"performanceConfig": {"latency": "standard"}}, None, "default"),
        ({"performanceConfig": {"latency": "optimized"}}, None, "latency-optimized"),
        ({"serviceTier": None, "trace": None, REPORT_KEY: "?"}, None, "default"),
    ],
)
def test_price_tier_comes_from_the_response(
    metadata: dict[str, Any], service_tier: str | None, price_tier: str
) -> None:
    """A call is priced by the tier that served it, and latency-optimized ones by none of these."""
    outcome = read_message(message(usage_metadata(1), **metadata))
    assert (outcome.service_tier, outcome.price_tier) == (service_tier, price_tier)


def test_route_in_the_report_is_read() -> None:
    """A route decision that travels with the answer is found there."""
    route = RouteDecision(tier="simple", model_id="m", score=0.1)
    assert read_message(message(**{REPORT_KEY: {"route": route.as_dict()}})).route == route


def test_route_of_another_form_is_left_out() -> None:
    """A route decision that this version can't read does not spoil the record."""
    assert read_message(message(**{REPORT_KEY: {"route": {"lane": "left"}}})).route is None


@pytest.mark.parametrize(
    ("serialized", "params", "metadata", "expected"),
    [
        ({"kwargs": {"model_id": "own"}}, {"model_id": "of-call"}, {}, "of-call"),
        ({"kwargs": {"model_id": "arn"}}, {"model": "base"}, {"ls_model_name": "base"}, "arn"),
        ({"kwargs": {"model": "own"}}, {}, None, "own"),
        (None, {"model": "own"}, {"ls_model_name": "ls"}, "own"),
        ({"type": "not_implemented"}, None, {"ls_model_name": "ls"}, "ls"),
        (None, None, None, UNKNOWN_MODEL),
    ],
)
def test_model_id_is_found_where_the_run_started(
    serialized: Any, params: Any, metadata: Any, expected: str
) -> None:
    """The id named for the call wins over the model's own, and that over display names."""
    assert model_id_at_start(serialized, params, metadata) == expected


def test_error_code_is_awss_own() -> None:
    """An error of AWS is recorded by its code, as it is and as the package's own exception."""
    error = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "Converse")
    assert error_code(error) == error_code(service_error(error, "m")) == "ThrottlingException"


def test_error_without_code_is_named_by_its_class() -> None:
    """Any other error is recorded by the name of its class."""
    assert error_code(ValueError("secret prompt")) == "ValueError"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, "ok"),
        (ValueError(), "error"),
        (GeneratorExit(), "aborted"),
        (asyncio.CancelledError(), "aborted"),
        (KeyboardInterrupt(), "aborted"),
    ],
)
def test_breaking_off_is_no_failure(error: BaseException | None, expected: str) -> None:
    """A run that its consumer ended is aborted, and one that went wrong an error."""
    assert status_of(error) == expected
