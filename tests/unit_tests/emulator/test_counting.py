"""Token estimates of requests and answers."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.emulator.replies.counting import (
    IMAGE_TOKENS,
    PAGE_TOKENS,
    counted,
    input_tokens,
    output_tokens,
)

_TOOL = {
    "toolSpec": {
        "name": "get_weather",
        "description": "Weather at a place",
        "inputSchema": {"json": {"type": "object", "properties": {"place": {"type": "string"}}}},
    }
}


def ask(*blocks: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}], **more}


@given(texts=st.lists(st.text(min_size=1), min_size=1, max_size=5), more=st.text(min_size=1))
def test_a_request_that_grows_never_counts_less(texts: list[str], more: str) -> None:
    """Adding to a conversation never makes it look cheaper."""
    blocks = [{"text": text} for text in texts]

    assert input_tokens(ask(*blocks, {"text": more})) > input_tokens(ask(*blocks))


def test_everything_a_model_reads_is_counted() -> None:
    """System prompts, tools, tool calls, results and reasoning all add to the prompt."""
    bare = input_tokens(ask({"text": "Hi"}))
    additions: list[dict[str, Any]] = [
        {"text": "and more"},
        {"toolUse": {"toolUseId": "1", "name": "get_weather", "input": {"place": "東京"}}},
        {"toolResult": {"toolUseId": "1", "content": [{"json": {"degrees": 21}}]}},
        {"reasoningContent": {"reasoningText": {"text": "Let me see."}}},
        {"guardContent": {"text": {"text": "guarded"}}},
    ]

    for block in additions:
        assert input_tokens(ask({"text": "Hi"}, block)) > bare
    assert input_tokens(ask({"text": "Hi"}, system=[{"text": "Be brief."}])) > bare
    assert input_tokens(ask({"text": "Hi"}, toolConfig={"tools": [_TOOL]})) > bare + 200


def test_files_count_by_flat_rules() -> None:
    """An image costs the same whatever it shows; a PDF costs by its pages, a text by its words."""
    image = {"image": {"format": "png", "source": {"bytes": b"\x89PNG"}}}
    pdf = b"%PDF /Type /Pages /Type /Page x /Type/Page"
    pages = {"document": {"format": "pdf", "name": "doc", "source": {"bytes": pdf}}}
    notes = {"document": {"format": "txt", "name": "doc", "source": {"bytes": b"a few words"}}}

    assert input_tokens(ask(image)) == IMAGE_TOKENS + 4
    assert 2 * PAGE_TOKENS < input_tokens(ask(pages)) < 2 * PAGE_TOKENS + 20
    assert input_tokens(ask(notes)) < 20


def test_cache_points_and_signatures_cost_nothing() -> None:
    """What the service adds for itself is not on the bill."""
    point = {"cachePoint": {"type": "default"}}
    signed = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "x" * 400}}}
    unsigned = {"reasoningContent": {"reasoningText": {"text": "Hm."}}}

    assert input_tokens(ask({"text": "Hi"}, point)) == input_tokens(ask({"text": "Hi"}))
    assert output_tokens([signed]) == output_tokens([unsigned])


def test_a_counted_reply_says_why_it_stopped() -> None:
    """An answer with a tool call stops for the tool, any other because it is finished."""
    call = {"toolUse": {"toolUseId": "1", "name": "get_weather", "input": {}}}

    assert counted(ask({"text": "Hi"}), [{"text": "Hello"}]).stop_reason == "end_turn"
    assert counted(ask({"text": "Hi"}), [call]).stop_reason == "tool_use"
