"""What a caller gets of a router whose tiers fail, over HTTP: an answer or a clear error.

Each case is asked in every way there is, and no caller ever gets two answers in one.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import pytest
from botocore.config import Config
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockRouter
from langchain_bedrock_opt.emulator.faults import Fault
from langchain_bedrock_opt.emulator.types import Pace, Reply
from langchain_bedrock_opt.errors import (
    BedrockServiceError,
    ConfigurationError,
    ModelTimeoutError,
    ThrottledError,
    UnknownModelError,
)
from langchain_bedrock_opt.routing import Escalation
from langchain_bedrock_opt.usage import BedrockUsageCallbackHandler

SIMPLE, COMPLEX = "us.amazon.nova-lite-v1:0", "us.anthropic.claude-haiku-4-5-20251001-v1:0"
TIERS = {"simple": SIMPLE, "complex": COMPLEX}
EASY = "日本の首都は?"
FIRST, SECOND = "It is Tokyo, says the first.", "It is Tokyo, says the second."
REFUSAL = "I'm sorry, but I can't help with that."
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg"
    "=="
)
HANG_SECONDS, READ_TIMEOUT = 3.0, 1.0
Ask = Callable[..., Any]


class Bedrock:
    """A strict local Bedrock at a URL: its first tier can fail, the second one never does."""

    def __init__(self) -> None:
        self.first_says = FIRST
        self.first_hangs = False
        self.emulator = BedrockEmulator(responder=self, strict=True, pace=self._pace)

    def reply(self, request: Mapping[str, Any]) -> Reply:
        text = self.first_says if "nova" in request["modelId"] else SECOND
        return Reply(content=({"text": text},), input_tokens=10, output_tokens=5)

    def _pace(self, model_id: str, request: Mapping[str, Any]) -> Pace:
        is_slow = self.first_hangs and "nova" in model_id
        return Pace(time_to_first_token=HANG_SECONDS if is_slow else 0.0)

    def first_fails(self, code: str = "ThrottlingException", **kwargs: Any) -> None:
        self.emulator.faults.add(Fault(code=code, model_id=SIMPLE, times=None, **kwargs))

    @property
    def models(self) -> list[str | None]:
        return [entry.model_id for entry in self.emulator.journal.calls()]

    def router(self, **kwargs: Any) -> ChatBedrockRouter:
        timeout = READ_TIMEOUT if self.first_hangs else 60
        config = Config(retries={"total_max_attempts": 1}, read_timeout=timeout)
        client = self.emulator.client(config=config)
        clients = {"client": client, "bedrock_client": client}
        return ChatBedrockRouter(**{"tiers": TIERS, **clients, **kwargs})


@pytest.fixture
def local() -> Iterator[Bedrock]:
    bedrock = Bedrock()
    with bedrock.emulator:
        yield bedrock


async def _texts(chunks: AsyncIterator[Any]) -> str:
    return "".join([str(chunk.text) async for chunk in chunks])


WAYS: dict[str, Ask] = {
    "invoke": lambda model, prompt, config: model.invoke(prompt, config).text,
    "batch": lambda model, prompt, config: model.batch([prompt], config)[0].text,
    "stream": lambda model, prompt, config: "".join(
        str(chunk.text) for chunk in model.stream(prompt, config)
    ),
    "ainvoke": lambda model, prompt, config: model.ainvoke(prompt, config),
    "astream": lambda model, prompt, config: _texts(model.astream(prompt, config)),
}


@pytest.fixture(params=WAYS)
def ask(request: pytest.FixtureRequest) -> Ask:
    """Each of the ways to get an answer's text; that of a stream is all that was streamed."""

    async def call(model: Any, prompt: Any = EASY, config: Any = None) -> str:
        answer = WAYS[request.param](model, prompt, config)
        answer = await answer if inspect.isawaitable(answer) else answer
        return str(getattr(answer, "text", answer))

    call.is_stream = "stream" in request.param  # type: ignore[attr-defined]
    return call


class Runs(BaseCallbackHandler):
    """The models whose runs began, as a trace names them."""

    def __init__(self) -> None:
        self.models: list[str] = []

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], **kwargs: Any
    ) -> None:
        self.models.append(kwargs["metadata"]["ls_model_name"])


async def test_a_call_that_goes_well(local: Bedrock, ask: Ask) -> None:
    """With all of this on it is still one run of the tier's model, its tokens counted once."""
    runs, tokens = Runs(), UsageMetadataCallbackHandler()
    router = local.router(escalate=Escalation(buffer_streams=True), fallback="next")

    assert await ask(router, EASY, {"callbacks": [runs, tokens]}) == FIRST

    assert runs.models == local.models == [SIMPLE]
    assert {name: used["total_tokens"] for name, used in tokens.usage_metadata.items()} == {
        SIMPLE: 15
    }


# --- Tiers that fail ---


async def test_a_throttled_tier(local: Bedrock, ask: Ask) -> None:
    """Without a fallback it is an error that says what to do, and nobody else is asked."""
    local.first_fails()

    with pytest.raises(ThrottledError, match="ThrottlingException") as caught:
        await ask(local.router())

    assert caught.value.retry_safe
    assert caught.value.model_id == SIMPLE
    assert local.models == [SIMPLE]


async def test_a_throttled_tier_with_a_fallback(local: Bedrock, ask: Ask) -> None:
    """The next tier answers; its tokens are counted once, and the failed run as one."""
    local.first_fails()
    tokens, usage = UsageMetadataCallbackHandler(), BedrockUsageCallbackHandler()
    config = {"callbacks": [tokens, usage]}

    assert await ask(local.router(fallback="next"), EASY, config) == SECOND

    assert local.models == [SIMPLE, COMPLEX]
    assert {name: used["total_tokens"] for name, used in tokens.usage_metadata.items()} == {
        COMPLEX: 15
    }
    assert [record.status for record in usage.ledger.records()] == ["error", "ok"]
    assert usage.open_runs == 0


async def test_every_tier_throttled(local: Bedrock, ask: Ask) -> None:
    """The last tier's error is raised, from the first one's."""
    local.emulator.faults.add(Fault(code="ThrottlingException", times=None))

    with pytest.raises(ThrottledError) as caught:
        await ask(local.router(fallback="next"))

    assert isinstance(caught.value.__cause__, ThrottledError)
    assert local.models == [SIMPLE, COMPLEX]


async def test_a_refusing_tier(local: Bedrock, ask: Ask) -> None:
    """Without escalation its refusal is the answer."""
    local.first_says = REFUSAL

    assert await ask(local.router()) == REFUSAL
    assert local.models == [SIMPLE]


async def test_a_refusing_tier_with_escalation(local: Bedrock, ask: Ask) -> None:
    """The next tier answers in its place, but not once the refusal has been streamed."""
    local.first_says = REFUSAL

    answer = await ask(local.router(escalate=True))

    assert answer == (REFUSAL if ask.is_stream else SECOND)  # type: ignore[attr-defined]


async def test_a_refusing_tier_with_buffered_streams(local: Bedrock, ask: Ask) -> None:
    """With buffering the next tier's answer is the only one in a stream, too."""
    local.first_says = REFUSAL

    assert await ask(local.router(escalate=Escalation(buffer_streams=True))) == SECOND
    assert local.models == [SIMPLE, COMPLEX]


async def test_a_refusing_tier_whose_next_one_is_throttled(local: Bedrock, ask: Ask) -> None:
    """The refusal was paid for and is what there is."""
    local.first_says = REFUSAL
    fault = Fault(code="ThrottlingException", model_id=COMPLEX, times=None)
    local.emulator.faults.add(fault)
    router = local.router(escalate=Escalation(buffer_streams=True), fallback="next")

    assert await ask(router) == REFUSAL
    assert local.models == [SIMPLE, COMPLEX]


async def test_a_tier_that_is_not_there(local: Bedrock, ask: Ask) -> None:
    """A model id that Bedrock does not know is the user's to mend: no fallback hides it."""
    tiers = {"simple": "us.meta.llama9-1b-instruct-v1:0", "complex": COMPLEX}

    with pytest.raises(UnknownModelError, match="llama9") as caught:
        await ask(local.router(tiers=tiers, fallback="next", escalate=True))

    assert "\n" not in str(caught.value)
    assert len(local.models) == 1


async def test_a_tier_that_hangs(local: Bedrock, ask: Ask) -> None:
    """The read timeout ends it as an error, and no fallback: the answer may have been paid for."""
    local.first_hangs = True

    with pytest.raises(ModelTimeoutError, match=r"Read time(out|d out)") as caught:
        await ask(local.router(fallback="next", escalate=True))

    assert "\n" not in str(caught.value)
    assert COMPLEX not in local.models


async def test_a_stream_that_breaks_after_the_first_word(local: Bedrock, ask: Ask) -> None:
    """What was streamed is not followed by another tier's answer; whole answers don't stream."""
    local.first_fails("InternalServerException", after_events=4)
    router = local.router(fallback="next", escalate=True)

    if ask.is_stream:  # type: ignore[attr-defined]
        with pytest.raises(BedrockServiceError):
            await ask(router)
    else:
        assert await ask(router) == FIRST
    assert local.models == [SIMPLE]


async def test_a_broken_stream_keeps_what_came(local: Bedrock) -> None:
    """The words before the break reach the caller, and then the error; the run is over."""
    local.first_says = "word " * 50
    local.first_fails("InternalServerException", after_events=6)
    usage = BedrockUsageCallbackHandler()
    router = local.router(fallback="next", callbacks=[usage])
    heard: list[str] = []

    with pytest.raises(BedrockServiceError):
        heard.extend(str(chunk.text) for chunk in router.stream(EASY))
    with pytest.raises(BedrockServiceError):
        heard.extend([str(chunk.text) async for chunk in router.astream(EASY)])

    assert local.first_says.startswith("".join(heard))
    assert "".join(heard)
    assert local.models == [SIMPLE, SIMPLE]
    assert usage.open_runs == 0


# --- Strange requests ---

PICTURE = {"type": "image", "base64": PIXEL, "mime_type": "image/png"}
LOOP = [
    HumanMessage("Look it up."),
    AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "1"}]),
    ToolMessage("\ud800 lone \udfff", tool_call_id="1"),
]


def look() -> str:
    """Look it up."""
    return ""


@pytest.mark.parametrize(
    "prompt",
    ["", " \n", "\ud800 lone \udfff", "\x00", [], [HumanMessage([PICTURE])], LOOP],
    ids=["empty", "blank", "surrogates", "null", "no messages", "a picture", "a tool's surrogates"],
)
@pytest.mark.parametrize("escalate", [None, True])
async def test_a_strange_request(local: Bedrock, ask: Ask, prompt: Any, *, escalate: Any) -> None:
    """Nothing, half characters or a picture alone are answered by one tier, like any request."""
    router = local.router(escalate=escalate, fallback="next")

    assert await ask(router.bind_tools([look]) if prompt is LOOP else router, prompt) == FIRST
    assert local.models == [SIMPLE]


async def test_ten_megabytes(local: Bedrock, ask: Ask) -> None:
    """What no tier can hold is refused in one line, before anything is sent."""
    router = local.router(escalate=True, fallback="next")

    with pytest.raises(ConfigurationError, match=r"a context of about \d{7} tokens") as caught:
        await ask(router, "word " * 2_000_000)

    assert "\n" not in str(caught.value)
    assert local.models == []
