"""Native formats: what is written is read back by the emulator as the request that it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from langchain_bedrock_opt.aws.replay import to_json_bytes
from langchain_bedrock_opt.batching.records.native.families import codec_of
from langchain_bedrock_opt.emulator.families.invoke import to_converse

Document = dict[str, Any]

CLAUDE = "anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-lite-v1:0"
TITAN = "amazon.titan-text-express-v1"
LLAMA_3 = "meta.llama3-1-70b-instruct-v1:0"
LLAMA_4 = "meta.llama4-scout-17b-instruct-v1:0"
MISTRAL = "mistral.mistral-large-2407-v1:0"
MIXTRAL = "mistral.mixtral-8x7b-instruct-v0:1"
COHERE = "cohere.command-r-v1:0"
GPT_OSS = "openai.gpt-oss-20b-1:0"
DEEPSEEK = "deepseek.v3-v1:0"
QWEN = "qwen.qwen3-32b-v1:0"


def native(model: str, request: Document) -> Document:
    codec = codec_of(model)
    assert codec is not None
    body: Document = json.loads(to_json_bytes(codec.to_body(request, model)))
    return body


def back(model: str, request: Document) -> Document:
    """The request as the emulator reads the body that was made of it."""
    read = to_converse(model, native(model, request))
    assert read.pop("modelId") == model
    return {key: value for key, value in read.items() if value}


few = hypothesis_settings(max_examples=50, deadline=None)
words = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1).filter(
    lambda text: not any(mark in text for mark in ("<|", "[", "</s>", "<s>", "User:", "Bot:"))
)
names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,20}", fullmatch=True)
settings = st.fixed_dictionaries(
    {"maxTokens": st.integers(1, 4096)},
    optional={"temperature": st.floats(0, 1), "topP": st.floats(0.1, 1)},
)
stops = st.lists(words, min_size=1, max_size=3)


def turn(role: str, content: st.SearchStrategy[list[Document]]) -> st.SearchStrategy[Document]:
    return content.map(lambda blocks: {"role": role, "content": blocks})


def request_of(
    user: st.SearchStrategy[list[Document]],
    assistant: st.SearchStrategy[list[Document]],
    **more: st.SearchStrategy[Any],
) -> st.SearchStrategy[Document]:
    """Conversations that begin and end with the user."""
    pairs = st.lists(st.tuples(turn("user", user), turn("assistant", assistant)), max_size=2)
    messages = st.tuples(pairs, turn("user", user)).map(
        lambda parts: [*(said for pair in parts[0] for said in pair), parts[1]]
    )
    return st.fixed_dictionaries(
        {"messages": messages, "inferenceConfig": settings},
        optional={"system": words.map(lambda text: [{"text": text}]), **more},
    )


text_block = words.map(lambda text: {"text": text})
one_text = text_block.map(lambda block: [block])
images = st.builds(
    lambda data, form: {"image": {"format": form, "source": {"bytes": data}}},
    st.binary(min_size=1),
    st.sampled_from(["png", "jpeg", "webp"]),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
tool_uses = st.builds(
    lambda identity, name, given: {
        "toolUse": {"toolUseId": identity, "name": name, "input": given}
    },
    names,
    names,
    st.dictionaries(names, json_values, max_size=3),
)
schemas = st.dictionaries(names, json_values, max_size=3).map(
    lambda properties: {"type": "object", "properties": properties}
)
tool_specs = st.builds(
    lambda name, description, schema: {
        "toolSpec": {"name": name, "description": description, "inputSchema": {"json": schema}}
    },
    names,
    words,
    schemas,
)
tool_choices: st.SearchStrategy[Document] = st.one_of(
    st.just({"auto": {}}), st.just({"any": {}}), names.map(lambda name: {"tool": {"name": name}})
)
tool_configs = st.builds(
    lambda tools, choice: {"tools": tools, "toolChoice": choice},
    st.lists(tool_specs, min_size=1, max_size=2),
    tool_choices,
)
outputs = schemas.map(
    lambda schema: {
        "textFormat": {
            "type": "json_schema",
            "structure": {"jsonSchema": {"name": "output", "schema": json.dumps(schema)}},
        }
    }
)
claude_documents = st.one_of(
    st.builds(
        lambda data: {"document": {"name": "a", "format": "pdf", "source": {"bytes": data}}},
        st.binary(min_size=1),
    ),
    words.map(lambda text: {"document": {"name": "b", "format": "txt", "source": {"text": text}}}),
)
claude_results = st.builds(
    lambda identity, content, status: {
        "toolResult": {"toolUseId": identity, "content": content, "status": status}
    },
    names,
    st.lists(text_block | images, min_size=1, max_size=2),
    st.sampled_from(["success", "error"]),
)
thoughts = st.one_of(
    st.builds(
        lambda text, signature: {
            "reasoningContent": {"reasoningText": {"text": text, "signature": signature}}
        },
        words,
        names,
    ),
    words.map(lambda data: {"reasoningContent": {"redactedContent": data.encode()}}),
)
cache_points = st.sampled_from(
    [{"cachePoint": {"type": "default"}}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
)
claude_user = st.tuples(
    st.lists(text_block | images | claude_documents | claude_results, min_size=1, max_size=4),
    st.lists(cache_points, max_size=1),
).map(lambda parts: [*parts[0], *parts[1]])
claude_assistant = st.lists(text_block | tool_uses | thoughts, min_size=1, max_size=3)


@few
@given(
    request_of(
        claude_user,
        claude_assistant,
        toolConfig=tool_configs,
        outputConfig=outputs,
        additionalModelRequestFields=st.fixed_dictionaries({"top_k": st.integers(1, 500)}),
    ),
    stops,
)
def test_claude_reads_what_was_asked(request: Document, stop: list[str]) -> None:
    """Texts, files, tools, results, thoughts, cache points and schemas reach Claude whole."""
    request["inferenceConfig"]["stopSequences"] = stop

    assert back(CLAUDE, request) == request


@few
@given(
    request_of(
        st.lists(text_block | images | claude_results, min_size=1, max_size=3),
        st.lists(text_block | tool_uses | thoughts, min_size=1, max_size=3),
        toolConfig=tool_configs,
    )
)
def test_nova_reads_what_was_asked(request: Document) -> None:
    """Nova's format takes all of Converse's blocks, with base64 for bytes."""
    read = back(NOVA, request)

    for message in request["messages"]:  # the emulator decodes what is called bytes, and no more
        for block in message["content"]:
            data = block.get("reasoningContent", {}).get("redactedContent")
            if data is not None:
                block["reasoningContent"]["redactedContent"] = json.loads(to_json_bytes([data]))[0]
    assert read == request


chat_results = st.builds(
    lambda identity, text: {"toolResult": {"toolUseId": identity, "content": [{"text": text}]}},
    names,
    words,
)
chat_user = st.lists(text_block | images | chat_results, min_size=1, max_size=3)
chat_assistant = st.tuples(
    st.lists(text_block, max_size=2), st.lists(tool_uses, min_size=1, max_size=2)
).map(lambda parts: [*parts[0], *parts[1]])


@pytest.mark.parametrize("model", [GPT_OSS, DEEPSEEK, QWEN])
@few
@given(
    request=request_of(
        chat_user, one_text | chat_assistant, toolConfig=tool_configs, outputConfig=outputs
    ),
    stop=stops,
)
def test_chat_completions_read_what_was_asked(
    model: str, request: Document, stop: list[str]
) -> None:
    """Families with OpenAI's format get texts, images, tools, results and schemas."""
    request["inferenceConfig"]["stopSequences"] = stop

    assert back(model, request) == request


@few
@given(
    request_of(chat_user, one_text | chat_assistant, outputConfig=outputs),
    st.lists(tool_specs, min_size=1, max_size=2),
    st.sampled_from([{"auto": {}}, {"any": {}}]),
)
def test_mistral_reads_what_was_asked(
    request: Document, tools: list[Document], choice: Document
) -> None:
    """Mistral's chat gets the same, but for a tool's name where several could be called."""
    request["toolConfig"] = {"tools": tools, "toolChoice": choice}
    named = {"tools": tools[:1], "toolChoice": {"tool": {"name": "f"}}}

    assert back(MISTRAL, request) == request
    assert native(MISTRAL, {**request, "toolConfig": named})["tool_choice"] == "any"


@pytest.mark.parametrize("model", [LLAMA_3, LLAMA_4])
@few
@given(request=request_of(one_text, one_text))
def test_llama_reads_what_was_asked(model: str, request: Document) -> None:
    """A conversation in Llama's template is the conversation that went in."""
    assert back(model, request) == request


@few
@given(request_of(one_text, one_text), stops)
def test_cohere_reads_what_was_asked(request: Document, stop: list[str]) -> None:
    """Command R gets the last message, the history and the preamble."""
    request["inferenceConfig"]["stopSequences"] = stop

    assert back(COHERE, request) == request


def test_cohere_reads_tools() -> None:
    """Tools with plain parameters reach Command R in its own words."""
    properties = {
        "city": {"type": "string", "description": "Where"},
        "days": {"type": "integer", "description": "How many"},
    }
    schema = {"type": "object", "properties": properties, "required": ["city"]}
    spec = {"name": "weather", "description": "Look", "inputSchema": {"json": schema}}
    request: Document = {
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "toolConfig": {"tools": [{"toolSpec": spec}], "toolChoice": {"auto": {}}},
    }

    assert back(COHERE, request)["toolConfig"]["tools"] == request["toolConfig"]["tools"]


@pytest.mark.parametrize("model", [TITAN, MIXTRAL])
@few
@given(text=words, config=settings, stop=stops)
def test_prompts_are_read_as_the_question_they_are(
    model: str, text: str, config: Document, stop: list[str]
) -> None:
    """One question to a model whose format is a prompt is that question."""
    request = {
        "messages": [{"role": "user", "content": [{"text": text}]}],
        "inferenceConfig": {**config, "stopSequences": stop},
    }

    assert back(model, request) == request


def test_prompts_of_conversations_say_who_speaks() -> None:
    """Titan and Mixtral get conversations in the templates of their documentation."""
    said: Document = {
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "Hi"}]},
            {"role": "assistant", "content": [{"text": "Hello"}]},
            {"role": "user", "content": [{"text": "Bye"}]},
        ],
    }

    assert native(TITAN, said)["inputText"] == "Be brief.\nUser: Hi\nBot: Hello\nUser: Bye\nBot:"
    assert native(MIXTRAL, said)["prompt"] == (
        "<s>[INST] Be brief.\n\nHi [/INST] Hello</s>[INST] Bye [/INST]"
    )


def user(*blocks: Document, **more: Any) -> Document:
    return {"messages": [{"role": "user", "content": [*blocks]}], **more}


HI = {"text": "Hi"}


def tool(schema: Document) -> Document:
    return {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": schema}}}]}


def test_files_that_are_text_travel_as_text() -> None:
    """Markdown, CSV and HTML reach Claude as the text that they are, with title and context."""
    file = {
        "name": "t",
        "format": "csv",
        "source": {"bytes": b"a,b"},
        "context": "c",
        "citations": {"enabled": True},
    }

    (block,) = native(CLAUDE, user({"document": file}))["messages"][0]["content"]

    source = {"type": "text", "media_type": "text/plain", "data": "a,b"}
    assert block == {
        "type": "document",
        "title": "t",
        "source": source,
        "context": "c",
        "citations": {"enabled": True},
    }


def test_json_results_travel_as_text() -> None:
    """A tool's result that is JSON is that JSON as text, in every format with tools."""
    result = {"toolUseId": "t", "content": [{"json": {"a": 1}}]}

    claude = native(CLAUDE, user({"toolResult": result}))
    chat = native(QWEN, user({"toolResult": result}, HI))

    assert claude["messages"][0]["content"][0]["content"] == [{"type": "text", "text": '{"a":1}'}]
    assert chat["messages"] == [
        {"role": "tool", "tool_call_id": "t", "content": '{"a":1}'},
        {"role": "user", "content": "Hi"},
    ]


def test_results_that_are_cut_within_a_character_travel() -> None:
    """Half of a surrogate pair in a tool's arguments or result is escaped, as on demand."""
    use = {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": "\ud83d"}}}
    request: Document = {"messages": [{"role": "assistant", "content": [use]}]}

    (call,) = native(QWEN, request)["messages"][0]["tool_calls"]

    assert json.loads(call["function"]["arguments"]) == {"a": "\ud83d"}


def test_binary_redacted_thoughts_travel_as_base64() -> None:
    """Redacted reasoning that is no text is base64 for Claude."""
    block = {"reasoningContent": {"redactedContent": b"\xff\xfe"}}

    body = native(CLAUDE, user(block))

    assert body["messages"][0]["content"] == [{"type": "redacted_thinking", "data": "//4="}]


def test_additional_fields_go_where_the_format_has_them() -> None:
    """Fields for the model are merged: Claude's at the top, Nova's into its inference settings."""
    claude = native(
        CLAUDE,
        user(
            HI,
            inferenceConfig={"maxTokens": 9},
            toolConfig={**tool({}), "toolChoice": {"any": {}}},
            additionalModelRequestFields={
                "thinking": {"type": "enabled", "budget_tokens": 5},
                "tool_choice": {"disable_parallel_tool_use": True},
            },
        ),
    )
    reasoning = {"type": "enabled", "maxReasoningEffort": "low"}
    fields = {"reasoningConfig": reasoning, "inferenceConfig": {"topK": 3}}
    nova = native(NOVA, user(HI, additionalModelRequestFields=fields))

    assert claude["thinking"]["budget_tokens"] == 5
    assert claude["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert nova["inferenceConfig"] == {"topK": 3, "reasoningConfig": reasoning}


def test_claude_always_has_a_limit() -> None:
    """Claude's format demands a limit: without one it is the model's own, or a common one."""
    assert native(CLAUDE, user(HI))["max_tokens"] == 64_000
    assert native("anthropic.claude-next-9-v1:0", user(HI))["max_tokens"] == 4096


def test_a_histories_reasoning_is_told() -> None:
    """Reasoning in a history stands beside the answer that it led to."""
    thought = {"reasoningContent": {"reasoningText": {"text": "Hm"}}}
    request = {"messages": [{"role": "assistant", "content": [thought, HI]}]}

    assert native(GPT_OSS, request)["messages"] == [
        {"role": "assistant", "content": "Hi", "reasoning_content": "Hm"}
    ]
