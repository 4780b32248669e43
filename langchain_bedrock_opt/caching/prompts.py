"""A key from what LangChain's own cache interface tells: two strings.

`BaseCache` is given the messages as LangChain's JSON and the model as another text. From the JSON
everything is removed that the model will not see or that names this run only: ids, usage, response
metadata, artifacts. So the second turn of a conversation is found again although the first turn's
answer carries other request ids, or came from this cache.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from langchain_bedrock_opt.caching.keys import KEY_VERSION, keyed_digest
from langchain_bedrock_opt.caching.text import canonical_text

_KEPT = frozenset({"name", "role", "tool_calls", "status"})
"""What a model may see of a message, besides its content and the id that a tool result names."""

_NO_EFFECT = frozenset(
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
"""Constructor arguments of chat models that do not change an answer."""

_BOUND_TEMPERATURE = re.compile(r"\('temperature', ([0-9]+(?:\.[0-9]+)?)\)")
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
    """
    try:
        document = [_canonical_prompt(prompt), _canonical_model(llm_string)]
        digest = keyed_digest(document, tenant=tenant, namespace=namespace)
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        # JSON that only looks like LangChain's: it counts as the text it is.
        digest = keyed_digest([prompt, llm_string], tenant=tenant, namespace=namespace)
    return f"{KEY_VERSION}g:{digest}"


def is_sampled_model(llm_string: str) -> bool:
    """Whether the model's description shows a temperature above 0.

    Example:
        >>> is_sampled_model("[('stop', None), ('temperature', 0.7)]")
        True
    """
    description, call = _split(llm_string)
    bound = _BOUND_TEMPERATURE.search(call)
    if bound:
        return float(bound.group(1)) > 0
    temperature = description.get("kwargs", {}).get("temperature")
    return isinstance(temperature, (int, float)) and temperature > 0


def _split(llm_string: str) -> tuple[dict[str, Any], str]:
    """The model's constructor as JSON, if there is one, and the parameters of the call."""
    try:
        description, end = _DECODER.raw_decode(llm_string)
    except (ValueError, RecursionError):
        return {}, llm_string
    if isinstance(description, dict) and isinstance(description.get("kwargs"), dict):
        return description, llm_string[end:]
    return {}, llm_string


def _canonical_model(llm_string: str) -> list[Any]:
    description, call = _split(llm_string)
    if not description:
        return [call]
    arguments = {
        name: value
        for name, value in description["kwargs"].items()
        if name not in _NO_EFFECT and not _is_secret(value)
    }
    return [description.get("id"), arguments, call]


def _is_secret(value: Any) -> bool:
    """Whether a value only says where credentials come from, which differs from host to host."""
    return isinstance(value, dict) and value.get("type") == "secret"


def _canonical_prompt(prompt: str) -> list[Any]:
    try:
        messages = json.loads(prompt)
    except (ValueError, RecursionError):
        return ["text", canonical_text(prompt)]
    if not isinstance(messages, list) or not all(map(_is_message, messages)):
        return ["text", canonical_text(prompt)]
    numbers: dict[Any, int] = {}
    return ["messages", *(_canonical_message(message, numbers) for message in messages)]


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") == "constructor"


def _canonical_message(message: Mapping[str, Any], numbers: dict[Any, int]) -> list[Any]:
    fields: dict[str, Any] = message["kwargs"]
    kept = {name: value for name, value in fields.items() if name in _KEPT and value}
    calls = kept.get("tool_calls", [])
    if calls:
        kept["tool_calls"] = [{**call, "id": _number(call.get("id"), numbers)} for call in calls]
    if "tool_call_id" in fields:
        kept["tool_call_id"] = _number(fields["tool_call_id"], numbers)
    function_call = fields.get("additional_kwargs", {}).get("function_call")
    if function_call:  # OpenAI's older form; all else in there repeats what is said elsewhere
        kept["function_call"] = function_call
    kept["content"] = _canonical_content(fields["content"], {call.get("id") for call in calls})
    return [str(message["id"][-1]).removesuffix("Chunk"), kept]


def _number(tool_call_id: Any, numbers: dict[Any, int]) -> int:
    return numbers.setdefault(tool_call_id, len(numbers))


def _canonical_content(content: Any, call_ids: set[Any]) -> list[Any]:
    """Content blocks, texts in canonical form, without those that repeat `tool_calls`."""
    if isinstance(content, str):
        content = [content]
    blocks = [
        {"type": "text", "text": block} if isinstance(block, str) else block
        for block in content
        if not _is_left_out(block, call_ids)
    ]
    last = len(blocks) - 1
    return [
        _canonical_block(block, first=index == 0, last=index == last)
        for index, block in enumerate(blocks)
        if block != {"type": "text", "text": ""}
    ]


def _is_left_out(block: Any, call_ids: set[Any]) -> bool:
    if not isinstance(block, dict):
        return False
    repeats_a_call = block.get("type") in {"tool_use", "tool_call"} and block.get("id") in call_ids
    return repeats_a_call or "cachePoint" in block


def _canonical_block(block: dict[str, Any], *, first: bool, last: bool) -> dict[str, Any]:
    kept = {name: value for name, value in block.items() if name not in {"index", "cache_control"}}
    if kept.get("type") == "text":
        kept.pop("id", None)
        kept["text"] = canonical_text(kept["text"], first=first, last=last)
    return kept
