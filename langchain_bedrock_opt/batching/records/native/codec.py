"""What every family's format needs: refusing what it can't carry, merging fields, usage."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from langchain_bedrock_opt.aws.replay import to_json_bytes
from langchain_bedrock_opt.catalog.specs import spec_of
from langchain_bedrock_opt.errors import ConfigurationError

Document = dict[str, Any]
"""A JSON object."""

MAX_OUTPUT: Final = 4096
"""Tokens of output that are asked for where a format demands a limit and nobody knows one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One family's format.

    Attributes:
        name: What errors call it.
        to_body: A Converse request, and the base model id, as the family's body.
        to_response: The family's answer as a Converse response, as boto3 gives it.
        takes_tools: Whether the format has tools.
        copies_text: Whether a message's text goes into the body as it is, unread.
    """

    name: str
    to_body: Callable[[Mapping[str, Any], str], Document]
    to_response: Callable[[Mapping[str, Any]], Document]
    takes_tools: bool = True
    copies_text: bool = True


class Format:
    """What a family's format can't carry, said in one clear line.

    Args:
        name: What errors call the format.
        keys: The keys of a Converse request that it has a place for.
    """

    def __init__(self, name: str, keys: Collection[str]) -> None:
        self.name = name
        self._keys = frozenset(keys) | {"modelId", "messages", "inferenceConfig"}

    def check(self, request: Mapping[str, Any]) -> None:
        """Refuse a request with something in it that would get lost.

        Raises:
            ConfigurationError: It has a key that the format has no place for.
        """
        for key, value in request.items():
            if value and key not in self._keys:
                raise self.refusal(key)

    def refusal(self, what: str) -> ConfigurationError:
        """The error for something that the format has no place for."""
        return ConfigurationError(
            f"{what} has no place in the format of {self.name} that InvokeModel jobs use: leave "
            "it out, or bind no tools: without them it is a Converse job, which takes it."
        )

    def block(self, block: Mapping[str, Any]) -> tuple[str, Any]:
        """A content block's kind and value.

        Raises:
            ConfigurationError: It has not exactly one kind.
        """
        if len(block) != 1:
            raise self.refusal(f"A content block with the keys {sorted(block)}")
        return next(iter(block.items()))

    def text(self, blocks: Iterable[Mapping[str, Any]]) -> str:
        """The text of blocks that may hold nothing else.

        Raises:
            ConfigurationError: There is a block of another kind.
        """
        return "\n".join(self._text(block) for block in blocks)

    def _text(self, block: Mapping[str, Any]) -> str:
        kind, value = self.block(block)
        if kind != "text":
            raise self.refusal(f"A content block {kind!r}")
        return str(value)

    def source(self, kind: str, source: Mapping[str, Any]) -> bytes:
        """The bytes of an image or a document.

        Raises:
            ConfigurationError: It lies elsewhere, in S3 for one.
        """
        if "bytes" not in source:
            raise self.refusal(f"A content block {kind!r} from {sorted(source)}")
        return bytes(source["bytes"])


def with_fields(body: Document, request: Mapping[str, Any]) -> Document:
    """A body with the request's `additionalModelRequestFields`, merged as Converse merges them.

    Example:
        >>> fields = {"inferenceConfig": {"topK": 20}}
        >>> body = {"inferenceConfig": {"maxTokens": 10}}
        >>> with_fields(body, {"additionalModelRequestFields": fields})
        {'inferenceConfig': {'maxTokens': 10, 'topK': 20}}
    """
    return _merged(body, request.get("additionalModelRequestFields") or {})


def _merged(ours: Document, theirs: Mapping[str, Any]) -> Document:
    merged = dict(ours)
    for key, value in theirs.items():
        known = merged.get(key)
        is_object = isinstance(known, dict) and isinstance(value, Mapping)
        merged[key] = _merged(known or {}, value) if is_object else value
    return merged


def settings(request: Mapping[str, Any], names: Mapping[str, str], fmt: Format) -> Document:
    """`inferenceConfig` under a family's names.

    Args:
        request: The Converse request.
        names: The family's name for each of Converse's.
        fmt: The format, for a setting that it lacks.

    Raises:
        ConfigurationError: The format lacks a setting.
    """
    found: Document = {}
    for key, value in (request.get("inferenceConfig") or {}).items():
        if value is None or value == []:
            continue
        if key not in names:
            raise fmt.refusal(f"inferenceConfig.{key}")
        found[names[key]] = value
    return found


def most_output(base_model_id: str) -> int:
    """The most tokens a model writes, for formats that demand a limit."""
    spec = spec_of(base_model_id)
    return (spec.max_output_tokens if spec else None) or MAX_OUTPUT


def json_schema(request: Mapping[str, Any]) -> Document | None:
    """`jsonSchema` of an `outputConfig`, its schema as an object; None if there is none.

    Raises:
        ValueError: Its schema is not JSON.
    """
    text_format = (request.get("outputConfig") or {}).get("textFormat") or {}
    wanted = (text_format.get("structure") or {}).get("jsonSchema")
    if wanted is None:
        return None
    return {**wanted, "schema": orjson.loads(wanted["schema"])}


def encoded(data: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(data).decode("ascii")


def parsed(text: str | bytes) -> Any:
    """A value from its JSON, also with the halves of surrogate pairs that models now and then cut.

    Raises:
        ValueError: It is not JSON.

    Example:
        >>> parsed(b'{"text":"Kyoto"}')
        {'text': 'Kyoto'}
    """
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)


def compact(value: Any) -> str:
    """A value as JSON text."""
    return to_json_bytes(value).decode()


def response(content: list[Document], stop_reason: str | None, usage: Document) -> Document:
    """A Converse response."""
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason or "end_turn",
        "usage": usage,
    }


def usage_of(
    answered: Mapping[str, Any],
    input_tokens: int | None,
    output_tokens: int | None,
    cache_read: int | None = 0,
    cache_write: int | None = 0,
) -> Document:
    """Converse's `usage`; counts that the format does not have come from Bedrock's own metrics.

    Args:
        answered: The answer's body.
        input_tokens: Tokens of the prompt that were neither read from nor written to a cache.
        output_tokens: Tokens of the answer.
        cache_read: Tokens read from the prompt cache.
        cache_write: Tokens written to it.
    """
    metrics = answered.get(METRICS) or {}
    given = input_tokens if input_tokens is not None else metrics.get("inputTokenCount")
    written = output_tokens if output_tokens is not None else metrics.get("outputTokenCount")
    counts = [count or 0 for count in (given, written, cache_read, cache_write)]
    usage: Document = {
        "inputTokens": counts[0],
        "outputTokens": counts[1],
        "totalTokens": sum(counts),
    }
    if counts[2] or counts[3]:
        usage |= {"cacheReadInputTokens": counts[2], "cacheWriteInputTokens": counts[3]}
    return usage


METRICS: Final = "amazon-bedrock-invocationMetrics"
"""Under what InvokeModel's streams, and records that are answered on demand, say their tokens."""
