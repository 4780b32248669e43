"""`ChatBedrockRouter`: a chat model that hands each prompt to the right chat model.

Here a tier is chosen and tools are bound; `forwarding` has the calls themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

from langchain_core.callbacks import Callbacks
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.runnables.config import merge_configs
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field, PrivateAttr

from langchain_bedrock_opt.contracts import RouteDecision, UsageRecord
from langchain_bedrock_opt.routing.attempts import RoutedCall
from langchain_bedrock_opt.routing.calibrate import Present, calibrate
from langchain_bedrock_opt.routing.calibrated import CalibrationSource, settle
from langchain_bedrock_opt.routing.calibration import Calibration
from langchain_bedrock_opt.routing.channel import (
    FORCE_KEY,
    force_of,
    pop_force,
    thread_of,
    with_effort,
    with_route,
    without_run_id,
)
from langchain_bedrock_opt.routing.decider import Decider, check_known
from langchain_bedrock_opt.routing.escalation import Escalation, EscalationHistory, EscalationStats
from langchain_bedrock_opt.routing.examples import read_examples
from langchain_bedrock_opt.routing.explain import Explanation, explain
from langchain_bedrock_opt.routing.fallback import Fallback
from langchain_bedrock_opt.routing.forwarding import ForwardingChatModel
from langchain_bedrock_opt.routing.labels import Scale
from langchain_bedrock_opt.routing.off_policy import PolicyEstimate, judge
from langchain_bedrock_opt.routing.policy import RoutingPolicy
from langchain_bedrock_opt.routing.recovery import make_attempts
from langchain_bedrock_opt.routing.report import HasRecords, RoutingReport, report
from langchain_bedrock_opt.routing.scorer import ComplexityScore, Scorer
from langchain_bedrock_opt.routing.shadow import make_decider
from langchain_bedrock_opt.routing.stickiness import Stickiness, as_stickiness
from langchain_bedrock_opt.routing.structured import RoutedStructuredOutput
from langchain_bedrock_opt.routing.targets import TYPICAL_OUTPUT_TOKENS
from langchain_bedrock_opt.routing.tiers import (
    build_models,
    common_profile,
    describe_tier,
    params_of,
    split_params,
)
from langchain_bedrock_opt.routing.tools import BoundTools
from langchain_bedrock_opt.routing.translation import translate

# The package versions that LangChain puts into every model's metadata; each tier has its own.
_VERSIONS: Final = "lc_versions"

_Tools = Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool]


class ChatBedrockRouter(ForwardingChatModel):
    """A chat model that sends each prompt to the tier it needs.

    Works wherever a chat model does: chains, agents, `bind_tools`, `with_structured_output`,
    streaming, batches. Every decision is in the run's metadata under `"bedrock_opt_route"` and in
    the answer's `response_metadata["bedrock_opt"]["route"]`. The events of `astream_events` and
    `stream_events` are the tier's own: their metadata has the decision, their messages don't.

    One call may be sent to a certain tier, named by the tier or by its model id:
    `invoke(…, force="complex")`, `invoke(…, model="us.amazon.nova-pro-v1:0")`, or, through any
    chain or agent, `config={"configurable": {"force": "complex"}}`. The first of these holds. On
    Python 3.10 an async agent does not hand its config to its model: bind it there,
    `router.with_config(configurable={"force": "complex"})`, or use `BedrockRoutingMiddleware`.

    Within a tool loop the decision rests on the last human turn, so that an agent does not change
    its model between two steps.

    Args:
        tiers: Model ids or chat models by tier name, from the cheapest to the strongest.
        scorer: Scores prompts; `ComplexityScorer` by default. One that asks a network, such as
            `JudgeScorer`, is awaited by the asynchronous methods, and asked by `decide` and
            `explain`, too. If it fails, `ComplexityScorer` scores in its place.
        policy: Makes a tier of a score; `RoutingPolicy()` by default.
        sticky: Let a conversation go up a tier, but not down while its prompt cache is warm, which
            is for five minutes after its last turn. False routes each turn by itself; a
            `Stickiness` has settings of its own.
        escalate: When the next stronger tier answers in place of the one that was asked: True
            for refusals, empty and cut answers, malformed tool calls and failed schemas, or an
            `Escalation` with checks of your own. Both answers are runs, and both cost.
        fallback: Who is asked when a tier is throttled or not available: `"next"` for the nearest
            stronger tier (above the strongest, the nearest weaker one), or a dict such as
            `{"simple": "moderate"}`. Each tier is asked once. A tier that was waited for until the
            read timeout is not stood in for: its answer may have been paid for.
        history: Where escalation counts; one of its own by default. Routers that
            `configurable_fields` makes for a call share that of the router they are made from.
        calibration: What `calibrate` has learned, or the file it was saved to. It brings the
            scorer and the thresholds; thresholds or a target of the policy stand above its own.
        shadow: A tier's name or model id that answers every call, as if there were no router,
            while decisions only tell what it would have done; `force` still holds. There is
            neither escalation nor fallback.
        **params: Arguments of `ChatBedrockOptimized` (so also of `ChatBedrockConverse`) for the
            tiers given as ids. `callbacks`, `tags` and `metadata` hold for every tier.

    Raises:
        ConfigurationError: A tier is neither id nor chat model, the thresholds don't fit,
            parameters are given and no tier takes them, or the calibration can't be read, is for
            other tiers or for another scorer.
        UnknownTierError: `shadow` names no tier.

    Example:
        ```python
        from langchain_bedrock_opt import ChatBedrockRouter

        model = ChatBedrockRouter(
            tiers={
                "simple": "us.amazon.nova-lite-v1:0",
                "complex": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            },
            max_tokens=1000,
        )
        model.invoke("日本の首都は?").response_metadata["bedrock_opt"]["route"]["tier"]  # simple
        ```
    """

    tiers: Mapping[str, Any]
    """Model ids or chat models by tier name, as given."""

    scorer: Any = Field(exclude=True)
    """What scores prompts."""

    policy: Any = Field(exclude=True)
    """What makes a tier of a score."""

    sticky: Any = Field(default=True, exclude=True, repr=False)
    """What remembers which tier a conversation is with, or False."""

    params: dict[str, Any] = Field(default_factory=dict, exclude=True, repr=False)
    """Arguments for the tiers given as ids."""

    escalate: Any = Field(default=None, exclude=True)
    """When a stronger tier answers in place of the one that was asked."""

    fallback: Any = Field(default=None, exclude=True)
    """Who is asked when a tier can't be reached."""

    calibration: Any = Field(default=None, exclude=True, repr=False)
    """What was learned from labels, if the router is calibrated."""

    history: Any = Field(default=None, exclude=True, repr=False)
    """What escalation has counted so far; `escalation_stats` tells."""

    shadow: Any = Field(default=None, exclude=True)
    """The tier that answers while the policy's decisions are only told."""

    _models: dict[str, BaseChatModel] = PrivateAttr()
    _decider: Decider = PrivateAttr()

    def __init__(
        self,
        *,
        tiers: Mapping[str, str | BaseChatModel],
        scorer: Scorer | None = None,
        policy: RoutingPolicy | None = None,
        sticky: bool | Stickiness = True,
        escalate: bool | Escalation | None = None,
        fallback: Fallback = None,
        calibration: CalibrationSource | None = None,
        history: EscalationHistory | None = None,
        shadow: str | None = None,
        **params: Any,
    ) -> None:
        # Checked here and not in validators, which would wrap our one-line errors in pydantic's.
        own, for_tiers = split_params(params)
        models = build_models(tiers, for_tiers)
        scorer, policy, calibration = settle(models, scorer, policy, calibration)
        facts = [describe_tier(name, model) for name, model in models.items()]
        # It and the history are fields: `configurable_fields` makes a router anew for each call.
        stickiness = as_stickiness(sticky)
        decider = make_decider(facts, scorer, policy, stickiness, shadow)
        history = history or EscalationHistory()
        attempts = make_attempts(
            models, escalate, fallback, for_tiers, policy=policy, history=history
        )
        own.setdefault("profile", common_profile(models))
        super().__init__(
            tiers=tiers,  # type: ignore[call-arg] # pydantic's fields, unknown to the base class
            scorer=scorer,
            policy=policy,
            sticky=False if stickiness is None else stickiness,
            params=for_tiers,
            escalate=escalate,
            fallback=fallback,
            calibration=calibration,
            history=history,
            shadow=shadow,
            **own,
        )
        self._models = models
        self._attempts = attempts
        self._decider = decider

    @property
    def models(self) -> Mapping[str, BaseChatModel]:
        """The chat model of each tier, from the cheapest to the strongest."""
        return dict(self._models)

    @property
    def _llm_type(self) -> str:
        return "amazon_bedrock_router"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "tiers": {
                tier.name: {"model_id": tier.model_id, **params_of(self._models[tier.name])}
                for tier in self._decider.tiers
            },
            "policy": repr(self.policy),
            "thresholds": self._decider.thresholds,
            "scorer": type(self.scorer).__name__,
            **({} if self.shadow is None else {"shadow": self.shadow}),
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        # Runs are the tiers' own and have the tier's parameters; these are for whoever asks the
        # router itself.
        sampling = {name: self.params.get(name) for name in ("temperature", "max_tokens")}
        kwargs = {**sampling, **kwargs}
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_provider"] = "amazon_bedrock"
        named = kwargs.get("model") or self._decider.tiers[0].name
        tier = self._decider.find(str(named))
        params["ls_model_name"] = tier.model_id if tier else str(named)
        return params

    # --- Deciding ---

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
        refit: bool = True,
        seed: int = 0,
    ) -> Calibration:
        """Learn from labelled answers which prompts which tier is good enough for.

        Refits the scorer's weights, finds out how good each tier is by the score, and sets the
        thresholds so that a target is met. Everything is judged by cross-validation; if the
        weights are no better than those that were there, nothing is changed. Else the router goes
        by the new ones from the next call on, also while it is in use by other threads.

        Args:
            examples: A path to JSON lines or CSV, also with `.gz`; mappings or `Example`s; or a
                ledger or usage records, with `labels`. Rows have the prompt as `prompt`,
                `messages`, `question`, `text` or `input`, and how good the answer was as `label`,
                `correct`, `rating`, `grade`, `score` or `thumbs` with the `tier` (by default the
                cheapest); or in `outcomes` by tier; or in a column for each tier. Records hold no
                prompts, so with them the weights are kept.
            quality: How good the answers must be, as a share of the strongest tier's.
            cost_share: What all calls may cost, as a share of the strongest tier alone.
            shares: What share of the prompts each tier takes. Without any of the three, what the
                policy has holds, or the shares that the tiers have of these prompts now.
            scale: What the worst and the best answer get, such as `(1, 5)`, where labels are
                numbers that are not from 0 to 1.
            labels: How good answers were, by the run id of usage records.
            refit: False keeps the weights, and fits curves and thresholds only. Weights that were
                learned before need prompts that they have not seen then.
            seed: Of the parts of cross-validation and the draws for confidence intervals.

        Returns:
            What was learned, with the figures that say what it is worth.

        Raises:
            CalibrationError: There are under 100 labelled prompts, all labels are equal, or what
                was learned is no better. The router is unchanged.
            ConfigurationError: A row is malformed, or the target can't be reached.
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
        self.scorer, self.policy, self.calibration = scorer, policy, found
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
        labels: Mapping[str, float],
        price_weight: float = 0.0,
    ) -> PolicyEstimate:
        """Estimate what another policy would have got, by calls that this router has logged.

        Args:
            records: Usage records of calls that were explored, or a ledger that has them.
            policy: The other policy.
            labels: How good answers were, from 0 to 1, by the run id of their call.
            price_weight: What a US dollar is worth, in units of the label.

        Returns:
            The estimates with their intervals; see `off_policy.judge`, which says what they
            assume and has more arguments. A notebook shows them as a table.

        Raises:
            ConfigurationError: Nothing was explored, no labelled call can be judged, or an
                argument is not what it can be.
        """
        check_known(self.scorer, policy)
        return judge(
            records, policy, tiers=self._decider.tiers, labels=labels, price_weight=price_weight
        )

    def _plan(
        self,
        messages: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
        score: ComplexityScore | None = None,
    ) -> RoutedCall:
        return self._call(messages, config, kwargs, score, remember=True)

    async def _ascore(
        self, messages: LanguageModelInput, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> ComplexityScore | None:
        force = force_of(kwargs, ensure_config(config))
        return await self._decider.ascore(messages, tools=kwargs.get("tools"), force=force)

    def _call(
        self,
        messages: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
        score: ComplexityScore | None,
        *,
        remember: bool,
    ) -> RoutedCall:
        config = self._own_config(ensure_config(config))
        kwargs = dict(kwargs)
        force = pop_force(kwargs, config)
        tools = kwargs.get("tools")
        decision = self._decider.decide(
            messages,
            tools=tools,
            force=force,
            thread_id=thread_of(config),
            remember=remember,
            score=score,
        )
        model = self._models[decision.tier]
        if isinstance(tools, BoundTools):
            binding = tools.bound_to(model)
            del kwargs["tools"]
            model, kwargs = cast("BaseChatModel", binding.bound), {**binding.kwargs, **kwargs}
        decision = with_effort(decision, kwargs)
        route = decision.as_dict()
        return RoutedCall(model=model, route=route, config=with_route(config, route), kwargs=kwargs)

    def _replan(
        self,
        tier: str,
        first: RoutedCall,
        messages: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
    ) -> RoutedCall:
        fitted = translate(kwargs, first.model, self._models[tier])
        own = without_run_id(config)
        score = ComplexityScore(value=first.route["score"])
        # A stand-in says nothing of where the conversation belongs.
        return self._call(messages, own, {**fitted, FORCE_KEY: tier}, score, remember=False)

    def _own_config(self, config: RunnableConfig) -> RunnableConfig:
        """A call's config with the router's own callbacks, tags and metadata."""
        own = {name: value for name, value in (self.metadata or {}).items() if name != _VERSIONS}
        config = {
            **config,
            "tags": [*(self.tags or ()), *(config.get("tags") or ())],
            "metadata": {**own, **(config.get("metadata") or {})},
        }
        if self.callbacks:
            config["callbacks"] = _joined(self.callbacks, config.get("callbacks"))
        return config

    def escalation_stats(self) -> EscalationStats:
        """What escalation has done so far: how often, why, and what it cost and saved."""
        return cast("EscalationHistory", self.history).stats()

    # --- Binding ---

    def bind_tools(
        self, tools: _Tools, *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools, in the form of whichever tier will be chosen.

        Tiers that can't call tools are passed over. Whether the chosen one supports the tool
        choice shows when it is called.

        Args:
            tools: Tools in any form the tiers take.
            tool_choice: As in `ChatBedrockConverse.bind_tools`.
            **kwargs: More arguments for the tiers' `bind_tools`.
        """
        options = {"tool_choice": tool_choice, **kwargs}
        return self.bind(tools=BoundTools(tools, options))

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Have the answer in the form of a schema.

        Args:
            schema: A pydantic class, a `TypedDict` or a JSON schema.
            include_raw: Give the message and a parsing error as well.
            **kwargs: `method` and `strict`. `method="json_schema"` and any `strict` are handed to
                the chosen tier's own `with_structured_output`; without them the tier is asked to
                call a tool.

        Returns:
            A runnable that gives an instance of the class, or a dict.
        """
        method = kwargs.get("method", "function_calling")
        if method not in {"json_schema", "prompt_prefill"} and kwargs.get("strict") is None:
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        return RoutedStructuredOutput(
            decider=lambda: self._decider,
            models=self._models,
            schema=schema,
            options={"include_raw": include_raw, **kwargs},
            add_config=self._own_config,
            attempts=self._attempts,
        )

    # --- Counting: the cheapest tier speaks for all, as their tokenizers are not far apart ---

    def get_token_ids(self, text: str) -> list[int]:
        """The token ids of a text, by the first tier's tokenizer."""
        return self._first.get_token_ids(text)

    def get_num_tokens(self, text: str) -> int:
        """The number of tokens of a text, by the first tier's tokenizer."""
        return self._first.get_num_tokens(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """The number of tokens of messages, by the first tier's tokenizer."""
        return self._first.get_num_tokens_from_messages(messages, tools)

    @property
    def _first(self) -> BaseChatModel:
        return next(iter(self._models.values()))


def _joined(own: Callbacks, callbacks: Callbacks) -> Callbacks:
    """The router's callbacks and those of a call, each once."""
    configs = RunnableConfig(callbacks=own), RunnableConfig(callbacks=callbacks)
    joined = merge_configs(*configs)["callbacks"]
    if isinstance(joined, list):
        joined = [each for index, each in enumerate(joined) if each not in joined[:index]]
    return joined
