"""What records cost: as a job, on demand, and after the fact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from langchain_bedrock_opt.aws.resolution import known_resolution
from langchain_bedrock_opt.batching.parts import BatchSettings, JobKind
from langchain_bedrock_opt.batching.records.native.codec import METRICS
from langchain_bedrock_opt.batching.run.dedupe import FirstPlaces
from langchain_bedrock_opt.batching.run.sharding import line_bytes
from langchain_bedrock_opt.catalog.model_price import ModelPrice, usd
from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.contracts import TokenUsage

TokenEstimate = Callable[[bytes, JobKind], tuple[int, int]]
"""Tokens of a record: those of its input, and the most that its output can have."""

_COUNTS: Final = (
    ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"),
    (
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
    ),
    ("prompt_tokens", "completion_tokens", "", ""),
    (
        "inputTokenCount",
        "outputTokenCount",
        "cacheReadInputTokenCount",
        "cacheWriteInputTokenCount",
    ),
    ("prompt_token_count", "generation_token_count", "", ""),
)


class Tariff:
    """Prices of a run's models.

    Args:
        prices: The price book.
        region: The region that is called; None takes the list prices of us-east-1.
    """

    def __init__(self, prices: PriceBook, region: str | None) -> None:
        self._prices = prices
        self._region = region

    def of(self, kind: JobKind, tier: str) -> ModelPrice | None:
        """The price of a model's tokens at a tier; None if it has none."""
        known = known_resolution(kind.model_id) if kind.model_id.startswith("arn:") else None
        return self._prices.price_of(
            kind.model_id,
            tier=tier,
            region=self._region,
            resolved_id=known.resolved_id if known else None,
        )


def dollars(amount: Decimal) -> str:
    """An amount for people: small ones with the digits that say something.

    Example:
        >>> dollars(Decimal("12.34567")), dollars(Decimal("0.000021")), dollars(Decimal(0))
        ('$12.3457', '$0.000021', '$0.0000')
    """
    if not amount or abs(amount) >= Decimal("0.001"):
        return f"${amount:.4f}"
    digits = 1 - amount.adjusted()
    return f"${amount:.{digits}f}"


def usage_in(document: Mapping[str, Any]) -> TokenUsage:
    """The tokens that a `modelOutput` says it took, in any family's words; zeros if in none.

    Example:
        >>> usage_in({"usage": {"inputTokens": 5, "outputTokens": 2}}).total
        7
        >>> usage_in({"generation": "Hi", "prompt_token_count": 3}).input
        3
    """
    for counts in (document.get("usage"), document, document.get(METRICS)):
        if isinstance(counts, Mapping) and (found := _counted(counts)) is not None:
            return found
    return TokenUsage()


def _counted(counts: Mapping[str, Any]) -> TokenUsage | None:
    for names in _COUNTS:
        if names[0] in counts:
            read = [int(counts.get(name) or 0) for name in names]
            return TokenUsage(
                input=read[0], output=read[1], cache_read=read[2], cache_write_5m=read[3]
            )
    if "inputTextTokenCount" in counts:  # Titan: a count for each result
        results = counts.get("results") or ()
        output_tokens = sum(int(result.get("tokenCount") or 0) for result in results)
        return TokenUsage(input=int(counts["inputTextTokenCount"]), output=output_tokens)
    return None


@dataclass(slots=True)
class KindBill:
    """What the records of one kind will cost.

    Attributes:
        records: Distinct records.
        same: Records that are equal to one that came before.
        bytes: What the distinct ones weigh in a job's input.
        largest: The weight of the largest.
        input_tokens: Estimated tokens of the inputs.
        output_tokens: The most tokens that outputs can have.
        expected_tokens: The tokens that outputs are expected to have.
    """

    records: int = 0
    same: int = 0
    bytes: int = 0
    largest: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    expected_tokens: int = 0


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """What a run will cost, in US dollars. None is not known: there is no price.

    Attributes:
        at_most_usd: With outputs as long as they may get.
        expected_usd: With outputs as long as is expected.
        on_demand_at_most_usd: The former, by single calls of all inputs.
        on_demand_expected_usd: The latter, by single calls of all inputs.
        unpriced: Model ids without a price.
    """

    at_most_usd: Decimal | None
    expected_usd: Decimal | None
    on_demand_at_most_usd: Decimal | None
    on_demand_expected_usd: Decimal | None
    unpriced: tuple[str, ...]


class Bill:
    """Adds up what records will cost. Equal records cost once.

    Args:
        settings: How many records a job takes, and what becomes of fewer.
        tariff: What tokens cost.
        estimate: How many tokens a record has.
        expected_output: Tokens that an output is expected to have; None takes as many as its
            input has. It is never more than the output may have.
        tier: The tier that all records are billed by; None goes by how many they are.
    """

    def __init__(
        self,
        settings: BatchSettings,
        tariff: Tariff,
        estimate: TokenEstimate,
        *,
        expected_output: int | None = None,
        tier: str | None = None,
    ) -> None:
        self._tier = tier
        self._settings = settings
        self._tariff = tariff
        self._estimate = estimate
        self._expected_output = expected_output
        self._seen: dict[JobKind, FirstPlaces] = {}
        self._on_demand_extra: dict[JobKind, KindBill] = {}
        self.kinds: dict[JobKind, KindBill] = {}

    def add(self, kind: JobKind, place: int, body: bytes) -> bool:
        """Add a record.

        Returns:
            False if it is equal to one that came before.
        """
        if kind not in self.kinds:
            self.kinds[kind], self._seen[kind] = KindBill(), FirstPlaces()
            self._on_demand_extra[kind] = KindBill()
        bill = self.kinds[kind]
        tokens, most = self._estimate(body, kind)
        expected = min(most, tokens if self._expected_output is None else self._expected_output)
        is_new = self._seen[kind].first(place, body) is None
        if not is_new:
            bill.same += 1
            bill = self._on_demand_extra[kind]
        bill.records += 1
        size = line_bytes(body)
        bill.bytes += size
        bill.largest = max(bill.largest, size)
        bill.input_tokens += tokens
        bill.output_tokens += most
        bill.expected_tokens += expected
        return is_new

    def tier_of(self, kind: JobKind) -> str:
        """By what a kind's records will be billed."""
        if self._tier is not None:
            return self._tier
        if self.kinds[kind].records >= self._settings.min_records:
            return "batch"
        return "flex" if self._settings.below_minimum == "flex" else "default"

    def estimate(self) -> CostEstimate:
        """What the records so far cost, at plain rates: long prompts may cost more."""
        sums = [0, 0, 0, 0]
        unpriced = []
        for kind, bill in self.kinds.items():
            price = self._tariff.of(kind, self.tier_of(kind))
            list_price = self._tariff.of(kind, "default")
            if price is None or list_price is None:
                unpriced.append(kind.model_id)
                continue
            extra = self._on_demand_extra[kind]
            sums[0] += _cost(price, bill, bill.output_tokens)
            sums[1] += _cost(price, bill, bill.expected_tokens)
            for number, name in ((2, "output_tokens"), (3, "expected_tokens")):
                sums[number] += _cost(list_price, bill, getattr(bill, name))
                sums[number] += _cost(list_price, extra, getattr(extra, name))
        if unpriced:
            return CostEstimate(None, None, None, None, tuple(unpriced))
        return CostEstimate(usd(sums[0]), usd(sums[1]), usd(sums[2]), usd(sums[3]), ())


def _cost(price: ModelPrice, bill: KindBill, output_tokens: int) -> int:
    # By its plain rates: steps for long prompts depend on each call, and tokens are estimates.
    return bill.input_tokens * price.input + output_tokens * price.output
