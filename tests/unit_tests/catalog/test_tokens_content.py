"""What is counted beside text: images, files, tools, calls, reasoning and the marks around them."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.utils import trim_messages
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool

from langchain_bedrock_opt.aws.replay import CaptureClient
from langchain_bedrock_opt.catalog.tokens import TokenCounter, estimate_tokens
from langchain_bedrock_opt.catalog.tokens.images import image_size
from langchain_bedrock_opt.errors import ConfigurationError

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
LONG = "The quick brown fox jumps over the lazy dog. " * 20
BASE64 = base64.b64encode(LONG.encode()).decode()


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", width, height) + bytes(20)


def jpeg(width: int, height: int) -> bytes:
    preview = b"\xff\xe1" + struct.pack(">H", 5002) + bytes(5000)
    frame = b"\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width)
    return b"\xff\xd8" + preview + b"\xff" + frame + bytes(20)


def webp(kind: bytes, body: bytes) -> bytes:
    return b"RIFF\0\0\0\0WEBP" + kind + b"\0\0\0\0" + body + bytes(20)


PICTURES = {
    "png": png(640, 480),
    "jpeg": jpeg(640, 480),
    "gif": b"GIF89a" + struct.pack("<HH", 640, 480) + bytes(20),
    "webp lossy": webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640, 480)),
    "webp lossless": webp(b"VP8L", b"\x2f" + struct.pack("<I", 639 | 479 << 14)),
    "webp extended": webp(b"VP8X", bytes(4) + b"\x7f\x02\0" + b"\xdf\x01\0"),
}


@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
def test_the_size_of_an_image_is_read_from_its_head(picture: bytes) -> None:
    """Width and height are found in PNG, JPEG, GIF and WebP, as bytes and as base64."""
    assert image_size(picture) == (640, 480)
    assert image_size(base64.b64encode(picture).decode()) == (640, 480)


@settings(max_examples=60)
@given(st.sampled_from(list(PICTURES.values())), st.integers(0, 60), st.binary(max_size=40))
def test_a_damaged_image_has_a_size_or_none(picture: bytes, kept: int, tail: bytes) -> None:
    """Whatever is cut off or put on, reading an image's size never fails."""
    size = image_size(picture[:kept] + tail)
    assert size is None or len(size) == 2
    assert image_size("not base64!") is None


def image_blocks(data: bytes) -> list[dict[str, Any]]:
    text = base64.b64encode(data).decode()
    source = {"type": "base64", "media_type": "image/png", "data": text}
    return [
        {"image": {"format": "png", "source": {"bytes": data}}},
        {"type": "image", "source": source},
        {"type": "image", "base64": text, "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}},
    ]


@pytest.mark.parametrize(
    "unknown",
    [
        {"systemTool": {"name": "nova_grounding"}},
        {"toolSpec": "none"},
        {"type": "computer_20250124", "name": "computer", "display_width_px": 1024},
        object(),
        {("no", "JSON"): 1},
        "nova_grounding",
    ],
)
def test_a_tool_of_an_unknown_kind_counts_as_it_stands(unknown: Any) -> None:
    """Bedrock's own tools, and what is newer than the estimate, count by their JSON."""
    request: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}

    counted = estimate_tokens({**request, "toolConfig": {"tools": [unknown]}}, CLAUDE)

    assert counted > estimate_tokens(request, CLAUDE)


@pytest.mark.parametrize("form", range(4))
def test_an_image_counts_by_its_size(form: int) -> None:
    """Claude's rule, pixels by 750 up to 1,600 tokens, holds for every form of a block."""
    empty = estimate_tokens([HumanMessage([])], CLAUDE)

    def tokens(width: int, height: int) -> int:
        block = image_blocks(png(width, height))[form]
        return estimate_tokens([HumanMessage([block])], CLAUDE) - empty

    assert tokens(1000, 750) == 1000
    assert tokens(200, 200) == 54
    assert tokens(8000, 8000) == 1600
    assert tokens(8000, 100) == 41  # scaled down to an edge of 1,568


def test_an_image_that_is_only_named_counts_flat() -> None:
    """Where the size of an image is not to be read, it counts what a large one does."""
    named = {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/key"}}}}
    assert estimate_tokens([HumanMessage([named])], CLAUDE) >= 1600


@pytest.mark.parametrize(
    "block",
    [
        {"text": LONG},
        {"type": "text", "text": LONG},
        {"document": {"format": "txt", "name": "n", "source": {"bytes": LONG.encode()}}},
        {"document": {"format": "pdf", "name": "n", "source": {"text": LONG}}},
        {"toolResult": {"toolUseId": "1", "content": [{"text": LONG}]}},
        {"toolResult": {"toolUseId": "1", "content": [{"json": {"found": LONG}}]}},
        {"type": "tool_result", "tool_use_id": "1", "content": LONG},
        {"toolUse": {"toolUseId": "1", "name": "find", "input": {"query": LONG}}},
        {"type": "tool_use", "id": "1", "name": "find", "input": {"query": LONG}},
        {"reasoningContent": {"reasoningText": {"text": LONG, "signature": "x" * 500}}},
        {"type": "reasoning_content", "reasoning_content": {"text": LONG, "signature": "x" * 500}},
        {"type": "thinking", "thinking": LONG, "signature": "x" * 500},
        {"guardContent": {"text": {"text": LONG}}},
        {"type": "guard_content", "text": LONG},
        {"type": "guard_content", "guard_content": {"type": "text", "text": LONG}},
        {"type": "non_standard", "value": {"guardContent": {"text": {"text": LONG}}}},
        {"tool_result": {"tool_use_id": "1", "content": [{"json": {"found": LONG}}]}},
        {"type": "document", "source": {"type": "text", "data": LONG, "media_type": "text/plain"}},
        {"type": "file", "base64": BASE64, "mime_type": "text/plain"},
        {"type": "file", "base64": BASE64, "mime_type": "text/plain; charset=utf-8"},
        {"document": {"format": "txt", "name": "n", "source": {"bytes": BASE64}}},
        {"type": "reasoning_content", "reasoning_content": LONG},
        {"citationsContent": {"content": [{"text": LONG}], "citations": []}},
        {"somethingNew": {"text": LONG}},
    ],
)
def test_text_counts_wherever_it_stands(block: dict[str, Any]) -> None:
    """A text in a block of any kind counts as it does alone, and a few marks more."""
    alone = estimate_tokens(LONG, CLAUDE)
    assert alone <= estimate_tokens([HumanMessage([block])], CLAUDE) <= alone + 50


@pytest.mark.parametrize(
    "block",
    [
        {"cachePoint": {"type": "default"}},
        {"reasoningContent": {"redactedContent": bytes(5000)}},
    ],
)
def test_what_the_model_does_not_read_is_free(block: dict[str, Any]) -> None:
    """A cache point, and reasoning that nobody can read, count nothing."""
    empty = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    more = {"messages": [{"role": "user", "content": [{"text": "Hi"}, block]}]}
    assert estimate_tokens(more, CLAUDE) == estimate_tokens(empty, CLAUDE)


@pytest.mark.parametrize("kind", ["pdf", "docx"])
@pytest.mark.parametrize("encoded", [False, True])
def test_files_count_by_their_size(kind: str, encoded: bool) -> None:  # noqa: FBT001
    """A larger file counts more than a small one, and a small one more than nothing."""

    def tokens(size: int) -> int:
        data: Any = base64.b64encode(bytes(size)).decode() if encoded else bytes(size)
        document = {"format": kind, "name": "report", "source": {"bytes": data}}
        return estimate_tokens([HumanMessage([{"document": document}])], CLAUDE)

    assert 1_500 <= tokens(1_000) < tokens(400_000) < 100_000


def test_pages_of_a_pdf_are_counted() -> None:
    """A PDF with three pages in sight counts three times one with one page."""
    pages = [b"%PDF " + b"<< /Type /Page >> << /Type /Pages >>" * n for n in (1, 3)]
    one, three = (
        estimate_tokens(
            [HumanMessage([{"document": {"format": "pdf", "source": {"bytes": data}}}])], CLAUDE
        )
        for data in pages
    )
    assert three - one == 3_000


@tool
def weather(city: str) -> str:
    """Say what the weather is like in a city, today and tomorrow."""
    return city


TOOL_FORMS = [
    weather,
    {
        "toolSpec": {
            "name": "weather",
            "description": "Say what the weather is like in a city, today and tomorrow.",
            "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}},
        }
    },
    {
        "name": "weather",
        "description": "Say what the weather is like in a city, today and tomorrow.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
]


@pytest.mark.parametrize("form", TOOL_FORMS, ids=["langchain", "converse", "anthropic"])
def test_tools_count_with_their_instructions(form: Any) -> None:
    """A tool of any form adds its schema, and once what Anthropic says tools cost."""
    bare = estimate_tokens([HumanMessage("Hi")], CLAUDE)
    one = estimate_tokens([HumanMessage("Hi")], CLAUDE, tools=[form])
    two = estimate_tokens([HumanMessage("Hi")], CLAUDE, tools=[form, form])

    assert 346 + 30 <= one - bare <= 346 + 90
    assert two - one < 100


def test_a_request_counts_what_its_messages_do() -> None:
    """A Converse request, messages and a prompt value of the same content count alike."""
    request = {
        "system": [{"text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"text": LONG}]}],
        "toolConfig": {"tools": [TOOL_FORMS[1], {"cachePoint": {"type": "default"}}]},
    }
    messages = [SystemMessage("Be brief."), HumanMessage(LONG)]
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", LONG)])

    found = estimate_tokens(messages, CLAUDE, tools=[TOOL_FORMS[1]])
    assert estimate_tokens(request, CLAUDE) == pytest.approx(found, abs=5)  # a system is no message
    assert estimate_tokens(prompt.invoke({}), CLAUDE, tools=[TOOL_FORMS[1]]) == found


def chat_model(**settings: Any) -> ChatBedrockConverse:
    client: Any = CaptureClient()
    return ChatBedrockConverse(model=CLAUDE, client=client, bedrock_client=client, **settings)


def asked_with_tools(*content: Any) -> list[BaseMessage]:
    """A question, a tool call, and what is given as its result."""
    call = AIMessage("", tool_calls=[{"name": "weather", "args": {"city": LONG}, "id": "1"}])
    return [HumanMessage("And?"), call, ToolMessage([*content], tool_call_id="1")]


PICTURE = base64.b64encode(png(300, 300)).decode()
PDF = base64.b64encode(b"%PDF-1.4" + bytes(300_000)).decode()
CONVERTED: dict[str, list[BaseMessage]] = {
    "text": [HumanMessage(LONG)],
    "guard": [HumanMessage([{"type": "guard_content", "text": LONG}])],
    "cache point": [HumanMessage([{"type": "text", "text": LONG}, {"cachePoint": {"type": "x"}}])],
    "text file": [
        HumanMessage([{"type": "file", "base64": BASE64, "mime_type": "text/plain", "name": "n"}])
    ],
    "pdf": [
        HumanMessage([{"type": "file", "base64": PDF, "mime_type": "application/pdf", "name": "n"}])
    ],
    "images": [HumanMessage([*image_blocks(png(640, 480))])],
    "system": [SystemMessage(LONG), HumanMessage(LONG)],
    "reasoning": [
        HumanMessage("And?"),
        AIMessage(
            [
                {
                    "type": "reasoning_content",
                    "reasoning_content": {"text": LONG, "signature": "x"},
                },
                {"type": "text", "text": LONG},
            ]
        ),
        HumanMessage("And?"),
    ],
    "wrapped": [
        HumanMessage(
            [{"type": "non_standard", "value": {"guardContent": {"text": {"text": LONG}}}}]
        )
    ],
    "text result": asked_with_tools({"type": "text", "text": LONG}),
    "JSON result": asked_with_tools({"type": "json", "json": {"found": LONG}}),
    "image result": asked_with_tools(
        {"type": "image", "base64": PICTURE, "mime_type": "image/png"}
    ),
    "server tools": [
        HumanMessage("And?"),
        AIMessage(
            [{"type": "server_tool_use", "id": "1", "name": "find", "input": {"query": LONG}}]
        ),
        HumanMessage(
            [{"type": "server_tool_result", "tool_use_id": "1", "content": [{"text": LONG}]}]
        ),
    ],
}


@pytest.mark.parametrize("name", CONVERTED)
def test_messages_count_as_what_is_sent_of_them(name: str) -> None:
    """Each form that langchain-aws takes counts what the request it makes of it does."""
    model = chat_model()
    model.bind_tools([weather]).invoke(CONVERTED[name])
    (request,) = model.client.requests

    found = estimate_tokens(CONVERTED[name], CLAUDE, tools=[weather])

    assert found == pytest.approx(estimate_tokens(request, CLAUDE), abs=25)


KEYS = st.sampled_from(["type", "text", "content", "document", "toolResult", "bytes", "json"])
KINDS = st.sampled_from(["text", "document", "guard_content", "reasoning", "tool_use", "function"])
INNER: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.text() | st.binary() | KINDS,
    lambda inner: st.lists(inner) | st.dictionaries(KEYS | KINDS, inner),
    max_leaves=10,
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(KEYS | KINDS, INNER)), st.lists(INNER))
def test_no_block_and_no_tool_stops_an_estimate(content: list[Any], tools: list[Any]) -> None:
    """Whatever stands in a message or among its tools, a request has an estimate."""
    request = {
        "messages": [{"role": "user", "content": content}],
        "toolConfig": {"tools": tools},
    }

    assert estimate_tokens(request, CLAUDE) > 0


WRAPPERS: dict[str, Callable[[ChatBedrockConverse], Any]] = {
    "tools": lambda model: model.bind_tools([weather]),
    "retry": lambda model: model.bind_tools([weather]).with_retry(),
    "fallbacks": lambda model: model.bind_tools([weather]).with_fallbacks([model]),
    "chain": lambda model: model.bind_tools([weather]) | StrOutputParser(),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_what_a_chat_model_sends_along_counts(wrapper: str) -> None:
    """A chat model's own system prompt and bound tools count with messages, through any wrapper."""
    given = WRAPPERS[wrapper](chat_model(system=[LONG]))
    messages = [HumanMessage("Hi")]
    whole = estimate_tokens([SystemMessage(LONG), *messages], CLAUDE, tools=[weather])

    assert estimate_tokens(messages, given) == pytest.approx(whole, abs=5)
    assert estimate_tokens(messages, given, tools=[weather]) == pytest.approx(whole, abs=5)
    assert TokenCounter(given)(messages) == estimate_tokens(messages, given)


def test_a_text_and_a_request_count_as_they_are() -> None:
    """What a chat model sends along is no part of a text, and is in a request already."""
    given = chat_model(system=[LONG]).bind_tools([weather])
    request = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}

    assert estimate_tokens(LONG, given) == estimate_tokens(LONG, CLAUDE)
    assert estimate_tokens(request, given) == estimate_tokens(request, CLAUDE)


def test_tool_calls_beside_a_text_count_once() -> None:
    """Calls count whether they stand beside the content or in it, and not twice."""
    call = {"name": "weather", "args": {"city": LONG}, "id": "1", "type": "tool_call"}
    block = {"type": "tool_use", "name": "weather", "input": {"city": LONG}, "id": "1"}
    beside = estimate_tokens(AIMessage("", tool_calls=[call]), CLAUDE)
    inside = estimate_tokens(AIMessage([block], tool_calls=[call]), CLAUDE)

    assert inside == beside
    assert beside > estimate_tokens(LONG, CLAUDE)


@pytest.mark.parametrize("nothing", [None, 42, b"bytes", object()])
def test_what_is_no_prompt_is_refused(nothing: object) -> None:
    """Something that has no tokens is answered with what to pass instead."""
    with pytest.raises(ConfigurationError, match="pass a text, messages"):
        estimate_tokens(nothing)


def test_trim_messages_takes_a_counter() -> None:
    """LangChain's `trim_messages` keeps what fits by the counter, tools included."""
    history = [
        SystemMessage("Be brief."),
        HumanMessage(LONG * 10),
        AIMessage("", tool_calls=[{"name": "weather", "args": {}, "id": "1"}]),
        ToolMessage("Sunny.", tool_call_id="1"),
        HumanMessage("And now?"),
    ]
    count = TokenCounter(CLAUDE, tools=[weather])
    budget = count(history) - 100

    kept = trim_messages(
        history, max_tokens=budget, token_counter=count, include_system=True, start_on="human"
    )

    assert [message.content for message in kept] == ["Be brief.", "And now?"]
    assert count(kept) <= budget < count(history)
