"""Amazon Titan Text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from langchain_bedrock_opt.catalog.tokens import estimate_tokens
from langchain_bedrock_opt.emulator.families.answers import (
    Body,
    Family,
    NativeCall,
    from_prompt,
    inference,
    required,
)
from langchain_bedrock_opt.emulator.replies.pieces import text_pieces

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
    pieces = list(text_pieces(f"\n{call.text}"))
    written = 0
    for number, piece in enumerate(pieces, 1):
        last = number == len(pieces)
        written = min(written + estimate_tokens(piece), call.reply.output_tokens)
        yield {
            "outputText": piece,
            "index": 0,
            "totalOutputTextTokenCount": call.reply.output_tokens if last else written,
            "completionReason": _reason(call) if last else None,
            "inputTextTokenCount": call.prompt_tokens if number == 1 else None,
        }


TITAN: Final = Family(
    name="titan", to_converse=_to_converse, to_body=_to_body, to_chunks=_to_chunks
)
