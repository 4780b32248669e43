"""What a router tells and learns without calling a model.

Its decisions, why they were made, what they came to, and what changes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from pydantic import Field, PrivateAttr

from langchain_bedrock_opt.contracts import RouteDecision, UsageRecord
from langchain_bedrock_opt.routing.decider import Decider, check_known
from langchain_bedrock_opt.routing.explain import Explanation, explain
from langchain_bedrock_opt.routing.forwarding import ForwardingChatModel
from langchain_bedrock_opt.routing.learning.calibrate import Present, calibrate
from langchain_bedrock_opt.routing.learning.calibration import Calibration
from langchain_bedrock_opt.routing.learning.examples import read_examples
from langchain_bedrock_opt.routing.learning.labels import Scale
from langchain_bedrock_opt.routing.learning.off_policy import PolicyEstimate, judge
from langchain_bedrock_opt.routing.policy import RoutingPolicy
from langchain_bedrock_opt.routing.records import HasRecords
from langchain_bedrock_opt.routing.report import RoutingReport, report
from langchain_bedrock_opt.routing.shadow import make_decider
from langchain_bedrock_opt.routing.stickiness import as_stickiness
from langchain_bedrock_opt.routing.targets import TYPICAL_OUTPUT_TOKENS


class DecidingChatModel(ForwardingChatModel):
    """A chat model that decides by a scorer and a policy; subclasses make calls of decisions."""

    scorer: Any = Field(exclude=True)
    """What scores prompts."""

    policy: Any = Field(exclude=True)
    """What makes a tier of a score."""

    sticky: Any = Field(default=True, exclude=True, repr=False)
    """What remembers which tier a conversation is with, or False."""

    calibration: Any = Field(default=None, exclude=True, repr=False)
    """What was learned from labels, if the router is calibrated."""

    shadow: Any = Field(default=None, exclude=True)
    """The tier that answers while the policy's decisions are only told."""

    _decider: Decider = PrivateAttr()

    def decide(
        self,
        messages: LanguageModelInput,
        tools: Sequence[Any] | None = None,
        force: str | None = None,
    ) -> RouteDecision:
        """Decide where a prompt would go, without calling any model.

        Args:
            messages: What `invoke` takes.
            tools: The tools that are bound, in any form.
            force: A tier's name or model id that is to be taken whatever the prompt.

        Returns:
            The decision, with score and reasons.

        Raises:
            UnknownTierError: `force` names no tier.
            ConfigurationError: No tier can serve the request.
        """
        return self._decider.decide(messages, tools=tools, force=force)

    def explain(
        self,
        messages: LanguageModelInput,
        tools: Sequence[Any] | None = None,
        force: str | None = None,
        *,
        output_tokens: int = TYPICAL_OUTPUT_TOKENS,
    ) -> Explanation:
        """Say why a prompt would go where it goes, without calling any model.

        Args:
            messages: What `invoke` takes.
            tools: The tools that are bound, in any form.
            force: A tier's name or model id that is to be taken whatever the prompt.
            output_tokens: Tokens that the answer is taken to have, for the estimated costs.

        Returns:
            The decision, the thresholds, the reasons and each tier's estimated cost. A notebook
            shows it as a table.

        Raises:
            UnknownTierError: `force` names no tier.
            ConfigurationError: No tier can serve the request.
        """
        return explain(
            self._decider, messages, tools=tools, force=force, output_tokens=output_tokens
        )

    def report(
        self,
        records: Iterable[UsageRecord] | HasRecords,
        *,
        labels: Mapping[str, Any] | None = None,
        scale: Scale | None = None,
    ) -> RoutingReport:
        """Sum up what routing did, and what each tier alone would have cost.

        Args:
            records: Usage records, or a ledger that has them.
            labels: How good answers were, by run id.
            scale: What the worst and the best answer get, where labels are not from 0 to 1.

        Returns:
            The mix of tiers, what had a say besides the score, the costs and, for a calibrated
            router, the share of good answers that is expected. A notebook shows it as a table.

        Raises:
            ConfigurationError: `records` is neither, or a label is none.
        """
        tiers, calibration = self._decider.tiers, self.calibration
        return report(records, tiers, calibration=calibration, labels=labels, scale=scale)

    def calibrate(
        self,
        examples: Any,
        *,
        quality: float | None = None,
        cost_share: float | None = None,
        shares: Sequence[float] | None = None,
        scale: Scale | None = None,
        labels: Mapping[str, Any] | None = None,
        refit: bool | None = None,
        seed: int = 0,
    ) -> Calibration:
        """Learn from labelled answers which prompts which tier is good enough for.

        Refits the scorer's weights, if it has any, finds out how good each tier is by the score,
        and sets the thresholds so that a target is met. New weights are judged by
        cross-validation; if they are no better than what was there, nothing is changed. Else the
        router goes by the new ones from the next call on, also while it is in use by other threads.
        The policy's bandit forgets what it has learned about the thresholds that were there.

        Args:
            examples: A path to JSON lines or CSV, also with `.gz`; mappings or `Example`s; or a
                ledger or usage records, with `labels`. Rows have the prompt as `prompt`,
                `messages`, `question`, `text` or `input`, and how good the answer was as `label`,
                `correct`, `rating`, `grade`, `score` or `thumbs` with the `tier` (by default the
                cheapest); or in `outcomes` by tier; or in a column for each tier. Records hold no
                prompts, so with them the weights are kept, and a prompt that was asked several
                times counts as often. They tell of a tier only where it was asked, so thresholds
                rise only as far as the log has explored. An escalated answer counts as a bad one of
                the tier that was asked first; calls without a score of the scorer's own are left
                out.
            quality: How good the answers must be, as a share of the strongest tier's.
            cost_share: What all calls may cost, as a share of the strongest tier alone.
            shares: What share of the prompts each tier takes. Without any of the three, what the
                policy has holds, or the shares that the tiers have of these prompts now.
            scale: What the worst and the best answer get, such as `(1, 5)`, where labels are
                numbers that are not from 0 to 1.
            labels: How good answers were, by the run id of usage records.
            refit: False keeps the scorer, and fits curves and thresholds only. A scorer that has
                learned needs prompts that it has not seen then. By default `ComplexityScorer` and
                `LearnedScorer` are refitted, and others kept; True has a `LearnedScorer` replace
                any other, such as a `JudgeScorer`.
            seed: Of the parts of cross-validation and the draws for confidence intervals.

        Returns:
            What was learned, with the figures that say what it is worth.

        Raises:
            CalibrationError: There are under 100 labelled prompts, all labels are equal, what was
                learned is no better, or a threshold would rise to where the records hold no labels
                of the tier below. The router is unchanged.
            ConfigurationError: A row is malformed, the target can't be reached, or the scorer
                failed for some of the prompts.
        """
        decider, policy = self._decider, self.policy
        present = Present(
            tiers=decider.tiers,
            scorer=self.scorer,
            thresholds=decider.thresholds,
            policy=policy,
            calibration=self.calibration,
        )
        targets = {"quality": quality, "cost_share": cost_share, "shares": shares}
        cases = read_examples(examples, decider.tiers, labels=labels, scale=scale)
        found = calibrate(cases, present, targets=targets, refit=refit, seed=seed)
        scorer = found.scorer or self.scorer
        policy = policy.with_thresholds(found.thresholds)
        # A call asks the decider once: it sees all of the old one, or all of this one.
        sticky = as_stickiness(self.sticky)
        self._decider = make_decider(decider.tiers, scorer, policy, sticky, self.shadow)
        # `configurable_fields` reads the fields one by one, maybe while they change: it goes on
        # with the dict that it has begun, which stays as it was.
        values = {"scorer": scorer, "policy": policy, "calibration": found}
        object.__setattr__(self, "__dict__", {**self.__dict__, **values})
        if policy.bandit is not None:
            policy.bandit.reset()
        return found

    def feedback(self, answer: AIMessage | RouteDecision | Mapping[str, Any], label: float) -> bool:
        """Tell the policy's bandit how good an answer was.

        Args:
            answer: The answer of this router or of one like it, its decision, or that as a dict.
            label: From 0 (useless) to 1 (good); True and False will do.

        Returns:
            Whether it counted: it does where the bandit had a say in the choice of the tier.

        Raises:
            ConfigurationError: The policy has no bandit, the answer no decision, or the label is
                not from 0 to 1.
            UnknownTierError: The decision is for a tier that this router does not have.
        """
        return self._decider.feedback(answer, label)

    def off_policy(
        self,
        records: Iterable[UsageRecord] | HasRecords,
        policy: RoutingPolicy,
        *,
        labels: Mapping[str, Any],
        scale: Scale | None = None,
        price_weight: float = 0.0,
    ) -> PolicyEstimate:
        """Estimate what another policy would have got, by calls that this router has logged.

        Args:
            records: Usage records of calls that were explored, or a ledger that has them.
            policy: The other policy. Its target asks the sample of the router's calibration, if it
                has none of its own.
            labels: How good answers were, by the run id of their call.
            scale: What the worst and the best answer get, where labels are not from 0 to 1.
            price_weight: What a US dollar is worth, in units of the label.

        Returns:
            The estimates with their intervals; see `off_policy.judge`, which says what they
            assume and has more arguments. A notebook shows them as a table.

        Raises:
            ConfigurationError: Nothing was explored, no labelled call can be judged, or an
                argument is not what it can be.
        """
        if self.calibration is not None and policy.target is not None and policy.sample is None:
            policy = policy.with_sample(self.calibration.sample)
        check_known(self.scorer, policy)
        return judge(
            records,
            policy,
            tiers=self._decider.tiers,
            labels=labels,
            scale=scale,
            price_weight=price_weight,
        )
