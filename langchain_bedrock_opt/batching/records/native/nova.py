"""Amazon Nova: `messages-v1`, which is Converse with base64."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from langchain_bedrock_opt.aws.replay import response_from_json, to_json_bytes
from langchain_bedrock_opt.batching.records.native.codec import (
    Codec,
    Document,
    Format,
    settings,
    usage_of,
    with_fields,
)

_FORMAT: Final = Format("Nova", ("system", "toolConfig", "additionalModelRequestFields"))
_SETTINGS: Final = {name: name for name in ("maxTokens", "temperature", "topP", "stopSequences")}
# These are told in their own place there.
_INFERENCE: Final = ("reasoningConfig", "topK")


def _to_body(request: Mapping[str, Any], _base_model_id: str) -> Document:
    _FORMAT.check(request)
    for message in request["messages"]:
        _refuse_documents(message["content"])
    # The bytes in messages become base64 when the body is written as JSON.
    body: Document = {
        "schemaVersion": "messages-v1",
        "messages": request["messages"],
        "inferenceConfig": settings(request, _SETTINGS, _FORMAT),
    }
    body |= {key: request[key] for key in ("system", "toolConfig") if request.get(key)}
    body = with_fields(body, request)
    body["inferenceConfig"] |= {key: body.pop(key) for key in _INFERENCE if key in body}
    return body


def _refuse_documents(content: Iterable[Mapping[str, Any]]) -> None:
    """Documents are for Converse alone, as AWS's guide to Nova's InvokeModel format says."""
    for block in content:
        kind, value = _FORMAT.block(block)
        if kind == "document":
            raise _FORMAT.refusal("A content block 'document'")
        if kind == "toolResult":
            _refuse_documents(value["content"])


def _to_response(answer: Mapping[str, Any]) -> Document:
    counts = answer.get("usage") or {}
    usage = usage_of(
        answer,
        counts.get("inputTokens"),
        counts.get("outputTokens"),
        counts.get("cacheReadInputTokenCount", counts.get("cacheReadInputTokens")),
        counts.get("cacheWriteInputTokenCount", counts.get("cacheWriteInputTokens")),
    )
    return response_from_json(to_json_bytes({**answer, "usage": usage}))


NOVA: Final = Codec(name="Nova", to_body=_to_body, to_response=_to_response)
