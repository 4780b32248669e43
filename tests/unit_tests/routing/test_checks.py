"""Checks on answers: what is given again, and what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from pydantic import BaseModel

from langchain_bedrock_opt.routing.recovery.checks import (
    Cut,
    Doubt,
    Empty,
    Expectations,
    FailedSchema,
    MalformedToolCall,
    Validator,
    first_failure,
)
from langchain_bedrock_opt.routing.recovery.escalation import DEFAULT_CHECKS
from langchain_bedrock_opt.routing.recovery.refusals import Refusal, is_refusal

NOTHING = Expectations()


def answer(content: Any = "", stop: str | None = None, **kwargs: Any) -> AIMessage:
    metadata = {} if stop is None else {"stopReason": stop}
    return AIMessage(content, response_metadata=metadata, **kwargs)


def call(name: str, **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args, "id": "1"}


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I can’t provide instructions for that.",
        "I cannot assist with this request.",
        "I apologize, but I cannot provide medical advice.",
        "Sorry, but I'm unable to help with that.",
        "As an AI language model, I can't answer that.",
        "I won't be able to help.",
        "I must respectfully decline to answer.",
        "I don't feel comfortable providing that.",
        "I cannot and will not provide that.",
        "Unfortunately, I cannot fulfill this request.",
        "申し訳ございませんが、そのご質問にはお答えできません。",
        "申し訳ありませんが、ご要望にお応えすることはできません。",
        "申し訳ありません。その依頼にはお手伝いできません。",
        "すみませんが、回答を差し控えさせていただきます。",
        "そのご依頼には応じられません。",
        "お答えできません。",
        "申し訳ございませんが、違法行為に関する情報の提供はできません。",
        "残念ながら、この内容についてはお答えいたしかねます。",
        "AIとして、医療上の助言を提供することはできません。",
    ],
)
def test_a_refusal_is_found_in_english_and_japanese(text: str) -> None:
    """An answer that declines is a refusal, in whichever words."""
    assert Refusal().find(answer(text), NOTHING) == "the answer declines"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I'm sorry to hear that! Here is what you can do.",
        "I can't help but admire the design.",
        "I cannot recommend this book enough.",
        "The word 'sorry' is an adjective. Example: I'm sorry, I can't help.",
        "Sorry for the delay. The answer is 42.",
        "I'm sorry, I made a mistake above: the answer is 7.",
        "We cannot write to a closed file in Python, so open it first.",
        "Dear Sir,\nI'm sorry, but I can't help with the refund.\nBest regards",
        "「申し訳ございません」は謝罪に使います。",
        "申し訳ございません。先ほどの回答に誤りがありました。正しくは42です。",
        "件名: お詫び\n申し訳ございませんが、ご返金には対応できません。",
        "山田様\n申し訳ございませんが、当日のご案内はできません。",
        "その関数はNoneを返すため、値を利用できません。",
        "この方法では証明できません。別の方法を使います。",
        "この表は作成後に変更できません。",
        "その場合、Pythonではタプルを変更できません。",
        "I cannot share the file, but here is all of it in short. " + "It says a lot. " * 80,
    ],
)
def test_an_apology_is_no_refusal(text: str) -> None:
    """Answers that contain "sorry" or "can't", letters and long answers are left alone."""
    assert not is_refusal(text)


def test_a_model_can_say_by_its_stop_reason_that_it_declines() -> None:
    """The stop reason `refusal` is one, whatever the text says."""
    assert Refusal().find(answer("", "refusal"), NOTHING) == "stopped by refusal"
    assert Refusal().find(answer("I can't help.", tool_calls=[call("f")]), NOTHING) is None


@pytest.mark.parametrize(
    ("message", "is_empty"),
    [
        (answer(""), True),
        (answer(" \n"), True),
        (answer([{"type": "reasoning_content", "reasoning_content": {"text": "hm"}}]), True),
        (answer([{"type": "text", "text": "x"}]), False),
        (answer([{"type": "image", "base64": "aGk="}]), False),
        (answer("", tool_calls=[call("f")]), False),
    ],
)
def test_an_answer_without_text_or_calls_is_empty(message: AIMessage, *, is_empty: bool) -> None:
    """Reasoning alone is no answer; a tool call or a picture is one."""
    assert (Empty().find(message, NOTHING) is not None) is is_empty


@pytest.mark.parametrize(
    ("stop", "is_cut"),
    [("max_tokens", True), ("model_context_window_exceeded", True), ("end_turn", False)],
)
def test_an_answer_that_ran_out_of_room_is_cut(stop: str, *, is_cut: bool) -> None:
    """The stop reason says whether an answer was cut; one without a stop reason was not."""
    assert (Cut().find(answer("The", stop), NOTHING) is not None) is is_cut
    assert Cut().find(answer("The"), NOTHING) is None


def test_a_tool_call_that_cannot_be_carried_out_is_malformed() -> None:
    """Unreadable arguments, unknown tools and missing arguments fail; a good call does not."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"required": ["a"]}}}
    bound = Expectations(tools=[tool])
    check = MalformedToolCall()
    broken = {"name": "f", "args": "{", "id": "1", "error": None, "type": "invalid_tool_call"}

    assert check.find(answer(invalid_tool_calls=[broken]), bound) == "arguments that are not JSON"
    assert check.find(answer(stop="malformed_tool_use"), bound) is not None
    assert check.find(answer(tool_calls=[call("g")]), bound) == "a tool that is not bound"
    assert check.find(answer(tool_calls=[call("f")]), bound) == "1 required arguments missing"
    assert check.find(answer(tool_calls=[call("f", a=1)]), bound) is None
    built_in = Expectations(tools=[tool, {"systemTool": {"name": "search"}}])
    assert check.find(answer(tool_calls=[call("search")]), built_in) is None


def test_a_structured_answer_has_to_follow_its_schema() -> None:
    """A pydantic class and a JSON schema are held; the reason does not quote the answer."""

    class Person(BaseModel):
        age: int

    check, by_class = FailedSchema(), Expectations(schema=Person)
    by_schema = Expectations(schema={"title": "Person", "required": ["age"]})

    wrong = answer(tool_calls=[call("Person", age="secret")])
    assert check.find(wrong, by_class) == "ValidationError of Person"
    assert check.find(answer("42"), by_class) == "no structured answer"
    assert check.find(answer(tool_calls=[call("Person", age=4)]), by_class) is None
    assert check.find(answer(tool_calls=[call("Person")]), by_schema) is not None
    assert check.find(answer("42"), NOTHING) is None


def test_a_function_can_turn_an_answer_down() -> None:
    """False and any exception turn an answer down; None and other values do not."""
    is_json = Validator(lambda message: json.loads(str(message.text)), name="json")

    assert is_json.find(answer("secret"), NOTHING) == "JSONDecodeError"
    assert is_json.find(answer("0"), NOTHING) is None
    assert Validator(lambda _: False).find(answer("x"), NOTHING) == "turned down"
    assert Validator(lambda _: None).find(answer("x"), NOTHING) is None


def test_an_answer_can_mark_its_own_doubt() -> None:
    """A mark that the prompt asks for is found in the text."""
    assert Doubt("[UNSURE]").find(answer("Perhaps 7. [UNSURE]"), NOTHING) is not None
    assert Doubt("[UNSURE]").find(answer("7."), NOTHING) is None


@pytest.mark.parametrize("stop", ["guardrail_intervened", "content_filtered"])
def test_a_guardrails_word_is_final(stop: str) -> None:
    """What a guardrail wrote passes every check, though it looks like a refusal."""
    said = answer("I'm sorry, but I can't help with that.", stop)

    assert first_failure(DEFAULT_CHECKS, said, NOTHING) is None


@given(text=st.text(max_size=1000), stop=st.text(max_size=20))
def test_checks_never_raise_and_never_quote(text: str, stop: str) -> None:
    """Whatever the answer, a check gives one of its own fixed texts."""
    failure = first_failure(DEFAULT_CHECKS, answer(text, stop), NOTHING)

    assert failure is None or failure[0] in {"refusal", "empty", "cut", "malformed_tool_call"}


@pytest.mark.parametrize(
    "piece", ["as an ai ", "I'm sorry ", "申し訳ありません", "お答えすること", "I can't "]
)
def test_odd_answers_are_read_quickly(piece: str) -> None:
    """A text made to send a pattern into circles is read like any other."""
    assert not is_refusal((piece * 120)[:900])
