"""The decision itself: score, needs, policy and stickiness put together. No model is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage

from langchain_bedrock_opt.contracts import Reason, RouteDecision
from langchain_bedrock_opt.errors import ConfigurationError, UnknownTierError
from langchain_bedrock_opt.routing.learning.feedback import cost_shares, decision_of
from langchain_bedrock_opt.routing.policy import RoutingPolicy
from langchain_bedrock_opt.routing.readers import check_reader
from langchain_bedrock_opt.routing.records import REFUSED, UNASKED, Choice, Needs, Tier
from langchain_bedrock_opt.routing.scoring.asking import Scoring
from langchain_bedrock_opt.routing.scoring.reading import read_conversation
from langchain_bedrock_opt.routing.scoring.remote import RemoteScorer
from langchain_bedrock_opt.routing.scoring.scorer import ComplexityScore, ComplexityScorer, Scorer
from langchain_bedrock_opt.routing.stickiness import Stickiness, place_of

_TOOL_TOKENS: Final = 150
"""What one tool's description takes of the context, about."""

_NO_DECISION: Final = frozenset({UNASKED, REFUSED})

_TOKENS_PER_CHAR: Final = 2.5
"""More than any text has: a context below this many tokens need not be estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What was awaited of a request, with the decider that goes on from there.

    A router that is calibrated in the meantime has another one, with thresholds for the scores of
    another scorer.

    Attributes:
        decider: Who decides.
        score: The score; None if the decider may ask its scorer itself.
    """

    decider: Decider
    score: ComplexityScore | None


class Decider:
    """Decides which tier takes a request.

    Args:
        tiers: The tiers, from the cheapest to the strongest.
        scorer: Scores prompts.
        policy: Makes a tier of a score.
        stickiness: Remembers which tier a conversation is with; None lets each request stand for
            itself.

    Raises:
        ConfigurationError: The policy's thresholds or its target don't fit the tiers or the
            scorer, it allows none of the tiers, its bandit lacks a price, or the scorer sends
            prompts where data may not go.
    """

    def __init__(
        self,
        tiers: Sequence[Tier],
        scorer: Scorer,
        policy: RoutingPolicy,
        stickiness: Stickiness | None = None,
    ) -> None:
        self.tiers = tuple(tiers)
        self._scoring = Scoring(scorer)
        self._stickiness = stickiness
        check_known(scorer, policy)
        if isinstance(scorer, RemoteScorer):
            role = f"What {type(scorer).__name__} asks,"
            check_reader(policy.residency, role, scorer.reader)
        self._policy = policy.fitted_to(self.tiers)
        self.thresholds = self._policy.thresholds_for([tier.name for tier in tiers])
        if all(self._policy.refusals(tier) for tier in self.tiers):
            self._policy.choose(0.0, self.tiers)  # raises, and says why of each
        windows = [tier.context_window for tier in tiers if tier.context_window]
        self._smallest_window = min(windows, default=None)
        self._turns = policy.turns
        bandit = policy.bandit
        self._cost_shares = {} if bandit is None else cost_shares(self.tiers, bandit.price_weight)

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
        """Decide where a request goes.

        Args:
            messages: What a chat model's `invoke` takes.
            tools: The tools that are bound, in any form.
            force: A tier's name or model id that is to be taken whatever the request needs.
            json_schema: The answer must follow a JSON schema natively.
            thread_id: The conversation's id, if it has one.
            remember: The request is sent: its conversation is with this tier from now on.
            score: The request's score, where it is known; None asks the scorer.

        Raises:
            UnknownTierError: `force` names no tier.
            ConfigurationError: No tier can serve the request, or the data may not go to the tier
                that `force` names.
        """
        forced = None if force is None else self.allowed(self.named(force))
        if score is None:
            score = self._scoring.score(messages, tools, is_forced=forced is not None)
        sticky, turns = self._stickiness, self._turns
        place = None if sticky is None else place_of(messages, thread_id)
        turn = None if turns is None or forced is not None else turns.of(messages, thread_id)
        if forced is None:
            at_least = None if sticky is None or place is None else sticky.tier_of(place)
            needs = self._needs(messages, tools, json_schema=json_schema, at_least=at_least)
            choice = self._policy.choose(score.value, self.tiers, needs, turn=turn)
        else:
            choice = Choice(tier=forced)
        if remember and sticky is not None and place is not None:
            sticky.remember(place, choice.tier.name)
        if remember and turns is not None and turn is not None:
            turns.keep(turn, choice)
        return RouteDecision(
            tier=choice.tier.name,
            model_id=choice.tier.model_id,
            score=score.value,
            reasons=(*score.reasons, *choice.reasons),
            alternatives=tuple(other.name for other in choice.alternatives),
            forced=forced is not None,
            effort=choice.effort,
            propensity=choice.propensity,
        )

    async def ascore(
        self,
        messages: LanguageModelInput,
        *,
        tools: Sequence[Any] | None = None,
        force: str | None = None,
    ) -> ComplexityScore | None:
        """Await a request's score, if the router's scorer has to wait for it.

        Args:
            messages: What a chat model's `invoke` takes.
            tools: The tools that are bound, in any form.
            force: The tier or model that the caller has named.

        Returns:
            The score for `decide`; None if that may ask the scorer itself.
        """
        return await self._scoring.ascore(messages, tools, is_forced=force is not None)

    def decide_unasked(
        self,
        messages: LanguageModelInput,
        default: Tier,
        *,
        tools: Sequence[Any] | None = None,
    ) -> RouteDecision:
        """Decide where a request goes that asks nothing: to a default tier, if it is able.

        Args:
            messages: What a chat model's `invoke` takes.
            default: The tier.
            tools: The tools that are bound, in any form.

        Raises:
            ConfigurationError: No tier can serve the request.
        """
        score = self.thresholds[self.tiers.index(default)]
        needs = self._needs(messages, tools, json_schema=False, at_least=None)
        choice = self._policy.choose(score, self.tiers, needs)
        unasked = Reason(signal=UNASKED, weight=0.0, detail="no human message")
        return RouteDecision(
            tier=choice.tier.name,
            model_id=choice.tier.model_id,
            score=score,
            reasons=(unasked, *choice.reasons),
            alternatives=tuple(other.name for other in choice.alternatives),
        )

    def remember(
        self, messages: LanguageModelInput, decision: RouteDecision, *, thread_id: object = None
    ) -> None:
        """Keep a conversation's tier warm: a request was sent that was not decided anew.

        In shadow mode the conversation is with the tier it would be with. A decision that was
        none, because nothing was asked or no tier was able, moves no conversation.

        Args:
            messages: The request.
            decision: The decision that the request goes by.
            thread_id: The conversation's id, if it has one.
        """
        if self._stickiness is not None and _NO_DECISION.isdisjoint(decision.notes):
            tier = decision.shadow or decision.tier
            self._stickiness.remember(place_of(messages, thread_id), tier)

    def feedback(
        self, answer: BaseMessage | RouteDecision | Mapping[str, Any], label: float
    ) -> bool:
        """Tell the policy's bandit how good an answer was.

        Args:
            answer: The message, its decision, or the decision as a dict.
            label: From 0 (useless) to 1 (good); True and False will do.

        Returns:
            Whether it counted; see `ThresholdBandit.learn`.

        Raises:
            ConfigurationError: The policy has no bandit, the answer no decision, or the label is
                not from 0 to 1.
            UnknownTierError: The decision is another router's.
        """
        if self._policy.bandit is None:
            raise ConfigurationError(
                "Nobody learns from feedback: give RoutingPolicy(bandit=ThresholdBandit())."
            )
        decision = decision_of(answer)
        return self._policy.bandit.learn(decision, label, cost_shares=self._cost_shares)

    def refusals(
        self, messages: LanguageModelInput, tools: Sequence[Any] | None = None
    ) -> list[list[str]]:
        """Why each tier can't or may not take a request; empty lists for those that may.

        Args:
            messages: What a chat model's `invoke` takes.
            tools: The tools that are bound, in any form.
        """
        needs = self._needs(messages, tools, json_schema=False, at_least=None)
        return [self._policy.refusals(tier, needs) for tier in self.tiers]

    def tokens_of(self, messages: LanguageModelInput, tools: Sequence[Any] | None = None) -> int:
        """The estimated tokens of a request and its tools.

        Args:
            messages: What a chat model's `invoke` takes.
            tools: The tools that are bound, in any form.
        """
        return read_conversation(messages).total.tokens() + len(tools or ()) * _TOOL_TOKENS

    def find(self, name: str) -> Tier | None:
        """A tier by its name or, failing that, by its model id."""
        by_name = [tier for tier in self.tiers if tier.name == name]
        by_id = [tier for tier in self.tiers if tier.model_id == name]
        return next(iter(by_name + by_id), None)

    def named(self, name: str) -> Tier:
        """A tier by its name or model id.

        Raises:
            UnknownTierError: There is none.
        """
        if (tier := self.find(name)) is not None:
            return tier
        known = ", ".join(f"{tier.name!r} ({tier.model_id})" for tier in self.tiers)
        raise UnknownTierError(
            f"No tier is called {name!r} and none has this model id. Tiers: {known}."
        )

    def allowed(self, tier: Tier, how: str = "forced") -> Tier:
        """A tier that is named from outside, if data may go there: nobody stands above that.

        Args:
            tier: The tier.
            how: What was done to name it.

        Raises:
            ConfigurationError: Data may not go there.
        """
        residency = self._policy.residency
        if residency is None or residency.allows(tier):
            return tier
        raise ConfigurationError(
            f"Tier {tier.name!r} ({tier.model_id}) was {how}, and lacks {residency.refusal(tier)}."
        )

    def _needs(
        self,
        messages: LanguageModelInput,
        tools: Sequence[Any] | None,
        *,
        json_schema: bool,
        at_least: str | None,
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
            at_least=at_least,
        )


def check_known(scorer: Scorer, policy: RoutingPolicy) -> None:
    """Check that a policy's target knows the scores that a scorer gives.

    Args:
        scorer: The scorer.
        policy: The policy.

    Raises:
        ConfigurationError: It has a target and no sample, and the scorer is the user's own.
    """
    if policy.target is None or policy.sample is not None:
        return
    if not isinstance(scorer, ComplexityScorer):
        raise ConfigurationError(
            f"{policy!r} needs a sample of prompts to know how {type(scorer).__name__} scores "
            "them: give the policy sample=ScoreSample.of(prompts, scorer)."
        )
