"""Caches are asked before a job is made, and learn its answers.

Nothing is asked for an input whose answer a cache has. There are two kinds of caches, and each is
asked by its own rules, so that a single call and a batch hit what the other has stored:

* a layer in the model's request path (`ChatBedrockOptimized(cache=…)`) is sent the request, with
  nobody behind it who could answer (`NotAsked`), and later once more with the job's answer;
* LangChain's caches (`cache=`, `set_llm_cache`) are asked by LangChain's own keys.

A cache never breaks a batch: what fails is logged once, and the input is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from types import SimpleNamespace
from typing import Any, Final, Protocol, cast
from uuid import UUID

from langchain_aws import ChatBedrockConverse
from langchain_core.caches import BaseCache
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_bedrock_opt.aws.layers import LayeredClient, NotAsked, Response, region_of
from langchain_bedrock_opt.aws.replay import ReplayClient
from langchain_bedrock_opt.batching.hits import as_hit
from langchain_bedrock_opt.contracts import REPORT_KEY
from langchain_bedrock_opt.errors import ConfigurationError

logger = logging.getLogger(__name__)

Metadata = Callable[[int], Mapping[str, Any]]
"""The metadata of an input's run, by its place: what a user tells a cache for one call."""

_NOBODY: Final = UUID(int=0)


class Known(Protocol):
    """A cache, as a batch asks it."""

    def find(self, place: int, messages: list[BaseMessage]) -> AIMessage | None:
        """The answer to an input, marked as a hit; None if there is none."""

    def keep(self, place: int, message: AIMessage, response: Callable[[], Response]) -> None:
        """Store the answer to an input that was asked for, unless it was stored before.

        Args:
            place: The input's place.
            message: The answer, which is told what the cache did.
            response: Gives the same as a Converse response.
        """


def known_of(
    model: ChatBedrockConverse,
    stop: list[str] | None,
    kwargs: Mapping[str, Any],
    *,
    metadata: Metadata,
    learns: bool,
) -> Known | None:
    """The caches that a model's single calls would ask; None if there are none.

    Args:
        model: The model.
        stop: Stop sequences.
        kwargs: The call's other arguments.
        metadata: What its inputs' runs say.
        learns: Whether answers will be brought to `keep`; else nothing is remembered for it.

    Raises:
        ConfigurationError: The model is told to use a cache, and there is none.
    """
    found: list[Known] = []
    cache = _langchain_cache(model)
    if cache is not None:
        found.append(_LangChainCache(cache, model, stop, kwargs, learns=learns))
    layers = [layer for layer in getattr(model, "layers", ()) if getattr(layer, "replays", False)]
    if layers:
        found.append(_ReplayingLayers(layers, model, stop, kwargs, metadata, learns=learns))
    return _Several(found) if len(found) > 1 else next(iter(found), None)


class _Several:
    """Caches one behind the other, as single calls meet them.

    Args:
        caches: From the outermost.
    """

    def __init__(self, caches: Sequence[Known]) -> None:
        self._caches = caches

    def find(self, place: int, messages: list[BaseMessage]) -> AIMessage | None:
        found = (cache.find(place, messages) for cache in self._caches)
        return next((message for message in found if message is not None), None)

    def keep(self, place: int, message: AIMessage, response: Callable[[], Response]) -> None:
        for cache in self._caches:
            cache.keep(place, message, response)


class _Failures:
    """Logs the first failure of a cache."""

    def __init__(self) -> None:
        self._is_told = False

    def tell(self, doing: str, error: Exception) -> None:
        if not self._is_told:
            self._is_told = True
            logger.warning("A cache failed while %s it; the batch goes on", doing, exc_info=error)


class _ReplayingLayers:
    """The layers of a `ChatBedrockOptimized` that answer again what was asked before."""

    def __init__(
        self,
        layers: Sequence[Any],
        model: ChatBedrockConverse,
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        metadata: Metadata,
        *,
        learns: bool,
    ) -> None:
        # Layers around the cache that change requests would change its keys; they are about
        # single calls, and a batch has none.
        self._layers = layers
        self._model = model
        self._region = region_of(model.client)
        self._arguments = {"stop": stop, **kwargs}
        self._metadata = metadata
        self._probe = self._with(_Unasked(self._region))
        self._asked: dict[int, list[BaseMessage]] | None = {} if learns else None
        self._failures = _Failures()

    def find(self, place: int, messages: list[BaseMessage]) -> AIMessage | None:
        try:
            return self._call(self._probe, place, messages)
        except NotAsked:
            if self._asked is not None:
                self._asked[place] = messages
        except Exception as error:  # noqa: BLE001 - whatever it is, the record's making will tell
            self._failures.tell("asking", error)
        return None

    def keep(
        self,
        place: int,
        message: AIMessage,
        response: Callable[[], Response],
    ) -> None:
        messages = None if self._asked is None else self._asked.pop(place, None)
        if messages is None:
            return
        try:
            answering = self._with(ReplayClient(response(), region_name=self._region or ""))
            told = self._call(answering, place, messages).response_metadata[REPORT_KEY]["cache"]
            if told["status"] != "hit":  # somebody else has stored it meanwhile; this one is paid
                message.response_metadata[REPORT_KEY]["cache"] = told
        except Exception as error:  # noqa: BLE001 - the answer is the caller's all the same
            self._failures.tell("teaching", error)

    def _with(self, client: Any) -> ChatBedrockConverse:
        layered = LayeredClient(client, self._layers)
        return self._model.model_copy(update={"client": layered, "cache": False})

    def _call(
        self, model: ChatBedrockConverse, place: int, messages: list[BaseMessage]
    ) -> AIMessage:
        run = CallbackManagerForLLMRun(
            run_id=_NOBODY,
            handlers=[],
            inheritable_handlers=[],
            metadata=dict(self._metadata(place)),
        )
        result = model._generate(list(messages), run_manager=run, **self._arguments)  # noqa: SLF001 - a documented override point
        return cast("AIMessage", result.generations[0].message)


class _Unasked:
    """A client with nobody behind it."""

    def __init__(self, region_name: str | None) -> None:
        self.meta = SimpleNamespace(region_name=region_name)

    def converse(self, **_request: Any) -> Response:
        raise NotAsked


class _LangChainCache:
    """A cache that LangChain asks itself in single calls."""

    def __init__(
        self,
        cache: BaseCache,
        model: ChatBedrockConverse,
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
        *,
        learns: bool,
    ) -> None:
        self._cache = cache
        self._name = _model_key(model, stop, kwargs)
        self._asked: dict[int, str] | None = {} if learns else None
        self._failures = _Failures()

    def find(self, place: int, messages: list[BaseMessage]) -> AIMessage | None:
        try:
            # As LangChain makes its keys: an answer within a conversation has an id of its own.
            prompt = dumps([message.model_copy(update={"id": None}) for message in messages])
            found = self._cache.lookup(prompt, self._name)
        except Exception as error:  # noqa: BLE001 - a cache never breaks a batch
            self._failures.tell("asking", error)
            return None
        if isinstance(found, list) and found:
            return as_hit(_message_of(found[0]), "langchain")
        if self._asked is not None:
            self._asked[place] = prompt
        return None

    def keep(
        self,
        place: int,
        message: AIMessage,
        response: Callable[[], Response],  # noqa: ARG002 - the other kind of cache stores it
    ) -> None:
        prompt = None if self._asked is None else self._asked.pop(place, None)
        if prompt is None:
            return
        stored = message.model_copy(update={"id": None})
        try:
            self._cache.update(prompt, self._name, [ChatGeneration(message=stored)])
        except Exception as error:  # noqa: BLE001 - likewise
            self._failures.tell("teaching", error)


def _langchain_cache(model: ChatBedrockConverse) -> BaseCache | None:
    """The cache that LangChain would ask in a single call of the model."""
    if isinstance(model.cache, BaseCache):
        return model.cache
    if model.cache is False:
        return None
    cache = get_llm_cache()
    if cache is None and model.cache:
        raise ConfigurationError(
            "The model has cache=True, and no cache is set: call "
            "langchain_core.globals.set_llm_cache, or pass cache=None."
        )
    return cache


class _Key(Exception):  # noqa: N818 - no error: it carries a key out of a call
    """The second half of the key that LangChain asks its caches by."""


class _KeyCache(BaseCache):
    """Says by which key LangChain asks, and breaks the call off."""

    def lookup(self, prompt: str, llm_string: str) -> None:  # noqa: ARG002 - BaseCache's signature
        raise _Key(llm_string)

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Nothing is stored here."""

    def clear(self, **_: Any) -> None:
        """Nothing is stored here."""


def _model_key(
    model: ChatBedrockConverse, stop: list[str] | None, kwargs: Mapping[str, Any]
) -> str:
    """What stands for a model and a call's arguments in the keys of LangChain's caches.

    LangChain is asked itself, by a call that ends at its cache. Nobody is to hear of that call:
    it runs outside of all contexts, where no tracer and no handler is set.
    """
    # Nothing but its silence is different; what is in the key is the same.
    silent = model.model_copy(
        update={"cache": _KeyCache(), "callbacks": None, "verbose": False, "rate_limiter": None}
    )

    def ask() -> str:
        from langsmith import tracing_context

        try:
            with tracing_context(enabled=False):
                silent.generate([[HumanMessage("-")]], stop, **kwargs)
        except _Key as key:
            return cast("str", key.args[0])
        raise RuntimeError("LangChain did not ask its cache: please report this as a bug")

    return Context().run(ask)


def _message_of(generation: Generation) -> AIMessage:
    """The answer of a stored generation, also of one that was stored as a text."""
    if isinstance(generation, ChatGeneration) and isinstance(generation.message, AIMessage):
        return generation.message
    return AIMessage(generation.text)
