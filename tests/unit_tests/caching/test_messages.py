"""LangChain's messages in the form of a Converse request."""

from __future__ import annotations

import base64
import json
from typing import Any

from langchain_core.load import dumpd, dumps
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_bedrock_opt.caching.messages import converse_form
from langchain_bedrock_opt.caching.prompts import prompt_key

PNG = base64.b64encode(b"an image").decode()
PDF = base64.b64encode(b"a document").decode()

DIFFERENT_BLOCKS: list[Any] = [
    "",
    [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}],
    [{"type": "image_url", "image_url": {"url": "https://example.com/b.png"}}],
    [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}}],
    [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}],
    [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PDF}"}}],
    [{"type": "file", "file_id": "file-1"}],
    [{"type": "file", "file_id": "file-2"}],
    [{"type": "file", "base64": PDF, "mime_type": "application/pdf", "name": "a"}],
    [{"type": "file", "base64": PDF, "mime_type": "application/pdf", "name": "b"}],
    [{"type": "image", "base64": "no base64!", "mime_type": "image/png"}],
    [{"type": "image", "source_type": "url", "url": "https://example.com/a.png"}],
    [{"type": "reasoning", "summary": [{"text": "one"}]}],
    [{"type": "reasoning", "summary": [{"text": "two"}]}],
    [{"type": "thinking", "thinking": "Hmm.", "signature": "a"}],
    [{"type": "thinking", "thinking": "Hmm.", "signature": "b"}],
    [{"type": "block_of_next_year", "is": 1}],
    [{"type": "block_of_next_year", "is": 2}],
    [{"type": "non_standard", "value": {"x": 1}}],
    [{"type": "non_standard", "value": "x"}],
    [{"type": "tool_use"}],
    [{"type": "tool_use", "name": "f", "input": '{"broken'}],
    [{"type": "server_tool_use", "name": "f", "id": "1", "input": {"a": 1}}],
    [{"type": "tool_result", "tool_use_id": "1", "content": "a"}],
    [{"type": "tool_result", "tool_use_id": "1", "content": "a", "is_error": True}],
    [{"type": "text", "text": "a", "citations": [{"title": "t"}]}],
    [{"type": "text", "text": "a"}],
    [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
    [{"type": "text", "text": "a b"}],
]


def test_blocks_that_differ_stay_apart() -> None:
    """Whatever a block carries that a model may see keeps prompts apart, known or not."""
    keys = {prompt_key(dumps([HumanMessage(content)]), "m") for content in DIFFERENT_BLOCKS}

    assert len(keys) == len(DIFFERENT_BLOCKS)


def test_who_speaks_counts() -> None:
    """The same words are another prompt from another role, person or place."""
    prompts: list[list[BaseMessage]] = [
        [HumanMessage("Hi")],
        [HumanMessage("Hi", name="Ann")],
        [HumanMessage("Hi", name="Bob")],
        [AIMessage("Hi")],
        [SystemMessage("Hi")],
        [ChatMessage(content="Hi", role="critic")],
        [ChatMessage(content="Hi", role="author")],
        [ToolMessage("Hi", tool_call_id="1")],
        [HumanMessage("Yes."), SystemMessage("Hi")],
        [SystemMessage("Hi"), HumanMessage("Yes.")],
        [AIMessage("Hi", additional_kwargs={"function_call": {"name": "f", "arguments": "{}"}})],
        [
            AIMessage(
                "Hi",
                invalid_tool_calls=[
                    {
                        "name": "f",
                        "args": "{",
                        "id": "1",
                        "error": None,
                        "type": "invalid_tool_call",
                    }
                ],
            )
        ],
    ]

    assert len({prompt_key(dumps(messages), "m") for messages in prompts}) == len(prompts)


def test_dumpd_and_dumps_agree() -> None:
    """What `converse_form` says it takes is what `dumps` writes."""
    messages = [
        HumanMessage("Hi"),
        AIMessage("Hello", tool_calls=[{"name": "f", "args": {}, "id": "1"}]),
    ]

    assert converse_form(dumpd(messages)) == converse_form(json.loads(dumps(messages)))


def test_calls_without_ids_are_not_lost() -> None:
    """Tool calls to which nobody gave an id count each, beside a block that has none either."""
    block = {"type": "tool_use", "name": "f", "input": {"a": 0}, "id": None}

    def key(argument: int) -> str:
        calls = [{"name": "f", "args": {"a": a}, "id": None} for a in (argument, 2)]
        return prompt_key(dumps([AIMessage([block], tool_calls=calls)]), "m")

    assert key(1) != key(3)
