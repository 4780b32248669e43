"""LangChain's messages in the form of a Converse request."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_aws import ChatBedrockConverse
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

CALL = {"name": "f", "args": {}, "id": "1"}

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


QUESTION = {"type": "text", "text": "Summarise"}
SAID = {"base64": PDF, "mime_type": "application/pdf"}
DIFFERENT_BY: dict[str, Callable[[str], list[BaseMessage]]] = {
    "id of an uploaded file": lambda x: [
        HumanMessage([QUESTION, {"type": "file", "source_type": "id", "id": x}])
    ],
    "id of an uploaded image": lambda x: [HumanMessage([QUESTION, {"type": "image", "id": x}])],
    "id of an item": lambda x: [AIMessage([{"type": "item_reference", "id": x}])],
    "id of reasoning": lambda x: [AIMessage([{"type": "reasoning", "id": x, "summary": []}])],
    "audio of an answer": lambda x: [AIMessage("", additional_kwargs={"audio": {"id": x}})],
    "reasoning of an answer": lambda x: [
        AIMessage("a", additional_kwargs={"reasoning_content": x})
    ],
    "kwargs of a user": lambda x: [HumanMessage("Hi", additional_kwargs={"usage": x})],
    "role of a system message": lambda x: [
        SystemMessage("Hi", additional_kwargs={"__openai_role__": x})
    ],
    "kwargs of a result": lambda x: [
        ToolMessage("r", tool_call_id="1", additional_kwargs={"type": x})
    ],
    "name of a user": lambda x: [HumanMessage("Hi", name=x)],
    "extras of an image": lambda x: [
        HumanMessage(
            [{"type": "image", "base64": PNG, "mime_type": "image/png", "extras": {"detail": x}}]
        )
    ],
    "extras of a file": lambda x: [
        HumanMessage([{"type": "file", **SAID, "extras": {"title": x}}])
    ],
    "another name of a file": lambda x: [
        HumanMessage([{"type": "file", **SAID, "name": "n", "extras": {"filename": x}}])
    ],
    "metadata of a file": lambda x: [
        HumanMessage([{"type": "file", **SAID, "metadata": {"context": x}}])
    ],
    "data that is a text or is not": lambda x: [
        HumanMessage(
            [{"type": "file", "source": {"type": x, "media_type": "text/plain", "data": "abcd"}}]
        )
    ],
    "beside an image's address": lambda x: [
        HumanMessage(
            [{"type": "image_url", "image_url": f"data:image/png;base64,{PNG}", "detail": x}]
        )
    ],
    "beside reasoning": lambda x: [
        AIMessage([{"type": "reasoning", "reasoning": "Hmm.", "encrypted_content": x}])
    ],
    "extras of reasoning": lambda x: [
        AIMessage([{"type": "reasoning", "reasoning": "Hmm.", "extras": {"encrypted": x}}])
    ],
    "beside redacted reasoning": lambda x: [
        AIMessage(
            [
                {
                    "type": "reasoning_content",
                    "reasoning_content": {"redactedContent": "r", "text": x},
                }
            ]
        )
    ],
    "beside a tool's call": lambda x: [
        AIMessage([{"type": "tool_use", "id": "1", "name": "f", "input": {}, "caller": x}])
    ],
    "a call's input in a stream": lambda x: [
        AIMessage([{"type": "tool_use", "id": "1", "name": "f", "partial_json": f'{{"x": "{x}"}}'}])
    ],
    "beside a tool's result": lambda x: [
        HumanMessage([{"type": "tool_result", "tool_use_id": "1", "content": "r", "title": x}])
    ],
    "beside guarded content": lambda x: [
        HumanMessage([{"type": "guard_content", "text": "a", "qualifiers": [x]}])
    ],
    "beside a wrapped block": lambda x: [
        HumanMessage([{"type": "non_standard", "value": {"text": "a"}, "id": x}])
    ],
    "space in a result": lambda x: [ToolMessage(" " * len(x), tool_call_id="1")],
}


@pytest.mark.parametrize("what", DIFFERENT_BY)
def test_what_may_be_seen_counts(what: str) -> None:
    """What is not known to be unseen by a model keeps prompts apart, wherever a message has it."""
    keys = [prompt_key(dumps(DIFFERENT_BY[what](x)), "m") for x in ("text", "base64")]

    assert keys[0] != keys[1]


SAME_BUT: dict[str, Callable[[str], list[BaseMessage]]] = {
    "caching marks": lambda x: [HumanMessage([{**QUESTION, "cache_control": {"type": x}}])],
    "a place in a stream": lambda x: [AIMessage([{"type": "other", "a": 1, "index": x}])],
    "an id of langchain-core's": lambda x: [HumanMessage([{"type": "other", "id": f"lc_{x}"}])],
    "an id of a text": lambda x: [AIMessage([{**QUESTION, "id": f"msg_{x}"}])],
    "an id beside an image's bytes": lambda x: [
        HumanMessage([{"type": "image", "base64": PNG, "mime_type": "image/png", "id": x}])
    ],
    "usage of an answer": lambda x: [AIMessage("a", additional_kwargs={"usage": {"tokens": x}})],
    "tool calls told twice": lambda x: [
        AIMessage("a", additional_kwargs={"tool_calls": [{"id": x}]}, tool_calls=[CALL])
    ],
    "an answer parsed": lambda x: [AIMessage("a", additional_kwargs={"parsed": x})],
    "a result's artifact": lambda x: [ToolMessage("r", tool_call_id="1", artifact=x)],
    "place of a file's name": lambda x: [
        HumanMessage(
            [{"type": "file", **SAID, "name": "n", **({"filename": "n"} if x == "text" else {})}]
        )
    ],
}


@pytest.mark.parametrize("what", SAME_BUT)
def test_what_is_known_to_be_unseen_does_not_count(what: str) -> None:
    """Marks, places in a stream and echoes of what is told elsewhere do not keep prompts apart."""
    keys = [prompt_key(dumps(SAME_BUT[what](x)), "m") for x in ("text", "base64")]

    assert keys[0] == keys[1]


def test_converse_is_sent_no_additional_kwargs() -> None:
    """For ChatBedrockConverse, which never sends them, `additional_kwargs` do not count."""
    converse = json.dumps({"id": ChatBedrockConverse.lc_id(), "kwargs": {}}) + "---[]"
    other = json.dumps({"id": ["another", "Model"], "kwargs": {}}) + "---[]"
    one, two = (dumps([HumanMessage("Hi", additional_kwargs={"x": x})]) for x in "ab")

    assert prompt_key(one, converse) == prompt_key(two, converse)
    assert prompt_key(one, other) != prompt_key(two, other)


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
