"""A Converse request in its canonical form: equal for two requests that ask the same.

Both doors of the cache come through here: the layer with the request itself, and LangChain's
interface with the messages that `caching.messages` has brought into Converse's form.

The form is made for speed, since it is made for each call: a text that stands alone is a plain
string, a message a list of its role and its content, and the rest is left to the JSON encoder.
Texts of users, assistants and systems are folded (`caching.text`), those of tool results are not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from langchain_bedrock_opt.caching.schemas import canonical_schema
from langchain_bedrock_opt.caching.text import canonical_text
from langchain_bedrock_opt.catalog.model_ids import ModelIdKind, parse_model_id
from langchain_bedrock_opt.errors import ModelIdError

NO_EFFECT: Final = frozenset({"requestMetadata", "serviceTier", "performanceConfig"})
_NAMED_BY_ARN: Final = frozenset({ModelIdKind.FOUNDATION_MODEL, ModelIdKind.INFERENCE_PROFILE})


def canonical_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request without what changes no answer, the rest in its canonical form.

    Args:
        request: What boto3's `converse` would get. It is not changed.

    Raises:
        AttributeError, LookupError, TypeError, ValueError: It is no Converse request.
    """
    return {
        name: _PARTS[name](value) if name in _PARTS else value
        for name, value in request.items()
        if value and name not in NO_EFFECT
    }


def canonical_messages(messages: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Messages as lists of their role and their content; ids of tool calls become numbers.

    Example:
        >>> canonical_messages([{"role": "user", "content": [{"text": " Hi "}]}])
        [['user', ['Hi']]]
    """
    numbers: dict[str, int] = {}
    canonical: list[Any] = []
    for message in messages:
        blocks = message["content"]
        if len(blocks) == 1 and len(blocks[0]) == 1 and "text" in blocks[0]:  # most of them
            content: list[Any] = [canonical_text(blocks[0]["text"])]
        else:
            content = canonical_content(blocks, numbers)
        canonical.append([message["role"], content])
    return canonical


def canonical_content(blocks: Sequence[Mapping[str, Any]], numbers: dict[str, int]) -> list[Any]:
    """Content blocks without cache points; a text without anything beside it is a plain string.

    Args:
        blocks: The blocks of one message.
        numbers: The tool calls so far by their ids. New ones are added.
    """
    kept = [block for block in blocks if "cachePoint" not in block]
    last = len(kept) - 1
    return [
        _block(block, numbers, first=index == 0, last=index == last)
        for index, block in enumerate(kept)
    ]


def last_user_text(messages: Sequence[Any]) -> str | None:
    """The text of the last message, if it is a user's and holds one text and nothing else.

    Args:
        messages: In canonical form.
    """
    match messages:
        case [*_, ["user", [str(text)]]] if text:
            return text
    return None


@lru_cache(maxsize=1024)
def resolved_model(model_id: str) -> str:
    """The model or profile that an id names, without account and region.

    Application profiles, provisioned throughput and custom models stay what they are: what is
    behind their ARNs only AWS knows.

    Example:
        >>> resolved_model("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.n")
        'us.amazon.n'
        >>> resolved_model("amazon.nova-lite-v1:0")
        'amazon.nova-lite-v1:0'
    """
    try:
        parsed = parse_model_id(model_id)
    except ModelIdError:
        return model_id
    if parsed.kind not in _NAMED_BY_ARN or parsed.base is None:
        return model_id
    return f"{parsed.scope}.{parsed.base}" if parsed.scope else parsed.base


def canonical_tools(tools: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Tool definitions without cache points, their schemas canonical, in an order of their own."""
    kept = [_tool(tool) for tool in tools if "cachePoint" not in tool]
    return sorted(kept, key=_as_json)


def _block(
    block: Mapping[str, Any], numbers: dict[str, int], *, first: bool, last: bool
) -> str | Mapping[str, Any]:
    if "text" in block:
        text = canonical_text(block["text"], first=first, last=last)
        return text if len(block) == 1 else {**block, "text": text}
    if "toolUse" in block:
        call = block["toolUse"]
        return {**block, "toolUse": {**call, "toolUseId": _number(call["toolUseId"], numbers)}}
    if "toolResult" in block:
        return {**block, "toolResult": _tool_result(block["toolResult"], numbers)}
    return block


def _tool_result(result: Mapping[str, Any], numbers: dict[str, int]) -> dict[str, Any]:
    """A tool's result; its texts byte for byte, since they are data that nobody has typed."""
    canonical = dict(result)
    if canonical.get("status") == "success":  # what Bedrock assumes when nothing is said
        del canonical["status"]
    canonical["toolUseId"] = _number(result["toolUseId"], numbers)
    canonical["content"] = [part for part in result["content"] if "cachePoint" not in part]
    return canonical


def _number(tool_use_id: str, numbers: dict[str, int]) -> int:
    return numbers.setdefault(tool_use_id, len(numbers))


def _system(blocks: Sequence[Mapping[str, Any]]) -> list[Any]:
    return canonical_content(blocks, {})


def _tool_config(config: Mapping[str, Any]) -> dict[str, Any]:
    return {**config, "tools": canonical_tools(config.get("tools", ()))}


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = tool.get("toolSpec")
    if spec is None:
        return tool
    schema = {kind: canonical_schema(value) for kind, value in spec.get("inputSchema", {}).items()}
    return {**tool, "toolSpec": {**spec, "inputSchema": schema}}


def _inference_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as floats, so that a temperature of 0 is one of 0.0; stop sequences as a set."""
    return {
        name: float(value)
        if isinstance(value, int)
        else sorted(value)
        if isinstance(value, (list, tuple))
        else value
        for name, value in config.items()
        if value is not None
    }


def _guardrail_config(config: Mapping[str, Any]) -> list[Any]:
    return [config.get("guardrailIdentifier"), config.get("guardrailVersion")]


def _output_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The response format. Converse takes its schema as a text, so the text is read."""
    match config:
        case {"textFormat": {"structure": {"jsonSchema": {"schema": str(text)} as named}} as form}:
            schema = canonical_schema(json.loads(text))
            return {**config, "textFormat": {**form, "structure": {**named, "schema": schema}}}
    return config


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


_PARTS: Final[dict[str, Callable[[Any], Any]]] = {
    "modelId": resolved_model,
    "messages": canonical_messages,
    "system": _system,
    "toolConfig": _tool_config,
    "inferenceConfig": _inference_config,
    "guardrailConfig": _guardrail_config,
    "outputConfig": _output_config,
    "additionalModelResponseFieldPaths": sorted,
}
