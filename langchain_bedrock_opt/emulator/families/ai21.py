"""AI21: Jurassic-2, which does not stream. Jamba speaks chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_bedrock_opt.emulator.families.answers import (
    Body,
    Family,
    NativeCall,
    from_prompt,
    inference,
    required,
)
from langchain_bedrock_opt.emulator.replies.pieces import text_pieces


def _to_converse(body: Mapping[str, Any]) -> Body:
    config = inference(
        maxTokens=body.get("maxTokens"),
        temperature=body.get("temperature"),
        topP=body.get("topP"),
        stopSequences=body.get("stopSequences"),
    )
    return from_prompt(required(body, "prompt", str), config)


def _to_body(call: NativeCall) -> Body:
    length = call.reply.stop_reason == "max_tokens"
    reason: Body = {"reason": "length" if length else "endoftext"}
    if length:
        reason["length"] = call.reply.output_tokens
    text = f"\n{call.text}"
    completion = {"data": {"text": text, "tokens": _tokens(text)}, "finishReason": reason}
    prompt = call.body["prompt"]
    return {
        "id": 1234,  # the very number that is on record
        "prompt": {"text": prompt, "tokens": _tokens(prompt)},
        "completions": [completion],
    }


def _tokens(text: str) -> list[Body]:
    """Words in the form of tokens; their probabilities are not known and zero."""
    tokens: list[Body] = []
    start = 0
    for piece in text_pieces(text):
        chance = {"token": piece.replace(" ", "▁"), "logprob": 0.0, "raw_logprob": 0.0}
        place = {"start": start, "end": start + len(piece)}
        tokens.append({"generatedToken": chance, "topTokens": None, "textRange": place})
        start += len(piece)
    return tokens


JURASSIC: Final = Family(name="ai21-j2", to_converse=_to_converse, to_body=_to_body, to_chunks=None)
