"""`as_batch` on the local Bedrock: one run of jobs for each model step of any chain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, cast

import pytest
from langchain.agents import create_agent
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import (
    Runnable,
    RunnableBranch,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel
from typing_extensions import TypedDict

from langchain_bedrock_opt.batching.chains import as_batch, coalesced
from langchain_bedrock_opt.batching.chains.chain import Mode
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from langchain_bedrock_opt.batching.guard import FullPriceWarning
from langchain_bedrock_opt.batching.run.batch_run import BatchRun
from langchain_bedrock_opt.emulator import Reply
from langchain_bedrock_opt.errors import (
    BatchPartialError,
    ConfigurationError,
    InputsChangedError,
)
from tests.batch_service import HAIKU, BatchService, make_batch_service

ASK = ChatPromptTemplate.from_template("Say {word}")
WORDS = [{"word": f"word{number}"} for number in range(8)]
WINDOW = 0.05


class Echo:
    """Answers that depend on nothing but the messages; a tool is called once, when there is one."""

    def reply(self, request: Mapping[str, Any]) -> Reply:
        blocks = [block for message in request["messages"] for block in message["content"]]
        text = " and ".join(block["text"] for block in blocks if "text" in block)
        results = [block["toolResult"] for block in blocks if "toolResult" in block]
        if results:
            text = f"{text}: {results[-1]['content'][0]['text']}"
        content: dict[str, Any] = {"text": text}
        has_tools = bool((request.get("toolConfig") or {}).get("tools"))
        if has_tools and not results:
            name = request["toolConfig"]["tools"][0]["toolSpec"]["name"]
            call = {"toolUseId": f"call{len(text)}", "name": name, "input": {"word": text[-5:]}}
            return Reply(content=({"toolUse": call},), stop_reason="tool_use", input_tokens=5)
        if request.get("outputConfig"):
            content = {"text": '{"word": "' + text[-5:] + '"}'}
        return Reply(content=(content,), input_tokens=5, output_tokens=5)


@pytest.fixture
def service(aws_environment: None) -> BatchService:
    return make_batch_service(responder=Echo())


@pytest.fixture
def inner(service: BatchService) -> ChatBedrockConverse:
    return ChatBedrockConverse(
        model=HAIKU, client=service.runtime, bedrock_client=service.bedrock, max_tokens=99
    )


@pytest.fixture
def batch_of(service: BatchService) -> Callable[..., BedrockBatch]:
    def build(inner: ChatBedrockConverse, **options: Any) -> BedrockBatch:
        settings = {
            "s3_uri": f"s3://{service.bucket}/batches/",
            "role_arn": service.role_arn,
            "min_records": service.min_records,
            "below_minimum": "error",
            "on_invoke": "error",
            "bedrock_client": service.bedrock,
            "s3_client": service.s3,
        }
        return BedrockBatch(model=inner, **{**settings, **options})

    return build


@pytest.fixture
def model(inner: ChatBedrockConverse, batch_of: Callable[..., BedrockBatch]) -> BedrockBatch:
    return batch_of(inner)


def jobs(service: BatchService) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.bedrock.list_model_invocation_jobs()[
        "invocationJobSummaries"
    ]
    return found


class Word(BaseModel):
    """A word."""

    word: str


def is_even(item: Mapping[str, str]) -> bool:
    return int(item["word"][-1]) % 2 == 0


def by_function(model: Any) -> Runnable[Any, Any]:
    async def ask(item: Mapping[str, str]) -> Any:
        return await model.ainvoke(f"Tell {item['word']}")

    return RunnableLambda(ask)


def by_sync_function(model: Any) -> Runnable[Any, Any]:
    return RunnableLambda(lambda item: model.invoke(f"Tell {item['word']}"))


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def to_state() -> Runnable[Any, Any]:
    return RunnableLambda(lambda item: {"messages": [HumanMessage(item["word"])]})


def graph(model: Any) -> Runnable[Any, Any]:
    async def ask(state: State) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    def check(state: State) -> Any:
        return {"messages": [HumanMessage("Sure?")]}

    builder = StateGraph(State)
    for name, node in (("ask", ask), ("check", check), ("again", ask)):
        builder.add_node(name, node)
    for edge in ((START, "ask"), ("ask", "check"), ("check", "again"), ("again", END)):
        builder.add_edge(*edge)
    return to_state() | cast("Runnable[Any, Any]", builder.compile())


def sync_graph(model: Any) -> Runnable[Any, Any]:
    def ask(state: State) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    builder = StateGraph(State)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    return to_state() | cast("Runnable[Any, Any]", builder.compile())


def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word} means {word[::-1]}"


def agent(model: Any) -> Runnable[Any, Any]:
    return to_state() | cast("Runnable[Any, Any]", create_agent(model, tools=[look_up]))


FORMS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "sequence": (lambda model: ASK | model | StrOutputParser(), 1),
    "two models": (
        lambda model: (
            ASK | model | StrOutputParser() | {"word": RunnablePassthrough()} | ASK | model
        ),
        2,
    ),
    "parallel": (lambda model: {"a": ASK | model, "b": by_function(model)}, 1),
    "assign": (lambda model: RunnablePassthrough.assign(said=ASK | model | StrOutputParser()), 1),
    "map in front": (
        lambda model: {"word": ASK | model | StrOutputParser()} | ASK | model,
        2,
    ),
    "branch": (
        lambda model: RunnableBranch((is_even, ASK | model), by_function(model)),
        1,
    ),
    "structured": (lambda model: ASK | model.with_structured_output(Word, method="json_schema"), 1),
    "structured with raw": (
        lambda model: (
            ASK
            | model.with_structured_output(Word, method="json_schema", include_raw=True)
            | (lambda item: (item["raw"].content, item["parsed"]))
        ),
        1,
    ),
    "retry": (lambda model: ASK | model.with_retry(), 1),
    "chain with retry": (lambda model: (ASK | model).with_retry(), 1),
    "fallbacks": (lambda model: (ASK | model).with_fallbacks([ASK | model]), 1),
    "async function": (by_function, 1),
    "sync function": (by_sync_function, 1),
    "graph": (graph, 2),
    "graph of sync nodes": (sync_graph, 1),
    "agent": (agent, 2),
}


@pytest.mark.filterwarnings("ignore:.*:langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_a_run_for_each_model_step(
    form: str, service: BatchService, inner: ChatBedrockConverse, model: BedrockBatch
) -> None:
    """A chain of any form says what it says on demand, by one job for each time it asks a model."""
    build, steps = FORMS[form]
    expected = _on_demand(build(inner))
    outputs = as_batch(build(model), window=WINDOW).batch(WORDS)
    assert list(map(_said, outputs)) == list(map(_said, expected))
    assert len(jobs(service)) == steps


@pytest.mark.parametrize("form", ["sequence", "parallel", "agent"])
async def test_every_door_gives_the_same(
    form: str, service: BatchService, model: BedrockBatch
) -> None:
    """All four batch methods give the same outputs for the same inputs."""
    build, steps = FORMS[form]
    chain: Any = as_batch(build(model), window=WINDOW)
    expected = list(map(_said, await chain.abatch(WORDS)))
    completed = dict(await asyncio.to_thread(lambda: list(chain.batch_as_completed(WORDS))))
    acompleted = dict([pair async for pair in chain.abatch_as_completed(WORDS)])
    for found in (completed, acompleted):
        assert [_said(found[index]) for index in range(len(WORDS))] == expected
    assert len(jobs(service)) == 3 * steps


@pytest.mark.parametrize("form", ["sequence", "parallel"])
def test_errors_come_after_all_results(form: str, model: BedrockBatch) -> None:
    """One input's failure is raised when all others are there, and brings them along."""
    chain: Any = as_batch(FORMS[form][0](model), window=WINDOW)
    inputs = [*WORDS[:6], {"wrong": "word"}]
    with pytest.raises(BatchPartialError, match="1 of 7 inputs") as caught:
        chain.batch(inputs)
    assert isinstance(caught.value.results[6], KeyError)
    outputs = chain.batch(inputs, return_exceptions=True)
    assert list(map(_said, outputs[:6])) == list(map(_said, caught.value.results[:6]))
    assert isinstance(outputs[6], KeyError)


class BadWordError(Exception):
    """An error of the user's own."""


def refuse_word3(text: str) -> str:
    if "word3" in text:
        raise BadWordError(text)
    return text


@pytest.mark.parametrize("mode", ["stages", "coalesce"])
async def test_a_step_s_own_error_is_what_the_user_gets(
    mode: Mode, model: BedrockBatch, inner: ChatBedrockConverse
) -> None:
    """What a step raises in front of any model comes out as it is."""

    def chain(asked: Any) -> Any:
        return ASK | asked | StrOutputParser() | refuse_word3 | asked

    batch: Any = as_batch(chain(model), mode=mode, window=WINDOW)
    outputs = batch.batch(WORDS, return_exceptions=True)
    assert type(outputs[3]) is BadWordError
    expected = chain(inner).batch(WORDS, return_exceptions=True)
    assert outputs[3].args == expected[3].args
    assert type((await batch.abatch(WORDS, return_exceptions=True))[3]) is BadWordError


def test_bindings_around_reach_the_chain(service: BatchService, model: BedrockBatch) -> None:
    """`with_config`, `bind` and sequences around a batch chain batch it once."""
    chain: Any = as_batch(RunnablePassthrough() | by_function(model), window=WINDOW)
    around: Any = RunnableLambda(dict) | chain.with_config(tags=["x"]) | StrOutputParser()
    assert around.batch(WORDS)[0] == "Tell word0"
    assert len(jobs(service)) == 1


def test_a_single_call_is_on_demand(
    service: BatchService, inner: ChatBedrockConverse, batch_of: Callable[..., BedrockBatch]
) -> None:
    """`invoke` of a batch chain goes to the chain, at once."""
    chain: Any = as_batch(FORMS["sequence"][0](batch_of(inner, on_invoke="warn")))
    assert chain.invoke(WORDS[0]) == "Say word0"
    assert "".join(chain.stream(WORDS[0])) == "Say word0"
    assert jobs(service) == []


def test_a_chain_without_a_batch_model_says_what_to_do(inner: ChatBedrockConverse) -> None:
    """A chain around a plain model makes no jobs, and the error shows the fix."""
    with pytest.raises(ConfigurationError, match=r"BedrockBatch\(model=model, s3_uri="):
        as_batch(ASK | inner)


def test_a_plain_model_beside_is_warned_of(inner: ChatBedrockConverse, model: BedrockBatch) -> None:
    """A plain model in the chain is paid in full, and that is said; as a fallback it is meant."""
    as_batch(ASK | model.with_fallbacks([inner]))
    with pytest.warns(FullPriceWarning, match="twice the price"):
        as_batch(ASK | model | StrOutputParser() | inner)


def test_a_batch_that_asks_nobody_is_warned_of(inner: ChatBedrockConverse) -> None:
    """An agent around a plain model can't be seen from outside; its batch says that no job was."""
    chain: Any = as_batch(agent(inner), window=WINDOW)
    with pytest.warns(FullPriceWarning, match="No BedrockBatch was asked"):
        chain.batch(WORDS[:1])


def test_a_submitted_chain_is_found_again(
    service: BatchService, inner: ChatBedrockConverse, model: BedrockBatch
) -> None:
    """A submitted chain's run is attached to with the chain and its clients, and no other one."""
    build = FORMS["two models"][0]
    chain: Any = as_batch(build(model))
    run = chain.submit(iter(WORDS), run_id="nightly")
    clients: Any = {"bedrock_client": service.bedrock, "s3_client": service.s3}
    again = BatchRun.attach(run.uri, chain=as_batch(build(model)))
    assert BatchRun.attach(run.uri, chain=build(model), **clients).run_id == "nightly"
    assert list(map(_said, again.outputs())) == list(map(_said, build(inner).batch(WORDS)))
    assert [_said(result.output) for result in chain.submit(WORDS, run_id="nightly").results()]
    assert len(jobs(service)) == 2
    with pytest.raises(InputsChangedError):
        BatchRun.attach(run.uri, chain=FORMS["sequence"][0](model), **clients)


def test_collected_calls_are_not_submitted(model: BedrockBatch) -> None:
    """A chain that needs a process until its last answer says how to make it durable instead."""
    chain: Any = as_batch(FORMS["parallel"][0](model))
    with pytest.raises(ConfigurationError, match=r"bedrock_opt_run_id.*asks a model within"):
        chain.submit(WORDS)


@pytest.mark.parametrize("form", ["sequence", "parallel", "agent"])
def test_a_plan_sends_nothing(form: str, service: BatchService, model: BedrockBatch) -> None:
    """A plan counts the records of the first round, and no job is made."""
    plan = as_batch(FORMS[form][0](model), window=WINDOW).plan(WORDS)
    assert plan.inputs == (16 if form == "parallel" else 8)
    assert any("ask 16 questions in their first round" in each for each in plan.warnings) == (
        form == "parallel"
    )
    assert jobs(service) == []


@pytest.mark.parametrize("form", ["sequence", "two models", "parallel", "graph", "agent"])
def test_a_named_batch_pays_once(form: str, service: BatchService, model: BedrockBatch) -> None:
    """The same batch under the same name gives the same outputs, and sends nothing again."""
    build, steps = FORMS[form]
    config: Any = {"metadata": {"bedrock_opt_run_id": "nightly"}}
    first = as_batch(build(model), window=WINDOW).batch(WORDS, config)
    again = as_batch(build(model), window=WINDOW).batch(WORDS, config)
    assert list(map(_said, again)) == list(map(_said, first))
    assert len(jobs(service)) == steps


async def test_a_user_s_own_tasks_are_coalesced(
    service: BatchService, inner: ChatBedrockConverse, model: BedrockBatch
) -> None:
    """Unchanged agents in a `coalesced` block share jobs, and say what they say on demand."""
    expected = await asyncio.gather(*map(agent(inner).ainvoke, WORDS))
    async with coalesced(window=WINDOW) as batch:
        states = await asyncio.gather(*map(agent(model).ainvoke, WORDS))
        assert batch.calls == 16
    assert list(map(_said, states)) == list(map(_said, expected))
    assert len(jobs(service)) == 2


def _on_demand(chain: Any) -> Sequence[Any]:
    if isinstance(chain, dict):
        chain = RunnableParallel(chain)

    async def all_of() -> Sequence[Any]:
        return await asyncio.gather(*map(chain.ainvoke, WORDS))

    return asyncio.run(all_of())


def _said(output: Any) -> Any:
    if isinstance(output, AIMessage):
        # Ids of tool calls are the service's own, others each time.
        return (output.text, [(call["name"], call["args"]) for call in output.tool_calls])
    if isinstance(output, dict) and "messages" in output:
        return [_said(m) if isinstance(m, AIMessage) else m.text for m in output["messages"]]
    if isinstance(output, dict):
        return {name: _said(value) for name, value in output.items()}
    return output
