"""An agent's conversations within a budget, and what the model itself adds to them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pickle import dumps, loads
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.catalog.tokens import TokenCounter
from langchain_bedrock_opt.errors import ConfigurationError, ContextTooLongError
from langchain_bedrock_opt.prompting.limiting import ContextLimiter, limit_context
from langchain_bedrock_opt.prompting.limiting.contents import texts_that_may_be_cut
from tests.conversations import COUNT, HISTORY, IMAGE, check, step, weather


@pytest.fixture(scope="module")
def model() -> Any:
    client = BedrockEmulator().client()
    model = ChatBedrockOptimized(
        model="us.anthropic.claude-haiku-4-5-20251001-v1:0", client=client, max_tokens=100
    )
    return model.bind_tools([weather])


def agent(rounds: int, text: str = "It is sunny in this city. ") -> list[BaseMessage]:
    """One question, and an agent's many rounds of calls on it."""
    done = [message for number in range(rounds) for message in step(number, 2, text * 10)]
    return [SystemMessage("Be brief."), HumanMessage("Compare the cities.", id="last"), *done]


def test_an_agents_oldest_rounds_are_left_out() -> None:
    """A single turn of many rounds keeps the question and its latest rounds, each as it is."""
    messages = agent(30)
    result = limit_context(messages, COUNT(messages) // 3)

    assert result[0] is messages[0]
    assert result[1].content == "Compare the cities.\n\n[… earlier messages omitted]"
    assert result[1].id == "last"
    assert 20 < len(result) < 33
    assert [*map(id, result[2:])] == [*map(id, messages[2 - len(result) :])]
    check(result)
    with_turns = limit_context([*HISTORY, *messages[1:]], COUNT(messages) // 3)
    note = "[… earlier messages omitted]"
    assert with_turns[1].content == f"{note}\n\nCompare the cities.\n\n{note}"


def test_rounds_are_left_out_before_results_are_emptied() -> None:
    """A last result that is too long is cut to a fair length, and then rounds go before more."""
    *earlier, last = agent(12, "It is sunny. ")
    messages = [*earlier, last.model_copy(update={"content": "A line of the log. " * 900})]
    result = limit_context(messages, 900)

    assert COUNT(result) <= 900
    assert COUNT.text(result[-1].text) > 240
    assert len(result) > 5
    assert all(message.text in {"It is sunny. " * 10, "I ask."} for message in result[2:-1])
    check(result)


def test_a_turn_without_its_question_is_cut_as_it_is() -> None:
    """Rounds without a message of the user before them are not left out, only their texts cut."""
    messages = agent(3)[2:]
    result = limit_context(messages, COUNT(messages) - 50)

    assert [message.type for message in result] == [message.type for message in messages]


@pytest.mark.parametrize(
    "block",
    [
        lambda text: {"type": "tool_result", "tool_use_id": "1", "content": text},
        lambda text: {
            "type": "tool_result",
            "tool_use_id": "1",
            "content": [{"type": "text", "text": text}, IMAGE],
        },
        lambda text: {"toolResult": {"toolUseId": "1", "content": [{"text": text}]}},
    ],
)
def test_results_in_blocks_are_cut(block: Callable[[str], dict[str, Any]]) -> None:
    """A long result inside a block of a message of the user loses its middle, and nothing else."""
    text = "A line of the log. " * 900
    question = HumanMessage("What is it?")
    asked = AIMessage([{"type": "tool_use", "id": "1", "name": "f", "input": {}}])
    [_, _, result] = limit_context([question, asked, HumanMessage([block(text)])], 3000)
    [(_, short)] = texts_that_may_be_cut(result).items()

    assert "[… omitted]" in short
    assert result.content == [block(short)]


def test_the_models_own_system_prompt_takes_its_part(model: Any) -> None:
    """A system prompt set in the model, and tools bound to it, count against the budget."""
    system = "You are a lawyer. " * 20
    bare = model.bound
    lawyer = bare.model_copy(update={"system": [system]})
    budget = TokenCounter(bare.model_id)(HISTORY)

    assert limit_context(HISTORY, budget, model=bare) == HISTORY
    kept = limit_context(HISTORY, budget, model=lawyer)
    assert TokenCounter(bare.model_id)([SystemMessage(system), *kept]) <= budget
    retrying = bare.bind_tools([weather]).with_retry()
    with_tools = limit_context(HISTORY, budget + 200, model=bare, tools=[weather])
    assert limit_context(HISTORY, budget + 200, model=retrying) == with_tools
    assert len(with_tools) < len(HISTORY)
    with pytest.raises(ContextTooLongError, match=r"about \d\d\d are of the system prompt"):
        limit_context([HumanMessage("word " * 500)], 60, model=lawyer)


def test_a_wrapped_model_is_unwrapped_and_never_told(model: Any) -> None:
    """A model in a retry or a binding counts as itself; of what can't, the type alone is told."""
    secret = model.bound.model_copy(update={"system": ["secret"], "model_id": "acme.frontier-v9"})
    budget = ContextLimiter(model="us.amazon.nova-lite-v1:0").max_tokens
    nova = model.bound.model_copy(update={"model_id": "us.amazon.nova-lite-v1:0"})

    assert ContextLimiter(model=nova.with_retry()).max_tokens == budget
    assert ContextLimiter(model=nova.with_fallbacks([secret])).max_tokens == budget
    for arguments in (
        {"model": secret.with_retry()},
        {"model": RunnableLambda(secret.invoke)},
        {"max_tokens": 9, "model": ChatPromptTemplate(["hello"]) | secret},
        {"max_tokens": 9, "counter": RunnableLambda(secret.invoke)},
        {"max_tokens": 9, "counter": {"a": secret}},
    ):
        with pytest.raises(ConfigurationError) as told:
            ContextLimiter(**arguments)
        assert "secret" not in str(told.value)
        assert len(str(told.value)) < 200


def test_one_message_is_a_context_and_a_dict_is_none() -> None:
    """A message alone is a list of one; a dict is refused: its keys are no prompt."""
    question = HumanMessage("Why?")

    assert limit_context(question, 50) == [question]
    for wrong in ({"context": "secret", "question": "Why?"}, 7, None):
        with pytest.raises(TypeError, match=r"A context can't be a (dict|int|NoneType): pass"):
            limit_context(wrong, 50)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="can't be a dict"):
        ContextLimiter(50).invoke({"context": "secret"})  # type: ignore[arg-type]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: loads(dumps(one))])
def test_a_limiter_can_be_sent_to_another_process(
    model: Any, copied: Callable[[ContextLimiter], ContextLimiter]
) -> None:
    """A limiter can be copied and pickled, also one for a model with clients."""
    limiter = ContextLimiter(500, model=model)

    assert copied(limiter).invoke(HISTORY) == limiter.invoke(HISTORY)
    assert copied(ContextLimiter(5, counter=len)).invoke("one, two, three") == "one,"
