"""`ChatBedrockRouter`: a chat model that hands each prompt to the right chat model.

Here calls are planned and tools are bound; `deciding` has the decisions, `forwarding` the calls
themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from langchain_core.callbacks import Callbacks
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.runnables.config import merge_configs
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field, PrivateAttr

from langchain_bedrock_opt.routing.channel import (
    FORCE_KEY,
    force_of,
    pop_force,
    thread_of,
    with_effort,
    with_route,
    without_run_id,
)
from langchain_bedrock_opt.routing.decider import Scored
from langchain_bedrock_opt.routing.deciding import DecidingChatModel
from langchain_bedrock_opt.routing.learning.calibrated import CalibrationSource, settle
from langchain_bedrock_opt.routing.policy import RoutingPolicy
from langchain_bedrock_opt.routing.recovery.attempts import RoutedCall
from langchain_bedrock_opt.routing.recovery.escalation import (
    Escalation,
    EscalationHistory,
    EscalationStats,
)
from langchain_bedrock_opt.routing.recovery.fallback import Fallback
from langchain_bedrock_opt.routing.recovery.setup import make_attempts
from langchain_bedrock_opt.routing.recovery.translation import translate
from langchain_bedrock_opt.routing.scoring.scorer import ComplexityScore, Scorer
from langchain_bedrock_opt.routing.shadow import make_decider
from langchain_bedrock_opt.routing.stickiness import Stickiness, as_stickiness
from langchain_bedrock_opt.routing.structured import RoutedStructuredOutput
from langchain_bedrock_opt.routing.tiers import (
    build_models,
    common_profile,
    describe_tier,
    params_of,
    split_params,
)
from langchain_bedrock_opt.routing.tools import BoundTools

# The package versions that LangChain puts into every model's metadata; each tier has its own.
_VERSIONS: Final = "lc_versions"

_Tools = Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool]


class ChatBedrockRouter(DecidingChatModel):
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
            `explain`, too. If it fails, another one scores in its place, and so it is where
            the tier is named and the network need not be asked: the `otherwise` of `JudgeScorer`
            and its like, and `ComplexityScorer` for all others.
        policy: Makes a tier of a score; `RoutingPolicy()` by default.
        sticky: Let a conversation go up a tier, but not down while its prompt cache is warm, which
            is for five minutes after its last turn. False routes each turn by itself; a
            `Stickiness` has settings of its own.
        escalate: When the next stronger tier answers in place of the one that was asked: True
            for refusals, empty and cut answers, malformed tool calls and failed schemas, or an
            `Escalation` with checks of your own. Both answers are runs, and both cost.
        fallback: Who is asked when a tier is throttled or not available: `"next"` for the nearest
            stronger tier (above the strongest, the nearest weaker one), or a dict such as
            `{"simple": "moderate"}`. Each tier is asked once. An error that would come again, such
            as a model without access, is the caller's; so is a read timeout, as the answer may
            have been paid for.
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

    params: dict[str, Any] = Field(default_factory=dict, exclude=True, repr=False)
    """Arguments for the tiers given as ids."""

    escalate: Any = Field(default=None, exclude=True)
    """When a stronger tier answers in place of the one that was asked."""

    fallback: Any = Field(default=None, exclude=True)
    """Who is asked when a tier can't be reached."""

    history: Any = Field(default=None, exclude=True, repr=False)
    """What escalation has counted so far; `escalation_stats` tells."""

    _models: dict[str, BaseChatModel] = PrivateAttr()

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

    # --- Planning ---

    def _plan(
        self,
        messages: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
        scored: Scored | None = None,
    ) -> RoutedCall:
        return self._call(messages, config, kwargs, scored, remember=True)

    async def _ascore(
        self, messages: LanguageModelInput, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> Scored:
        decider, force = self._decider, force_of(kwargs, ensure_config(config))
        score = await decider.ascore(messages, tools=kwargs.get("tools"), force=force)
        return Scored(decider=decider, score=score)

    def _call(
        self,
        messages: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
        scored: Scored | None,
        *,
        remember: bool,
    ) -> RoutedCall:
        config = self._own_config(ensure_config(config))
        kwargs = dict(kwargs)
        force = pop_force(kwargs, config)
        tools = kwargs.get("tools")
        scored = scored or Scored(decider=self._decider, score=None)
        decision = scored.decider.decide(
            messages,
            tools=tools,
            force=force,
            thread_id=thread_of(config),
            remember=remember,
            score=scored.score,
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
        known = Scored(decider=self._decider, score=score)
        # A stand-in says nothing of where the conversation belongs.
        return self._call(messages, own, {**fitted, FORCE_KEY: tier}, known, remember=False)

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
