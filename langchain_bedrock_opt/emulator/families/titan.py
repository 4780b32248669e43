"""Amazon Titan Text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from langchain_bedrock_opt.emulator.families.answers import (
    Body,
    Family,
    NativeCall,
    counted_pieces,
    from_prompt,
    inference,
    required,
)

_REASONS: Final = {"max_tokens": "LENGTH", "stop_sequence": "STOP_CRITERIA_MET"}


def _to_converse(body: Mapping[str, Any]) -> Body:
    config = body.get("textGenerationConfig") or {}
    return from_prompt(
        required(body, "inputText", str),
        inference(
            maxTokens=config.get("maxTokenCount"),
            temperature=config.get("temperature"),
            topP=config.get("topP"),
            stopSequences=config.get("stopSequences"),
        ),
    )


def _reason(call: NativeCall) -> str:
    return _REASONS.get(call.reply.stop_reason, "FINISH")


def _to_body(call: NativeCall) -> Body:
    result = {
        "tokenCount": call.reply.output_tokens,
        "outputText": f"\n{call.text}",
        "completionReason": _reason(call),
    }
    return {"inputTextTokenCount": call.prompt_tokens, "results": [result]}


def _to_chunks(call: NativeCall) -> Iterator[Body]:
    for part in counted_pieces(call, f"\n{call.text}"):
        yield {
            "outputText": part.text,
            "index": 0,
            "totalOutputTextTokenCount": part.written,
            "completionReason": _reason(call) if part.is_last else None,
            "inputTextTokenCount": call.prompt_tokens if part.is_first else None,
        }


TITAN: Final = Family(
    name="titan", to_converse=_to_converse, to_body=_to_body, to_chunks=_to_chunks
)
