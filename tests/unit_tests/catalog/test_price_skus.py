"""What the AWS Price List's products say, read without guessing."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.catalog.price_rows import RateCard
from langchain_bedrock_opt.catalog.price_skus import ReadPrices, read_products, read_usage_type

# Usage types that readers of the list quote: kind, tier, global, long prompts.
USAGE_TYPES = """
USE1-NovaPro-input-tokens                                      input default - -
USE1-NovaPro-cache-read-input-token-count                      cache_read default - -
USE1-NovaPro-cache-write-input-token-count                     cache_write_5m default - -
USE1-NovaPro-input-tokens-latency-optimized                    input latency-optimized - -
USE1-Nova2.0Lite-input-tokens-cross-region-global-batch        input batch global -
USE1-Nova2.0Pro-text-input-tokens-priority-cross-region-global input priority global -
USE1-Llama4-Maverick-17B-input-tokens-batch                    input batch - -
USE1-GPT-OSS-Safeguard-20B-output-tokens-priority              output priority - -
EU-gpt-oss-120b-output-tokens-batch                            output batch - -
gpt-oss-20b-input-tokens-flex                                  input flex - -
USE1-MP:USE1_InputTokenCount-Units                             input default - -
USE1-MP:USE1_OutputTokenCount_Global_Batch-Units               output batch global -
USE1-MP:USE1_CacheReadInputTokenCount_Global-Units             cache_read default global -
USE1-MP:USE1_CacheWriteInputTokenCount-Units                   cache_write_5m default - -
USE1-MP:USE1_CacheWrite1hInputTokenCount_LCtx_Global-Units     cache_write_1h default global long
USE1-MP:USE1_InputTokenCount_LatencyOptimized-Units            input latency-optimized - -
USW2-MP:USW2_input_tokens_global_standard-Units                input default global -
USW2-MP:USW2_cache_write_tokens_1h_global_standard-Units       cache_write_1h default global -
USW2-MP:USW2_cache_write_tokens_30m_long_ctx_standard-Units    cache_write_5m default - long
USW2-MP:USW2_output_tokens_batch-Units                         output batch - -
"""

NO_TOKEN_PRICES = [
    "USE1-NovaPro-input-tokens-custom-model",
    "USE1-openai.gpt-oss-120b-mantle-input-tokens-standard",
    "USE1-Nova2.0Pro-input-image-token-count-cross-region-global",
    "USE1-Guardrail-AutomatedReasoningPolicyUnitsConsumed",
    "USE1-MP:USE1_ProvisionedThroughput_1MonthCommit_ModelUnits_Usage-Units",
    "USE1-MP:USE1_Reserved_1Month_InputTPM_Geo-Units",
    "USE1-MP:USE1_search_units-Units",
    "USE1-MP:USE1_InputImageCount-Units",
    "USW2-MP:USW2_cache_writes_tokens_standard-Units",
    "USW2-MP:USW2_cached_input_tokens_standard-Units",
    "USE1-NovaPro-input-tokens-batch-flex",
    "Tax",
    "",
]


def product(
    usage_type: str,
    price: str,
    *,
    model: str | None = None,
    service: str | None = None,
    region: str = "us-east-1",
    unit: str = "1M tokens",
) -> dict[str, Any]:
    attributes = {"usagetype": usage_type, "regionCode": region}
    if model:
        attributes["model"] = model
    if service:
        attributes["servicename"] = f"{service} (Amazon Bedrock Edition)"
    dimension = {"unit": unit, "pricePerUnit": {"USD": price}}
    return {
        "product": {"attributes": attributes},
        "terms": {"OnDemand": {"A.B": {"priceDimensions": {"A.B.C": dimension}}}},
    }


def claude(name: str, dimension: str, price: str, region: str = "us-east-1") -> dict[str, Any]:
    return product(f"X-MP:X_{dimension}-Units", price, service=name, region=region)


def nova(dimension: str, price: str, region: str = "us-east-1") -> dict[str, Any]:
    return product(
        f"USE1-NovaLite-{dimension}", price, model="Nova Lite", region=region, unit="1K tokens"
    )


def read(*products: dict[str, Any]) -> ReadPrices:
    return read_products(products, source="AWS Price List", checked="2026-11-23")


@pytest.mark.parametrize("line", USAGE_TYPES.strip().splitlines(), ids=lambda line: line.split()[0])
def test_a_usage_type_is_taken_apart(line: str) -> None:
    """Each spelling says the kind of tokens, the tier, the scope and whether prompts are long."""
    text, kind, tier, scope, length = line.split()
    usage = read_usage_type(text)
    assert usage is not None
    assert (usage.kind, usage.tier) == (kind, tier)
    assert (usage.is_global, usage.is_long) == (scope == "global", length == "long")


@pytest.mark.parametrize("text", NO_TOKEN_PRICES)
def test_what_is_no_price_of_a_text_token_is_left_alone(text: str) -> None:
    """Images, hours, custom models, another endpoint and superseded prices are no prices here."""
    assert read_usage_type(text) is None


def test_prices_of_a_thousand_and_of_a_million_tokens_come_to_one_unit() -> None:
    """Amazon's own models are listed by the thousand tokens, Claude by the million."""
    found = read(
        nova("input-tokens", "0.0000600000"),
        nova("output-tokens", "0.0002400000"),
        claude("Claude Opus 5.5", "input_tokens_standard", "4.4000000000"),
        claude("Claude Opus 5.5", "output_tokens_standard", "22.0000000000"),
    )
    assert [(row["model"], row["input"], row["output"]) for row in found.rows] == [
        ("amazon.nova-lite-v1:0", "0.06", "0.24"),
        ("anthropic.claude-opus-5-5", "4.4", "22"),
    ]


def test_a_name_that_is_not_known_whole_is_unmapped() -> None:
    """Claude Opus 6 is not priced as Claude Opus, and is told."""
    found = read(
        claude("Claude Opus 6", "input_tokens_standard", "9"),
        claude("Claude Opus 6", "output_tokens_standard", "45"),
        product("USE1-NovaLite9-input-tokens", "1", unit="1K tokens"),
    )
    assert found.rows == []
    assert found.unmapped == ("Claude Opus 6", "NovaLite9")


def test_half_a_price_is_none() -> None:
    """A model whose output is not listed would be priced too low, so it is left out and told."""
    found = read(claude("Claude Haiku 4.5", "InputTokenCount", "1.1"))
    assert found.rows == []
    assert "anthropic.claude-haiku-4-5-20251001-v1:0" in found.left_out[0]


def test_a_price_of_nothing_is_none() -> None:
    """Input at $0 is no price; a write to the cache may be listed at $0."""
    free = read(nova("input-tokens", "0"), nova("output-tokens", "0.00024"))
    assert free.rows == []
    cached = read(
        nova("input-tokens", "0.00006"),
        nova("output-tokens", "0.00024"),
        nova("cache-write-input-token-count", "0.0000000000"),
    )
    assert cached.rows[0]["cache_write_5m"] == "0"


def test_embeddings_have_no_output() -> None:
    """A model that is known to write nothing needs no price of output."""
    found = read(product("USE1-TitanEmbeddingV2-Text-input-tokens", "0.00002", unit="1K tokens"))
    assert [(row["model"], row["input"], row["output"]) for row in found.rows] == [
        ("amazon.titan-embed-text-v2:0", "0.02", "0")
    ]


def test_two_prices_for_one_thing_are_none() -> None:
    """Where the list contradicts itself nothing is picked."""
    found = read(
        nova("input-tokens", "0.00006"),
        nova("input-tokens", "0.00007"),
        nova("output-tokens", "0.00024"),
    )
    assert found.rows == []
    assert "two prices" in found.left_out[0]


@pytest.mark.parametrize("unit", ["hour", "1K TPM Hour", "image", "Units", ""])
def test_another_unit_is_not_read_as_tokens(unit: str) -> None:
    """A price an hour or an image is none a token."""
    found = read(product("USE1-NovaLite-input-tokens", "1", model="Nova Lite", unit=unit))
    assert (found.rows, found.skipped) == ([], 1)


def test_long_prompts_make_a_step() -> None:
    """The list names the dearer price, and our data the length that it starts at."""
    found = read(
        claude("OpenAI GPT-6 Astra", "input_tokens_standard", "11"),
        claude("OpenAI GPT-6 Astra", "output_tokens_standard", "55"),
        claude("OpenAI GPT-6 Astra", "input_tokens_long_ctx_standard", "22"),
        claude("OpenAI GPT-6 Astra", "output_tokens_long_ctx_standard", "82.5"),
    )
    assert found.rows[0]["steps"] == [{"above": 272_000, "input": "22", "output": "82.5"}]


def test_long_prompts_at_the_same_price_make_none() -> None:
    """Claude Sonnet 4.6 lists long prompts at its usual price."""
    kinds = {"Input": "3.3", "Output": "16.5"}
    found = read(
        *(claude("Claude Sonnet 4.6", f"{kind}TokenCount", price) for kind, price in kinds.items()),
        *(
            claude("Claude Sonnet 4.6", f"{kind}TokenCount_LCtx", price)
            for kind, price in kinds.items()
        ),
    )
    assert "steps" not in found.rows[0]


def test_long_prompts_from_an_unknown_length_have_no_price() -> None:
    """Without the length nobody can say what a prompt costs, so the model is left out."""
    found = read(
        claude("Claude Opus 5", "input_tokens_standard", "5"),
        claude("Claude Opus 5", "output_tokens_standard", "25"),
        claude("Claude Opus 5", "input_tokens_long_ctx_standard", "10"),
        claude("Claude Opus 5", "output_tokens_long_ctx_standard", "40"),
    )
    assert found.rows == []
    assert "from a length that is not known" in found.left_out[0]


def test_claude_that_costs_the_same_everywhere_holds_everywhere() -> None:
    """One price in all regions of the list is the regional price, of profiles too."""
    found = read(
        *(
            claude("Claude Opus 5.5", f"{kind}_tokens{scope}_standard", price, region)
            for region in ("eu-west-1", "us-east-1")
            for kind, scope, price in (
                ("input", "", "4.4"),
                ("output", "", "22"),
                ("input", "_global", "4"),
                ("output", "_global", "20"),
            )
        )
    )
    assert [row["scope"] for row in found.rows] == ["global", "regional"]
    card = RateCard(found.rows, "refreshed")
    price = card.find(parse_model_id("jp.anthropic.claude-opus-5-5"), "default", "ap-northeast-1")
    assert price is not None
    assert price.input == 4_400_000


def test_claude_that_was_read_in_one_region_holds_there() -> None:
    """A list of one region is no word about the others."""
    found = read(
        claude("Claude Opus 5.5", "input_tokens_standard", "4.4", "eu-west-1"),
        claude("Claude Opus 5.5", "output_tokens_standard", "22", "eu-west-1"),
    )
    assert (found.rows[0]["scope"], found.rows[0]["regions"]) == ("in-region", ["eu-west-1"])


def test_other_models_hold_where_they_are_listed() -> None:
    """Nova costs what each region lists, us-east-1 first, and GovCloud stands apart."""
    found = read(
        *(
            nova(f"{kind}-tokens", price, region)
            for region, prices in (
                ("eu-west-1", ("0.000069", "0.000276")),
                ("us-gov-west-1", ("0.000072", "0.000288")),
                ("us-east-1", ("0.00006", "0.00024")),
                ("us-west-2", ("0.00006", "0.00024")),
            )
            for kind, price in zip(("input", "output"), prices, strict=True)
        )
    )
    assert [(row["scope"], row["regions"], row["input"]) for row in found.rows] == [
        ("in-region", ["us-east-1", "us-west-2"], "0.06"),
        ("in-region", ["eu-west-1"], "0.069"),
        ("us-gov", ["us-gov-west-1"], "0.072"),
    ]
