"""Scripted answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langchain_bedrock_opt.emulator.replies.rules import RuleResponder
from langchain_bedrock_opt.emulator.replies.scripted import ScriptedResponder
from langchain_bedrock_opt.emulator.types import Reply, Responder, ServiceFailure
from langchain_bedrock_opt.errors import ConfigurationError, EmulatorError


def ask(text: str) -> dict[str, Any]:
    return {
        "modelId": "amazon.nova-lite-v1:0",
        "messages": [{"role": "user", "content": [{"text": text}]}],
    }


def said(responder: Responder, text: str = "anything") -> Any:
    return responder.reply(ask(text)).content[0]["text"]


def test_lines_are_said_in_order() -> None:
    """A queue of answers comes out in the order it was written."""
    script = ScriptedResponder(["one", "two"]).add("three")

    assert [said(script) for _ in range(3)] == ["one", "two", "three"]


def test_a_line_may_be_blocks_or_a_whole_reply() -> None:
    """Tool calls are written as content blocks, and a Reply is returned as it stands."""
    call = {"toolUse": {"toolUseId": "tooluse_1", "name": "add", "input": {"a": 1}}}
    whole = Reply(content=({"text": "x"},), stop_reason="guardrail_intervened", input_tokens=7)
    script = ScriptedResponder([call, [{"text": "I add."}, call], whole])

    assert script.reply(ask("1 + 1")).stop_reason == "tool_use"
    assert script.reply(ask("1 + 1")).content == ({"text": "I add."}, call)
    assert script.reply(ask("1 + 1")) is whole


def test_scripted_text_is_counted() -> None:
    """A scripted answer has token counts, so that cost accounting has something to add up."""
    reply = ScriptedResponder(["Hello there."]).reply(ask("Hi"))

    assert reply.input_tokens > 0
    assert reply.output_tokens > 0


def test_rules_come_before_the_queue() -> None:
    """A rule that holds for the prompt answers, and leaves the queue alone."""
    script = (
        ScriptedResponder(["from the queue"])
        .when("weather")
        .reply("Rain.", "Sun.")
        .when(lambda request: request["modelId"].startswith("anthropic."))
        .reply("never")
    )

    answers = [said(script, "the weather?") for _ in range(3)]

    assert answers == ["Rain.", "Sun.", "Sun."]
    assert said(script, "something else") == "from the queue"


def test_a_failure_is_raised_afresh_each_time() -> None:
    """A scripted failure fails every call it stands for, with an exception of its own."""
    failure = ServiceFailure("ThrottlingException", "Too many requests", 429)
    script = ScriptedResponder().when("x").reply(failure)

    with pytest.raises(ServiceFailure) as first:
        script.reply(ask("x"))
    with pytest.raises(ServiceFailure) as second:
        script.reply(ask("x"))

    assert first.value is not second.value
    assert (second.value.code, second.value.status) == ("ThrottlingException", 429)


def test_a_script_that_is_used_up_says_so() -> None:
    """The error names the model and the prompt's length, and not the prompt."""
    with pytest.raises(EmulatorError, match=r"nova-lite.*13 characters") as caught:
        ScriptedResponder().reply(ask("secret prompt"))

    assert "secret" not in str(caught.value)


def test_a_fallback_answers_the_rest() -> None:
    """Only what matters to a test needs a line; another responder does the rest."""
    script = ScriptedResponder(["mine"], fallback=RuleResponder())

    assert said(script, "What is DNS?") == "mine"
    assert "DNS" in said(script, "What is DNS?")


@pytest.mark.parametrize("line", [3, None, ["text"], object()])
def test_a_line_of_another_kind_is_refused_at_once(line: Any) -> None:
    """A mistake in a script is reported where it is written."""
    with pytest.raises(ConfigurationError, match=type(line).__name__):
        ScriptedResponder([line])


def test_threads_share_a_script_without_losing_lines() -> None:
    """Concurrent calls get each line exactly once."""
    lines = [f"line {n}" for n in range(200)]
    script = ScriptedResponder(lines)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: said(script), lines))

    assert sorted(answers) == sorted(lines)
