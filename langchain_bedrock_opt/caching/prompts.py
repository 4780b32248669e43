r"""A key from what LangChain's own cache interface tells: two strings.

`BaseCache` is given the messages as LangChain's JSON and the model as another text. The messages
are brought into the form of a Converse request (`caching.messages`), and from there on count as
they do for the layer. So the second turn of a conversation is found again although the first
turn's answer carries other request ids, or came from this cache.

The model's text is its constructor as JSON, then `---`, then the call's arguments as Python writes
them. Of both, what changes no answer is dropped, and tools and response formats get their
canonical form.

What this door cannot do, because the interface does not show it:

* Tell a model that was copied or changed (`model_copy(update=…)`, `model.temperature = 1`) from
  what it was: LangChain describes it by its constructor. Models that are not serializable are
  described by `_identifying_params` alone, `ChatBedrockConverse` wrapped by hand by nothing.
* See what a model adds to a request by itself, such as its own default of `max_tokens`.
* Read arguments that Python does not write as literals, such as a class given as a tool. They
  count as they are written; if that has an address in it, it is never found again.
* Know that an argument of the call repeats one of the constructor. `bind(temperature=0)` and
  `Model(temperature=0)` have different keys.
* Know what media are behind an address or an id: they count by their name.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from langchain_bedrock_opt.caching.canonical import (
    canonical_messages,
    canonical_tools,
    last_user_text,
    resolved_model,
)
from langchain_bedrock_opt.caching.keys import KEY_VERSION, keyed_digest
from langchain_bedrock_opt.caching.messages import converse_form
from langchain_bedrock_opt.caching.schemas import canonical_schema
from langchain_bedrock_opt.caching.text import canonical_text

_NO_EFFECT: Final = frozenset(
    {
        "cache",
        "credentials_profile_name",
        "disable_streaming",
        "max_retries",
        "metadata",
        "name",
        "performance_config",
        "rate_limiter",
        "region_name",
        "request_metadata",
        "service_tier",
        "streaming",
        "tags",
        "timeout",
        "verbose",
    }
)
"""Arguments of chat models, and of calls, that do not change an answer."""

_MODELS: Final = frozenset({"model", "model_id", "model_name"})
_CONVERSE: Final = ["langchain_aws", "chat_models", "ChatBedrockConverse"]
"""How LangChain's JSON names `ChatBedrockConverse`, and this package's model too."""

_SETS: Final = frozenset({"stop", "stop_sequences"})
_LONGEST_CALL = 1_000_000
"""Characters of a call's arguments up to which they are read; longer ones count as they are."""

_TEMPERATURE = re.compile(r"'temperature'([,:]) ([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)")
"""A temperature among arguments that can't be read, bound by itself or in a part of the request."""

_DECODER = json.JSONDecoder()


def prompt_key(prompt: str, llm_string: str, *, tenant: str = "", namespace: str = "") -> str:
    """The key of a lookup through LangChain's cache interface.

    Args:
        prompt: A plain prompt, or the messages as `langchain_core.load.dumps` writes them.
        llm_string: LangChain's description of the model and the call's parameters.
        tenant: Whose answers these are.
        namespace: Which cache this is.

    Returns:
        A key that no Converse request has.

    Example:
        >>> prompt_key("Hi?", "model") == prompt_key(" Hi? ", "model")
        True
    """
    model = _model(llm_string)
    form = _messages(prompt, model) or ["text", canonical_text(prompt)]
    document = [form, model.canonical]
    return f"{KEY_VERSION}g:{keyed_digest(document, tenant=tenant, namespace=namespace)}"


def prompt_scope(
    prompt: str, llm_string: str, *, tenant: str = "", namespace: str = ""
) -> tuple[str, str] | None:
    """What two lookups must share for their last texts to be compared, and that text.

    Args:
        prompt: The messages as `langchain_core.load.dumps` writes them.
        llm_string: LangChain's description of the model and the call's parameters.
        tenant: Whose answers these are.
        namespace: Which cache this is.

    Returns:
        As `keys.similarity_scope`. None also for a plain prompt: who asked what in it, and which
        part of it is a template's, can't be told.

    Example:
        >>> prompt_scope("Hi?", "model") is None
        True
    """
    model = _model(llm_string)
    form = _messages(prompt, model)
    if form is None:
        return None
    text = last_user_text(form)
    if text is None:
        return None
    rest = ["scope", form[:-1], model.canonical]
    digest = keyed_digest(rest, tenant=tenant, namespace=namespace)
    return f"{KEY_VERSION}gs:{digest}", text


def is_sampled_model(llm_string: str) -> bool:
    """Whether the model's description shows a temperature above 0, wherever it is set.

    Example:
        >>> is_sampled_model("[('stop', None), ('temperature', 0.7)]")
        True
    """
    return _model(llm_string).is_sampled


def _messages(prompt: str, model: _Model) -> list[Any] | None:
    """A prompt's messages in canonical form, the system's first; None if it is a text."""
    if not prompt.startswith("["):
        return None
    try:
        messages = json.loads(prompt)
        if not messages or not all(message["type"] == "constructor" for message in messages):
            return None
        form = converse_form(messages, with_kwargs=not model.is_converse)
        system = {"role": "system", "content": form["system"]}
        return canonical_messages([system, *form["messages"]])
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None  # JSON that only looks like LangChain's: it counts as the text it is


class _Model:
    """What a description of a model says.

    Attributes:
        canonical: All that changes an answer, as one text: it is asked for with each call.
        is_converse: Whether it sends Converse requests, which hold no `additional_kwargs`.
        is_sampled: Whether it has a temperature above 0, wherever that is set.
    """

    def __init__(self, llm_string: str) -> None:
        description, call = _split(llm_string)
        arguments = _call_arguments(call)
        constructor = description.get("kwargs", {})
        try:
            said = call if arguments is None else _canonical(arguments)
            parts = [description.get("id"), _canonical(constructor), said]
            self.canonical = json.dumps(parts, sort_keys=True, default=repr)
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
            self.canonical = llm_string  # literals, but not what they look like
        self.is_converse = description.get("id") == _CONVERSE
        bound = _unread_temperatures(call) if arguments is None else arguments
        self.is_sampled = _is_sampled(constructor, bound)


@lru_cache(maxsize=128)
def _model(llm_string: str) -> _Model:
    # A process has few models, each with its tools. Reading their text takes longer than a lookup.
    return _Model(llm_string)


def _split(llm_string: str) -> tuple[dict[str, Any], str]:
    """The model's constructor as JSON, if there is one, and the arguments of the call."""
    try:
        description, end = _DECODER.raw_decode(llm_string)
    except (ValueError, RecursionError):
        return {}, llm_string
    if isinstance(description, dict) and isinstance(description.get("kwargs"), dict):
        return description, llm_string[end:].removeprefix("---")
    return {}, llm_string


def _call_arguments(call: str) -> dict[str, Any] | None:
    """The arguments of a call, which are written as a list of pairs; None if they can't be read."""
    if len(call) > _LONGEST_CALL:
        return None
    try:
        pairs = ast.literal_eval(call)
        if not isinstance(pairs, list):
            return None
        arguments = dict(pairs)
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        return None
    return arguments if all(isinstance(name, str) for name in arguments) else None


def _unread_temperatures(call: str) -> dict[str, Any]:
    """The highest temperatures, bound by itself and in parts, of a call that can't be read."""
    highest: dict[str, float] = {}
    for sign, number in _TEMPERATURE.findall(call):
        highest[sign] = max(float(number), highest.get(sign, 0.0))
    return {"temperature": highest.get(","), "in a part": {"temperature": highest.get(":")}}


def _is_sampled(constructor: Mapping[str, Any], arguments: Mapping[str, Any]) -> bool:
    """Whether a temperature above 0 is set, by itself or in any part of the request.

    Models take it in `model_kwargs`, `additional_model_request_fields`, `inference_config` and
    more, so all objects are searched. An argument of the call goes before the constructor's.
    """
    bound = {name: value for name, value in arguments.items() if value is not None}
    parts: list[Mapping[str, Any]] = [{**constructor, **bound}]
    for part in parts:  # it grows on the way; a deep one costs no stack
        temperature = part.get("temperature")
        if isinstance(temperature, (int, float)) and temperature > 0:
            return True
        parts += [value for value in part.values() if isinstance(value, dict)]
    return False


def _canonical(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _argument(name, value)
        for name, value in arguments.items()
        if value is not None and name not in _NO_EFFECT and not _is_secret(value)
    }


def _argument(name: str, value: Any) -> Any:
    if name == "tools" and isinstance(value, (list, tuple)):
        return canonical_tools([_tool(tool) for tool in value])
    if name in _MODELS and isinstance(value, str):
        return resolved_model(value)
    if name in _SETS and isinstance(value, (list, tuple)):
        return sorted(value, key=str)
    if name == "response_format":
        return _response_format(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 2**53 else value


def _tool(tool: Any) -> Any:
    """A tool in Converse's form, from Converse's own, OpenAI's or Anthropic's."""
    match tool:
        case {"type": "function", "function": {"name": _, "parameters": schema} as spec}:
            pass
        case {"name": _, "input_schema": schema} as spec:
            pass
        case {"toolSpec": _} | {"cachePoint": _}:
            return tool
        case _:
            return {"tool": tool}
    rest = {
        name: value
        for name, value in spec.items()
        if name not in {"parameters", "input_schema", "cache_control"}
    }
    return {"toolSpec": {**rest, "inputSchema": {"json": schema}}}


def _response_format(value: Any) -> Any:
    match value:
        case {"json_schema": {"schema": schema} as named}:
            named = {**named, "schema": canonical_schema(schema)}
            return {**value, "json_schema": named}
    return value


def _is_secret(value: Any) -> bool:
    """Whether a value only says where credentials come from, which differs from host to host."""
    return isinstance(value, dict) and value.get("type") == "secret"
