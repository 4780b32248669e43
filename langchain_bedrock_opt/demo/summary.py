"""What a run came to: its figures, as data and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from langchain_bedrock_opt.catalog.prices import usd
from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.demo.run import Outcome
from langchain_bedrock_opt.usage import UsageTotals, counterfactual_cost
from langchain_bedrock_opt.usage.reporting.totals import total, totals_by


def summarize(
    records: Sequence[UsageRecord], outcome: Outcome, tiers: Mapping[str, str]
) -> dict[str, Any]:
    """The figures of a run, JSON-ready. Money is in US dollars, as text, exact.

    Args:
        records: The run's usage records.
        outcome: How it ended.
        tiers: Model ids by tier, from the cheapest to the strongest.

    Returns:
        Calls, tiers, tokens, cost, and under `everything_on_largest` what the same answers, token
        for token, would have cost at the last tier's prices without a cache (None if it has none).
        That model would have answered at another length.
    """
    whole = total(records)
    largest = tiers[list(tiers)[-1]]
    baseline = counterfactual_cost(records, largest)
    cost = whole.cost_pico_usd
    return {
        "prompts": outcome.prompts,
        "stopped": outcome.stopped,
        "failures": outcome.failures,
        "first_messages": outcome.first_messages,
        "streamed_pieces": outcome.streamed,
        "calls": whole.calls,
        "cache_hits": whole.cache_hits,
        "model_calls": whole.calls - whole.cache_hits,
        "unpriced_calls": whole.unpriced_calls,
        "unmetered_calls": whole.unmetered_calls,
        "tokens": {
            "input": whole.usage.input,
            "output": whole.usage.output,
            "saved_by_cache": {"input": whole.saved.input, "output": whole.saved.output},
        },
        "tiers": _by_tier(records, tiers),
        "cost_usd": _money(cost),
        "saved_by_cache_usd": _money(whole.saved_pico_usd),
        "everything_on_largest": {
            "model_id": largest,
            "cost_usd": None if baseline is None else _money(baseline),
        },
        "saved_percent": None if not baseline else round(100 * (1 - cost / baseline), 1),
    }


def _by_tier(records: Sequence[UsageRecord], tiers: Mapping[str, str]) -> dict[str, Any]:
    groups = totals_by(records, "tier")
    return {tier: _tier(tiers[tier], groups.get(tier, UsageTotals())) for tier in tiers}


def _tier(model_id: str, totals: UsageTotals) -> dict[str, Any]:
    return {
        "model_id": model_id,
        "calls": totals.calls,
        "cache_hits": totals.cache_hits,
        "input_tokens": totals.usage.input,
        "output_tokens": totals.usage.output,
        "cost_usd": _money(totals.cost_pico_usd),
    }


def _money(pico_usd: int) -> str:
    return f"{usd(pico_usd):f}"


def as_text(summary: Mapping[str, Any]) -> str:
    """The summary as a table for a terminal, plain text."""
    rows = [("tier", "model", "calls", "hits", "tokens in", "tokens out", "cost")]
    for tier, figures in summary["tiers"].items():
        rows.append(
            (
                tier,
                figures["model_id"],
                f"{figures['calls']:,}",
                f"{figures['cache_hits']:,}",
                f"{figures['input_tokens']:,}",
                f"{figures['output_tokens']:,}",
                _dollars(figures["cost_usd"]),
            )
        )
    rows.append(
        (
            "all",
            "",
            f"{summary['calls']:,}",
            f"{summary['cache_hits']:,}",
            f"{summary['tokens']['input']:,}",
            f"{summary['tokens']['output']:,}",
            _dollars(summary["cost_usd"]),
        )
    )
    return "\n".join([*_aligned(rows), "", *_conclusions(summary)])


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        text = [row[i].ljust(widths[i]) for i in range(2)]
        figures = [row[i].rjust(widths[i]) for i in range(2, len(row))]
        lines.append("  ".join([*text, *figures]).rstrip())
    rule = "-" * max(map(len, lines))
    return [lines[0], rule, *lines[1:-1], rule, lines[-1]]


def _conclusions(summary: Mapping[str, Any]) -> list[str]:
    largest = summary["everything_on_largest"]
    hits, calls = summary["cache_hits"], summary["calls"]
    share = f"{100 * hits / calls:.0f} %" if calls else "none"
    saved = sum(summary["tokens"]["saved_by_cache"].values())
    lines = [
        (
            f"{hits:,} of {calls:,} answers came from the cache ({share}), which saved "
            f"{saved:,} tokens ({_dollars(summary['saved_by_cache_usd'])})."
        )
    ]
    if largest["cost_usd"] is not None and summary["saved_percent"] is not None:
        lines.append(
            f"The same answers at the prices of {largest['model_id']}, without a cache: "
            f"{_dollars(largest['cost_usd'])}. Saved: {summary['saved_percent']:.0f} %."
        )
    if summary["unpriced_calls"]:
        lines.append(f"{summary['unpriced_calls']:,} calls have no known price and count nowhere.")
    if summary["unmetered_calls"]:
        lines.append(f"{summary['unmetered_calls']:,} calls may be billed for tokens nobody told.")
    for name, count in summary["failures"].items():
        lines.append(f"{count:,} prompts failed with {name}: {summary['first_messages'][name]}")
    if summary["stopped"]:
        lines.append(summary["stopped"])
    return lines


def _dollars(amount: str) -> str:
    return f"${Decimal(amount):.4f}"
