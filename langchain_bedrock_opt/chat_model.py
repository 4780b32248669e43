"""`ChatBedrockOptimized`: `ChatBedrockConverse` with layers, shared clients and threads enough."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any, Final
from uuid import UUID

from langchain_aws import ChatBedrockConverse
from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
    Callbacks,
)
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.utils.uuid import uuid7
from pydantic import Field, PrivateAttr, SecretStr
from typing_extensions import Self

from langchain_bedrock_opt.awaiting import Call, Pump
from langchain_bedrock_opt.aws.call_context import STAND_IN, Conversation, call_context
from langchain_bedrock_opt.aws.clients import (
    DEFAULT_CONCURRENCY,
    ClientSettings,
    LazyClient,
    client_config,
    close_if_idle,
    hold,
    new_client,
    shared_client,
)
from langchain_bedrock_opt.aws.executor import IdleThreadPool
from langchain_bedrock_opt.aws.layers import LayeredClient, region_of
from langchain_bedrock_opt.aws.resolution import base_model_of
from langchain_bedrock_opt.catalog.model_ids import ModelId, ModelIdKind, parse_model_id
from langchain_bedrock_opt.catalog.offers import check_offer
from langchain_bedrock_opt.catalog.specs import spec_of
from langchain_bedrock_opt.contracts import UNSENT, HearsOfCancels, SupportsLayer
from langchain_bedrock_opt.conversion import Conversions, digest_of
from langchain_bedrock_opt.errors import ConfigurationError

# Settings that are needed here before pydantic has looked at them.
_NUMERIC: Final = {"max_tokens": int, "timeout": float, "max_retries": int, "max_concurrency": int}
# Prefixes that langchain-aws takes off an id itself (1.9.1). With another one, such as `in.` or
# `ca.`, it finds neither the model's provider nor, then, that it can stream.
_SCOPES_KNOWN_UPSTREAM: Final = frozenset(
    {"us", "eu", "jp", "apac", "au", "us-gov", "global", "sa", "amer", None}
)


class ChatBedrockOptimized(ChatBedrockConverse):
    """Amazon Bedrock's Converse API as a LangChain chat model that can be optimized.

    A drop-in for `langchain_aws.ChatBedrockConverse`: it takes the same arguments, gives the same
    messages, and `isinstance(model, ChatBedrockConverse)` holds. What is more:

    * **Layers** (`layers=`, and `cache=` given one of this package's caches) see each request on
      its way to Bedrock. What they did is in `response_metadata["bedrock_opt"]`.
    * **Clients are shared** between models with the same settings: a second model costs
      milliseconds instead of a client of its own.
    * **Async calls have threads of their own**, `max_concurrency` of them, and a connection for
      each. LangChain's default is the event loop's pool: 6 threads on 2 cores.
    * **Ids that hide their model** (provisioned throughput, prompt routers, application
      inference profiles, `in.` and `ca.` profiles) keep streaming and tool choice; the model
      behind an ARN is asked of the control plane once, or given as `base_model=`.
    * **Errors** of Bedrock are `BedrockServiceError`s too, and say whether a retry is safe.

    Args:
        model: A model id, an inference profile id or an ARN.
        layers: Layers from the outermost inwards. See `langchain_bedrock_opt.aws.layers.Layer`.
        max_concurrency: Async calls at once. Calls beyond it wait their turn. A call that is
            cancelled keeps its place until Bedrock answers: boto3 can't break it off.
        cache: One of this package's caches becomes the outermost layer, so that streams are
            served too; then this field reads False. Any other value is LangChain's own.

    Raises:
        ConfigurationError: No region, no such profile, an ARN whose model nobody knows, or a
            service tier or performance that the model is known not to offer.
        ModelIdError: `model` is not a Bedrock model id.

    Example:
        ```python
        from langchain_bedrock_opt import ChatBedrockOptimized

        model = ChatBedrockOptimized(model="us.amazon.nova-lite-v1:0", max_tokens=500)
        model.invoke("What is the capital of Japan?").content
        ```
    """

    layers: Sequence[Any] = Field(default=(), exclude=True, repr=False)
    """What stands between LangChain and Bedrock, from the outermost inwards."""

    max_concurrency: int = Field(default=DEFAULT_CONCURRENCY, ge=1, exclude=True)
    """Async calls at once, and connections kept for them."""

    _threads: IdleThreadPool = PrivateAttr()
    _renew: Callable[[], Any] | None = PrivateAttr(default=None)
    _conversions: Conversions | None = PrivateAttr(default=None)
    _layered: Any = PrivateAttr(default=None)

    def __init__(self, **kwargs: Any) -> None:
        # Done here and not in validators, which would wrap our one-line errors in pydantic's.
        arguments, renew = _prepare(kwargs)
        super().__init__(**arguments)
        self.config = kwargs.get("config")  # ours was for making a client, and is no setting
        self._renew = renew
        self._install_layers()
        self._threads = self._new_threads()

    @property
    def _own_client(self) -> Any:
        """The shared client; None if the client is the user's own, and so its connections."""
        return None if self._renew is None else self.client.base

    def _new_threads(self) -> IdleThreadPool:
        client = self._own_client
        if client is None:
            return IdleThreadPool(self.max_concurrency)
        threads = IdleThreadPool(self.max_concurrency, on_idle=partial(close_if_idle, client))
        hold(client, threads)
        return threads

    def _install_layers(self) -> None:
        if isinstance(self.cache, SupportsLayer):
            self.layers = (self.cache.as_layer(), *self.layers)
            self.cache = False
        base, layers = self.client, tuple(self.layers)
        if any(getattr(layer, "replays", False) for layer in layers):
            self._conversions = Conversions()
        for layer in layers:
            if isinstance(layer, type) or not hasattr(layer, "converse_stream"):
                raise ConfigurationError(
                    f"layers holds {layer!r}, which is no layer: pass objects of subclasses of "
                    "langchain_bedrock_opt.aws.layers.Layer."
                )
        if isinstance(base, LayeredClient) and base.layers == layers:
            self._layered = base  # of a model that this one is a copy of, made from its fields
            return
        self.client = self._layered = LayeredClient(base, layers, renew=self._renew)

    def close(self) -> None:
        """End this model's threads and close idle connections now.

        Nobody has to: idle threads end by themselves after two seconds, and with them the
        connections, unless another model with the same settings still works. Calls under way go
        on to their end; outside an event loop they are waited for. The model stays usable, and
        starts threads anew when it needs them.
        """
        self._threads.shutdown(wait=not _is_in_event_loop())
        self._threads = self._new_threads()
        if self._own_client is not None:
            close_if_idle(self._own_client)

    def __enter__(self) -> Self:
        """The model itself."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close it."""
        self.close()

    @classmethod
    def lc_id(cls) -> list[str]:
        """What LangChain's serialization writes: the `ChatBedrockConverse` that this is.

        Clients, layers and threads are no data, and langchain-core loads only classes it lists.
        """
        return ChatBedrockConverse.lc_id()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._request_of(messages, run_manager, kwargs) as read:
            return super()._generate(read, stop, run_manager, **kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with self._request_of(messages, run_manager, kwargs) as read:
            chunks = super()._stream(read, stop, run_manager, **kwargs)
            first = next(chunks, None)  # the request is made here
        if first is not None:
            yield first
            yield from chunks

    @contextmanager
    def _request_of(
        self, messages: list[BaseMessage], run_manager: Any, kwargs: dict[str, Any]
    ) -> Iterator[list[BaseMessage]]:
        """Around the making of a request: what its layers may know, and the messages to read.

        Messages that were read before are not read again: a short one stands in for them, and
        the conversation that they became takes its place in the request.
        """
        metadata = run_manager.metadata if run_manager else None
        digest = self._digest_of(messages, kwargs)
        if self._conversions is None or digest is None:
            with call_context(metadata):
                yield messages
            return
        known = self._conversions.known(digest)
        conversation = known or Conversation(self.client)
        with call_context(metadata, conversation):
            yield [HumanMessage(STAND_IN)] if known else messages
        self._conversions.remember(digest, conversation)

    def _digest_of(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> bytes | None:
        """A digest of all that the request's conversation depends on, if it is worth the while."""
        # The last two of these write into the messages.
        if self._conversions is None or self.raw_blocks or self.guard_last_turn_only:
            return None
        if self.client is not self._layered:  # somebody's own, which knows of no conversation
            return None
        if "cache_control" in kwargs:
            return None
        # Without tools, langchain-aws turns the calls of a history into text.
        has_tools = any(kwargs.get(name) for name in ("tools", "tool_config", "toolConfig"))
        settings = [self.model_id, self.base_model_id, self.provider, self.system, has_tools]
        return digest_of(messages, settings)

    async def agenerate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        *,
        run_id: UUID | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """As in `BaseChatModel`; a cancelled call is told to the handlers that ask for it.

        Where a handler streams tokens, as in LangGraph, langchain-core reads a stream here and
        says nothing to anybody if it is cancelled. A budget and a bill must know.

        Args:
            messages: The prompts.
            stop: Where answers stop.
            callbacks: The call's callbacks.
            run_id: The id of its run.
            **kwargs: As in `BaseChatModel`.
        """
        if run_id is None and len(messages) == 1:
            run_id = uuid7()
        try:
            return await super().agenerate(messages, stop, callbacks, run_id=run_id, **kwargs)
        except asyncio.CancelledError as error:
            if run_id is not None:
                manager = AsyncCallbackManager.configure(callbacks, self.callbacks)
                for handler in manager.handlers:
                    if isinstance(handler, HearsOfCancels):
                        handler.on_cancel(error, run_id=run_id)
            raise

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        manager = run_manager.get_sync() if run_manager else None
        call = Call(partial(self._generate, messages, stop, manager, **kwargs))
        loop = asyncio.get_running_loop()
        working = loop.run_in_executor(self._threads, copy_context().run, call)
        try:
            return await working
        except asyncio.CancelledError as error:
            setattr(error, UNSENT, call.give_up())
            # langchain-core tells no callback of such an end.
            if run_manager is not None:
                await run_manager.on_llm_error(error)
            raise

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        manager = run_manager.get_sync() if run_manager else None
        chunks = Pump(partial(self._stream, messages, stop, manager, **kwargs))
        loop = asyncio.get_running_loop()
        reading = loop.run_in_executor(self._threads, copy_context().run, chunks.read)
        try:
            async for chunk in chunks:
                yield chunk
            await reading
        except (asyncio.CancelledError, GeneratorExit) as error:
            setattr(error, UNSENT, chunks.give_up())
            raise
        finally:
            chunks.stop()
            if not reading.cancel():
                reading.add_done_callback(_forget)


def _is_in_event_loop() -> bool:
    """Whether this thread runs an event loop, which must not be kept waiting."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _forget(reading: asyncio.Future[None]) -> None:
    """Look at how a stream that was given up has ended, so that asyncio does not complain."""
    if not reading.cancelled():
        reading.exception()


def _prepare(kwargs: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], Any] | None]:
    """The arguments for `ChatBedrockConverse`, and what gives the shared client if one is used."""
    arguments = {**kwargs, **_numbers(kwargs)}
    name = arguments.get("model_id", arguments.get("model"))
    if not isinstance(name, str):
        raise ConfigurationError(
            f"model={name!r} is not a model id: pass one such as 'us.amazon.nova-lite-v1:0'."
        )
    # An id of another form belongs to somebody's gateway, if they say whose model it is.
    model_id = None if arguments.get("provider") else parse_model_id(name)
    renew = _add_clients(arguments, name)
    if model_id is not None:
        _add_model_behind(arguments, model_id)
        _check_offers(arguments, model_id)
    return arguments, renew


def _numbers(kwargs: dict[str, Any]) -> dict[str, float]:
    """Settings that are numbers, of which some come as text from the environment."""
    numbers: dict[str, float] = {}
    for name, kind in _NUMERIC.items():
        value = kwargs.get(name)
        if isinstance(value, str):
            try:
                numbers[name] = kind(value)
            except ValueError as error:
                raise ConfigurationError(f"{name}={value!r} is not a number.") from error
    return numbers


def _add_model_behind(arguments: dict[str, Any], model_id: ModelId) -> None:
    """Tell langchain-aws which model an id stands for, where it can't know."""
    is_arn = model_id.raw.startswith("arn:")
    if not is_arn and model_id.scope in _SCOPES_KNOWN_UPSTREAM:
        return
    base = arguments.get("base_model_id") or arguments.get("base_model")
    if base is None:
        base = base_model_of(model_id, arguments.get("bedrock_client"))
        arguments["base_model_id"] = base
    arguments["provider"] = parse_model_id(base).provider or ""


def _check_offers(arguments: dict[str, Any], model_id: ModelId) -> None:
    """Refuse a service tier or a performance that the model is known not to offer."""
    tier, performance = arguments.get("service_tier"), arguments.get("performance_config")
    if tier is None and performance is None:
        return
    name = model_id.raw
    if model_id.base is None and model_id.kind is not ModelIdKind.PROVISIONED_MODEL:
        name = arguments.get("base_model_id") or arguments.get("base_model") or name
    region = region_of(arguments.get("client")) or arguments.get("region_name")
    latency = performance.get("latency") if isinstance(performance, Mapping) else None
    check_offer(name, region, service_tier=tier, performance=latency)


def _add_clients(arguments: dict[str, Any], model_id: str) -> Callable[[], Any] | None:
    """Put clients with this package's settings into the arguments.

    Returns:
        What gives the shared runtime client, also in a forked process; None if it is not shared.
    """
    settings = _settings(arguments, model_id)
    renew = None
    if arguments.get("client") is None:
        if _needs_upstream_client(arguments):
            arguments["config"] = settings.config
            return None
        if arguments.get("default_headers"):
            # langchain-aws hangs a handler onto the client, which must then be nobody else's.
            arguments["client"] = new_client(settings)
        else:
            renew = partial(shared_client, settings)
            arguments["client"] = renew()
    if arguments.get("bedrock_client") is None:
        region = settings.region_name or region_of(arguments["client"])
        arguments["bedrock_client"] = LazyClient(
            _settings({**arguments, "region_name": region}, model_id, service="bedrock")
        )
    return renew


def _needs_upstream_client(arguments: dict[str, Any]) -> bool:
    """Whether langchain-aws has ways of its own to reach Bedrock that a client must follow."""
    has_api_key = any(arguments.get(name) for name in ("bedrock_api_key", "api_key"))
    gateway = os.getenv("LANGSMITH_GATEWAY", "").lower()
    return has_api_key or gateway not in {"", "0", "false", "no", "off"}


def _settings(
    arguments: dict[str, Any], model_id: str, service: str = "bedrock-runtime"
) -> ClientSettings:
    spec = spec_of(model_id)
    max_tokens = arguments.get("max_tokens") or (spec.max_output_tokens if spec else None)
    return ClientSettings(
        service=service,
        region_name=arguments.get("region_name"),
        endpoint_url=arguments.get("endpoint_url") or arguments.get("base_url"),
        profile_name=arguments.get("credentials_profile_name"),
        access_key_id=_revealed(arguments.get("aws_access_key_id")),
        secret_access_key=_revealed(arguments.get("aws_secret_access_key")),
        session_token=_revealed(arguments.get("aws_session_token")),
        config=client_config(
            max_concurrency=arguments.get("max_concurrency") or DEFAULT_CONCURRENCY,
            max_tokens=max_tokens,
            timeout=arguments.get("timeout"),
            max_retries=arguments.get("max_retries"),
            base=arguments.get("config"),
        ),
    )


def _revealed(secret: SecretStr | str | None) -> str | None:
    return secret.get_secret_value() if isinstance(secret, SecretStr) else secret
