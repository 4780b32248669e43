"""The decision itself: score, needs and policy put together. Pure; no model is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from langchain_core.language_models import LanguageModelInput

from langchain_bedrock_opt.contracts import RouteDecision
from langchain_bedrock_opt.errors import UnknownTierError
from langchain_bedrock_opt.routing.policy import Needs, RoutingPolicy, Tier
from langchain_bedrock_opt.routing.reading import read_conversation
from langchain_bedrock_opt.routing.scorer import Scorer

_TOOL_TOKENS: Final = 150
"""What one tool's description takes of the context, about."""

_TOKENS_PER_CHAR: Final = 2.5
"""More than any text has: a context below this many tokens need not be estimated."""


class Decider:
    """Decides which tier takes a request.

    Args:
        tiers: The tiers, from the cheapest to the strongest.
        scorer: Scores prompts.
        policy: Makes a tier of a score.

    Raises:
        ConfigurationError: The policy's thresholds don't fit the tiers.
    """

    def __init__(self, tiers: Sequence[Tier], scorer: Scorer, policy: RoutingPolicy) -> None:
        self.tiers = tuple(tiers)
        self._scorer = scorer
        self._policy = policy
        policy.thresholds_for([tier.name for tier in tiers])
        windows = [tier.context_window for tier in tiers if tier.context_window]
        self._smallest_window = min(windows, default=None)

    def decide(
        self,
        messages: LanguageModelInput,
        *,
        tools: Sequence[Any] | None = None,
        force: str | None = None,
        json_schema: bool = False,
    ) -> RouteDecision:
        """Decide where a request goes.

        Args:
            messages: What a chat model's `invoke` takes.
            tools: The tools that are bound, in any form.
            force: A tier's name or model id that is to be taken whatever the request needs.
            json_schema: The answer must follow a JSON schema natively.

        Raises:
            UnknownTierError: `force` names no tier.
            ConfigurationError: No tier can serve the request.
        """
        forced = None if force is None else self._named(force)
        score = self._scorer.score(messages, tools)
        if forced is None:
            needs = self._needs(messages, tools, json_schema=json_schema)
            choice = self._policy.choose(score.value, self.tiers, needs)
            tier, others = choice.tier, choice.alternatives
        else:
            tier, others = forced, ()
        return RouteDecision(
            tier=tier.name,
            model_id=tier.model_id,
            score=score.value,
            reasons=score.reasons,
            alternatives=tuple(other.name for other in others),
            forced=forced is not None,
        )

    def find(self, name: str) -> Tier | None:
        """A tier by its name or, failing that, by its model id."""
        by_name = [tier for tier in self.tiers if tier.name == name]
        by_id = [tier for tier in self.tiers if tier.model_id == name]
        return next(iter(by_name + by_id), None)

    def _named(self, name: str) -> Tier:
        if (tier := self.find(name)) is not None:
            return tier
        known = ", ".join(f"{tier.name!r} ({tier.model_id})" for tier in self.tiers)
        raise UnknownTierError(
            f"No tier is called {name!r} and none has this model id. Tiers: {known}."
        )

    def _needs(
        self, messages: LanguageModelInput, tools: Sequence[Any] | None, *, json_schema: bool
    ) -> Needs:
        total = read_conversation(messages).total
        tool_tokens = len(tools or ()) * _TOOL_TOKENS
        window = self._smallest_window
        may_be_tight = window is not None and (
            total.images > 0 or total.chars * _TOKENS_PER_CHAR + tool_tokens > window / 2
        )
        return Needs(
            tokens=total.tokens() + tool_tokens if may_be_tight else 0,
            images=total.images > 0,
            documents=total.documents > 0,
            tools=bool(tools),
            json_schema=json_schema,
        )
