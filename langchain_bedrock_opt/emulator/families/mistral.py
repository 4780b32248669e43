"""Mistral: a prompt with `[INST]` marks, or chat messages.

The chat answers are of the vendor's documentation; none is among the recordings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from langchain_bedrock_opt.emulator.families import openai
from langchain_bedrock_opt.emulator.families.answers import (
    Body,
    Family,
    NativeCall,
    from_prompt,
    inference,
    required,
)
from langchain_bedrock_opt.emulator.replies.pieces import text_pieces

_MARK: Final = re.compile(r"\[/?INST\]|</?s>")


def _to_converse(body: Mapping[str, Any]) -> Body:
    if "messages" in body:
        return openai.to_converse(body)
    prompt = required(body, "prompt", str)
    config = inference(
        maxTokens=body.get("max_tokens"),
        temperature=body.get("temperature"),
        topP=body.get("top_p"),
        stopSequences=body.get("stop"),
    )
    return from_prompt(_MARK.sub("", prompt).strip(), config)


def _to_body(call: NativeCall) -> Body:
    reason = openai.finish_reason(call)
    if "messages" in call.body:
        choice = {"index": 0, "message": openai.message(call), "stop_reason": reason}
        return {"choices": [choice]}
    return {"outputs": [{"text": f" {call.text}", "stop_reason": reason}]}


def _to_chunks(call: NativeCall) -> Iterator[Body]:
    chat = "messages" in call.body
    for piece in text_pieces(call.text if chat else f" {call.text}"):
        if chat:
            said = {"role": "assistant", "content": piece}
            yield {"choices": [{"index": 0, "message": said, "stop_reason": None}]}
        else:
            yield {"outputs": [{"text": piece, "stop_reason": None}]}
    reason = openai.finish_reason(call)
    if chat:
        last = {**openai.message(call), "content": ""}
        yield {"choices": [{"index": 0, "message": last, "stop_reason": reason}]}
    else:
        yield {"outputs": [{"text": "", "stop_reason": reason}]}


MISTRAL: Final = Family(
    name="mistral", to_converse=_to_converse, to_body=_to_body, to_chunks=_to_chunks
)
