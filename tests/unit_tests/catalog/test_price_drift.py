"""Disagreements with other people's price data are listed, one by one."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.catalog.price_drift import DriftReport, drift
from langchain_bedrock_opt.errors import ConfigurationError, MissingExtraError
from tests.extras import needs_genai_prices


def entry(**prices: float) -> dict[str, Any]:
    return {"litellm_provider": "bedrock_converse", **prices}


def against(entries: dict[str, Any]) -> DriftReport:
    return drift(litellm=entries, genai_prices=False)


def test_what_agrees_is_counted_and_what_does_not_is_listed() -> None:
    """A price that differs comes with both figures and both sources."""
    report = against(
        {"amazon.nova-lite-v1:0": entry(input_cost_per_token=6e-08, output_cost_per_token=2.5e-07)}
    )
    (found,) = report.disagreements
    assert report.agreed == {"LiteLLM": 1}
    assert (found.kind, found.ours, found.theirs) == ("output", Decimal("0.24"), Decimal("0.25"))
    assert "genai-prices 0.2.3" in (found.our_source or "")
    assert "ours 0.24" in str(report)
    assert "LiteLLM: 1 prices agree, 1 differ, 0 are missing here" in str(report)


def test_each_tier_region_and_step_is_compared_by_itself() -> None:
    """A key's region, its tiers and its long prompts each meet the row they are about."""
    report = against(
        {
            "bedrock/eu-west-2/nvidia.nemotron-super-3-120b": entry(
                input_cost_per_token=2.3e-07, input_cost_per_token_flex=9e-07
            ),
            "global.anthropic.claude-haiku-5-5": entry(
                input_cost_per_token_above_100k_tokens=6e-07
            ),
        }
    )
    assert [(each.region, each.tier, each.kind, each.ours) for each in report.disagreements] == [
        (None, "default", "input > 100000", Decimal("0.5")),
        ("eu-west-2", "flex", "input", Decimal("0.115")),
    ]


def test_what_we_lack_is_told_apart_from_what_differs() -> None:
    """A price that only the other side has is missing, not wrong."""
    report = against(
        {
            "acme.frontier-v9": entry(input_cost_per_token=1e-06),
            "amazon.nova-lite-v1:0": entry(input_cost_per_token=1e-06),
        }
    )
    assert [each.model_id for each in report.missing] == ["acme.frontier-v9"]
    assert [each.model_id for each in report.different] == ["amazon.nova-lite-v1:0"]
    assert "no price" in str(report.missing[0])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sample_spec", {"litellm_provider": "one of them"}),
        ("gpt-9", {"litellm_provider": "openai", "input_cost_per_token": 1.0}),
        ("bedrock/us-east-1/1-month-commitment/cohere.command-text-v14", entry(x=1.0)),
        ("512-x-512/50-steps/stability.sd-v0", entry(input_cost_per_token=1.0)),
        ("bedrock/claude_platform/claude-haiku-5-5", entry(input_cost_per_token=1.0)),
        ("amazon.nova-lite-v1:0", entry(input_cost_per_token=float("nan"))),
        ("amazon.nova-lite-v1:0", {"litellm_provider": "bedrock", "input_cost_per_token": None}),
        ("amazon.nova-lite-v1:0", 3),
    ],
)
def test_what_is_no_price_of_a_call_is_passed_over(key: str, value: Any) -> None:
    """Images, commitments and other providers are not compared."""
    assert against({key: value}).disagreements == ()


def test_the_report_is_json_too() -> None:
    """Prices are text there, so that they stay exact."""
    report = against({"amazon.nova-lite-v1:0": entry(input_cost_per_token=7e-08)})
    document = json.loads(report.to_json())
    assert document["disagreements"][0]["theirs"] == "0.07"
    assert document["agreed"] == {"LiteLLM": 0}


def test_a_map_is_read_from_a_file(tmp_path: Path) -> None:
    """The path of LiteLLM's own file will do; another file is told."""
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"amazon.nova-lite-v1:0": entry(input_cost_per_token=6e-08)}))
    assert drift(litellm=path, genai_prices=False).agreed == {"LiteLLM": 1}
    path.write_text("<html>")
    with pytest.raises(ConfigurationError, match="no price map"):
        drift(litellm=path, genai_prices=False)


def test_a_book_of_the_users_own_is_compared() -> None:
    """Overrides show where they differ from the lists."""
    book = PriceBook({"us.amazon.nova-lite-v1:0": {"input": "0.05", "output": "0.24"}}, file=None)
    entries = {"us.amazon.nova-lite-v1:0": entry(input_cost_per_token=6e-08)}
    report = drift(book, litellm=entries, genai_prices=False)
    assert report.disagreements[0].our_source == "override"


@needs_genai_prices
def test_genai_prices_differs_only_where_it_matches_ids_by_parts() -> None:
    """Every price it has in its own region and scopes is ours; elsewhere it takes us-east-1's."""
    report = drift()
    assert report.agreed["genai-prices"] > 500
    assert {each.model_id.split(".")[0] for each in report.disagreements} <= {
        "apac",
        "ca",
        "eu",
        "jp",
        "us-gov",
    }


def test_genai_prices_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named where it is missing."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(MissingExtraError, match=r"\[prices\]"):
        drift()
