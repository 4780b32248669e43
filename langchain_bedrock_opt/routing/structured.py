"""Structured output by each tier's own way, such as Bedrock's native JSON schema."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config

from langchain_bedrock_opt.routing.attempts import (
    Attempts,
    RoutedCall,
    Steps,
    aperform,
    perform,
)
from langchain_bedrock_opt.routing.channel import (
    FORCE_KEY,
    force_of,
    mark_message,
    pop_force,
    thread_of,
    with_route,
    without_run_id,
)
from langchain_bedrock_opt.routing.decider import Decider
from langchain_bedrock_opt.routing.scorer import ComplexityScore


class RoutedStructuredOutput(Runnable[LanguageModelInput, Any]):
    """Decides for each prompt, and hands it to the structured output of the chosen tier.

    Args:
        decider: Gives what decides for the router, anew for each call: calibration changes it.
        by_tier: The runnable of each tier.
        add_config: Adds the router's own callbacks, tags and metadata to a config.
        json_schema: Only tiers that follow a JSON schema natively may be chosen.
        attempts: Who stands in for a tier that can't be reached. What a tier has parsed is not
            checked again, so there is no escalation here.
    """

    def __init__(
        self,
        *,
        decider: Callable[[], Decider],
        by_tier: Mapping[str, Runnable[LanguageModelInput, Any]],
        add_config: Callable[[RunnableConfig], RunnableConfig],
        json_schema: bool,
        attempts: Attempts | None = None,
    ) -> None:
        self._decider = decider
        self._by_tier = dict(by_tier)
        self._add_config = add_config
        self._json_schema = json_schema
        self._attempts = attempts

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Answer in the schema's form."""
        call, output = perform(
            self._steps(input, config, kwargs),
            lambda call: call.model.invoke(input, call.config, **call.kwargs),
        )
        return _marked(output, call.route)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """As `invoke`, asynchronously."""
        score = await self._ascore(input, config, kwargs)
        call, output = await aperform(
            self._steps(input, config, kwargs, score),
            lambda call: call.model.ainvoke(input, call.config, **call.kwargs),
        )
        return _marked(output, call.route)

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Stream the answer as it grows into the schema's form."""
        call = self._plan(input, config, kwargs)
        yield from call.model.stream(input, call.config, **call.kwargs)

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """As `stream`, asynchronously."""
        call = self._plan(input, config, kwargs, await self._ascore(input, config, kwargs))
        async for part in call.model.astream(input, call.config, **call.kwargs):
            yield part

    async def _ascore(
        self, prompt: LanguageModelInput, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> ComplexityScore | None:
        return await self._decider().ascore(prompt, force=force_of(kwargs, ensure_config(config)))

    def _plan(
        self,
        prompt: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
        score: ComplexityScore | None = None,
        *,
        remember: bool = True,
    ) -> RoutedCall:
        config = self._add_config(ensure_config(config))
        kwargs = dict(kwargs)
        force = pop_force(kwargs, config)
        decision = self._decider().decide(
            prompt,
            force=force,
            json_schema=self._json_schema,
            thread_id=thread_of(config),
            remember=remember,
            score=score,
        )
        # A schema may be asked for by a forced tool, which does not go together with thinking.
        route = replace(decision, effort=None).as_dict()
        return RoutedCall(
            model=self._by_tier[decision.tier],
            route=route,
            config=with_route(config, route),
            kwargs=kwargs,
        )

    def _steps(
        self,
        prompt: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
        score: ComplexityScore | None = None,
    ) -> Steps:
        call = self._plan(prompt, config, kwargs, score)
        if self._attempts is None:
            return call, (yield call)

        def again(tier: str) -> RoutedCall:
            own, known = without_run_id(config), ComplexityScore(value=call.route["score"])
            return self._plan(prompt, own, {**kwargs, FORCE_KEY: tier}, known, remember=False)

        return (yield from self._attempts.of(call, again, None))


def _marked(output: Any, route: Mapping[str, Any]) -> Any:
    """With `include_raw`, the message says where it came from."""
    if isinstance(output, dict) and isinstance(raw := output.get("raw"), BaseMessage):
        return {**output, "raw": mark_message(raw, route)}
    return output
