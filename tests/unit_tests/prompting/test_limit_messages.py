"""Conversations within a budget: never over it, and still ones that Bedrock takes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    convert_to_messages,
    trim_messages,
)
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder, PromptTemplate

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.catalog.tokens import TokenCounter
from langchain_bedrock_opt.errors import ConfigurationError, ContextTooLongError
from langchain_bedrock_opt.prompting.limiting import ContextLimiter, limit_context
from langchain_bedrock_opt.prompting.limiting.text import Keep
from tests.conversations import COUNT, HISTORY, IMAGE, call, check, step, weather

KEEPS: tuple[Keep, ...] = get_args(Keep)


@pytest.fixture(scope="module")
def model() -> Any:
    client = BedrockEmulator().client()
    model = ChatBedrockOptimized(
        model="us.anthropic.claude-haiku-4-5-20251001-v1:0", client=client, max_tokens=100
    )
    return model.bind_tools([weather])


@st.composite
def conversations(draw: st.DrawFn) -> list[BaseMessage]:
    """Conversations that Bedrock takes, with all that may be in them."""
    words = st.sampled_from(["Hello there. ", "東京は晴れです。", "👨\u200d👩\u200d👧 ", "x" * 30])
    texts = st.lists(words, min_size=1, max_size=20).map("".join)
    messages: list[BaseMessage] = []
    for number in range(draw(st.integers(1, 6))):
        text = draw(texts)
        blocks = [{"type": "text", "text": text}, IMAGE, {"cachePoint": {"type": "default"}}]
        content: Any = text if draw(st.booleans()) or number != 1 else blocks
        messages.append(HumanMessage(content, id=f"human {number}"))
        if draw(st.booleans()):
            messages.append(HumanMessage(draw(texts)))
        for inner in range(draw(st.integers(0, 2))):
            messages += step(10 * number + inner, draw(st.integers(1, 3)), draw(texts))
            if draw(st.booleans()):
                messages.append(HumanMessage("And be quick."))
        messages.append(AIMessage(draw(texts).strip()))
    if draw(st.booleans()):
        messages.append(HumanMessage(draw(texts)))
    if draw(st.booleans()):
        messages.insert(draw(st.sampled_from([0, 0, len(messages)])), SystemMessage(draw(texts)))
    return messages


@settings(max_examples=60, deadline=None)
@given(messages=conversations(), budget=st.integers(1, 500), keep=st.sampled_from(KEEPS))
def test_a_conversation_is_within_its_budget_and_valid(
    model: Any, messages: list[BaseMessage], budget: int, keep: Keep
) -> None:
    """What is left fits, is taken by Bedrock, fits again as it is, and changed nothing given."""
    before = copy.deepcopy(messages)
    try:
        result = limit_context(messages, budget, keep=keep)
    except ContextTooLongError as error:
        result, needed = [], error.needed_tokens

    assert messages == before
    if not result:
        assert needed > budget
        return
    assert COUNT(result) <= budget
    assert limit_context(result, budget, keep=keep) == result
    assert [m for m in result if m.type == "system"] == [m for m in messages if m.type == "system"]
    # Of the last turn the question is kept, and its last rounds, never none of them.
    (question, *kept), (asked, *rounds) = last_turn(result), last_turn(messages)
    assert question == asked
    assert kept == rounds[len(rounds) - len(kept) :]
    assert bool(kept) == bool(rounds)
    check(result)
    if budget % 5 == 0:
        model.invoke(result)


def last_turn(messages: Sequence[BaseMessage]) -> list[tuple[str, Any]]:
    """Who speaks in the last turn, which results are for which calls."""
    kinds = [(message.type, getattr(message, "tool_call_id", None)) for message in messages]
    kinds = [kind for kind in kinds if kind[0] != "system"]
    humans = [index for index, kind in enumerate(kinds) if kind[0] == "human"]
    return kinds[humans[-1] :]


def ids(messages: Sequence[BaseMessage]) -> list[str | None]:
    return [
        message.id for message in messages if isinstance(message, (HumanMessage, SystemMessage))
    ]


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("tail", ["system", "third", "last"]),
        ("head", ["system", "first", "last"]),
        ("ends", ["system", "first", "third", "last"]),
    ],
)
def test_whole_turns_are_left_out(keep: Keep, kept: list[str]) -> None:
    """The oldest turns go, or the latest before the last, or those between."""
    starts = {message.id: index for index, message in enumerate(HISTORY) if message.id}
    ends = {"system": 1, "first": starts["second"], "third": starts["last"], "last": len(HISTORY)}
    expected = [message for id_ in kept for message in HISTORY[starts[id_] : ends[id_]]]

    assert limit_context(HISTORY, COUNT(expected), keep=keep, marker="") == expected


def test_the_marker_stands_before_the_next_message() -> None:
    """The first message after the gap says that there is one, and keeps its id."""
    result = limit_context(HISTORY, COUNT([HISTORY[0], *HISTORY[-3:]]) + 20)

    assert result[1].content == "[… earlier messages omitted]\n\n" + "Thank you. " * 5
    assert result[1].id == "third"
    assert result[2] is HISTORY[-2]


def test_the_marker_is_a_block_among_blocks() -> None:
    """A message of blocks gets the marker as one, once, in the language of what was said."""
    question = HumanMessage([IMAGE, {"type": "text", "text": "これは何ですか。"}])
    messages = [HumanMessage("こんにちは。" * 60), AIMessage("はい。"), question]

    result = limit_context(messages, COUNT([question]) + 30)
    note = {"type": "text", "text": "[…以前のメッセージを省略]"}

    assert [message.content for message in result] == [[note, *question.content]]
    again = limit_context([*messages[:2], *result], COUNT([question]) + 30)
    assert again == result


def test_without_a_marker() -> None:
    """Nothing is put into the conversation if the marker is empty."""
    expected = [HISTORY[0], *HISTORY[-3:]]

    assert limit_context(HISTORY, COUNT(expected), marker="") == expected


def test_a_marker_that_does_not_fit_is_left_out() -> None:
    """The last turn stays whole where the marker alone would be too much."""
    fits = COUNT([HISTORY[0], HISTORY[-1]])

    assert limit_context(HISTORY, fits + 3) == [HISTORY[0], HISTORY[-1]]


def test_a_long_question_loses_its_middle() -> None:
    """A single message that is too long keeps its beginning and its end, and its id."""
    question = "Summarize this log. " + "A line of the log. " * 500 + "What went wrong?"
    result = limit_context([SystemMessage("Be brief."), HumanMessage(question, id="1")], 200)

    assert COUNT(result) <= 200
    text = result[1].text
    assert text.startswith("Summarize this log. A line of the log.")
    assert text.endswith(". What went wrong?")
    assert " [… omitted] " in text
    assert result[1].id == "1"


def test_the_longest_texts_of_the_last_turn_are_cut() -> None:
    """Tools' results give way before a short question and the model's own calls."""
    turn = [HumanMessage("Compare them."), *step(1, 2, "It is sunny in this city. " * 100)]
    budget = COUNT(turn) // 2
    result = limit_context([*HISTORY[:6], *turn], budget)

    assert COUNT(result) <= budget
    assert result[1].text.endswith("Compare them.")
    assert result[2] is turn[1]
    assert all("[… omitted]" in message.text for message in result[3:])
    assert abs(len(result[3].text) - len(result[4].text)) < 30


def test_what_must_stay_and_does_not_fit_is_told() -> None:
    """The error says what takes how much, and nothing of the prompt."""
    messages = [SystemMessage("secret " * 100), HumanMessage("word " * 300)]
    system = COUNT.text("secret " * 100)

    with pytest.raises(ContextTooLongError, match=f"max_tokens=90: about {system} are of") as told:
        limit_context(messages, 90)
    assert "secret" not in str(told.value)
    assert limit_context(messages, told.value.needed_tokens)[0] is messages[0]


def test_blocks_that_are_no_text_stay_whole() -> None:
    """An image or a cache point beside a long text is kept as it is."""
    point = {"cachePoint": {"type": "default"}}
    long = {"type": "text", "text": "A line of the log. " * 200}
    whole = HumanMessage([IMAGE, long, point])
    [result] = limit_context([whole], COUNT([whole]) - 100)

    assert result.content[0] == IMAGE
    assert result.content[2] == point
    assert len(result.text) < len(whole.text)


def test_a_signed_answer_is_never_changed() -> None:
    """The model's own reasoning and calls come back as they were, or an error does."""
    answer = step(1, 1, "sunny")[0]
    long = AIMessage([*answer.content, {"type": "text", "text": "word " * 500}])
    messages = [HumanMessage("word " * 500), long]

    assert limit_context(messages, COUNT(messages) - 100)[1] is long
    with pytest.raises(ContextTooLongError):
        limit_context(messages, COUNT([long]))


def test_a_plain_answer_at_the_end_is_cut() -> None:
    """A history that ends with a long answer of the model can be kept short, too."""
    [_, answer] = limit_context([HumanMessage("Hello"), AIMessage("It is so. " * 500)], 100)

    assert "[… omitted]" in answer.text


def test_results_in_messages_of_the_user_stay_with_their_calls() -> None:
    """Results in blocks of Anthropic's or Converse's form begin no turn."""
    for result in (
        {"type": "tool_result", "tool_use_id": "1", "content": "sunny"},
        {"toolResult": {"toolUseId": "1", "content": [{"text": "sunny"}]}},
    ):
        messages = [
            HumanMessage("word " * 200),
            AIMessage("", tool_calls=[call("1")]),
            HumanMessage([result]),
            AIMessage("It is sunny."),
            HumanMessage("Thanks!"),
        ]
        assert limit_context(messages, COUNT(messages) - 100, marker="") == messages[-1:]


def test_a_history_that_begins_in_the_middle_is_mended() -> None:
    """What stands before the user's first message goes first, if something has to."""
    messages = [*step(1, 1, "sunny " * 50)[1:], AIMessage("Hello."), *HISTORY[1:]]

    assert limit_context(messages, COUNT(messages) - 10)[0].type == "human"


def test_orders_to_a_state_stay() -> None:
    """A `RemoveMessage` is no part of a prompt, and is not lost."""
    remove = RemoveMessage(id="old")

    assert limit_context([remove, *HISTORY], COUNT(HISTORY) // 2)[0] is remove


def test_tools_take_their_part_of_the_budget() -> None:
    """With tools, fewer turns fit."""
    with_tools = TokenCounter(tools=[weather])
    budget = with_tools(HISTORY) - 1
    result = limit_context(HISTORY, budget, tools=[weather])

    assert limit_context(HISTORY, budget) == HISTORY
    assert with_tools(result) <= budget
    assert len(result) < len(HISTORY)


def test_counters_of_ones_own() -> None:
    """A counter of LangChain's, or a model, counts in place of the estimate."""
    result = limit_context(HISTORY, 60, counter=count_tokens_approximately)
    assert count_tokens_approximately(result) <= 60 < count_tokens_approximately(HISTORY)

    class Counting(FakeListChatModel):
        def get_num_tokens_from_messages(
            self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
        ) -> int:
            return sum(len(message.text) for message in messages) + 50 * len(tools or ())

    model = Counting(responses=[""])
    assert ids(limit_context(HISTORY, 200, counter=model)) == ["system", "third", "last"]
    assert ids(limit_context(HISTORY, 200, counter=model, tools=[weather] * 2)) == [
        "system",
        "last",
    ]
    assert limit_context("word " * 20, 33, counter=model) == "word word word word [… omitted]"


def test_the_counter_serves_langchains_trim_messages() -> None:
    """`trim_messages` takes the same counter, and keeps to the same budget."""
    counter = TokenCounter("us.anthropic.claude-haiku-4-5-20251001-v1:0")
    budget = counter(HISTORY) // 2
    trimmed = trim_messages(
        HISTORY, max_tokens=budget, token_counter=counter, start_on="human", include_system=True
    )

    assert 1 < len(trimmed) < len(HISTORY)
    assert counter(trimmed) <= budget
    assert limit_context(HISTORY, budget, counter=counter, marker="") == trimmed


def test_a_long_history_takes_few_counts() -> None:
    """Of 2,000 messages it is found in a few counts how many fit."""
    history = [HumanMessage("Hello there. " * 3), AIMessage("Hello. " * 3)] * 1000
    counts = 0

    def counter(messages: list[BaseMessage]) -> int:
        nonlocal counts
        counts += 1
        return COUNT(messages)

    result = limit_context([*history, HumanMessage("Bye.")], 4000, counter=counter)
    assert 3900 < COUNT(result) <= 4000
    assert counts < 15


def test_a_step_of_a_chain() -> None:
    """A prompt of messages gives messages, and one of text gives text."""
    limiter = ContextLimiter(100, model="us.amazon.nova-lite-v1:0")
    prompt = ChatPromptTemplate([("system", "You are brief."), MessagesPlaceholder("history")])
    messages = convert_to_messages((prompt | limiter).invoke({"history": HISTORY[1:]}))
    text = (PromptTemplate.from_template("{log}") | limiter).invoke({"log": "A line. " * 100})

    assert ids(messages)[-1] == "last"
    assert isinstance(text, str)
    assert text.endswith("A line. [… omitted]")
    assert repr(limiter) == "ContextLimiter(max_tokens=100)"


async def test_a_step_of_a_chain_is_async_too() -> None:
    """A limiter in a chain has the async methods of a Runnable."""
    assert await ContextLimiter(3).abatch(["Hello there, Ms. Sato."]) == ["Hello there,"]


def test_a_chain_on_the_emulator(model: Any) -> None:
    """Between a prompt and a model, a history of any length is answered."""
    prompt = ChatPromptTemplate([("placeholder", "{history}"), ("human", "{question}")])
    history = [message for _ in range(20) for message in HISTORY[1:]]
    chain = prompt | ContextLimiter(400, tools=[weather]) | model

    answer = chain.invoke({"history": history, "question": "どこへ行けばいいですか。"})
    assert answer.usage_metadata["input_tokens"] < 1000


def test_mistakes_are_found_when_a_limiter_is_made() -> None:
    """A chain with a limiter that makes no sense is never built."""
    with pytest.raises(ConfigurationError, match="keep='start' is none of"):
        ContextLimiter(100, keep="start")  # type: ignore[arg-type]


def test_no_messages_are_no_messages() -> None:
    """An empty history stays one, and one of a system prompt alone is told if it is too long."""
    assert limit_context([], 10) == []
    with pytest.raises(ContextTooLongError):
        limit_context([SystemMessage("word " * 50)], 10)
