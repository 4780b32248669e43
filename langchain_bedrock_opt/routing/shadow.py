"""Shadow mode: one tier answers everything, and decisions only tell what would have been done.

So a policy can be watched on real traffic before it acts. The tier that answers does so as if
there were no router: what it can't serve fails in its own words, no effort is set, nobody stands
in. Only data residency holds for it. Conversations are remembered as they would have gone, so
that the next turn's decision is the one that would have been made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langchain_core.language_models import LanguageModelInput

from langchain_bedrock_opt.contracts import Reason, RouteDecision
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.decider import Decider
from langchain_bedrock_opt.routing.policy import RoutingPolicy
from langchain_bedrock_opt.routing.records import REFUSED, Tier
from langchain_bedrock_opt.routing.scoring.scorer import ComplexityScore, Scorer
from langchain_bedrock_opt.routing.stickiness import Stickiness


class ShadowDecider(Decider):
    """Decides as its base does, and sends everything to one tier.

    Args:
        tiers: As in `Decider`.
        scorer: As in `Decider`.
        policy: As in `Decider`.
        stickiness: As in `Decider`.
        shadow: The name or model id of the tier that answers.

    Raises:
        ConfigurationError: As in `Decider`; or data may not go to the tier that answers.
        UnknownTierError: `shadow` names no tier.
    """

    def __init__(
        self,
        tiers: Sequence[Tier],
        scorer: Scorer,
        policy: RoutingPolicy,
        stickiness: Stickiness | None = None,
        *,
        shadow: str,
    ) -> None:
        super().__init__(tiers, scorer, policy, stickiness)
        self._answering = self.allowed(self.named(shadow), "given as the shadow")

    def decide(
        self,
        messages: LanguageModelInput,
        *,
        tools: Sequence[Any] | None = None,
        force: str | None = None,
        json_schema: bool = False,
        thread_id: object = None,
        remember: bool = False,
        score: ComplexityScore | None = None,
    ) -> RouteDecision:
        """As `Decider.decide`; without `force` the tier is the one that answers.

        A request that no tier can serve is no error here, as without a router it is not: then
        `shadow` is None, and a reason `refused` says so.
        """
        if score is None:
            score = self._scoring.score(messages, tools, is_forced=force is not None)
        try:
            decision = super().decide(
                messages,
                tools=tools,
                force=force,
                json_schema=json_schema,
                thread_id=thread_id,
                remember=remember,
                score=score,
            )
        except ConfigurationError:
            if force is not None:
                raise
            return self._refused(score.value, score.reasons)
        return decision if force is not None else self._shadowed(decision)

    def decide_unasked(
        self,
        messages: LanguageModelInput,
        default: Tier,
        *,
        tools: Sequence[Any] | None = None,
    ) -> RouteDecision:
        """As `Decider.decide_unasked`; the tier is the one that answers."""
        try:
            return self._shadowed(super().decide_unasked(messages, default, tools=tools))
        except ConfigurationError:
            return self._refused(0.0, ())

    def _shadowed(self, decision: RouteDecision) -> RouteDecision:
        able = {decision.tier, *decision.alternatives} - {self._answering.name}
        return replace(
            decision,
            tier=self._answering.name,
            model_id=self._answering.model_id,
            alternatives=tuple(tier.name for tier in self.tiers if tier.name in able),
            effort=None,
            propensity=1.0,
            shadow=decision.tier,
        )

    def _refused(self, score: float, reasons: Sequence[Reason]) -> RouteDecision:
        said = Reason(signal=REFUSED, weight=0.0, detail="no tier can take it")
        return RouteDecision(
            tier=self._answering.name,
            model_id=self._answering.model_id,
            score=score,
            reasons=(*reasons, said),
        )


def make_decider(
    tiers: Sequence[Tier],
    scorer: Scorer,
    policy: RoutingPolicy,
    stickiness: Stickiness | None,
    shadow: str | None,
) -> Decider:
    """A decider that acts, or one that only watches.

    Args:
        tiers: The tiers.
        scorer: Scores prompts.
        policy: Makes a tier of a score.
        stickiness: Remembers conversations, or None.
        shadow: The name or model id of the tier that answers everything; None to act.

    Raises:
        ConfigurationError: `shadow` is no text, or as in the two classes.
        UnknownTierError: `shadow` names no tier.
    """
    if shadow is None:
        return Decider(tiers, scorer, policy, stickiness)
    if not isinstance(shadow, str):
        raise ConfigurationError(f"shadow={shadow!r}: give a tier's name or model id, or None.")
    return ShadowDecider(tiers, scorer, policy, stickiness, shadow=shadow)
