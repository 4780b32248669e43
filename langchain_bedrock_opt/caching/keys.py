"""The semantic key: equal for two Converse requests that ask the same of the same model.

In the key is all that can change an answer, and everything this version does not know:

* the model, as the request names it (`us.` and `global.` profiles are different entries);
* system, messages, tool definitions, `inferenceConfig`, `additionalModelRequestFields`,
  `outputConfig`, prompt variables, the guardrail's id and version;
* `additionalModelResponseFieldPaths`, because a stored answer holds only the fields asked for.

Not in the key:

* `requestMetadata` and cache points, which the model never sees;
* `serviceTier` and `performanceConfig`: the same model, sooner or later, cheaper or dearer. An
  answer bought at one tier is as good for a request at another;
* the guardrail's `trace` and stream mode, ids of tool calls (only their order counts), the order
  of tools, of JSON keys and of a schema's `required`.

Texts count in their canonical form (`caching.text`). Strings inside JSON, such as a tool call's
arguments, count as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from langchain_bedrock_opt.caching.text import canonical_text

KEY_VERSION: Final = "v1"
"""Changes whenever a key would; entries under older keys are no longer found, and expire."""

NO_EFFECT: Final = frozenset({"requestMetadata", "serviceTier", "performanceConfig"})
"""Parts of a request that change what is paid and when an answer comes, but not the answer."""

_PERSON = b"bedrock-opt key"
_SCHEMA_MAPS = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
)
_SCHEMA_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SCHEMAS = frozenset({"items", "additionalProperties", "not", "if", "then", "else", "contains"})


def semantic_key(request: Mapping[str, Any], *, tenant: str = "", namespace: str = "") -> str:
    r"""The key of a Converse request.

    Args:
        request: What boto3's `converse` would get: `modelId`, `messages` and so on.
        tenant: Whose answers these are. Two tenants never share a key.
        namespace: Which cache this is; likewise.

    Returns:
        `v1:` and 64 hexadecimal digits.

    Raises:
        TypeError: This is no request that Bedrock would take.

    Example:
        >>> ask = lambda text: {
        ...     "modelId": "m",
        ...     "messages": [{"role": "user", "content": [{"text": text}]}],
        ... }
        >>> semantic_key(ask("1 + 1 = ?")) == semantic_key(ask("\uff11 + 1 = ?\r\n"))
        True
        >>> semantic_key(ask("1 + 1 = ?")) == semantic_key(ask("1 + 1 = ?"), tenant="acme")
        False
    """
    try:
        canonical = {
            name: _PARTS[name](value) if name in _PARTS else value
            for name, value in request.items()
            if value and name not in NO_EFFECT
        }
        digest = keyed_digest(canonical, tenant=tenant, namespace=namespace)
    except (AttributeError, LookupError, RecursionError, ValueError) as error:
        raise TypeError(f"not a Converse request: {type(error).__name__}") from error
    return f"{KEY_VERSION}:{digest}"


def keyed_digest(document: Any, *, tenant: str, namespace: str) -> str:
    """A BLAKE2b digest of JSON-like data, keyed by its scope.

    Args:
        document: JSON-like data; `bytes` count by their digest. The order of keys has no effect.
        tenant: Part of the hash's key.
        namespace: The other part.

    Returns:
        64 hexadecimal digits.

    Raises:
        TypeError: The document holds something else.
    """
    data = _ENCODER.encode(document).encode("utf-8", "surrogatepass")
    key = _scope_key(namespace, tenant)
    return blake2b(data, key=key, person=_PERSON, digest_size=32).hexdigest()


def canonical_schema(schema: Any) -> Any:
    """A JSON Schema with what is a set by its meaning put in order.

    Example:
        >>> canonical_schema({"type": "object", "required": ["b", "a"]})
        {'type': 'object', 'required': ['a', 'b']}
    """
    if not isinstance(schema, Mapping):
        return schema
    return {name: _schema_part(name, value) for name, value in schema.items()}


def _schema_part(name: str, value: Any) -> Any:
    if name == "required" and isinstance(value, list):
        return sorted(value)
    if name in _SCHEMAS:
        return canonical_schema(value)
    if name in _SCHEMA_LISTS and isinstance(value, list):
        return [canonical_schema(schema) for schema in value]
    if name in _SCHEMA_MAPS and isinstance(value, Mapping):
        return {key: canonical_schema(schema) for key, schema in value.items()}
    return value


def _messages(messages: Sequence[Mapping[str, Any]]) -> list[Any]:
    numbers: dict[str, int] = {}
    return [[message["role"], _content(message["content"], numbers)] for message in messages]


def _content(blocks: Sequence[Mapping[str, Any]], numbers: dict[str, int]) -> list[Any]:
    """Content blocks without cache points, texts canonical, ids of tool calls as numbers."""
    blocks = [block for block in blocks if "cachePoint" not in block]
    last = len(blocks) - 1
    return [
        {
            **block,
            "text": canonical_text(block["text"], first=index == 0, last=index == last),
        }
        if "text" in block
        else _other_block(block, numbers)
        for index, block in enumerate(blocks)
    ]


def _other_block(block: Mapping[str, Any], numbers: dict[str, int]) -> Mapping[str, Any]:
    if "toolUse" in block:
        call = block["toolUse"]
        return {"toolUse": {**call, "toolUseId": _number(call["toolUseId"], numbers)}}
    if "toolResult" in block:
        result = dict(block["toolResult"])
        if result.get("status") == "success":  # what Bedrock assumes when nothing is said
            del result["status"]
        result["toolUseId"] = _number(result["toolUseId"], numbers)
        result["content"] = _content(result["content"], numbers)
        return {"toolResult": result}
    return block


def _number(tool_use_id: str, numbers: dict[str, int]) -> int:
    return numbers.setdefault(tool_use_id, len(numbers))


def _system(blocks: Sequence[Mapping[str, Any]]) -> list[Any]:
    return _content(blocks, {})


def _tool_config(config: Mapping[str, Any]) -> dict[str, Any]:
    tools = [_tool(tool) for tool in config.get("tools", ()) if "cachePoint" not in tool]
    return {**config, "tools": sorted(tools, key=_ENCODER.encode)}


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = tool.get("toolSpec")
    if spec is None:
        return tool
    schema = {kind: canonical_schema(value) for kind, value in spec.get("inputSchema", {}).items()}
    return {**tool, "toolSpec": {**spec, "inputSchema": schema}}


def _inference_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as floats, so that a temperature of 0 is one of 0.0."""
    return {
        name: float(value) if isinstance(value, int) else value
        for name, value in config.items()
        if value is not None
    }


def _guardrail_config(config: Mapping[str, Any]) -> list[Any]:
    return [config.get("guardrailIdentifier"), config.get("guardrailVersion")]


def _digest_bytes(value: object) -> list[str]:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return ["blake2b", blake2b(value, digest_size=32).hexdigest()]
    raise TypeError(f"a request can't hold a {type(value).__name__}")


@lru_cache(maxsize=1024)
def _scope_key(namespace: str, tenant: str) -> bytes:
    scope = json.dumps([namespace, tenant]).encode()
    return blake2b(scope, digest_size=64, person=b"bedrock-opt scp").digest()


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_digest_bytes
)

_PARTS: dict[str, Callable[[Any], Any]] = {
    "messages": _messages,
    "system": _system,
    "toolConfig": _tool_config,
    "inferenceConfig": _inference_config,
    "guardrailConfig": _guardrail_config,
}
