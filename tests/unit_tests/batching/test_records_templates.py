"""A compiled prompt gives what the prompt and the model give, record by record."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompts import (
    ChatPromptTemplate,
    FewShotPromptTemplate,
    HumanMessagePromptTemplate,
    MessagesPlaceholder,
    PromptTemplate,
)
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_bedrock_opt.batching.records.recorder import Recorder
from langchain_bedrock_opt.batching.records.templates import CompiledPrompt, compile_prompt

CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
LLAMA = "meta.llama3-1-70b-instruct-v1:0"


def chat(model: str = CLAUDE, **settings: Any) -> ChatBedrockConverse:
    client: Any = SimpleNamespace(meta=SimpleNamespace(region_name="us-east-1"))
    return ChatBedrockConverse(
        model=model, client=client, bedrock_client=client, max_tokens=50, **settings
    )


TOOL = {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object"}}}
CONVERSE = Recorder(chat())
NATIVE = Recorder(chat(), kwargs={"tools": [{"toolSpec": TOOL}]})
RECORDERS = [CONVERSE, NATIVE]


def from_messages(*messages: Any, **more: Any) -> ChatPromptTemplate:
    return ChatPromptTemplate.from_messages([*messages], **more)


COMPILED: list[Any] = [
    PromptTemplate.from_template("Translate {a}: {b} {a}"),
    from_messages(("system", "100 % {a}\n{{json}}"), ("human", "{b}")),
    from_messages(("human", "{a}"), ("ai", "I see {b}."), ("human", "{b}?")),
    from_messages(("human", "{a}"), ("human", " {b} ")),
    from_messages(SystemMessage("fixed"), HumanMessage([{"type": "text", "text": "x"}]), "{b}{a}"),
    from_messages(("system", "{c}"), ("human", "{a} {b}")).partial(c="partial\u3042"),
    from_messages(
        ("human", "{a}{b}"),
        AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}]),
        ("human", "go"),
    ),
]

values = (
    st.text(st.characters(codec="utf-8"), max_size=20)
    | st.text(max_size=5)  # with halves of surrogate pairs
    | st.sampled_from(["", " ", "\n", '"', "{c}", "%b", "\ue0b00\ue0b1", "\\", "x "])
)
odd = values | st.integers() | st.none() | st.lists(st.integers(), max_size=2)
inputs = st.fixed_dictionaries({"a": odd, "b": values}, optional={"c": values, "d": odd})


def outcome(function: Callable[[Any], bytes], item: Any) -> Any:
    try:
        return function(item)
    except Exception as error:  # noqa: BLE001 - errors are to be equal too
        return type(error), str(error)


@pytest.mark.parametrize("prompt", COMPILED)
@pytest.mark.parametrize("recorder", RECORDERS)
@pytest.mark.filterwarnings("ignore:Tool messages were passed")
@settings(deadline=None)
@given(items=st.lists(inputs, min_size=1, max_size=4))
def test_compiled_is_what_the_prompt_and_the_model_make(
    prompt: Any, recorder: Recorder, items: list[dict[str, Any]]
) -> None:
    """Whatever the variables hold, records and errors are those of the long way."""
    compiled = compile_prompt(prompt, recorder)
    assert compiled is not None

    for item in items:
        slow = outcome(lambda item: recorder.record_slowly(prompt.invoke(item).to_messages()), item)
        assert outcome(compiled, item) == slow


@pytest.mark.parametrize("item", [{}, {"a": "x"}, {"b": "x"}, "text", None, ["a"], 3])
def test_inputs_that_do_not_fit_raise_as_the_prompt_does(item: Any) -> None:
    """A missing variable or another type of input is LangChain's own error."""
    prompt = COMPILED[1]
    compiled = compile_prompt(prompt, CONVERSE)
    assert compiled is not None

    with pytest.raises((KeyError, TypeError)) as theirs:
        prompt.invoke(item)
    with pytest.raises(type(theirs.value)) as ours:
        compiled(item)

    assert str(ours.value) == str(theirs.value)


def test_one_variable_needs_no_dict() -> None:
    """A prompt of one variable takes its bare value, as in LangChain."""
    compiled = compile_prompt(PromptTemplate.from_template("Say {a}"), CONVERSE)
    assert compiled is not None

    assert compiled("hello") == compiled({"a": "hello"})


def test_an_input_may_override_a_partial() -> None:
    """A variable that was given before gives way to the input's, as in LangChain."""
    compiled = compile_prompt(COMPILED[5], CONVERSE)
    assert compiled is not None
    compiled({"a": "x", "b": "y"})

    assert b"other" in compiled({"a": "x", "b": "y", "c": "other"})


class OwnTemplate(PromptTemplate):
    """A user's own template."""


@pytest.mark.parametrize(
    "prompt",
    [
        RunnableLambda(lambda text: [HumanMessage(text)]),
        from_messages(MessagesPlaceholder("history"), ("human", "{a}")),
        from_messages(("human", "{a}"), template_format="mustache"),
        PromptTemplate.from_template("{{a}}", template_format="mustache"),
        from_messages(("human", [{"type": "text", "text": "{a}"}])),
        from_messages(("human", "{a:>10}")),
        from_messages(("human", "{a!r}")),
        from_messages(("human", "Q"), ("ai", "{a}")),
        from_messages(("system", "{now}"), ("human", "{a}")).partial(now=lambda: "now"),
        from_messages(
            HumanMessagePromptTemplate(
                prompt=PromptTemplate.from_template("{a} {c}", partial_variables={"c": "x"})
            )
        ),
        OwnTemplate.from_template("{a}"),
        FewShotPromptTemplate(
            examples=[], example_prompt=PromptTemplate.from_template("x"), suffix="{a}"
        ),
    ],
)
def test_prompts_with_more_to_them_are_not_compiled(prompt: Runnable[Any, Any]) -> None:
    """Placeholders, other languages, formats, functions and own classes go the long way."""
    assert compile_prompt(prompt, CONVERSE) is None


def test_models_that_read_their_texts_are_not_compiled() -> None:
    """A format that looks at texts, and a model that ignores them, go the long way."""
    prompt = PromptTemplate.from_template("{a}")
    llama = Recorder(chat(LLAMA), invocation="InvokeModel")
    raw = Recorder(chat(raw_blocks=[{"role": "user", "content": [{"text": "always this"}]}]))

    assert compile_prompt(prompt, llama) is None
    assert compile_prompt(prompt, raw) is None


def test_a_short_way_that_differs_is_left() -> None:
    """If the first record differs from that of the long way, the long way is taken from then on."""
    prompt = PromptTemplate.from_template("{a}")
    compiled = compile_prompt(prompt, CONVERSE)
    assert isinstance(compiled, CompiledPrompt)
    assert compiled._skeleton is not None
    compiled._skeleton._form = b"wrong %b"

    records = [json.loads(compiled({"a": text})) for text in ("one", "two")]

    assert [r["messages"][0]["content"][0]["text"] for r in records] == ["one", "two"]
