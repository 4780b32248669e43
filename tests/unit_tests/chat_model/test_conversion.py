"""Conversations that a model over a cache has sent before: the same request, made sooner."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_bedrock_opt import BedrockEmulator, BedrockSemanticCache, ChatBedrockOptimized
from langchain_bedrock_opt.aws.call_context import STAND_IN, Conversation
from langchain_bedrock_opt.aws.layers import Call, Layer, LayeredClient, Request, Response
from langchain_bedrock_opt.aws.replay import CaptureClient
from langchain_bedrock_opt.conversion import LONGEST, REMEMBERED, Conversions, digest_of

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"


class Seen(Layer):
    """Keeps the requests that pass; a model with it remembers conversations."""

    replays = True

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def converse(self, request: Request, call_next: Call) -> Response:
        self.requests.append(request)
        return call_next(request)

    def converse_stream(self, request: Request, call_next: Call) -> Response:
        self.requests.append(request)
        return call_next(request)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def make(seen: Seen) -> Callable[..., ChatBedrockOptimized]:
    client = BedrockEmulator().client()

    def model(**arguments: Any) -> ChatBedrockOptimized:
        arguments = {"model": MODEL, "layers": [seen], "max_tokens": 300, **arguments}
        return ChatBedrockOptimized(client=client, bedrock_client=client, **arguments)

    return model


def population(city: str) -> str:
    """The number of people in a city."""
    return city


CALL: Any = {"name": "population", "args": {"city": "Tokyo"}, "id": "t1"}
HISTORY: list[BaseMessage] = [
    SystemMessage("Be brief."),
    HumanMessage("How many people live in Tokyo?"),
    AIMessage([{"type": "text", "text": "I look."}], tool_calls=[CALL], id="1"),
    ToolMessage("14 million", tool_call_id="t1"),
    AIMessage("14 million.", id="2"),
    HumanMessage([{"type": "text", "text": "And in Osaka?"}]),
]


@pytest.mark.parametrize("way", ["invoke", "stream", "ainvoke", "astream"])
async def test_the_second_request_is_the_first_one(
    way: str, make: Callable[..., ChatBedrockOptimized], seen: Seen
) -> None:
    """Whichever way a conversation is sent again, Bedrock would get the same request."""
    model = make().bind_tools([population])

    await model.ainvoke(HISTORY)
    if way == "invoke":
        model.invoke(HISTORY)
    elif way == "stream":
        list(model.stream(HISTORY))
    elif way == "ainvoke":
        await model.ainvoke(HISTORY)
    else:
        _ = [chunk async for chunk in model.astream(HISTORY)]

    assert seen.requests[1] == seen.requests[0]
    assert len(seen.requests[1]["messages"]) == 5


def test_parameters_are_those_of_the_call(
    make: Callable[..., ChatBedrockOptimized], seen: Seen
) -> None:
    """Only the messages are remembered: stop, tools and limits are each call's own."""
    model = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of langchain-aws, about tool messages without tools
        model.invoke(HISTORY, stop=["x"])
        model.invoke(HISTORY)
        model.bind_tools([population]).invoke(HISTORY)

    first, second, with_tools = seen.requests
    assert first["inferenceConfig"]["stopSequences"] == ["x"]
    assert "stopSequences" not in second["inferenceConfig"]
    assert second["messages"] == first["messages"]
    # Without tools langchain-aws tells of calls in words; with them they are calls again.
    assert "toolUse" not in str(second["messages"])
    assert "toolUse" in str(with_tools["messages"])


def other(index: int, **changes: Any) -> list[BaseMessage]:
    messages = list(HISTORY)
    messages[index] = messages[index].model_copy(update=changes)
    return messages


@pytest.mark.parametrize(
    "messages",
    [
        other(0, content="Be long."),
        other(1, content="How many people live in Kyoto?"),
        other(2, tool_calls=[{**CALL, "args": {"city": "Kyoto"}}]),
        other(3, content="15 million"),
        other(3, status="error"),
        other(5, content="And in Kobe?"),
        HISTORY[:2],
        [*HISTORY[:5], HumanMessage("And in Osaka?"), HumanMessage("Or Kobe?")],
    ],
    ids=str,
)
def test_another_conversation_is_another_request(
    messages: list[BaseMessage], make: Callable[..., ChatBedrockOptimized], seen: Seen
) -> None:
    """A conversation that differs anywhere is converted for itself."""
    remembers, forgets = make().bind_tools([population]), make(layers=[Forgets()])
    remembers.invoke(HISTORY)

    remembers.invoke(messages)

    expected = Seen()
    expected.replays = False  # type: ignore[misc]
    make(layers=[expected]).bind_tools([population]).invoke(messages)
    assert seen.requests[1]["messages"] == expected.requests[0]["messages"]
    assert seen.requests[1]["system"] == expected.requests[0]["system"]
    assert forgets._conversions is None


class Forgets(Layer):
    """A layer that answers nothing again."""


def test_ids_and_usage_make_no_other_conversation(
    make: Callable[..., ChatBedrockOptimized], seen: Seen
) -> None:
    """What no request holds does not count: ids, usage, request ids."""
    metadata = {"ResponseMetadata": {"RequestId": "r"}}
    usage: Any = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    told = other(4, id="other", response_metadata=metadata, usage_metadata=usage)
    assert digest_of(HISTORY, []) == digest_of(told, [])


def test_a_message_that_was_changed_in_place(
    make: Callable[..., ChatBedrockOptimized], seen: Seen
) -> None:
    """A message object that somebody has changed since is read anew."""
    model, message = make(), HumanMessage("Where?")
    model.invoke([message])
    message.content = "Who?"

    model.invoke([message])

    texts = [request["messages"][-1]["content"][0]["text"] for request in seen.requests]
    assert texts == ["Where?", "Who?"]


def test_many_conversations_at_once(make: Callable[..., ChatBedrockOptimized], seen: Seen) -> None:
    """Threads never see each other's conversations."""
    model = make()
    prompts = [f"Question {number % 20}" for number in range(200)]

    def ask(prompt: str) -> None:
        with_history = [HumanMessage(prompt), AIMessage("Yes."), HumanMessage(prompt)]
        model.invoke(with_history)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, prompts))

    asked = [request["messages"] for request in seen.requests]
    assert sorted(messages[0]["content"][0]["text"] for messages in asked) == sorted(prompts)
    assert all(messages[0] == messages[2] for messages in asked)


def test_what_is_remembered_is_bounded() -> None:
    """Old conversations are forgotten, and long ones never remembered."""
    conversions = Conversions()
    for number in range(REMEMBERED // 200_000 + 2):
        conversation = Conversation("client")
        conversation.packed = b"x" * 200_000
        conversions.remember(str(number).encode(), conversation)
    long = Conversation("client")
    long.packed = b"x" * (LONGEST + 1)
    conversions.remember(b"long", long)

    assert conversions.known(b"0") is None
    assert conversions.known(str(number).encode()) is not None
    assert conversions.known(b"long") is None
    assert digest_of([HumanMessage("x" * LONGEST)], []) is None


class TestBound:
    """A conversation belongs to one client's next request, and to nothing else."""

    def test_another_client(self, make: Callable[..., ChatBedrockOptimized]) -> None:
        """A model whose client was replaced sends its messages, whatever it remembers."""
        model = make()
        model.invoke(HISTORY[:2])
        capture = CaptureClient()
        copy = model.model_copy(update={"client": capture})

        copy.invoke(HISTORY[:2])
        model.client = capture
        model.invoke(HISTORY[:2])

        texts = [request["messages"][0]["content"][0]["text"] for request in capture.requests]
        assert texts == ["How many people live in Tokyo?"] * 2

    def test_clients_that_are_called_meanwhile(self) -> None:
        """A layer that asks another model asks its own question, and keeps its own system."""
        judge = CaptureClient()

        class Ask(Layer):
            def converse(self, request: Request, call_next: Call) -> Response:
                LayeredClient(judge).converse(modelId="j", messages=["its own"], system=["too"])
                return call_next(request)

        client = BedrockEmulator().client()
        model = ChatBedrockOptimized(
            model=MODEL,
            client=client,
            bedrock_client=client,
            cache=BedrockSemanticCache(),
            layers=[Ask()],
        )
        model.invoke("A secret?")

        assert judge.requests == [{"modelId": "j", "messages": ["its own"], "system": ["too"]}]

    def test_layers_inside_the_client(self) -> None:
        """What a layer of the user's own client changes stays changed, also the second time."""
        end = CaptureClient()

        class Redact(Layer):
            def converse(self, request: Request, call_next: Call) -> Response:
                redacted = [{"role": "user", "content": [{"text": "[CARD]"}]}]
                return call_next({**request, "messages": redacted})

        model = ChatBedrockOptimized(
            model=MODEL,
            client=LayeredClient(end, [Redact()]),
            bedrock_client=end,
            cache=BedrockSemanticCache(),
        )
        for _ in range(2):  # empty answers are not kept
            model.invoke("My card is 4111")

        sent = [request["messages"][0]["content"] for request in end.requests]
        assert sent == [[{"text": "[CARD]"}]] * 2

    def test_arguments_that_are_changed_later(
        self, make: Callable[..., ChatBedrockOptimized], seen: Seen
    ) -> None:
        """What a tool does with its arguments, or a layer with a request, changes nothing."""
        arguments = {"prices": [100, 200]}
        call: Any = {"name": "population", "args": arguments, "id": "t1"}
        history = [HumanMessage("How much?"), AIMessage("", tool_calls=[call])]
        history.append(ToolMessage("300", tool_call_id="t1"))
        model = make().bind_tools([population])
        model.invoke(history)
        arguments["prices"].pop()
        arguments["prices"].append(200)
        seen.requests[0]["messages"].clear()

        model.invoke(history)

        block = seen.requests[1]["messages"][1]["content"][0]
        assert block["toolUse"]["input"] == {"prices": [100, 200]}

    def test_a_stand_in_is_never_sent(self) -> None:
        """A request that has lost its conversation is refused before it costs anything."""
        end = CaptureClient()
        messages = [{"role": "user", "content": [{"text": STAND_IN}]}]

        with pytest.raises(RuntimeError, match="lost its conversation"):
            LayeredClient(end).converse(modelId="m", messages=messages)

        assert end.requests == []


def test_what_has_no_digest_goes_its_usual_way(
    make: Callable[..., ChatBedrockOptimized], seen: Seen
) -> None:
    """Messages with values that can't be read so are converted each time."""
    message = HumanMessage("Where?", additional_kwargs={"mark": object()})

    for _ in range(2):
        make().invoke([message])

    assert digest_of([message], []) is None
    assert len(seen.requests) == 2


def test_a_cache_turns_it_on() -> None:
    """A model with a response cache remembers; one without has no use for it."""
    client = BedrockEmulator().client()
    arguments: dict[str, Any] = {"model": MODEL, "client": client, "bedrock_client": client}

    assert ChatBedrockOptimized(**arguments, cache=BedrockSemanticCache())._conversions is not None
    assert ChatBedrockOptimized(**arguments)._conversions is None
