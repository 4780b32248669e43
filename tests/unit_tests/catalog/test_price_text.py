"""What a model costs, as the command line shows it."""

from __future__ import annotations

from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.catalog.price_text import price_lines

BOOK = PriceBook(file=None, genai_prices=False)


def test_each_tier_and_step_has_a_line() -> None:
    """Tiers, long prompts and where a price comes from are all shown."""
    lines = price_lines(BOOK, "global.anthropic.claude-sonnet-4-5-20250929-v1:0")
    assert lines[0].startswith(
        "default: input 3, output 15, cache read 0.3, cache write 5m 3.75, cache write 1h 6; "
    )
    assert lines[1].startswith("  above 200000 prompt tokens: input 6, output 22.5")
    assert lines[2].startswith("batch: input 1.5, output 7.5; shipped, LiteLLM")
    assert lines[3] == "  above 200000 prompt tokens: not known"


def test_the_region_is_the_one_that_is_called() -> None:
    """A region's own list price is shown for it."""
    assert "input 0.084" in price_lines(BOOK, "amazon.nova-lite-v1:0", region="eu-west-2")[0]


def test_an_unpriced_model_has_no_lines() -> None:
    """What has no price shows none, rather than zeros."""
    assert price_lines(BOOK, "acme.frontier-v9") == []
