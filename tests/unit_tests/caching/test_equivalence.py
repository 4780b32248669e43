"""What is one request and what is not, through both doors of the cache."""

from __future__ import annotations

import copy
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_aws import ChatBedrockConverse
from langchain_core.caches import BaseCache
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_bedrock_opt.caching.keys import semantic_key
from langchain_bedrock_opt.caching.prompts import prompt_key

CALL = {"name": "weather", "args": {"city": "Kyoto", "unit": "C"}, "id": "call-1"}
TOOL = {
    "toolSpec": {
        "name": "weather",
        "description": "The weather of a city.",
        "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
}
PAIRS = 1000


def turns(**answer: Any) -> list[BaseMessage]:
    """A question, an answer with a tool call, the tool's result, all of one conversation."""
    fields = {"content": "I look.", "tool_calls": [CALL], **answer}
    return [
        HumanMessage("Weather?"),
        AIMessage(**fields),
        ToolMessage("20 degrees", tool_call_id=fields["tool_calls"][0]["id"]),
    ]


def result(text: str) -> list[BaseMessage]:
    """The same conversation with another result of the tool."""
    return [*turns()[:2], ToolMessage(text, tool_call_id=CALL["id"])]


REPEATED_CALL = [
    {"type": "text", "text": "I look."},
    {"type": "tool_use", "name": "weather", "input": CALL["args"], "id": "call-1"},
]
USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
REORDERED = {**CALL, "args": {"unit": "C", "city": "Kyoto"}}

EQUIVALENT: dict[str, tuple[list[BaseMessage], list[BaseMessage]]] = {
    "text or block": ([HumanMessage("Hi")], [HumanMessage([{"type": "text", "text": "Hi"}])]),
    "outer space": ([HumanMessage("Hi")], [HumanMessage("\n Hi ")]),
    "line ends": ([HumanMessage("a\nb")], [HumanMessage("a\r\nb")]),
    "full width": ([HumanMessage("AWS 2026?")], [HumanMessage("\uff21\uff37\uff33 2026\uff1f")]),
    "half-width kana": ([HumanMessage("ガラス")], [HumanMessage("ｶﾞﾗｽ")]),
    "composition": ([HumanMessage("café が")], [HumanMessage("cafe\u0301 か\u3099")]),
    "ideographic space": ([HumanMessage("東京 天気")], [HumanMessage("東京\u3000天気")]),
    "ids of tool calls": (turns(), turns(tool_calls=[{**CALL, "id": "call-2"}])),
    "response metadata": (turns(), turns(response_metadata={"ResponseMetadata": {"a": "b"}})),
    "usage metadata": (turns(), turns(usage_metadata={**USAGE, "total_cost": 0})),
    "order of arguments": (turns(), turns(tool_calls=[REORDERED])),
    "additional kwargs": (turns(), turns(additional_kwargs={"seen": True})),
    "ids of messages": (turns(), turns(id="run-1")),
    "a tool call told twice": (turns(), turns(content=REPEATED_CALL)),
}

DISTINCT: dict[str, tuple[list[BaseMessage], list[BaseMessage]]] = {
    "superscript": ([HumanMessage("10² = ?")], [HumanMessage("102 = ?")]),
    "circled digits": ([HumanMessage("①②")], [HumanMessage("12")]),
    "case": ([HumanMessage("us")], [HumanMessage("US")]),
    "negation": ([HumanMessage("It is safe.")], [HumanMessage("It is not safe.")]),
    "unit": ([HumanMessage("5 mg")], [HumanMessage("5 µg")]),
    "space in code": (
        [HumanMessage("```\nif a:\n  b\n```")],
        [HumanMessage("```\nif a:\n b\n```")],
    ),
    "space at the end of a line": (
        [HumanMessage("Which lines end in a space?\nab \ncd")],
        [HumanMessage("Which lines end in a space?\nab\ncd")],
    ),
    "line ends in a tool's result": (result("a = 1\r\nb = 2"), result("a = 1\nb = 2")),
    "width in a tool's result": (result("b = \uff12"), result("b = 2")),
    "composition in a tool's result": (result("cafe\u0301.txt"), result("caf\u00e9.txt")),
    "space around a tool's result": (result("20\n"), result("20")),
    "system": ([HumanMessage("Hi")], [SystemMessage("Be brief."), HumanMessage("Hi")]),
    "history": ([HumanMessage("Hi")], [*turns(), HumanMessage("Hi")]),
    "result of a tool": (turns(), [*turns()[:2], ToolMessage("9", tool_call_id="call-1")]),
    "failed tool": (
        turns(),
        [*turns()[:2], ToolMessage("20 degrees", tool_call_id="call-1", status="error")],
    ),
}


class Asked(BaseCache):
    """A cache that notes what it was asked for and knows nothing."""

    def lookup(self, prompt: str, llm_string: str) -> None:
        self.asked = (prompt, llm_string)

    def update(self, prompt: str, llm_string: str, return_val: Any) -> None:
        pass

    def clear(self, **kwargs: Any) -> None:
        pass


KeyOf = Callable[..., str]


@pytest.fixture(params=["layer", "BaseCache"])
def key_of(request: pytest.FixtureRequest, bedrock: Any, make_response: Any) -> KeyOf:
    """The key that ChatBedrockConverse has for messages, at each of the doors."""
    fake, cache = bedrock(make_response({"text": "Hello"})), Asked()
    door = {"cache": False} if request.param == "layer" else {"cache": cache}
    model = ChatBedrockConverse(
        model="us.amazon.nova-lite-v1:0", client=fake, bedrock_client=fake, **door
    )

    def key(messages: list[BaseMessage], tools: list[Any] | None = None) -> str:
        # Copied, since langchain-aws takes messages and tools apart.
        model.bind(tools=copy.deepcopy(tools or [TOOL])).invoke(copy.deepcopy(messages))
        return (
            semantic_key(fake.requests.pop())
            if door["cache"] is False
            else prompt_key(*cache.asked)
        )

    return key


@pytest.mark.parametrize("case", EQUIVALENT)
def test_equivalent_conversations_share_a_key(case: str, key_of: KeyOf) -> None:
    """Messages that ask the same have one key, whatever they carry besides."""
    one, other = EQUIVALENT[case]

    assert key_of(one) == key_of(other)


@pytest.mark.parametrize("case", DISTINCT)
def test_different_conversations_have_different_keys(case: str, key_of: KeyOf) -> None:
    """Messages that ask something else have another key, however alike they look."""
    one, other = DISTINCT[case]

    assert key_of(one) != key_of(other)


# The fixture makes keys and keeps nothing between two of them.
many = settings(
    max_examples=PAIRS, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

WORDS = st.sampled_from(
    [
        "What",
        "is",
        "the",
        "dose",
        "of",
        "5",
        "mg",
        "in",
        "Kyoto",
        "on",
        "2026-11-22",
        "?",
        "東京",
        "の",
        "天気",
        "は",
        "ガラス",
        "パン",
        "データ",
        "が",
        "ば",
        "ぱ",
        "café",
        "Å",
        "ñ",
        "é",
        "¥100",
        "A-17",
    ]
)
SENTENCES = st.lists(WORDS, min_size=1, max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
HALF_WIDTH = {unicodedata.normalize("NFKC", chr(code)): chr(code) for code in range(0xFF66, 0xFF9E)}


def wide(text: str) -> str:
    """ASCII in full width."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "}" and c != "`" else c for c in text)


def half_width(text: str) -> str:
    """Katakana in half width, its voiced marks apart."""
    apart = unicodedata.normalize("NFD", text)
    marks = {"\u3099": "ﾞ", "\u309a": "ﾟ"}
    halves = []
    for index, character in enumerate(apart):
        before = apart[index - 1 : index]
        if character in marks and before in HALF_WIDTH:
            halves.append(marks[character])
        else:
            halves.append(HALF_WIDTH.get(character, character))
    return "".join(halves)


SPELLINGS: list[Callable[[str], str]] = [
    wide,
    half_width,
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.replace(" ", "\u3000"),
    lambda text: f" \n{text}\t\n",
]


@many
@given(lines=st.lists(SENTENCES, min_size=1, max_size=3), spelling=st.sampled_from(SPELLINGS))
def test_spellings_of_one_text_merge(
    lines: list[list[str]], spelling: Callable[[str], str], key_of: KeyOf
) -> None:
    """A text has one key in any width and composition, with either line end and space around it."""
    text = "\n".join(" ".join(words) for words in lines)

    assert key_of([HumanMessage(text)]) == key_of([HumanMessage(spelling(text))])


TWINS = [
    *[("mg", "µg"), ("5 mg", "5 mmg"), ("km", "㎞"), ("<", "≤"), ("-5", "5")],
    *[("10²", "102"), ("x₂", "x2"), ("①", "1"), ("½", "1/2"), ("Ⅳ", "IV"), ("ﬁ", "fi")],
    *[("いっち", "いつち"), ("ッ", "ツ"), ("シヤ", "シャ"), ("か", "カ"), ("ー", "一")],
    *[("は", "ば"), ("ば", "ぱ"), ("ハ", "バ"), ("㈱", "(株)"), ("resume", "résumé")],
    *[("is", "is not"), ("できる", "できない"), ("any", "no")],
    *[("us", "US"), ("Polish", "polish"), ("0", "O"), ("'a b'", "'a  b'")],
    *[("A-17", "A-71"), ("ID 100", "ID 1000"), ("1,000", "1.000"), ("3.5", "35")],
]


@many
@given(before=SENTENCES, after=SENTENCES, twins=st.sampled_from(TWINS))
def test_look_alikes_stay_apart(
    before: list[str], after: list[str], twins: tuple[str, str], key_of: KeyOf
) -> None:
    """Units, superscripts, kana, negation, case, numbers and ids never merge, wherever they are."""
    one, other = (" ".join([*before, twin, *after]) for twin in twins)

    assert key_of([HumanMessage(one)]) != key_of([HumanMessage(other)])


NAMES = st.lists(st.text("abcdef", min_size=1, max_size=4), min_size=1, max_size=4, unique=True)


@many
@given(names=NAMES, arguments=st.dictionaries(st.text("xyz", min_size=1), JSON, max_size=3))
def test_ids_and_the_order_of_arguments_merge(
    names: list[str], arguments: dict[str, Any], key_of: KeyOf
) -> None:
    """Whatever ids a model gave its tool calls, and in whatever order it named the arguments."""

    def conversation(prefix: str, args: dict[str, Any]) -> list[BaseMessage]:
        ids = [f"{prefix}{name}" for name in names]
        calls = [{"name": "f", "args": args, "id": one, "type": "tool_call"} for one in ids]
        results = [
            ToolMessage(name, tool_call_id=one) for name, one in zip(names, ids, strict=True)
        ]
        return [HumanMessage("Go."), AIMessage("", tool_calls=calls), *results]

    reordered = dict(reversed(arguments.items()))
    assert key_of(conversation("a", arguments)) == key_of(conversation("tooluse_", reordered))


def tool(name: str, required: list[str]) -> dict[str, Any]:
    properties = {part: {"type": "string", "enum": ["a", "b"]} for part in required}
    schema = {"type": "object", "properties": properties, "required": required}
    return {"toolSpec": {"name": name, "description": "d", "inputSchema": {"json": schema}}}


@many
@given(names=NAMES, required=NAMES, data=st.data())
def test_the_order_of_tools_merges(
    names: list[str], required: list[str], data: st.DataObject, key_of: KeyOf
) -> None:
    """Tools and what they require count as sets."""
    shuffled_names = data.draw(st.permutations(names))
    shuffled_required = data.draw(st.permutations(required))
    one = key_of([HumanMessage("Hi")], [tool(name, required) for name in names])
    other = key_of([HumanMessage("Hi")], [tool(name, shuffled_required) for name in shuffled_names])

    assert one == other


@many
@given(names=NAMES, required=NAMES, other=NAMES)
def test_other_tools_stay_apart(
    names: list[str], required: list[str], other: list[str], key_of: KeyOf
) -> None:
    """Another name of a tool, or of what it requires, is another request."""
    tools = [tool(name, required) for name in names]
    same = set(names) == set(other)

    by_name = key_of([HumanMessage("Hi")], [tool(name, required) for name in other])
    assert (key_of([HumanMessage("Hi")], tools) == by_name) is same
    same = set(required) == set(other)
    by_requirement = key_of([HumanMessage("Hi")], [tool(name, other) for name in names])
    assert (key_of([HumanMessage("Hi")], tools) == by_requirement) is same
