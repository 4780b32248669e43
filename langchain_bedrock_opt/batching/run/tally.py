"""What a stage came to: how many inputs ended how, with how many tokens, at what cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from langchain_bedrock_opt.batching.jobs.documents import read_document
from langchain_bedrock_opt.batching.parts import JobKind, Outcome
from langchain_bedrock_opt.batching.run.cut_short import cut_short
from langchain_bedrock_opt.batching.run.notes import Note
from langchain_bedrock_opt.batching.run.pricing import Tariff, usage_in
from langchain_bedrock_opt.batching.run.stage import Part
from langchain_bedrock_opt.catalog.model_price import ModelPrice
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.errors import BatchRecordError


@dataclass(slots=True)
class Counts:
    """How a stage's inputs ended. `success + error + missing` are all of them.

    Attributes:
        inputs: All inputs.
        success: Those with an answer.
        error: Those that ended with an error: of the record, of its job, or before it was sent.
        missing: Those of which nothing was found; they may be sent again.
        refused: Of the errors, those of inputs that no record could be made of.
        dropped: Of the errors, those of an earlier stage.
        cached: Of the answers, those that a cache had.
        same: Inputs that have the answer, or the error, of an equal one.
        on_demand: Of the answers, those that came by single calls.
        attempts: How many records were sent, each as often as it was.
        lost: Answers that a job says it gave, and that can't be read.
    """

    inputs: int = 0
    success: int = 0
    error: int = 0
    missing: int = 0
    refused: int = 0
    dropped: int = 0
    cached: int = 0
    same: int = 0
    on_demand: int = 0
    attempts: int = 0
    lost: int = 0


@dataclass(slots=True)
class Money:
    """What answers cost, in pico-US-dollars.

    Attributes:
        cost: What was paid, at the price of each answer's tier.
        on_demand: What single calls for all inputs would have cost.
        unpriced: Models without a price at the tier that was paid, with the tier: what was paid
            is not known then.
        unpriced_on_demand: Models without a price of single calls, likewise.
    """

    cost: int = 0
    on_demand: int = 0
    unpriced: set[str] = field(default_factory=set)
    unpriced_on_demand: set[str] = field(default_factory=set)


class Tally:
    """Counts a stage's endings as they are read.

    Args:
        tariff: What tokens cost.
    """

    def __init__(self, tariff: Tariff) -> None:
        self._tariff = tariff
        self._prices: dict[tuple[JobKind, str], ModelPrice | None] = {}
        self._flex: set[int] = set()
        self.counts = Counts()
        self.money = Money()
        self.usage = TokenUsage()
        self.cut_short: Counter[str] = Counter()
        self.is_complete = False

    def begin(self, parts: list[Part]) -> None:
        """Be told what is to be read."""
        for part in parts:
            if part.shard.route == "flex":
                self._flex.update(part.shard.places)

    def add(self, ending: Outcome | Note) -> None:
        """Count one ending."""
        counts = self.counts
        counts.inputs += 1
        if isinstance(ending, Note):
            counts.error += 1
            counts.dropped += 1
            return
        counts.attempts += ending.attempts
        if ending.source == "same":
            counts.same += 1
        if ending.error is None:
            self._add_answer(ending)
        elif isinstance(ending.error, BatchRecordError) and not ending.error.error_code:
            counts.missing += 1
        else:
            counts.error += 1
            if ending.kind is None:
                counts.refused += 1

    def _add_answer(self, outcome: Outcome) -> None:
        counts = self.counts
        counts.success += 1
        if outcome.source == "cache":
            counts.cached += 1
        if outcome.source == "on_demand":
            counts.on_demand += 1
        if outcome.output is None or outcome.kind is None:
            return
        document = read_document(outcome.output) or {}
        if reason := cut_short(document):
            self.cut_short[reason] += 1
        usage = usage_in(document)
        if outcome.source != "same":
            self.usage += usage
            self.money.cost += self._cost(
                outcome.kind, self._tier_of(outcome), usage, self.money.unpriced
            )
        self.money.on_demand += self._cost(
            outcome.kind, "default", usage, self.money.unpriced_on_demand
        )

    def _tier_of(self, outcome: Outcome) -> str:
        if outcome.source == "job":
            return "batch"
        return "flex" if outcome.place in self._flex else "default"

    def _cost(self, kind: JobKind, tier: str, usage: TokenUsage, unpriced: set[str]) -> int:
        """What an answer costs; 0 and a note that it is not known if there is no price."""
        key = (kind, tier)
        if key not in self._prices:
            self._prices[key] = self._tariff.of(kind, tier)
        price = self._prices[key]
        cost = None if price is None else price.cost(usage)
        if cost is None:
            unpriced.add(kind.model_id if tier == "default" else f"{kind.model_id} ({tier})")
            return 0
        return cost
