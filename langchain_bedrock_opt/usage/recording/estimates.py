"""What an unmetered run is likely to be billed for, from its prompt and what came of its answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, LLMResult

from langchain_bedrock_opt.catalog.tokens import estimate_tokens
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.usage.recording.records import model_id_at_start
from langchain_bedrock_opt.usage.recording.runs import Run


def estimate_usage(run: Run, response: LLMResult | None) -> TokenUsage:
    """Estimate the tokens of a run whose tokens nobody said, as its model counts them.

    What the model wrote after its reader had left does not count. Prompt tokens are taken as
    plain input.

    Args:
        run: The run, with the prompt it was given.
        response: What came of the answer, if LangChain says so.
    """
    params: Mapping[str, Any] = run.event.get("invocation_params") or {}
    fields: Mapping[str, Any] = (run.serialized or {}).get("kwargs") or {}
    model = (
        params.get("base_model_id")
        or fields.get("base_model_id")
        or fields.get("base_model")
        or model_id_at_start(run.serialized, params, run.event.get("metadata"))
    )
    request = {
        "messages": list(_flat(run.prompt)),
        "system": fields.get("system"),
        "toolConfig": params.get("toolConfig") or {"tools": params.get("tools")},
    }
    answer = [text for part in _answer(run, response) for text in _texts(part)]
    return TokenUsage(
        input=estimate_tokens(request, model),
        # A stream's deltas are parts of words, so they are put together first.
        output=estimate_tokens("".join(answer), model),
    )


def _flat(prompt: Iterable[Any]) -> Iterator[Any]:
    """The messages or texts of a start event, which gives messages as a list of lists."""
    for part in prompt:
        if isinstance(part, list):
            yield from part
        else:
            yield part


def _answer(run: Run, response: LLMResult | None) -> Sequence[Any]:
    """What came of an answer: put together by LangChain, or as it was heard."""
    if response is not None and response.generations and response.generations[0]:
        generation = response.generations[0][0]
        if generation.text or isinstance(generation, ChatGenerationChunk):
            return [generation]
    return run.heard


def _texts(part: Any) -> Iterator[str]:
    """The texts of a message, of a generation, or of a text."""
    if isinstance(part, ChatGeneration):
        part = part.message
    if isinstance(part, str):
        yield part
    elif isinstance(part, BaseMessage):
        yield from _content_texts(part.content)
        # A chunk has its calls twice: as they came, and as far as they can be read.
        calls: Sequence[Any] = getattr(part, "tool_call_chunks", None) or ()
        for call in calls or getattr(part, "tool_calls", ()):
            yield str(call["name"] or "")
            yield from _json(call["args"])
    elif isinstance(part, Generation):
        yield part.text


def _content_texts(content: str | list[Any]) -> Iterator[str]:
    for block in [content] if isinstance(content, str) else content:
        if isinstance(block, str):
            yield block
            continue
        # Tool calls stand beside the content too, and count there.
        reasoning = block.get("reasoning_content")
        text = block.get("text") or (reasoning.get("text") if isinstance(reasoning, dict) else "")
        if isinstance(text, str):
            yield text


def _json(value: object) -> Iterator[str]:
    """What is no text, as Bedrock gets it: as JSON."""
    if isinstance(value, str):
        yield value
    elif value:
        yield json.dumps(value, ensure_ascii=False, default=str)
