"""Stages: chains that are a line of steps, cut at their models."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
from langchain_aws import ChatBedrockConverse
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import (
    Runnable,
    RunnableBranch,
    RunnableConfig,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langchain_core.tracers import BaseTracer, Run

from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.batching.chains.stages import (
    ChainProgram,
    NotALineError,
    cut,
    program_of,
)
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from langchain_bedrock_opt.batching.parts import Known, Outcome, Record, Refused
from langchain_bedrock_opt.batching.records.direct import direct_for
from langchain_bedrock_opt.emulator import Reply
from langchain_bedrock_opt.errors import ConfigurationError, RecordNotProcessedError

ROLE = "arn:aws:iam::111122223333:role/bedrock-batch"
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
JOB = "arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/abc123def456"
ASK = ChatPromptTemplate.from_template("Say {word}")


class Echo:
    """Answers that depend on nothing but the messages."""

    def reply(self, request: Mapping[str, Any]) -> Reply:
        texts = [block["text"] for message in request["messages"] for block in message["content"]]
        return Reply(content=({"text": " and ".join(texts)},), input_tokens=5, output_tokens=5)


class Runner:
    """Runs a program's stages in memory, with the emulator as the one who answers."""

    def __init__(self, model: ChatBedrockConverse) -> None:
        self.direct = direct_for(model)
        self.records: list[list[Record]] = []
        self.lost: set[int] = set()

    def __call__(self, program: Any, inputs: Sequence[Any]) -> list[Any]:
        live = list(enumerate(inputs))
        results: dict[int, Any] = {}
        for stage in range(program.stages):
            entries = list(program.entries(stage, live))
            self.records.append([entry for entry in entries if isinstance(entry, Record)])
            live = []
            for entry in entries:
                value = self._result(program, stage, entry)
                results[entry.place] = value
                if not isinstance(value, Exception):
                    live.append((entry.place, value))
        return [results[place] for place in range(len(inputs))]

    def _result(self, program: Any, stage: int, entry: Any) -> Any:
        try:
            return program.result(stage, self._outcome(entry))
        except Exception as error:  # noqa: BLE001 - it is this input's result
            return error

    def _outcome(self, entry: Record | Known | Refused) -> Outcome:
        if isinstance(entry, Refused):
            return Outcome(entry.place, error=entry.error)
        if isinstance(entry, Known):
            return Outcome(entry.place, "cache", message=entry.message)
        if entry.place in self.lost:
            return Outcome(entry.place, kind=entry.kind, error=RecordNotProcessedError("Lost."))
        output = self.direct(entry.kind, entry.body, False)
        return Outcome(entry.place, kind=entry.kind, output=output, job_arn=JOB)


@pytest.fixture
def inner() -> ChatBedrockConverse:
    client = BedrockEmulator(responder=Echo()).client()
    return ChatBedrockConverse(model=HAIKU, client=client, bedrock_client=client, max_tokens=60)


@pytest.fixture
def model(inner: ChatBedrockConverse) -> BedrockBatch:
    return BedrockBatch(model=inner, s3_uri="s3://bucket/", role_arn=ROLE, on_invoke="error")


@pytest.fixture
def run(inner: ChatBedrockConverse) -> Runner:
    return Runner(inner)


def shout(text: str) -> str:
    return text.upper()


def fail_on_two(text: str) -> str:
    if "two" in text:
        raise ValueError("no twos")
    return text


WORDS = [{"word": word} for word in ("one", "two", "three")]

FORMS: dict[str, Callable[[Runnable[Any, Any]], Runnable[Any, Any]]] = {
    "model": lambda model: RunnableLambda(lambda item: item["word"]) | model,
    "prompt": lambda model: ASK | model,
    "parser": lambda model: ASK | model | StrOutputParser(),
    "bound": lambda model: ASK | model.bind(stop=["x"]) | StrOutputParser(),
    "configured": lambda model: (ASK | model).with_config(tags=["a"]) | StrOutputParser() | shout,
    "lambda": lambda model: RunnableLambda(dict) | ASK | model | StrOutputParser() | shout,
    "assign": lambda model: (
        RunnablePassthrough.assign(word=lambda item: item["word"] * 2) | ASK | model
    ),
    "two models": lambda model: (
        ASK | model | StrOutputParser() | {"word": RunnablePassthrough()} | ASK | model
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_stage_per_model_gives_the_chain_s_own_answers(
    form: str, inner: ChatBedrockConverse, model: BedrockBatch, run: Runner
) -> None:
    """A chain that is run in stages says what the same chain says on demand."""
    expected = FORMS[form](inner).batch(list(WORDS))
    chain = FORMS[form](model)
    assert [_said(item) for item in run(program_of(chain), WORDS)] == list(map(_said, expected))
    assert len(run.records) == (2 if form == "two models" else 1)


def test_a_poisoned_step_fails_its_own_input(model: BedrockBatch, run: Runner) -> None:
    """A parser or a function that fails is the error of one input, and of no other."""
    chain = ASK | model | StrOutputParser() | fail_on_two
    first, second, third = run(program_of(chain), WORDS)
    assert "one" in first
    assert "three" in third
    assert isinstance(second, ValueError)


def test_an_input_that_the_first_steps_refuse_is_not_sent(model: BedrockBatch, run: Runner) -> None:
    """An input that lacks a value of the prompt is LangChain's own error, and no record."""
    results = run(program_of(ASK | model), [{"word": "one"}, {"other": "two"}])
    assert isinstance(results[0], AIMessage)
    assert isinstance(results[1], KeyError)
    assert [record.place for record in run.records[0]] == [0]


def test_errors_drop_out_between_stages(model: BedrockBatch, run: Runner) -> None:
    """An input whose first answer is lost asks nothing of the second model."""
    run.lost = {1}
    chain = FORMS["two models"](model)
    assert isinstance(run(program_of(chain), WORDS)[1], RecordNotProcessedError)
    assert [record.place for record in run.records[1]] == [0, 2]


def test_slow_first_steps_are_done_at_once_and_in_order(model: BedrockBatch, run: Runner) -> None:
    """A step that waits, such as a retriever, does so for many inputs at once."""
    barrier = threading.Barrier(8, timeout=5)

    def retrieve(word: str) -> dict[str, str]:
        barrier.wait()
        return {"word": word}

    chain = RunnableLambda(retrieve) | ASK | model | StrOutputParser()
    words = [f"word{number}" for number in range(8)]
    assert all(
        word in answer for word, answer in zip(words, run(program_of(chain), words), strict=True)
    )


async def _later(text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (lambda model: RunnableParallel(a=model, b=model), "asks a model within itself"),
        (lambda model: RunnablePassthrough.assign(a=ASK | model), "asks a model within itself"),
        (lambda model: RunnableBranch((bool, model), model), "asks a model within itself"),
        (lambda model: RunnableLambda(lambda item: [model.invoke(item)]), "within itself"),
        (lambda model: ASK | model.with_retry(), "asks a model within itself"),
        (lambda model: ASK | model | StrOutputParser() | RunnableLambda(_later), "async only"),
        (lambda _model: ASK | RunnableLambda(str), "No step"),
    ],
)
def test_what_is_no_line_says_which_step(
    form: Callable[[Any], Runnable[Any, Any]], words: str, model: BedrockBatch
) -> None:
    """A chain that can't be run in stages names the step and the way out."""
    with pytest.raises(NotALineError, match=words):
        cut(form(model))


def test_a_model_that_a_step_hides_is_refused(model: BedrockBatch, run: Runner) -> None:
    """A model that only a step's object knows is not asked at full price: the step says so."""

    class Hiding:
        def __init__(self) -> None:
            self.secret = {"model": model}

        def __call__(self, item: Any) -> Any:
            return self.secret["model"].invoke(item["word"])

    hiding = Hiding()
    chain = RunnableLambda(hiding.__call__) | model
    (result,) = run(program_of(chain), WORDS[:1])
    assert isinstance(result, ConfigurationError)
    assert "mode='coalesce'" in str(result)


class Tree(BaseTracer):
    """Keeps the traces as nested names."""

    def __init__(self) -> None:
        super().__init__()
        self.roots: list[Any] = []

    def _persist_run(self, run: Run) -> None:
        self.roots.append(self._named(run))

    def _named(self, run: Run) -> Any:
        children = [self._named(child) for child in run.child_runs]
        state = "error" if run.error else "ok"
        return (run.name, run.run_type, state, sorted(run.tags or []), children)


def _traced(model: Runnable[Any, Any]) -> Runnable[Any, Any]:
    around = ASK.with_config(tags=["prompt"]) | model.bind(stop=["x"])
    return (around | StrOutputParser() | shout).with_config(tags=["whole"], run_name="mine")


def test_the_trace_is_that_of_a_sequence(
    inner: ChatBedrockConverse, model: BedrockBatch, run: Runner
) -> None:
    """Each input has a run of the chain with the runs of its steps, as LangChain opens them."""
    ours, theirs = Tree(), Tree()

    def heard_by(tracer: Tree) -> RunnableConfig:
        return {"tags": ["nightly"], "callbacks": [tracer]}

    _traced(inner).batch(WORDS[:1], config=heard_by(theirs))
    program = ChainProgram(cut(_traced(model)), lambda _place: heard_by(ours))
    run(program, WORDS[:1])
    assert _renamed(ours.roots) == _renamed(theirs.roots)


def test_a_handler_may_refuse_an_input(model: BedrockBatch, run: Runner) -> None:
    """A handler that does not want a model to be asked stops that input before it is sent."""

    class Refusing(BaseCallbackHandler):
        raise_error = True

        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            if "two" in messages[0][0].content:
                raise PermissionError("not two")

    program = ChainProgram(cut(ASK | model), lambda _place: {"callbacks": [Refusing()]})
    results = run(program, WORDS)
    assert isinstance(results[1], PermissionError)
    assert [record.place for record in run.records[0]] == [0, 2]


def test_a_handler_of_the_models_own_hears_of_it(inner: ChatBedrockConverse, run: Runner) -> None:
    """A model's own handler hears of each input, also where nobody listens to the chain."""
    heard: list[str] = []

    class Own(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            heard.append(messages[0][0].content)

        def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            heard.append(response.generations[0][0].text)

    own = inner.model_copy(update={"callbacks": [Own()]})
    model = BedrockBatch(model=own, s3_uri="s3://bucket/", role_arn=ROLE, on_invoke="error")

    run(ChainProgram(cut(ASK | model), lambda _place: {}), WORDS[:1])
    run(ChainProgram(cut(ASK | model)), WORDS[:1])  # submitted and left: nobody hears of it

    assert heard == ["Say one", "Say one"]


def test_a_silent_run_opens_none(model: BedrockBatch, run: Runner) -> None:
    """What is configured around a chain that is submitted and left is not told of the chain."""
    tracer = Tree()
    chain = (ASK | model).with_config(callbacks=[tracer], run_name="mine")

    run(ChainProgram(cut(chain)), WORDS[:1])

    assert "mine" not in [name for name, *_ in tracer.roots]


SCRIPT = """
from langchain_aws import ChatBedrockConverse
from langchain_core.output_parsers import JsonOutputParser
from langchain_core.prompts import ChatPromptTemplate
from types import SimpleNamespace
from langchain_bedrock_opt.batching.chains.stages import program_of
from langchain_bedrock_opt.batching.chat_model import BedrockBatch

client = SimpleNamespace(meta=SimpleNamespace(region_name="us-east-1"))
inner = ChatBedrockConverse(model={model!r}, client=client, bedrock_client=client, max_tokens=60)
model = BedrockBatch(model=inner, s3_uri="s3://bucket/", role_arn={role!r}, on_invoke="error")
tool = {{"type": "function", "function": {{"name": "f", "parameters": {{}}}}}}
chain = ChatPromptTemplate.from_template({text!r}) | model.bind(tools=[tool]) | JsonOutputParser()
print(program_of(chain).fingerprint)
"""


def _fingerprint(text: str = "Say {word}", model: str = HAIKU) -> str:
    script = SCRIPT.format(text=text, model=model, role=ROLE)
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    """Two processes that build the same chain know each other's runs."""
    here: dict[str, Any] = {"print": lambda text: here.setdefault("said", text)}
    exec(SCRIPT.format(text="Say {word}", model=HAIKU, role=ROLE), here)
    assert _fingerprint() == here["said"]


@pytest.mark.parametrize("function", [str.upper, "a, b".split, json.loads, len, partial(int)])
def test_any_function_has_a_fingerprint(function: Any, model: BedrockBatch) -> None:
    """Built-in functions and methods are steps as good as any."""
    step = RunnableLambda(function)
    other = program_of(ASK | model | StrOutputParser() | step).fingerprint
    assert program_of(ASK | model | StrOutputParser()).fingerprint != other


def test_fingerprints_tell_chains_apart(model: BedrockBatch) -> None:
    """Another prompt, another bound argument or another step makes another chain."""
    chains: list[Runnable[Any, Any]] = [
        ASK | model,
        ASK | model | StrOutputParser(),
        ASK | model | JsonOutputParser(),
        ASK | model.bind(stop=["x"]),
        ASK | model.bind(stop=["y"]),
        ChatPromptTemplate.from_template("Tell {word}") | model,
        RunnableLambda(shout) | model,
        RunnableLambda(fail_on_two) | model,
    ]
    fingerprints = {program_of(chain).fingerprint for chain in chains}
    assert len(fingerprints) == len(chains)


def _said(result: Any) -> Any:
    return result.content if isinstance(result, AIMessage) else result


def _renamed(roots: list[Any]) -> list[Any]:
    """The trees with one name for the two models."""

    def renamed(run: Any) -> Any:
        name, run_type, state, tags, children = run
        name = "model" if run_type == "llm" else name
        return (name, run_type, state, tags, [renamed(child) for child in children])

    return [renamed(root) for root in roots]
