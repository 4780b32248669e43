"""`BedrockRoutingMiddleware`: routing inside of LangChain's `create_agent`.

This module needs `langchain` (the extra `agents`), and nothing else in the package imports it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, cast
from uuid import uuid4

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from typing_extensions import NotRequired

from langchain_bedrock_opt.contracts import ROUTE_METADATA_KEY, RouteDecision
from langchain_bedrock_opt.errors import MissingExtraError
from langchain_bedrock_opt.routing.channel import mark_message, pop_force, thread_of, with_effort
from langchain_bedrock_opt.routing.learning.calibrated import CalibrationSource, settle
from langchain_bedrock_opt.routing.policy import RoutingPolicy
from langchain_bedrock_opt.routing.scoring.scorer import ComplexityScore, Scorer
from langchain_bedrock_opt.routing.shadow import make_decider
from langchain_bedrock_opt.routing.stickiness import Stickiness, as_stickiness
from langchain_bedrock_opt.routing.tiers import build_models, describe_tier

try:
    from langchain.agents.middleware import (
        AgentMiddleware,
        AgentState,
        ExtendedModelResponse,
        ModelRequest,
        ModelResponse,
        TracePolicy,
        omit_payload,
    )
    from langchain.agents.middleware.types import OmitFromSchema
    from langgraph.runtime import Runtime
    from langgraph.types import Command
except ImportError as error:
    raise MissingExtraError("BedrockRoutingMiddleware", "agents") from error

_STATE_KEY: Final = "bedrock_opt_route"
_RUN: Final = "run"
_FORCE: Final = "force"
_THREAD: Final = "thread_id"
_DECISION: Final = "decision"

_NO_CONFIG: Final = RunnableConfig()

_MAX_RUNS: Final = 1000
"""Runs at once whose default model is remembered."""


class RoutingState(AgentState[Any]):
    """The agent's state with the route of its run, which no schema shows."""

    bedrock_opt_route: NotRequired[
        Annotated[dict[str, Any], OmitFromSchema(input=True, output=True)]
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A model call on its way.

    Attributes:
        request: What goes on, with the tier's model in it.
        route: The decision as a dict.
        state: What the agent's state is to hold of it; None if it does already.
    """

    request: ModelRequest[Any]
    route: dict[str, Any]
    state: dict[str, Any] | None


class BedrockRoutingMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Sends each run of an agent to the tier its question needs.

    The tier is chosen once a run, at the first model call, when the agent's tools and system
    prompt are known, and holds through the run's tool loop. Unlike with a `ChatBedrockRouter` as
    the agent's model, the model that is called is the tier's own, so middleware that asks what
    kind of model it has before it, such as `BedrockPromptCachingMiddleware`, works.

    Only the agent's default model is replaced: a model that another middleware has put in its
    place, such as `ModelFallbackMiddleware` after an error, stays. Put this middleware first in
    the list, before others that choose models.

    The decision is in the metadata of each model run under `"bedrock_opt_route"`, and in the
    answers' `response_metadata["bedrock_opt"]["route"]`. A run can be sent to a certain tier by
    `config={"configurable": {"force": "complex"}}`.

    Args:
        tiers: Model ids or chat models by tier name, from the cheapest to the strongest.
        scorer: Scores questions; `ComplexityScorer` by default.
        policy: Makes a tier of a score; `RoutingPolicy()` by default.
        sticky: As in `ChatBedrockRouter`: across the runs of a conversation.
        default: The tier for a run without a human message; the first by default.
        calibration: As in `ChatBedrockRouter`: what a router has learned, or its file.
        shadow: As in `ChatBedrockRouter`: a tier's name or model id that takes every run, while
            decisions only tell what the policy would have done.
        **params: Arguments of `ChatBedrockOptimized` for the tiers given as ids.

    Raises:
        ConfigurationError: A tier is neither id nor chat model, the thresholds or the calibration
            don't fit, or parameters are given and no tier takes them.
        UnknownTierError: `default` or `shadow` names no tier.
        MissingExtraError: `langchain` is not installed.

    Example:
        ```python
        from langchain.agents import create_agent
        from langchain_bedrock_opt import BedrockRoutingMiddleware

        routing = BedrockRoutingMiddleware(
            tiers={
                "simple": "us.amazon.nova-lite-v1:0",
                "complex": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            },
        )
        agent = create_agent(routing.models["simple"], tools=[...], middleware=[routing])
        agent.invoke({"messages": [("human", "日本の首都は?")]})
        ```
    """

    # Middleware of several state types can't stand in one list, for a type checker.
    state_schema = cast("type[AgentState[Any]]", RoutingState)
    trace_policy = TracePolicy(process_inputs=omit_payload)

    def __init__(
        self,
        *,
        tiers: Mapping[str, str | BaseChatModel],
        scorer: Scorer | None = None,
        policy: RoutingPolicy | None = None,
        sticky: bool | Stickiness = True,
        default: str | None = None,
        calibration: CalibrationSource | None = None,
        shadow: str | None = None,
        **params: Any,
    ) -> None:
        super().__init__()
        self._models = build_models(tiers, params)
        facts = [describe_tier(name, model) for name, model in self._models.items()]
        scorer, policy, _ = settle(self._models, scorer, policy, calibration)
        self._decider = make_decider(facts, scorer, policy, as_stickiness(sticky), shadow)
        self._default = self._decider.named(default or next(iter(self._models)))
        self._defaults = _AgentModels()

    @property
    def models(self) -> Mapping[str, BaseChatModel]:
        """The chat model of each tier, from the cheapest to the strongest."""
        return dict(self._models)

    def feedback(self, answer: AIMessage | RouteDecision | Mapping[str, Any], label: float) -> bool:
        """Tell the policy's bandit how good an answer was, as `ChatBedrockRouter.feedback` does.

        Args:
            answer: An answer of the agent, its decision, or that as a dict.
            label: From 0 (useless) to 1 (good); True and False will do.

        Returns:
            Whether it counted.

        Raises:
            ConfigurationError: The policy has no bandit, the answer no decision, or the label is
                not from 0 to 1.
            UnknownTierError: The decision is for a tier that is not here.
        """
        return self._decider.feedback(answer, label)

    # LangGraph hands the config to a hook that has a parameter for it. What `ensure_config` finds
    # is empty in async agents on Python 3.10, where tasks don't get their caller's context.

    def before_agent(
        self,
        state: AgentState[Any],  # noqa: ARG002 - the hook's signature
        runtime: Runtime[Any],  # noqa: ARG002 - likewise
        config: RunnableConfig = _NO_CONFIG,
    ) -> dict[str, Any]:
        """Begin a run: what an earlier run of the thread was routed to is over.

        Args:
            state: The agent's state.
            runtime: The run's runtime.
            config: The run's config.
        """
        thread = thread_of(config)
        return {
            _STATE_KEY: {
                _RUN: uuid4().hex,
                _FORCE: pop_force({}, config),
                _THREAD: None if thread is None else str(thread),  # a checkpoint has to hold it
            }
        }

    async def abefore_agent(
        self,
        state: AgentState[Any],
        runtime: Runtime[Any],
        config: RunnableConfig = _NO_CONFIG,
    ) -> dict[str, Any]:
        """As `before_agent`."""
        return self.before_agent(state, runtime, config)

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Call the run's tier in place of the agent's default model.

        Args:
            request: The model call.
            handler: Calls the model.

        Raises:
            UnknownTierError: The config forces a tier that does not exist.
            ConfigurationError: No tier can serve the request.
        """
        plan = self._plan(request)
        return handler(request) if plan is None else _answered(handler(plan.request), plan)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """As `wrap_model_call`, asynchronously."""
        plan = self._plan(request, await self._ascore(request))
        if plan is None:
            return await handler(request)
        return _answered(await handler(plan.request), plan)

    async def _ascore(self, request: ModelRequest[Any]) -> ComplexityScore | None:
        """Await the score of a run that is to be decided now; None where it is not needed."""
        kept = _kept(request)
        messages = _messages(request)
        is_decided = kept.get(_DECISION) is not None
        if is_decided or not _asks(messages) or request.model is not self._note_default(request):
            return None
        return await self._decider.ascore(messages, tools=_tools(request), force=kept.get(_FORCE))

    def _note_default(self, request: ModelRequest[Any]) -> BaseChatModel:
        """The default model of the request's run, noted if this is its first call.

        If it is not the request's, another middleware has put one in its place.
        """
        return self._defaults.note(_kept(request).get(_RUN), request.model)

    def _plan(
        self, request: ModelRequest[Any], score: ComplexityScore | None = None
    ) -> _Plan | None:
        """Where a model call goes; None to leave it alone."""
        if request.model is not self._note_default(request):
            return None
        kept = _kept(request)
        decided = kept.get(_DECISION)
        decision = self._decision(request, kept, score)
        asked = {**request.model_settings, "tool_choice": request.tool_choice}
        if request.response_format is not None:
            asked["tool_choice"] = "any"  # by which the agent may ask for its form
        route = with_effort(decision, asked).as_dict()
        del asked["tool_choice"]
        model = self._models[decision.tier]
        # A copy of the model tells callbacks of the decision: middleware can't reach the config
        # of the model's run.
        metadata = {**(model.metadata or {}), ROUTE_METADATA_KEY: route}
        return _Plan(
            request=request.override(
                model=model.model_copy(update={"metadata": metadata}), model_settings=asked
            ),
            route=route,
            state=None if decided else {**kept, _DECISION: decision.as_dict()},
        )

    def _decision(
        self,
        request: ModelRequest[Any],
        kept: Mapping[str, Any],
        score: ComplexityScore | None,
    ) -> RouteDecision:
        """The run's decision, made now if this is its first model call."""
        messages = _messages(request)
        decided, thread_id, force = (kept.get(key) for key in (_DECISION, _THREAD, _FORCE))
        if decided is not None:
            decision = RouteDecision.from_dict(decided)
            self._decider.remember(messages, decision, thread_id=thread_id)
            return decision
        tools = _tools(request)
        if force is None and not _asks(messages):
            return self._decider.decide_unasked(messages, self._default, tools=tools)
        return self._decider.decide(
            messages, tools=tools, force=force, thread_id=thread_id, remember=True, score=score
        )


class _AgentModels:
    """The default model of each run's agent: the one that its first model call comes with.

    An agent does not tell its middleware which model is its own. A call that comes later with
    another one has had it replaced.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: OrderedDict[str | None, BaseChatModel] = OrderedDict()

    def note(self, run: str | None, model: BaseChatModel) -> BaseChatModel:
        """The first model that was noted for a run: this one, if there is none yet."""
        with self._lock:
            default = self._models.setdefault(run, model)
            self._models.move_to_end(run)
            if len(self._models) > _MAX_RUNS:
                self._models.popitem(last=False)
        return default


def _messages(request: ModelRequest[Any]) -> list[BaseMessage]:
    system = request.system_message
    messages: list[AnyMessage] = request.messages
    return [*messages] if system is None else [system, *messages]


def _asks(messages: list[BaseMessage]) -> bool:
    return any(isinstance(each, HumanMessage) for each in messages)


def _tools(request: ModelRequest[Any]) -> list[Any]:
    # A form of the answer may become one more tool.
    form = [] if request.response_format is None else [request.response_format]
    return [*request.tools, *form]


def _kept(request: ModelRequest[Any]) -> dict[str, Any]:
    """What the agent's state holds of its run's route."""
    return cast("dict[str, Any]", request.state.get(_STATE_KEY) or {})


def _answered(
    response: ModelResponse[Any], plan: _Plan
) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
    """The response with the decision in its messages, and in the state where it is new."""
    messages = [
        mark_message(message, plan.route) if isinstance(message, AIMessage) else message
        for message in response.result
    ]
    response = replace(response, result=messages)
    if plan.state is None:
        return response
    command: Command[Any] = Command(update={_STATE_KEY: plan.state})
    return ExtendedModelResponse(model_response=response, command=command)
