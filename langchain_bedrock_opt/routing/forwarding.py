"""Forwarding: public calls of a chat model, handed on to the public methods of another.

There is one run in the trace, the other model's, and its tokens are counted once. A model that
called another from its `_generate` would open a second run, and double both.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from functools import partial
from typing import Any, Literal, cast
from uuid import UUID

from langchain_core.callbacks import CallbackManagerForLLMRun, Callbacks
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_model_stream import AsyncChatModelStream, ChatModelStream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatResult, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.schema import StreamEvent
from pydantic import PrivateAttr

from langchain_bedrock_opt.routing.channel import mark_message
from langchain_bedrock_opt.routing.decider import Scored
from langchain_bedrock_opt.routing.opening import (
    AsyncParts,
    EventsRead,
    Parts,
    Reading,
    apass_on,
    aread_events,
    aread_stream,
    pass_on,
    read_events,
    read_stream,
    says_something,
    tells_something,
)
from langchain_bedrock_opt.routing.recovery.attempts import (
    Attempts,
    RoutedCall,
    Steps,
    aperform,
    perform,
    reading_of,
)
from langchain_bedrock_opt.routing.recovery.checks import Expectations
from langchain_bedrock_opt.routing.results import chat_result, marked_result, merged_result
from langchain_bedrock_opt.routing.tools import BoundTools
from langchain_bedrock_opt.routing.watching import AnswerWatch, watched


class ForwardingChatModel(BaseChatModel):
    """A chat model whose calls are answered by other chat models, one chosen for each call.

    A subclass says by `_plan` which one; all the ways to call a chat model are here. Where it
    sets `_attempts`, an answer may come from another model than the one that was asked first.
    """

    _attempts: Attempts | None = PrivateAttr(default=None)

    @abstractmethod
    def _plan(
        self,
        messages: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
        scored: Scored | None = None,
    ) -> RoutedCall:
        """Choose the model for a call, and what it is called with.

        Args:
            messages: The request.
            config: The run's config.
            kwargs: The caller's arguments.
            scored: What `_ascore` has given; None where nothing was awaited.
        """

    async def _ascore(
        self,
        messages: LanguageModelInput,  # noqa: ARG002 - for subclasses
        config: RunnableConfig | None,  # noqa: ARG002
        kwargs: dict[str, Any],  # noqa: ARG002
    ) -> Scored | None:
        """Await what the choice has to wait for; None if there is no such thing."""
        return None

    def _replan(
        self,
        tier: str,
        first: RoutedCall,
        messages: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
    ) -> RoutedCall:
        """The same request's call to another tier, as a run of its own.

        Args:
            tier: The tier's name.
            first: The call as it was planned.
            messages: The request.
            config: The config of the first call; its run id stays the first run's.
            kwargs: The caller's arguments.
        """
        raise NotImplementedError

    @property
    def _reading(self) -> Reading:
        """How far a stream is read before it is passed on."""
        return reading_of(self._attempts)

    def _steps(
        self,
        messages: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
        scored: Scored | None = None,
        *,
        is_checked: bool = True,
    ) -> Steps:
        """The calls that answer a request; just one if the model has no `_attempts`."""
        call = self._plan(messages, config, kwargs, scored)
        if self._attempts is None:
            return call, (yield call)
        again = partial(self._replan, first=call, messages=messages, config=config, kwargs=kwargs)
        expected = _expectations(kwargs) if is_checked else None
        return (yield from self._attempts.of(call, again, expected))

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Answer a prompt with the tier it needs.

        Args:
            input: A text, a prompt value, or messages in any form LangChain knows.
            config: The run's config; `config["configurable"]["force"]` names a tier.
            stop: Stop sequences.
            **kwargs: `force` or `model` to name a tier; all else goes to the tier.

        Raises:
            UnknownTierError: A tier is named that does not exist.
            ConfigurationError: No tier can serve the request.
        """
        call, message = perform(
            self._steps(input, config, kwargs),
            lambda call: call.model.invoke(input, call.config, stop=stop, **call.kwargs),
        )
        return mark_message(cast("AIMessage", message), call.route)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """As `invoke`, asynchronously."""
        scored = await self._ascore(input, config, kwargs)
        call, message = await aperform(
            self._steps(input, config, kwargs, scored),
            lambda call: call.model.ainvoke(input, call.config, stop=stop, **call.kwargs),
        )
        return mark_message(cast("AIMessage", message), call.route)

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Stream the answer of the tier a prompt needs. Arguments are those of `invoke`.

        The decision is on the first chunk, and stays when chunks are added up. Another tier may
        stand in until the first chunk that says something; after it, an error is the caller's.
        """
        reading = self._reading

        def open_stream(call: RoutedCall) -> Parts[AIMessageChunk]:
            stream = call.model.stream(input, call.config, stop=stop, **call.kwargs)
            return read_stream(stream, reading, says_something)

        steps = self._steps(input, config, kwargs, is_checked=reading == "whole")
        call, chunks = perform(steps, open_stream)
        is_first = True
        with closing(pass_on(chunks)) as parts:
            for chunk in parts:
                yield mark_message(chunk, call.route) if is_first else chunk
                is_first = False

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """As `stream`, asynchronously."""
        reading = self._reading

        async def open_stream(call: RoutedCall) -> AsyncParts[AIMessageChunk]:
            stream = call.model.astream(input, call.config, stop=stop, **call.kwargs)
            return await aread_stream(stream, reading, says_something)

        scored = await self._ascore(input, config, kwargs)
        steps = self._steps(input, config, kwargs, scored, is_checked=reading == "whole")
        call, chunks = await aperform(steps, open_stream)
        is_first = True
        async with aclosing(apass_on(chunks)) as parts:
            async for chunk in parts:
                yield mark_message(chunk, call.route) if is_first else chunk
                is_first = False

    def stream_events(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The events of the tier a prompt needs, exactly as the tier gives them.

        With `fallback` or `escalate` the stream is opened at once and not when it is first read:
        until something of the answer is there, another tier may stand in, and nothing is seen of
        the one that failed but by callbacks. Only `Escalation(buffer_streams=True)` has an answer
        checked here, as in `stream`.

        Args:
            input: As in `invoke`.
            config: As in `invoke`.
            version: `v3` gives a `ChatModelStream`; LangChain has `v1` and `v2` only in
                `astream_events`.
            stop: Stop sequences.
            **kwargs: As in `invoke`.
        """
        if version != "v3":
            return super().stream_events(input, config, version=version, stop=stop, **kwargs)
        reading = self._reading

        def open_stream(call: RoutedCall) -> ChatModelStream:
            arguments = {**call.kwargs, "version": version, "stop": stop}
            return read_events(call.model.stream_events(input, call.config, **arguments), reading)

        steps = self._steps(input, config, kwargs, is_checked=reading == "whole")
        return perform(steps, open_stream)[1]

    def astream_events(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """As `stream_events`, asynchronously.

        `v1` and `v2` give an iterator of events, `v3` an awaitable `AsyncChatModelStream`.
        """
        kwargs = {**kwargs, "stop": stop}
        if version == "v3":
            return self._aopened_events(input, config, kwargs)
        return self._aevents(input, config, version, kwargs)

    async def _aopened_events(
        self, prompt: LanguageModelInput, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> AsyncChatModelStream:
        reading = self._reading

        async def open_stream(call: RoutedCall) -> AsyncChatModelStream:
            opening = call.model.astream_events(prompt, call.config, version="v3", **call.kwargs)
            return await aread_events(await opening, reading)

        scored = await self._ascore(prompt, config, kwargs)
        steps = self._steps(prompt, config, kwargs, scored, is_checked=reading == "whole")
        return (await aperform(steps, open_stream))[1]

    async def _aevents(
        self,
        prompt: LanguageModelInput,
        config: RunnableConfig | None,
        version: Literal["v1", "v2"],
        kwargs: dict[str, Any],
    ) -> AsyncIterator[StreamEvent]:
        reading = self._reading

        async def open_stream(call: RoutedCall) -> EventsRead:
            # The events may be filtered, and then they don't show the answer.
            watch = AnswerWatch(call.config)
            own = watched(call.config, watch) if reading == "whole" else call.config
            stream = call.model.astream_events(prompt, own, version=version, **call.kwargs)
            parts = await aread_stream(stream, reading, tells_something)
            return EventsRead(parts=parts, output_message=watch.answer)

        scored = await self._ascore(prompt, config, kwargs)
        steps = self._steps(prompt, config, kwargs, scored, is_checked=reading == "whole")
        _, read = await aperform(steps, open_stream)
        async with aclosing(apass_on(read.parts)) as events:
            async for event in events:
                yield event

    def generate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        *,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        run_name: str | None = None,
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Answer several conversations, each with the tier it needs.

        Each is a call of its own, so that each run has its own decision in its metadata.

        Args:
            messages: The conversations.
            stop: Stop sequences.
            callbacks: Callbacks for the runs.
            tags: Tags of the runs.
            metadata: Metadata of the runs.
            run_name: Name of the runs.
            run_id: Id of the first run.
            **kwargs: As in `invoke`.

        Returns:
            The generations and runs, in the order of the conversations.
        """
        config = _run_config(callbacks, tags, metadata)
        results = []
        for index, conversation in enumerate(messages):
            own = _with_run_id(config, None if index else run_id)
            call, result = perform(
                self._steps(conversation, own, kwargs),
                lambda call, conversation=conversation: call.model.generate(  # type: ignore[misc]
                    [conversation],
                    stop,
                    **_run_arguments(call.config),
                    run_name=run_name,
                    **call.kwargs,
                ),
            )
            results.append(marked_result(result, call.route))
        return merged_result(results)

    async def agenerate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        *,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        run_name: str | None = None,
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """As `generate`, all at once."""
        config = _run_config(callbacks, tags, metadata)

        async def answer(index: int, conversation: list[BaseMessage]) -> LLMResult:
            own = _with_run_id(config, None if index else run_id)
            scored = await self._ascore(conversation, own, kwargs)
            call, result = await aperform(
                self._steps(conversation, own, kwargs, scored),
                lambda call: call.model.agenerate(
                    [conversation],
                    stop,
                    **_run_arguments(call.config),
                    run_name=run_name,
                    **call.kwargs,
                ),
            )
            return marked_result(result, call.route)

        answers = [answer(index, conversation) for index, conversation in enumerate(messages)]
        # All come to their end, as in LangChain's own: a paid answer is not cancelled half-way.
        results = await asyncio.gather(*answers, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return merged_result(cast("list[LLMResult]", results))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - the tier has its own
        **kwargs: Any,
    ) -> ChatResult:
        # Abstract in the base class, so it must be here; the public methods never come by.
        return chat_result(self.generate([messages], stop, **kwargs))


def _run_config(
    callbacks: Callbacks, tags: list[str] | None, metadata: dict[str, Any] | None
) -> RunnableConfig:
    # What `generate` is not given it does not take from a surrounding chain, save the tier that
    # was named for it: `ensure_config` would, so nothing is left open.
    config = RunnableConfig(tags=tags or [], metadata=metadata or {})
    config["callbacks"] = callbacks if callbacks is not None else []
    return config


def _run_arguments(config: RunnableConfig) -> dict[str, Any]:
    return {
        "callbacks": config.get("callbacks"),
        "tags": config.get("tags"),
        "metadata": config.get("metadata"),
        "run_id": config.get("run_id"),
    }


def _with_run_id(config: RunnableConfig, run_id: UUID | None) -> RunnableConfig:
    return config if run_id is None else {**config, "run_id": run_id}


def _expectations(kwargs: dict[str, Any]) -> Expectations:
    """What a call's answer is checked against, from what is bound to it."""
    tools = kwargs.get("tools") or ()
    return Expectations(tools=tools, schema=tools.schema if isinstance(tools, BoundTools) else None)
