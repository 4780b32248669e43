"""Structured output by each tier's own way, such as Bedrock's native JSON schema."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, closing
from dataclasses import replace
from typing import Any, Literal, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.runnables.schema import StreamEvent

from langchain_bedrock_opt.contracts import RouteDecision
from langchain_bedrock_opt.routing.channel import (
    EFFORT_KEY,
    FORCE_KEY,
    force_of,
    mark_message,
    pop_force,
    thread_of,
    with_route,
    without_run_id,
)
from langchain_bedrock_opt.routing.decider import Decider, Scored
from langchain_bedrock_opt.routing.opening import (
    apass_on,
    aread_stream,
    pass_on,
    read_stream,
    says_something,
    tells_something,
)
from langchain_bedrock_opt.routing.recovery.attempts import (
    Attempts,
    ParsedAnswer,
    RoutedCall,
    Steps,
    aperform,
    perform,
    reading_of,
)
from langchain_bedrock_opt.routing.recovery.checks import Expectations, missing_properties
from langchain_bedrock_opt.routing.recovery.translation import translate
from langchain_bedrock_opt.routing.scoring.scorer import ComplexityScore
from langchain_bedrock_opt.routing.watching import AnswerWatch, watched


class RoutedStructuredOutput(Runnable[LanguageModelInput, Any]):
    """Decides for each prompt, and hands it to the structured output of the chosen tier.

    Other tiers stand in as in the router itself. An answer that the tier's own parser can't make
    the form of, or that lacks required properties, has failed the check `FailedSchema`.

    Args:
        decider: Gives what decides for the router, anew for each call: calibration changes it.
        models: The chat model of each tier.
        schema: The schema.
        options: The other arguments of the tiers' `with_structured_output`.
        add_config: Adds the router's own callbacks, tags and metadata to a config.
        attempts: Who stands in for a tier that can't be reached, or whose answer failed.
    """

    def __init__(
        self,
        *,
        decider: Callable[[], Decider],
        models: Mapping[str, BaseChatModel],
        schema: Any,
        options: Mapping[str, Any],
        add_config: Callable[[RunnableConfig], RunnableConfig],
        attempts: Attempts | None = None,
    ) -> None:
        self._decider = decider
        self._models = dict(models)
        self._schema = schema
        self._options = dict(options)
        self._add_config = add_config
        self._attempts = attempts
        self._is_native = options.get("method") == "json_schema"
        self._forms: dict[tuple[int, str | None], Runnable[LanguageModelInput, Any]] = {}
        for model in self._models.values():
            self._form(model)  # what a tier can't make a form of is refused now

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """Answer in the schema's form."""

        def ask(call: RoutedCall) -> ParsedAnswer:
            watch, own = self._watched(call)
            form = self._form(call.model, call.route.get("effort"))
            return self._read(lambda: form.invoke(input, own, **call.kwargs), watch)

        call, answer = perform(self._steps(input, config, kwargs), ask)
        return _marked(_given(answer), call.route)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """As `invoke`, asynchronously."""

        async def ask(call: RoutedCall) -> ParsedAnswer:
            watch, own = self._watched(call)
            form = self._form(call.model, call.route.get("effort"))
            return await self._aread(form.ainvoke(input, own, **call.kwargs), watch)

        scored = await self._ascore(input, config, kwargs)
        call, answer = await aperform(self._steps(input, config, kwargs, scored), ask)
        return _marked(_given(answer), call.route)

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Stream the answer as it grows into the schema's form.

        Another tier may stand in until something of the answer is there, and one whose answer
        failed only with `Escalation(buffer_streams=True)`, as in the router's `stream`.
        """
        reading = reading_of(self._attempts)

        def ask(call: RoutedCall) -> ParsedAnswer:
            watch, own = self._watched(call, is_checked=reading == "whole")
            form = self._form(call.model, call.route.get("effort"))
            stream = form.stream(input, own, **call.kwargs)
            return self._read(lambda: read_stream(stream, reading, _shows), watch, _last)

        steps = self._steps(input, config, kwargs, is_checked=reading == "whole")
        call, answer = perform(steps, ask)
        is_first = True
        with closing(pass_on(_given(answer))) as parts:
            for part in parts:
                yield _marked(part, call.route) if is_first else part
                is_first = False

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """As `stream`, asynchronously."""
        reading = reading_of(self._attempts)

        async def ask(call: RoutedCall) -> ParsedAnswer:
            watch, own = self._watched(call, is_checked=reading == "whole")
            form = self._form(call.model, call.route.get("effort"))
            stream = form.astream(input, own, **call.kwargs)
            return await self._aread(aread_stream(stream, reading, _shows), watch, _last)

        scored = await self._ascore(input, config, kwargs)
        steps = self._steps(input, config, kwargs, scored, is_checked=reading == "whole")
        call, answer = await aperform(steps, ask)
        is_first = True
        async with aclosing(apass_on(_given(answer))) as parts:
            async for part in parts:
                yield _marked(part, call.route) if is_first else part
                is_first = False

    async def astream_events(  # type: ignore[override] # v3 is for chat models and graphs only
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        version: Literal["v1", "v2"] = "v2",
        **kwargs: Any,
    ) -> AsyncIterator[StreamEvent]:
        """The events of the chosen tier's structured output, as in the router's own."""
        reading = reading_of(self._attempts)

        async def ask(call: RoutedCall) -> ParsedAnswer:
            watch, own = self._watched(call, is_checked=reading == "whole")
            form = self._form(call.model, call.route.get("effort"))
            events = form.astream_events(input, own, version=version, **call.kwargs)
            return await self._aread(aread_stream(events, reading, tells_something), watch, _output)

        scored = await self._ascore(input, config, kwargs)
        steps = self._steps(input, config, kwargs, scored, is_checked=reading == "whole")
        _, answer = await aperform(steps, ask)
        async with aclosing(apass_on(_given(answer))) as parts:
            async for event in parts:
                yield event

    # --- Planning ---

    async def _ascore(
        self, prompt: LanguageModelInput, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> Scored:
        decider, force = self._decider(), force_of(kwargs, ensure_config(config))
        return Scored(decider=decider, score=await decider.ascore(prompt, force=force))

    def _plan(
        self,
        prompt: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
        scored: Scored | None = None,
        *,
        remember: bool = True,
    ) -> RoutedCall:
        config = self._add_config(ensure_config(config))
        kwargs = dict(kwargs)
        force = pop_force(kwargs, config)
        scored = scored or Scored(decider=self._decider(), score=None)
        decision = scored.decider.decide(
            prompt,
            force=force,
            json_schema=self._is_native,
            thread_id=thread_of(config),
            remember=remember,
            score=scored.score,
        )
        model = self._models[decision.tier]
        route = self._with_effort(decision, model, kwargs).as_dict()
        return RoutedCall(model=model, route=route, config=with_route(config, route), kwargs=kwargs)

    def _with_effort(
        self, decision: RouteDecision, model: BaseChatModel, kwargs: Mapping[str, Any]
    ) -> RouteDecision:
        """The decision, with the effort that a form leaves room for.

        A forced tool or a prefilled answer does not go together with thinking. Claude takes its
        effort in the field `output_config`, into which Bedrock also puts a native schema.
        """
        is_free = self._is_native and EFFORT_KEY not in {*kwargs, *self._options}
        if is_free and getattr(model, "provider", None) != "anthropic":
            return decision
        return replace(decision, effort=None)

    def _steps(
        self,
        prompt: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
        scored: Scored | None = None,
        *,
        is_checked: bool = True,
    ) -> Steps:
        call = self._plan(prompt, config, kwargs, scored)
        if self._attempts is None:
            return call, (yield call)

        def again(tier: str) -> RoutedCall:
            fitted = translate(kwargs, call.model, self._models[tier])
            score = ComplexityScore(value=call.route["score"])
            known = Scored(decider=self._decider(), score=score)
            own = without_run_id(config)
            return self._plan(prompt, own, {**fitted, FORCE_KEY: tier}, known, remember=False)

        return (yield from self._attempts.of(call, again, Expectations() if is_checked else None))

    def _form(
        self, model: BaseChatModel, effort: str | None = None
    ) -> Runnable[LanguageModelInput, Any]:
        """A model's own structured output, made once."""
        key = id(model), effort
        form = self._forms.get(key)
        if form is None:
            own: dict[str, Any] = {} if effort is None else {EFFORT_KEY: effort}
            form = model.with_structured_output(self._schema, **self._options, **own)
            self._forms[key] = form
        return form

    # --- Looking at what was parsed ---

    def _watched(
        self, call: RoutedCall, *, is_checked: bool = True
    ) -> tuple[AnswerWatch | None, RunnableConfig]:
        """A call's config with somebody who keeps the answer, if it is to be checked."""
        if not is_checked or self._attempts is None or self._attempts.escalator is None:
            return None, call.config
        watch = AnswerWatch(call.config)
        return watch, watched(call.config, watch)

    def _read(
        self,
        read: Callable[[], Any],
        watch: AnswerWatch | None,
        result_of: Callable[[Any], Any] = lambda value: value,
    ) -> ParsedAnswer:
        try:
            value = read()
        except Exception as error:
            if (answer := _failed(error, watch)) is None:
                raise
            return answer
        return self._parsed(value, result_of, watch)

    async def _aread(
        self,
        reading: Awaitable[Any],
        watch: AnswerWatch | None,
        result_of: Callable[[Any], Any] = lambda value: value,
    ) -> ParsedAnswer:
        try:
            value = await reading
        except Exception as error:
            if (answer := _failed(error, watch)) is None:
                raise
            return answer
        return self._parsed(value, result_of, watch)

    def _parsed(
        self, value: Any, result_of: Callable[[Any], Any], watch: AnswerWatch | None
    ) -> ParsedAnswer:
        if watch is None:
            return ParsedAnswer(value=value)
        unparsed = self._lack(result_of(value))
        return ParsedAnswer(value=value, output_message=watch.answer, unparsed=unparsed)

    def _lack(self, result: Any) -> str | None:
        """What a result lacks of the form, without the answer's text; None if nothing."""
        if self._options.get("include_raw") and isinstance(result, Mapping):
            if (error := result.get("parsing_error")) is not None:
                return type(error).__name__
            result = result.get("parsed")
        if result is None:
            return "no structured answer"
        return missing_properties(self._schema, result) if isinstance(result, Mapping) else None


def _failed(error: Exception, watch: AnswerWatch | None) -> ParsedAnswer | None:
    """The outcome of a call whose answer came and can't be parsed; None if none came."""
    if watch is None or watch.answer is None:
        return None
    name = type(error).__name__  # its text quotes the answer
    return ParsedAnswer(value=None, output_message=watch.answer, unparsed=name, error=error)


def _given(answer: ParsedAnswer) -> Any:
    """What the caller gets: the value, or the parser's error."""
    if answer.error is not None:
        raise answer.error
    return answer.value


def _shows(part: Any) -> bool:
    """Whether a part of a stream shows something; with `include_raw` some parts are chunks."""
    raw = part.get("raw") if isinstance(part, Mapping) else None
    return says_something(raw) if isinstance(raw, AIMessageChunk) else True


def _last(parts: list[Any]) -> Any:
    """What the parts of a stream come to: each is the answer so far, or some of its keys."""
    if parts and all(isinstance(part, Mapping) for part in parts):
        return {key: value for part in parts for key, value in part.items()}
    return parts[-1] if parts else None


def _output(events: list[StreamEvent]) -> Any:
    """What events come to. Where they were filtered, what can't be seen lacks nothing."""
    return cast("dict[str, Any]", events[-1]["data"]).get("output") if events else True


def _marked(output: Any, route: Mapping[str, Any]) -> Any:
    """With `include_raw`, the message says where it came from."""
    if isinstance(output, dict) and isinstance(raw := output.get("raw"), BaseMessage):
        return type(output)({**output, "raw": mark_message(raw, route)})
    return output
