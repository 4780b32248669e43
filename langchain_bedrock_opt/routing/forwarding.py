"""Forwarding: public calls of a chat model, handed on to the public methods of another.

There is one run in the trace, the other model's, and its tokens are counted once. A model that
called another from its `_generate` would open a second run, and double both.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any, Literal, cast
from uuid import UUID

from langchain_core.callbacks import CallbackManagerForLLMRun, Callbacks
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatResult, LLMResult
from langchain_core.runnables import RunnableConfig

from langchain_bedrock_opt.routing.channel import mark_message
from langchain_bedrock_opt.routing.results import chat_result, marked_result, merged_result


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedCall:
    """A call on its way to the model that was chosen for it.

    Attributes:
        model: The chosen model.
        route: The `RouteDecision` as a dict.
        config: The run's config, with the decision in its metadata.
        kwargs: What else the model is called with.
    """

    model: BaseChatModel
    route: dict[str, Any]
    config: RunnableConfig
    kwargs: dict[str, Any]


class ForwardingChatModel(BaseChatModel):
    """A chat model whose calls are answered by other chat models, one chosen for each call.

    A subclass says by `_plan` which one; all the ways to call a chat model are here.
    """

    @abstractmethod
    def _plan(
        self, messages: LanguageModelInput, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> RoutedCall:
        """Choose the model for a call, and what it is called with."""

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
        call = self._plan(input, config, kwargs)
        message = call.model.invoke(input, call.config, stop=stop, **call.kwargs)
        return mark_message(message, call.route)

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """As `invoke`, asynchronously."""
        call = self._plan(input, config, kwargs)
        message = await call.model.ainvoke(input, call.config, stop=stop, **call.kwargs)
        return mark_message(message, call.route)

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Stream the answer of the tier a prompt needs. Arguments are those of `invoke`.

        The decision is on the first chunk, and stays when chunks are added up.
        """
        call = self._plan(input, config, kwargs)
        chunks = call.model.stream(input, call.config, stop=stop, **call.kwargs)
        is_first = True
        with closing(cast("Generator[AIMessageChunk]", chunks)):
            for chunk in chunks:
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
        call = self._plan(input, config, kwargs)
        chunks = call.model.astream(input, call.config, stop=stop, **call.kwargs)
        is_first = True
        async with aclosing(cast("AsyncGenerator[AIMessageChunk]", chunks)):
            async for chunk in chunks:
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

        Args:
            input: As in `invoke`.
            config: As in `invoke`.
            version: `v1` and `v2` give an iterator of events, `v3` a `ChatModelStream`.
            stop: Stop sequences.
            **kwargs: As in `invoke`.
        """
        call = self._plan(input, config, kwargs)
        arguments = {**call.kwargs, "version": version, "stop": stop}
        return call.model.stream_events(input, call.config, **arguments)

    def astream_events(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """As `stream_events`, asynchronously; `v3` gives an awaitable `AsyncChatModelStream`."""
        call = self._plan(input, config, kwargs)
        arguments = {**call.kwargs, "version": version, "stop": stop}
        return call.model.astream_events(input, call.config, **arguments)

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
            call = self._plan(conversation, config, kwargs)
            result = call.model.generate(
                [conversation],
                stop,
                **_run_arguments(call.config),
                run_name=run_name,
                run_id=None if index else run_id,
                **call.kwargs,
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
            call = self._plan(conversation, config, kwargs)
            result = await call.model.agenerate(
                [conversation],
                stop,
                **_run_arguments(call.config),
                run_name=run_name,
                run_id=None if index else run_id,
                **call.kwargs,
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
    }
