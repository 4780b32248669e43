"""What pricing a call costs: our rate card beside genai-prices' `calc_price`."""

from __future__ import annotations

import time
from collections.abc import Callable

from genai_prices import Usage, calc_price

from benchmarks.harness import Result, compare
from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.contracts import TokenUsage

MODEL = "us.anthropic.claude-sonnet-4-6"
OURS = TokenUsage(input=1200, output=300, cache_read=7000, cache_write_5m=500)
THEIRS = Usage(input_tokens=8700, output_tokens=300, cache_read_tokens=7000, cache_write_tokens=500)
OUR_CALLS = 20_000
THEIR_CALLS = 500
ROUNDS = 15


def run() -> Result:
    """Compare CPU times of finding a price and working a call's cost out, prompt cache included."""
    book = PriceBook(file=None)

    def ours() -> int | None:
        price = book.price_of(MODEL, tier="default", region="us-west-2")
        return None if price is None else price.cost(OURS)

    def theirs() -> object:
        return calc_price(THEIRS, MODEL, provider_id="aws").total_price

    if ours() != int(calc_price(THEIRS, MODEL, provider_id="aws").total_price * 10**12):
        raise AssertionError("both must come to the same price")
    pricing = compare(
        lambda: _microseconds(ours, OUR_CALLS),
        lambda: _microseconds(theirs, THEIR_CALLS),
        rounds=ROUNDS,
    )
    return Result(
        benchmark="price_card",
        figures={
            "price of a call, CPU µs": pricing.ours,
            "price of a call / genai-prices, CPU ratio": pricing.ratio,
        },
        baselines={"genai-prices calc_price, CPU µs": pricing.baseline},
        goals={"price of a call, CPU µs": ("<=", 1.0)},
    )


def _microseconds(work: Callable[[], object], calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - start) / calls * 1e6
