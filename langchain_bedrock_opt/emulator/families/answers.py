"""What every native format needs: reading a body, refusing one, and taking a reply apart."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_bedrock_opt.catalog.tokens import estimate_tokens
from langchain_bedrock_opt.emulator.replies.digests import digest, token
from langchain_bedrock_opt.emulator.replies.pieces import text_pieces
from langchain_bedrock_opt.emulator.types import Reply, ServiceFailure

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeCall:
    """One InvokeModel call that has been answered.

    Attributes:
        model: The base model id.
        body: The request's body.
        reply: What the model said.
        created: Seconds since 1970, for formats that carry a time.
    """

    model: str
    body: Mapping[str, Any]
    reply: Reply
    created: int = 0

    @property
    def text(self) -> str:
        """The reply's text, without reasoning and tool calls."""
        return "".join(block.get("text", "") for block in self.reply.content)

    @property
    def tool_uses(self) -> list[Mapping[str, Any]]:
        """The reply's tool calls, as Converse has them."""
        return [block["toolUse"] for block in self.reply.content if "toolUse" in block]

    @property
    def prompt_tokens(self) -> int:
        """All tokens of the prompt, from a cache or not."""
        reply = self.reply
        return reply.input_tokens + reply.cache_read_tokens + reply.cache_write_tokens

    def name(self, kind: str) -> str:
        """A random-looking name of 22 characters that is always the same for this call."""
        return token(kind, self.model, self.body, self.reply.content)

    def uuid(self, kind: str) -> str:
        """Such a name in the form of a UUID."""
        digits = digest(kind, self.model, self.body, self.reply.content).hex()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How one family of models speaks.

    Attributes:
        name: Such as `anthropic`.
        to_converse: A native body as a Converse request, without a model id.
        to_body: The answer's body.
        to_chunks: The answer as chunks of a stream, without their metrics; None if the family
            does not stream.
        cache_metrics: Whether the metrics of a stream name the prompt cache's tokens.
    """

    name: str
    to_converse: Callable[[Mapping[str, Any]], Body]
    to_body: Callable[[NativeCall], Body]
    to_chunks: Callable[[NativeCall], Iterator[Body]] | None
    cache_metrics: bool = False


def malformed(detail: str = "") -> ServiceFailure:
    """Bedrock's refusal of a body, with the detail it gives for some faults.

    Without a detail it is the text recorded for a body that is not JSON. The details have the
    wording of errors that users report publicly.

    Example:
        >>> malformed("#: required key [messages] not found").message.partition(",")[0]
        'Malformed input request: #: required key [messages] not found'
    """
    middle = f": {detail}" if detail else ""
    return ServiceFailure(
        "ValidationException",
        f"Malformed input request{middle}, please reformat your input and try again.",
    )


def required(body: Mapping[str, Any], key: str, kind: type) -> Any:
    """A key's value.

    Raises:
        ServiceFailure: It is missing, or of another type.
    """
    if key not in body:
        raise malformed(f"#: required key [{key}] not found")
    if not isinstance(body[key], kind):
        raise malformed(
            f"#/{key}: expected type: {_json_type(kind())}, found: {_json_type(body[key])}"
        )
    return body[key]


def _json_type(value: Any) -> str:
    """The name that Bedrock's schema checker gives a type of JSON."""
    for kind, name in (
        (bool, "Boolean"),
        (str, "String"),
        (list, "JSONArray"),
        (dict, "JSONObject"),
    ):
        if isinstance(value, kind):
            return name
    return "Null" if value is None else "Number"


def inference(**settings: Any) -> Body:
    """Converse's `inferenceConfig` from a body's settings; those that are None or empty go.

    Raises:
        ServiceFailure: `maxTokens` is no whole number above zero, or `stopSequences` no texts.
    """
    config = {name: value for name, value in settings.items() if value is not None and value != []}
    most, stops = config.get("maxTokens", 1), config.get("stopSequences", [])
    if type(most) is not int or most < 1:
        raise malformed()
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise malformed()
    return config


def json_output(schema: Any) -> Body:
    """Converse's `outputConfig` for an answer that is JSON of this schema."""
    structure = {"jsonSchema": {"name": "output", "schema": json.dumps(schema)}}
    return {"textFormat": {"type": "json_schema", "structure": structure}}


def from_prompt(prompt: str, config: Body) -> Body:
    """A Converse request of one user turn."""
    if not prompt.strip():
        raise malformed("#/prompt: expected minLength: 1, actual: 0")
    return {
        "messages": [{"role": "user", "content": [{"text": prompt}]}],
        "inferenceConfig": config,
    }


def decoded(data: Any) -> bytes:
    """Bytes from base64.

    Raises:
        ServiceFailure: It is not base64.
    """
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise malformed() from error


def compact(document: Any) -> str:
    """A tool call's input as the JSON text that native formats carry it in."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedPiece:
    """A piece of a streamed answer.

    Attributes:
        text: The piece.
        written: Tokens of the answer up to here; at the end, exactly the reply's.
        is_first: Whether it begins the answer.
        is_last: Whether it ends the answer.
    """

    text: str
    written: int
    is_first: bool
    is_last: bool


def counted_pieces(call: NativeCall, text: str) -> Iterator[CountedPiece]:
    """Cut an answer into pieces, for formats whose chunks tell how much is written so far.

    Args:
        call: The call that is answered.
        text: The answer, with the white space its format begins with.
    """
    pieces = list(text_pieces(text))
    total, written = call.reply.output_tokens, 0
    for number, piece in enumerate(pieces, 1):
        is_last = number == len(pieces)
        written = min(written + estimate_tokens(piece), total)
        yield CountedPiece(
            text=piece,
            written=total if is_last else written,
            is_first=number == 1,
            is_last=is_last,
        )
