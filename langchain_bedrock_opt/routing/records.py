"""What a policy works on: tiers by their facts, what a request needs, and the answer.

And what routing learns and reports from: usage records, or a ledger that has them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from langchain_bedrock_opt.catalog.prices import ModelPrice
from langchain_bedrock_opt.contracts import Reason, TokenUsage, UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError

UNASKED: Final = "default"
"""The signal of a decision for a request that asks nothing."""

REFUSED: Final = "refused"
"""The signal of a decision in shadow mode for a request that no tier can serve."""

IN_REGION = "in-region"
"""The scope of a model that answers in the region it is called in, as the price list has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What a policy knows of one tier.

    None stands for "not known". An ability that is not known never rules a tier out; a place that
    is not known does, where the data may not go everywhere.

    Attributes:
        name: Its name, such as `simple`.
        model_id: The model id or ARN behind it.
        context_window: Tokens that fit in.
        images: Whether it takes images.
        documents: Whether it takes documents.
        tools: Whether it can call tools.
        json_schema: Whether it answers by a JSON schema natively.
        scope: Where it answers: `in-region`, or the scope of its cross-region profile.
        region: The region it is called in.
        price: What its tokens cost.
        efforts: Levels of reasoning effort above the one it is set up with, from the least.
    """

    name: str
    model_id: str
    context_window: int | None = None
    images: bool | None = None
    documents: bool | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    scope: str | None = None
    region: str | None = None
    price: ModelPrice | None = None
    efforts: tuple[str, ...] = ()

    def cost(self, *, input_tokens: int, output_tokens: int) -> int | None:
        """What a call costs in pico-USD; None if no price is known.

        Args:
            input_tokens: Tokens of the request, none of them cached.
            output_tokens: Tokens of the answer.
        """
        if self.price is None:
            return None
        return self.price.cost(TokenUsage(input=input_tokens, output=output_tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a request can't do without.

    Attributes:
        tokens: Estimated tokens of its context.
        images: It holds images.
        documents: It holds documents.
        tools: Tools are bound.
        json_schema: The answer must follow a JSON schema, natively.
        at_least: The tier its conversation is with, which may go up from there, but not down.
    """

    tokens: int = 0
    images: bool = False
    documents: bool = False
    tools: bool = False
    json_schema: bool = False
    at_least: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A policy's answer.

    Attributes:
        tier: The tier that takes the request.
        alternatives: The other tiers that could have answered.
        reasons: What but the score had a say, each with a weight of 0.
        effort: The reasoning effort to ask for; None leaves the model's own.
        propensity: The probability with which such a request gets this tier.
    """

    tier: Tier
    alternatives: tuple[Tier, ...] = ()
    reasons: tuple[Reason, ...] = ()
    effort: str | None = None
    propensity: float = 1.0


@runtime_checkable
class HasRecords(Protocol):
    """A ledger: anything that gives usage records."""

    def records(self) -> Iterable[UsageRecord]:
        """The records."""


def records_of(records: Iterable[UsageRecord] | HasRecords) -> Iterable[UsageRecord]:
    """The records, from a ledger or as they are.

    Args:
        records: Usage records, or a ledger that has them.

    Raises:
        ConfigurationError: `records` is neither.
    """
    if isinstance(records, HasRecords):
        return records.records()
    if isinstance(records, Iterable) and not isinstance(records, (str, bytes)):
        return records
    raise ConfigurationError(
        f"records is {type(records).__name__}: give usage records, or a ledger with records()."
    )
