"""What a cache says of itself."""

from __future__ import annotations

from decimal import Decimal

from langchain_bedrock_opt.caching.stats import CacheStats
from langchain_bedrock_opt.contracts import TokenUsage

LITE = "us.amazon.nova-lite-v1:0"


def test_savings_are_priced_by_model() -> None:
    """Each model's tokens count at its own price; unpriced ones are named, and count nothing."""
    stats = CacheStats(
        saved_by_model={
            LITE: TokenUsage(input=1_000_000, output=1_000_000),
            "acme.frontier-v9": TokenUsage(input=5),
        }
    )

    assert stats.saved == TokenUsage(input=1_000_005, output=1_000_000)
    assert stats.saved_usd == Decimal("0.3")
    assert stats.unpriced_models == ("acme.frontier-v9",)


def test_a_new_cache_has_saved_nothing() -> None:
    """Before the first call all is zero, and can be shown."""
    assert CacheStats().hit_rate == 0
    assert CacheStats().saved_usd == 0
    assert "0.0%" in CacheStats()._repr_html_()


def test_a_notebook_shows_it() -> None:
    """The view has the figures in it, and no text of others as HTML."""
    stats = CacheStats(
        hits=3,
        misses=1,
        hits_by_tier={"exact": 2, "local": 1},
        saved_by_model={LITE: TokenUsage(input=1_000_000), "<b>": TokenUsage(input=1)},
    )

    shown = stats._repr_html_()

    for text in ("75.0%", "3 (2 exact, 1 local)", "1,000,001 tokens, 0.06 USD", "&lt;b&gt;"):
        assert text in shown
    assert "<b>:" not in shown
