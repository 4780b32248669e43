"""`optimize_prompt` and `PromptOptimizer` on messages and prompt values."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pickle import dumps, loads
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompt_values import ChatPromptValue, ImagePromptValue, StringPromptValue
from langchain_core.prompts import ChatPromptTemplate

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.prompting.optimizing import PromptOptimizer, optimize_prompt

UNTIDY = "One.\n\n\n\nTwo words.  Yes.  "
TIDY = "One.\n\nTwo words. Yes."
MODEL = "us.amazon.nova-lite-v1:0"


def test_messages_of_people_are_optimized() -> None:
    """Human and system messages lose idle white space and keep id, name and metadata."""
    human = HumanMessage(UNTIDY, id="7", name="Ada", additional_kwargs={"a": 1})

    system, changed = optimize_prompt([("system", UNTIDY), human])

    assert system == SystemMessage(TIDY)
    assert changed == human.model_copy(update={"content": TIDY})
    assert human.content == UNTIDY


def test_words_of_models_and_tools_are_data() -> None:
    """Answers, reasoning, tool calls and tool results stay as they are, the same objects."""
    call = {"name": "look", "args": {"q": "a  b"}, "id": "1"}
    answer = AIMessage(
        [
            {"type": "reasoning_content", "reasoning_content": {"text": "a  b", "signature": "x"}},
            {"type": "text", "text": UNTIDY},
        ],
        tool_calls=[call],
    )
    result = ToolMessage(UNTIDY, tool_call_id="1")

    changed = optimize_prompt([answer, result])

    assert changed[0] is answer
    assert changed[1] is result


def test_only_texts_of_a_message_are_optimized() -> None:
    """Pictures, guard content and cache points stay; so do the edges of one text among several."""
    picture = {"type": "image", "url": "https://example.com/a  b.png"}
    guard = {"type": "guard_content", "text": UNTIDY}
    point = {"cachePoint": {"type": "default"}}
    texts: list[str | dict[str, Any]] = [
        {"type": "text", "text": UNTIDY, "cache_control": {"type": "ephemeral"}},
        "It is so.  Yes",
    ]

    (changed,) = optimize_prompt([HumanMessage([*texts, picture, guard, point])])

    assert changed.content == [
        {"type": "text", "text": f"{TIDY}  ", "cache_control": {"type": "ephemeral"}},
        "It is so. Yes",
        picture,
        guard,
        point,
    ]


def test_prompt_values_stay_prompt_values() -> None:
    """A prompt value comes back as the same kind, and as the same object if nothing goes."""
    chat = ChatPromptValue(messages=[HumanMessage(UNTIDY)])
    picture = ImagePromptValue(image_url={"url": "https://example.com/a.png"})
    tidy = ChatPromptValue(messages=[HumanMessage(TIDY)])

    assert optimize_prompt(StringPromptValue(text=UNTIDY)) == StringPromptValue(text=TIDY)
    assert optimize_prompt(chat) == tidy
    assert optimize_prompt(tidy) is tidy
    assert optimize_prompt(picture) is picture


def test_what_is_no_prompt_is_refused() -> None:
    """A value that is no prompt is refused, with what may be passed."""
    with pytest.raises(TypeError, match="can't be a int: pass a text"):
        optimize_prompt(7)  # type: ignore[call-overload] # that is what is tested


def test_a_chain_has_it_as_a_step() -> None:
    """A chain optimizes on its way to the model, sync and async, and savings add up."""
    client = BedrockEmulator().client()
    model = ChatBedrockOptimized(model=MODEL, client=client, bedrock_client=client)
    optimizer = PromptOptimizer()
    chain = ChatPromptTemplate.from_messages([("human", "{q}")]) | optimizer | model

    answer = chain.invoke({"q": UNTIDY})
    again = asyncio.run(chain.ainvoke({"q": UNTIDY}))

    assert answer.content == again.content == model.invoke(TIDY).content
    assert optimizer.saved.prompts == 2
    assert optimizer.saved.removed_chars == 2 * (len(UNTIDY) - len(TIDY))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: loads(dumps(one))])
def test_a_copy_goes_on_by_itself(copied: Callable[[PromptOptimizer], PromptOptimizer]) -> None:
    """An optimizer can be copied and sent to another process, with what it saved so far."""
    optimizer = PromptOptimizer()
    optimizer.invoke(UNTIDY)
    other = copied(optimizer)

    assert other.invoke(UNTIDY) == TIDY
    assert other.saved.prompts == 2
    assert optimizer.saved.prompts == 1


def test_savings_of_many_threads_add_up() -> None:
    """No saving is lost when many threads share one optimizer."""
    optimizer = PromptOptimizer()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(optimizer.invoke, [UNTIDY] * 200))

    assert optimizer.saved.prompts == 200
    assert optimizer.saved.removed_chars == 200 * (len(UNTIDY) - len(TIDY))
    assert optimizer.saved.saved_tokens == 200 * optimizer.report(UNTIDY).saved_tokens
