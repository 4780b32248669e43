"""Single calls of a batch model: they go to the model that it is made around, on demand.

They are handed on at the public methods, so that there is one run in the trace, the inner
model's, with its layers, its cache and its streaming. Only where somebody collects single calls
into jobs (`parts.COALESCER`) do they take LangChain's usual way, and wait at its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Literal, cast
from uuid import UUID

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
    Callbacks,
)
from langchain_core.language_models import BaseChatModel, LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.runnables.config import merge_configs
from pydantic import Field

from langchain_bedrock_opt.batching.guard import InvokeGuard, OnInvoke
from langchain_bedrock_opt.batching.parts import COALESCER
from langchain_bedrock_opt.contracts import BATCH_METADATA_KEY
from langchain_bedrock_opt.errors import ConfigurationError

_VERSIONS = "lc_versions"
"""Package versions that LangChain puts into each model's metadata; the inner model has its own."""


class OnDemandChatModel(BaseChatModel):
    """A chat model whose single calls are another model's."""

    model: Any = Field(repr=False)
    """The model that answers."""

    warn_after: int = Field(default=3, exclude=True)
    """Single calls from inside of a chain that are nobody's business."""

    on_invoke: OnInvoke = Field(default="warn", exclude=True)
    """What becomes of those beyond."""

    guard: Any = Field(default_factory=InvokeGuard, exclude=True, repr=False)
    """Who counts them; `configurable_fields` hands it on to the models that it makes."""

    def own_config(self, config: RunnableConfig | None) -> RunnableConfig:
        """A call's config with this model's own callbacks, tags and metadata."""
        return _with_own(self, config)

    def _single(self, config: RunnableConfig | None) -> RunnableConfig:
        """The config of a single call that is about to be made."""
        self.guard.called(config, limit=self.warn_after, on_invoke=self.on_invoke)
        return self.own_config(config)

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Answer one prompt on demand, at the full price.

        Args:
            input: A text, a prompt value, or messages in any form LangChain knows.
            config: The run's config.
            stop: Stop sequences.
            **kwargs: As the inner model takes them.

        Raises:
            ConfigurationError: A chain makes too many single calls, and `on_invoke` is `error`.
        """
        if COALESCER.get() is not None:
            return super().invoke(input, config, stop=stop, **kwargs)
        config = self._single(config)
        return cast("AIMessage", self.model.invoke(input, config, stop=stop, **kwargs))

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """As `invoke`, asynchronously."""
        if COALESCER.get() is not None:
            return await super().ainvoke(input, config, stop=stop, **kwargs)
        config = self._single(config)
        return cast("AIMessage", await self.model.ainvoke(input, config, stop=stop, **kwargs))

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Stream one answer on demand. Arguments are those of `invoke`."""
        if COALESCER.get() is not None:
            yield from super().stream(input, config, stop=stop, **kwargs)
            return
        yield from self.model.stream(input, self._single(config), stop=stop, **kwargs)

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """As `stream`, asynchronously."""
        if COALESCER.get() is not None:
            chunks = super().astream(input, config, stop=stop, **kwargs)
        else:
            chunks = self.model.astream(input, self._single(config), stop=stop, **kwargs)
        async with aclosing(cast("Any", chunks)) as parts:
            async for chunk in parts:
                yield chunk

    def stream_events(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The inner model's events of one answer, on demand.

        Raises:
            ConfigurationError: Calls are collected here, and `version` is `v3`.
        """
        _check_version(version)
        single = self._single(config)
        return self.model.stream_events(input, single, version=version, stop=stop, **kwargs)

    def astream_events(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name for it
        config: RunnableConfig | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        """As `stream_events`, asynchronously."""
        _check_version(version)
        if COALESCER.get() is not None:
            return super().astream_events(input, config, version=version, stop=stop, **kwargs)
        single = self._single(config)
        return self.model.astream_events(input, single, version=version, stop=stop, **kwargs)

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
        """Answer conversations on demand, one by one. Arguments are those of `BaseChatModel`."""
        told: dict[str, Any] = {"run_name": run_name, "run_id": run_id, **kwargs}
        if COALESCER.get() is not None:
            told |= self._told_of_inner(callbacks, tags, metadata)
            return super().generate(messages, stop, **told)
        told |= self._told(callbacks, tags, metadata)
        return cast("LLMResult", self.model.generate(messages, stop, **told))

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
        """As `generate`, asynchronously."""
        told: dict[str, Any] = {"run_name": run_name, "run_id": run_id, **kwargs}
        if COALESCER.get() is not None:
            told |= self._told_of_inner(callbacks, tags, metadata)
            return await super().agenerate(messages, stop, **told)
        told |= self._told(callbacks, tags, metadata)
        return cast("LLMResult", await self.model.agenerate(messages, stop, **told))

    def _told(
        self, callbacks: Callbacks, tags: list[str] | None, metadata: dict[str, Any] | None
    ) -> dict[str, Any]:
        """What a run is told that somebody has opened without a config, with this model's own."""
        return _parts(self._single(_config_of(callbacks, tags, metadata)))

    def _told_of_inner(
        self, callbacks: Callbacks, tags: list[str] | None, metadata: dict[str, Any] | None
    ) -> dict[str, Any]:
        """What a run of this model is told, which LangChain opens in the inner model's stead."""
        return _parts(_with_own(self.model, _config_of(callbacks, tags, metadata)))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        coalescer = COALESCER.get()
        if coalescer is None:
            return cast("ChatResult", self.model._generate(messages, stop, run_manager, **kwargs))  # noqa: SLF001 - an override point, and this is the override
        return _result(coalescer.ask_from_thread(self, messages, stop, kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        coalescer = COALESCER.get()
        if coalescer is None:
            answer = self.model._agenerate(messages, stop, run_manager, **kwargs)  # noqa: SLF001 - likewise
            return cast("ChatResult", await answer)
        try:
            return _result(await coalescer.ask(self, messages, stop, kwargs))
        except asyncio.CancelledError as error:
            # LangChain leaves the runs of cancelled calls open, and nobody gives up one that waits.
            if run_manager is not None:
                await run_manager.on_llm_error(error)
            raise

    # --- What the inner model says of itself ---

    @property
    def model_id(self) -> str:
        """The model id, inference profile id or ARN that is called."""
        return cast("str", self.model.model_id)

    @property
    def model_name(self) -> str:
        """The same, under the name by which agents ask for it."""
        return self.model_id

    @property
    def _llm_type(self) -> str:
        return cast("str", self.model._llm_type)  # noqa: SLF001 - an override point

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_id": self.model_id, **self.model._identifying_params}  # noqa: SLF001 - likewise

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = self.model._get_ls_params(stop=stop, **kwargs)  # noqa: SLF001 - likewise
        # LangChain puts these into the metadata of the runs that it opens for this model, which it
        # does for collected calls alone: they wait for jobs.
        waits = {} if COALESCER.get() is None else {BATCH_METADATA_KEY: True}
        return cast("LangSmithParams", {**params, **waits})

    def get_token_ids(self, text: str) -> list[int]:
        """The token ids of a text, by the inner model."""
        return cast("list[int]", self.model.get_token_ids(text))

    def get_num_tokens(self, text: str) -> int:
        """The number of tokens of a text, by the inner model."""
        return cast("int", self.model.get_num_tokens(text))

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """The number of tokens of messages, by the inner model."""
        return cast("int", self.model.get_num_tokens_from_messages(messages, tools))


def _with_own(model: BaseChatModel, config: RunnableConfig | None) -> RunnableConfig:
    """A call's config with a model's callbacks, tags and metadata."""
    metadata = {name: value for name, value in (model.metadata or {}).items() if name != _VERSIONS}
    config = ensure_config(config)
    if not (metadata or model.tags or model.callbacks):
        return config
    own = RunnableConfig(tags=model.tags or [], metadata=metadata, callbacks=model.callbacks)
    merged = merge_configs(own, config)
    callbacks = merged.get("callbacks")
    if isinstance(callbacks, list):  # a handler that is given twice is told once
        merged["callbacks"] = [
            each for at, each in enumerate(callbacks) if each not in callbacks[:at]
        ]
    return merged


def _config_of(
    callbacks: Callbacks, tags: list[str] | None, metadata: dict[str, Any] | None
) -> RunnableConfig:
    return RunnableConfig(callbacks=callbacks, tags=tags or [], metadata=metadata or {})


def _parts(config: RunnableConfig) -> dict[str, Any]:
    return {name: config.get(name) for name in ("callbacks", "tags", "metadata")}


def _check_version(version: str) -> None:
    """Refuse events of parts of an answer, where it comes whole from a job."""
    if version == "v3" and COALESCER.get() is not None:
        raise ConfigurationError(
            "Events of version='v3' stream an answer's parts, and where calls are collected an "
            "answer comes whole, from a job: call ainvoke, or astream_events(version='v2')."
        )


def _result(message: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message)])
