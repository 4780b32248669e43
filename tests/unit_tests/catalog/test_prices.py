"""Prices: exact, from a row of the model's own, and never a guess."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.model_ids import PROFILE_SCOPES
from langchain_bedrock_opt.catalog.prices import PICO_PER_USD, ModelPrice, price_of, usd
from langchain_bedrock_opt.catalog.specs import known_model_ids
from langchain_bedrock_opt.contracts import TokenUsage

MILLION = 10**6
BILLED = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")

# USD a million tokens: input, output, cache read, cache write 5 min, cache write 1 h. AWS's price
# list as people who read it quoted it, or as genai-prices 0.2.3 and LiteLLM 1.109.1 agree on it.
GOLDEN = """
anthropic.claude-3-haiku-20240307-v1:0                0.25    1.25  -       -       -
us.anthropic.claude-3-haiku-20240307-v1:0             0.25    1.25  -       -       -
anthropic.claude-3-5-haiku-20241022-v1:0              0.8     4     0.08    1       -
anthropic.claude-3-5-sonnet-20240620-v1:0             3       15    0.3     3.75    -
us.anthropic.claude-3-7-sonnet-20250219-v1:0          3       15    0.3     3.75    -
us.anthropic.claude-sonnet-4-20250514-v1:0            3       15    0.3     3.75    -
global.anthropic.claude-sonnet-4-20250514-v1:0        3       15    0.3     3.75    -
us.anthropic.claude-sonnet-4-5-20250929-v1:0          3.3     16.5  0.33    4.125   6.6
eu.anthropic.claude-sonnet-4-5-20250929-v1:0          3.3     16.5  0.33    4.125   6.6
jp.anthropic.claude-sonnet-4-5-20250929-v1:0          3.3     16.5  0.33    4.125   6.6
anthropic.claude-sonnet-4-5-20250929-v1:0             3.3     16.5  0.33    4.125   6.6
global.anthropic.claude-sonnet-4-5-20250929-v1:0      3       15    0.3     3.75    6
us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0      3.6     18    0.36    4.5     7.2
us.anthropic.claude-haiku-4-5-20251001-v1:0           1.1     5.5   0.11    1.375   2.2
global.anthropic.claude-haiku-4-5-20251001-v1:0       1       5     0.1     1.25    2
us.anthropic.claude-opus-4-1-20250805-v1:0            15      75    1.5     18.75   -
eu.anthropic.claude-opus-4-5-20251101-v1:0            5.5     27.5  0.55    6.875   11
global.anthropic.claude-opus-4-6-v1                   5       25    0.5     6.25    10
us.anthropic.claude-sonnet-5                          2.2     11    0.22    2.75    4.4
global.anthropic.claude-sonnet-5                      2       10    0.2     2.5     4
global.anthropic.claude-sonnet-5-5                    2       10    0.1     2.5     4
in.anthropic.claude-opus-5                            5.5     27.5  0.55    6.875   11
global.anthropic.claude-opus-5-5                      4       20    0.2     5       8
us.anthropic.claude-fable-5-1                         11      55    0.275   13.75   22
global.anthropic.claude-haiku-5-5                     0.1     0.5   0.01    0.125   0.2
amazon.nova-micro-v1:0                                0.035   0.14  0.00875 0       -
us.amazon.nova-lite-v1:0                              0.06    0.24  0.015   0       -
eu.amazon.nova-lite-v1:0                              0.078   0.312 0.0195  -       -
amazon.nova-pro-v1:0                                  0.8     3.2   0.2     0       -
us.amazon.nova-premier-v1:0                           2.5     12.5  0.625   -       -
us.amazon.nova-2-lite-v1:0                            0.33    2.75  0.0825  0       -
global.amazon.nova-2-lite-v1:0                        0.3     2.5   0.075   -       -
eu.amazon.nova-2-lite-v1:0                            0.429   3.597 0.10725 0       -
jp.amazon.nova-2-lite-v1:0                            0.396   3.311 0.099   0       -
amazon.titan-text-lite-v1                             0.15    0.2   -       -       -
amazon.titan-embed-text-v2:0                          0.02    0     -       -       -
cohere.embed-v4:0                                     0.12    0     -       -       -
meta.llama3-8b-instruct-v1:0                          0.3     0.6   -       -       -
us.meta.llama4-maverick-17b-instruct-v1:0             0.24    0.97  -       -       -
mistral.mistral-large-2402-v1:0                       4       12    -       -       -
mistral.mistral-large-3-675b-instruct                 0.5     1.5   -       -       -
us.deepseek.r1-v1:0                                   1.35    5.4   -       -       -
openai.gpt-oss-120b-1:0                               0.15    0.6   -       -       -
us-gov.openai.gpt-oss-20b-1:0                         0.084   0.36  -       -       -
qwen.qwen3-coder-480b-a35b-v1:0                       0.45    1.8   -       -       -
us.writer.palmyra-x5-v1:0                             0.6     6     -       -       -
"""

# Model, tier, USD a million tokens of input and output.
TIERS = """
us.anthropic.claude-haiku-4-5-20251001-v1:0       batch     0.55    2.75
global.anthropic.claude-sonnet-4-5-20250929-v1:0  batch     1.5     7.5
amazon.nova-pro-v1:0                              flex      0.4     1.6
amazon.nova-pro-v1:0                              priority  1.4     5.6
amazon.nova-pro-v1:0                              batch     0.4     1.6
us.amazon.nova-2-lite-v1:0                        priority  0.5775  4.8125
google.gemma-3-12b-it                             batch     0.05    0.15
minimax.minimax-m2                                priority  0.52    2.1
openai.gpt-oss-120b-1:0                           flex      0.075   0.3
zai.glm-4.7-flash                                 priority  0.1225  0.7
"""

USAGE = st.builds(
    TokenUsage,
    **{kind: st.integers(0, 10**9) for kind in BILLED},
)
PRICES = st.builds(
    ModelPrice,
    **{kind: st.integers(0, 10**9) for kind in BILLED},
    source=st.just("test"),
    checked=st.just("2026-11-22"),
)


def _rows() -> list[dict[str, Any]]:
    data = files("langchain_bedrock_opt.catalog") / "data" / "prices.json"
    rows: list[dict[str, Any]] = json.loads(data.read_text("utf-8"))["prices"]
    return rows


def _priced(model_id: str, tier: str = "default") -> ModelPrice:
    price = price_of(model_id, tier=tier)
    assert price is not None, (model_id, tier)
    return price


def _pico(usd_per_million: str) -> int | None:
    return None if usd_per_million == "-" else int(Decimal(usd_per_million) * MILLION)


@pytest.mark.parametrize("row", GOLDEN.strip().splitlines(), ids=lambda row: row.split()[0])
def test_published_prices_are_met_exactly(row: str) -> None:
    """A price is the published one to the pico-dollar, for the scope the id asks for."""
    model_id, *expected = row.split()
    price = _priced(model_id)
    assert [getattr(price, kind) for kind in BILLED] == [_pico(value) for value in expected]


@pytest.mark.parametrize("row", TIERS.strip().splitlines())
def test_service_tiers_and_batch_have_prices_of_their_own(row: str) -> None:
    """Flex, priority and batch are priced by their own rows, whose factors differ."""
    model_id, tier, *expected = row.split()
    price = _priced(model_id, tier)
    assert [price.input, price.output] == [_pico(value) for value in expected]


def test_no_two_rows_price_the_same() -> None:
    """Model, scope, tier and region name one row only."""
    keys = Counter(
        (row["model"], row["scope"], row.get("tier", "default"), region)
        for row in _rows()
        for region in row.get("regions", ["everywhere"])
    )
    assert keys.most_common(1)[0][1] == 1


def test_rows_use_known_words_and_whole_pico_dollars() -> None:
    """Every row is of a known model, scope and tier, dated, sourced and exact."""
    scopes = {"in-region", "regional", *PROFILE_SCOPES}
    tiers = {"default", "flex", "priority", "batch", "latency-optimized"}
    for row in _rows():
        assert row["model"] in known_model_ids(), row
        assert row["scope"] in scopes, row
        assert row.get("tier", "default") in tiers, row
        assert row["source"], row
        assert row["checked"] >= "2026-11-22", row
        assert row["scope"] != "in-region" or row["regions"], row
        for prices in (row, *row.get("steps", ())):
            for kind in prices.keys() & BILLED:
                assert isinstance(prices[kind], str), row
                assert (Decimal(prices[kind]) * MILLION) % 1 == 0, row


def test_rows_are_plausible() -> None:
    """No row has swapped or slipped figures: reads are cheaper than input, writes dearer."""
    for row in _rows():
        price = {kind: Decimal(value) for kind, value in row.items() if kind in BILLED}
        assert price["input"] > 0, row
        assert price.get("cache_read", Decimal(0)) < price["input"], row
        # Amazon lists writes to the prompt cache of its own models, at nothing.
        if not row["model"].startswith("amazon."):
            assert price.get("cache_write_5m", price["input"]) >= price["input"], row
        assert price.get("cache_write_1h", price["input"]) >= price["input"], row
        for step in row.get("steps", ()):
            assert all(Decimal(step[kind]) > price[kind] for kind in step.keys() & BILLED), row
            assert step.keys() & BILLED == price.keys(), row


@pytest.mark.parametrize("model_id", ["us.anthropic.claude-sonnet-5", "anthropic.claude-sonnet-5"])
def test_regional_claude_costs_more_than_global(model_id: str) -> None:
    """A bare or geographic Claude id is never billed at the cheaper global rate."""
    assert _priced(model_id).input > _priced("global.anthropic.claude-sonnet-5").input


@pytest.mark.parametrize(
    "model_id",
    [
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.anthropic.claude-sonnet-5",
        "arn:aws:bedrock:::inference-profile/global.anthropic.claude-sonnet-5",
    ],
)
def test_an_arn_is_priced_by_the_scope_in_it(model_id: str) -> None:
    """The ARN of a profile costs what the profile's id costs."""
    assert price_of(model_id) == _priced("global.anthropic.claude-sonnet-5")


def test_the_bare_model_in_govcloud_costs_govclouds_price() -> None:
    """GovCloud's own price list holds for a model that is called there by its ARN."""
    arn = "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/openai.gpt-oss-20b-1:0"
    assert price_of(arn) == _priced("us-gov.openai.gpt-oss-20b-1:0")


@pytest.mark.parametrize(
    ("model_id", "tier"),
    [
        ("acme.frontier-v9", "default"),
        ("anthropic.claude-sonnet-99", "default"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "flex"),
        ("us.anthropic.claude-sonnet-5", "flex"),
        ("us.anthropic.claude-sonnet-5", "reserved"),
        ("global.anthropic.claude-3-haiku-20240307-v1:0", "default"),
        ("us-gov.anthropic.claude-3-haiku-20240307-v1:0", "default"),
        ("eu.meta.llama3-3-70b-instruct-v1:0", "default"),
        ("arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghij12", "default"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-lite-v1/abcdefghij12",
            "default",
        ),
        ("anthropic.claude-3-haiku-20240307-v1:0:48k", "default"),
        ("not a model", "default"),
        ("", "default"),
    ],
)
def test_what_has_no_row_has_no_price(model_id: str, tier: str) -> None:
    """A model, scope or tier without a row of its own is unpriced, not priced as a relative."""
    assert price_of(model_id, tier=tier) is None


@given(PRICES, USAGE)
def test_a_call_costs_the_sum_of_its_parts(price: ModelPrice, usage: TokenUsage) -> None:
    """The cost of a call is what its kinds of tokens cost one by one."""
    parts = [TokenUsage(**{kind: getattr(usage, kind)}) for kind in BILLED]
    assert price.cost(usage) == sum(price.cost(part) or 0 for part in parts)


@given(PRICES, USAGE, USAGE)
def test_two_calls_cost_what_their_usage_together_costs(
    price: ModelPrice, one: TokenUsage, other: TokenUsage
) -> None:
    """Costs may be added up in any order, to the last pico-dollar."""
    together = price.cost(one + other)
    assert together == (price.cost(one) or 0) + (price.cost(other) or 0)
    assert together == price.cost(other + one)


def test_a_cached_call_is_billed_by_kind() -> None:
    """Fresh, read and written tokens are billed at their own prices, reasoning within output."""
    usage = TokenUsage(
        input=18,
        output=5,
        cache_read=7_000,
        cache_write_5m=500,
        cache_write_1h=2,
        reasoning=3,
    )
    cost = _priced("us.anthropic.claude-sonnet-4-5-20250929-v1:0").cost(usage)
    # 18 * 3.3 + 5 * 16.5 + 7000 * 0.33 + 500 * 4.125 + 2 * 6.6 dollars a million
    assert cost is not None
    assert usd(cost) == Decimal("0.0045276")


@pytest.mark.parametrize("kind", ["cache_read", "cache_write_5m", "cache_write_1h"])
def test_tokens_without_a_price_make_the_cost_unknown(kind: str) -> None:
    """A call that spent tokens of an unpriced kind has no known cost, rather than a low one."""
    price = _priced("anthropic.claude-3-haiku-20240307-v1:0")
    assert price.cost(TokenUsage(input=10, output=10)) == 10 * 250_000 + 10 * 1_250_000
    assert price.cost(TokenUsage.from_dict({"input": 10, kind: 1})) is None


def test_a_long_prompt_costs_more_from_its_first_token() -> None:
    """Beyond a step the whole call is dearer, counting what came from the cache."""
    price = _priced("global.anthropic.claude-haiku-5-5")
    longest = TokenUsage(input=60_000, cache_read=40_000, output=1000)
    assert price.cost(longest) == 60_000 * 100_000 + 40_000 * 10_000 + 1000 * 500_000
    longer = longest + TokenUsage(input=1)
    assert price.cost(longer) == 60_001 * 500_000 + 40_000 * 50_000 + 1000 * 2_500_000
    assert price.cost(longest + TokenUsage(output=1)) == (price.cost(longest) or 0) + 500_000


def test_a_prompt_beyond_the_prices_reach_has_no_known_cost() -> None:
    """Where the dearer price of long prompts is not known, a longer one is unpriced."""
    price = _priced("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "batch")
    longest = TokenUsage(input=200_000, output=128_000)
    assert price.cost(longest) is not None
    assert price.cost(longest + TokenUsage(input=1)) is None
    assert price.cost(longest + TokenUsage(output=1)) is not None


@given(st.integers(0, 10**18))
def test_dollars_are_exact(pico: int) -> None:
    """Turning pico-dollars into dollars loses nothing and prints plainly."""
    dollars = usd(pico)
    assert dollars * PICO_PER_USD == pico
    assert dollars == 0 or "E+" not in str(dollars)
