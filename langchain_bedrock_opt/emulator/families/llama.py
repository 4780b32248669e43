"""Meta Llama: a raw prompt, with or without the marks of Llama's chat template."""

from __future__ import annotations

import re
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

_TURN: Final = re.compile(
    r"<\|(?:start_header_id|header_start)\|>(\w+)<\|(?:end_header_id|header_end)\|>"
)
_MARK: Final = re.compile(r"<\|[a-z_]+\|>|\[/?INST\]|<</?SYS>>|</?s>")
_DEFAULT_LENGTH: Final = 512  # the vendor's default of `max_gen_len`


def _to_converse(body: Mapping[str, Any]) -> Body:
    prompt = required(body, "prompt", str)
    config = inference(
        maxTokens=body.get("max_gen_len", _DEFAULT_LENGTH),
        temperature=body.get("temperature"),
        topP=body.get("top_p"),
    )
    before, *turns = _TURN.split(prompt)
    pairs = list(zip(turns[::2], turns[1::2], strict=True))
    said = [(role, _MARK.sub("", text).strip()) for role, text in pairs]
    messages = [
        {"role": role, "content": [{"text": text}]}
        for role, text in said
        if role in ("user", "assistant") and text
    ]
    if not messages:
        return from_prompt(_MARK.sub("", before).strip() or prompt, config)
    request: Body = {"messages": messages, "inferenceConfig": config}
    if system := [{"text": text} for role, text in said if role == "system" and text]:
        request["system"] = system
    return request


def _reason(call: NativeCall) -> str:
    return "length" if call.reply.stop_reason == "max_tokens" else "stop"


def _to_body(call: NativeCall) -> Body:
    return {
        "generation": f"\n\n{call.text}",
        "prompt_token_count": call.prompt_tokens,
        "generation_token_count": call.reply.output_tokens,
        "stop_reason": _reason(call),
    }


def _to_chunks(call: NativeCall) -> Iterator[Body]:
    for part in counted_pieces(call, f"\n\n{call.text}"):
        yield {
            "generation": part.text,
            "prompt_token_count": call.prompt_tokens if part.is_first else None,
            "generation_token_count": part.written,
            "stop_reason": _reason(call) if part.is_last else None,
        }


LLAMA: Final = Family(
    name="llama", to_converse=_to_converse, to_body=_to_body, to_chunks=_to_chunks
)
