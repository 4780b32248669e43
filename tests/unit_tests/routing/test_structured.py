"""Structured output by the tiers' own ways: who answers when a tier fails, or its form does."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from botocore.config import Config
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel

from langchain_bedrock_opt.contracts import REPORT_KEY
from langchain_bedrock_opt.emulator import BedrockEmulator, ScriptedResponder
from langchain_bedrock_opt.emulator.faults import Fault
from langchain_bedrock_opt.emulator.replies.rules import RuleResponder
from langchain_bedrock_opt.errors import ThrottledError
from langchain_bedrock_opt.routing import (
    Agreement,
    ChatBedrockRouter,
    ComplexityScore,
    Escalation,
    RoutingPolicy,
)
from langchain_bedrock_opt.usage import BedrockUsageCallbackHandler

EASY = "日本の首都は?"
SIMPLE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
COMPLEX = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
GOOD, BAD = '{"name": "Tokyo", "people": 14}', '{"name": "Tokyo", "people": "many"}'
BUFFERED = Escalation(buffer_streams=True)


class City(BaseModel):
    """A city."""

    name: str
    people: int


TOKYO = City(name="Tokyo", people=14)
Ask = Callable[..., Any]


class Bedrock:
    """A local Bedrock whose tiers say what a test has written down."""

    def __init__(self) -> None:
        self.script = ScriptedResponder(fallback=RuleResponder())
        self.emulator = BedrockEmulator(responder=self.script)
        self.client = self.emulator.client(config=Config(retries={"total_max_attempts": 1}))

    def says(self, model_id: str, *lines: Any) -> None:
        self.script.when(lambda request: str(request["modelId"]) in model_id).reply(*lines)

    def throttles(self, model_id: str, **kwargs: Any) -> None:
        fault = Fault(code="ThrottlingException", model_id=model_id, times=None, **kwargs)
        self.emulator.faults.add(fault)

    @property
    def models(self) -> list[str | None]:
        return [entry.model_id for entry in self.emulator.journal.calls()]

    def router(self, tiers: Any = None, **kwargs: Any) -> ChatBedrockRouter:
        return ChatBedrockRouter(
            tiers=tiers or {"simple": SIMPLE, "complex": COMPLEX},
            client=self.client,
            bedrock_client=self.client,
            **kwargs,
        )


@pytest.fixture
def local() -> Bedrock:
    return Bedrock()


async def _streamed(model: Any, config: Any) -> Any:
    parts = [part async for part in model.astream(EASY, config)]
    return parts[-1] if parts else None


async def _heard(model: Any, config: Any) -> Any:
    events = [event async for event in model.astream_events(EASY, config)]
    assert sum(event["event"] == "on_chat_model_start" for event in events) == 1
    return events[-1]["data"].get("output")


WAYS: dict[str, Ask] = {
    "invoke": lambda model, config: model.invoke(EASY, config),
    "batch": lambda model, config: model.batch([EASY], config)[0],
    "stream": lambda model, config: [None, *model.stream(EASY, config)][-1],
    "ainvoke": lambda model, config: model.ainvoke(EASY, config),
    "abatch": lambda model, config: model.abatch([EASY], config),
    "astream": _streamed,
    "events": _heard,
}


@pytest.fixture(params=WAYS)
def ask(request: pytest.FixtureRequest) -> Ask:
    """Each of the ways to get a structured answer; of a stream, the last part."""

    async def call(model: Any, config: Any = None) -> Any:
        answer = WAYS[request.param](model, config)
        answer = await answer if inspect.isawaitable(answer) else answer
        return answer[0] if request.param == "abatch" else answer

    return call


def native(router: BaseChatModel, schema: Any = City, **options: Any) -> Any:
    return router.with_structured_output(schema, method="json_schema", **options)


def use(**arguments: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": "t1", "name": "City", "input": arguments}}


async def test_a_throttled_tier_is_stood_in_for(local: Bedrock, ask: Ask) -> None:
    """However it is asked, the next tier gives the form, and both runs are counted."""
    local.throttles(SIMPLE)
    local.says(COMPLEX, GOOD)
    usage = BedrockUsageCallbackHandler()

    assert await ask(native(local.router(fallback="next")), {"callbacks": [usage]}) == TOKYO

    assert local.models == [SIMPLE, COMPLEX]
    assert [record.status for record in usage.ledger.records()] == ["error", "ok"]
    last = usage.ledger.records()[-1].route
    assert last is not None
    assert last.fallback_from == "simple"


async def test_without_fallback_the_error_is_the_callers(local: Bedrock, ask: Ask) -> None:
    """A router that is not told to ask another tier raises the tier's error."""
    local.throttles(SIMPLE)

    with pytest.raises(ThrottledError):
        await ask(native(local.router()))
    assert local.models == [SIMPLE]


async def test_a_stream_that_breaks_after_its_first_word_is_not_taken_over(local: Bedrock) -> None:
    """Once a part of the answer is there, an error is the caller's."""
    local.throttles(SIMPLE, after_events=6)
    form = native(local.router(fallback="next"), City.model_json_schema())

    with pytest.raises(ThrottledError):
        list(form.stream(EASY))
    with pytest.raises(ThrottledError):
        _ = [part async for part in form.astream(EASY)]
    assert local.models == [SIMPLE, SIMPLE]


@pytest.mark.parametrize("bad", [BAD, "Tokyo, of course.", '{"name": "Tokyo"'])
async def test_a_form_that_fails_is_given_again(local: Bedrock, ask: Ask, bad: str) -> None:
    """What the tier's parser turns down goes to the next tier, and statistics say why."""
    local.says(SIMPLE, bad)
    local.says(COMPLEX, GOOD)
    router = local.router(escalate=BUFFERED)

    assert await ask(native(router)) == TOKYO

    assert local.models == [SIMPLE, COMPLEX]
    assert router.escalation_stats().failed == {"schema": 1}
    assert router.escalation_stats().discarded_pico_usd > 0


async def test_a_dict_that_lacks_a_property_is_given_again(local: Bedrock, ask: Ask) -> None:
    """A JSON schema's required properties have to be there, as with a tool call."""
    local.says(SIMPLE, '{"name": "Tokyo"}')
    local.says(COMPLEX, GOOD)
    schema = {**City.model_json_schema(), "title": "City"}

    answer = await ask(native(local.router(escalate=BUFFERED), schema))

    assert answer == TOKYO.model_dump()


async def test_a_strict_tool_that_fails_is_called_again(local: Bedrock, ask: Ask) -> None:
    """`strict` asks by the tier's own tool, and escalates as the usual way does."""
    local.says(SIMPLE, use(name="Tokyo", people="many"))
    local.says(COMPLEX, use(name="Tokyo", people=14))
    form = local.router(escalate=BUFFERED).with_structured_output(City, strict=True)

    assert await ask(form) == TOKYO
    assert local.models == [SIMPLE, COMPLEX]


async def test_a_prefilled_answer_that_fails_is_given_again(local: Bedrock, ask: Ask) -> None:
    """So does `prompt_prefill`."""
    tiers = {"simple": "us.amazon.nova-lite-v1:0", "complex": "us.amazon.nova-pro-v1:0"}
    local.says(tiers["simple"], BAD)
    local.says(tiers["complex"], GOOD)
    router = local.router(tiers, escalate=BUFFERED)

    assert await ask(router.with_structured_output(City, method="prompt_prefill")) == TOKYO


async def test_the_raw_message_says_why(local: Bedrock) -> None:
    """With `include_raw` a parsing error escalates, and the message tells of it."""
    local.says(SIMPLE, BAD)
    local.says(COMPLEX, GOOD)
    form = native(local.router(escalate=BUFFERED), include_raw=True)
    streamed: Any = None
    for part in form.stream(EASY):
        streamed = part if streamed is None else streamed + part

    for answer in (form.invoke(EASY), await form.ainvoke(EASY), streamed):
        route = answer["raw"].response_metadata[REPORT_KEY]["route"]
        assert (answer["parsed"], answer["parsing_error"]) == (TOKYO, None)
        assert route["escalated_from"] == "simple"
        assert route["escalation_reason"].startswith("schema: ")


async def test_a_form_that_fails_twice_ends_as_the_tiers_own(local: Bedrock, ask: Ask) -> None:
    """The stronger tier's answer is final: its parser raises, or gives nothing in a stream."""
    local.says(SIMPLE, BAD)
    local.says(COMPLEX, BAD)
    router = local.router(escalate=BUFFERED)

    async def outcome(model: Any) -> Any:
        try:
            return await ask(model)
        except OutputParserException as error:
            return str(error)

    ours = await outcome(native(router))
    assert local.models == [SIMPLE, COMPLEX]
    assert ours == await outcome(native(router.models["complex"]))
    assert ours != TOKYO


async def test_a_stream_is_not_checked_unless_it_is_buffered(local: Bedrock) -> None:
    """Without buffering a stream that can't be parsed ends as the tier's own does."""
    local.says(SIMPLE, BAD)
    router = local.router(escalate=True)

    ours = list(native(router).stream(EASY))

    assert local.models == [SIMPLE]
    assert ours == list(native(router.models["simple"]).stream(EASY))


def test_a_second_opinion_is_asked_for_the_same_form(local: Bedrock) -> None:
    """The model that has to agree gets the schema, too."""
    local.says(SIMPLE, GOOD, GOOD)
    escalation = Escalation(agreement=Agreement(model="simple"), break_even=False)

    assert native(local.router(escalate=escalation)).invoke(EASY) == TOKYO

    first, second = local.emulator.journal.calls()
    assert first.params["outputConfig"] == second.params["outputConfig"]


@pytest.mark.parametrize("trouble", ["throttled", "unparsed"])
def test_another_tier_gets_the_arguments_that_it_takes(local: Bedrock, trouble: str) -> None:
    """A temperature is not sent to the newest Claude models, which take none."""
    newest = "us.anthropic.claude-opus-4-7"
    if trouble == "throttled":
        local.throttles(SIMPLE)
    local.says(SIMPLE, BAD)
    local.says(newest, GOOD)
    tiers = {"simple": SIMPLE, "complex": newest}
    router = local.router(tiers, fallback="next", escalate=True)

    answer = native(router).invoke(EASY, temperature=0.2, max_tokens=1000)

    assert answer == TOKYO
    sent = local.emulator.journal.calls()[-1].params
    assert sent["modelId"] == newest
    assert sent["inferenceConfig"] == {"maxTokens": 1000}


class AtTheTop:
    """Finds every request as hard as can be."""

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        return ComplexityScore(value=0.99)


@pytest.mark.parametrize(
    ("model_id", "options", "effort"),
    [
        ("openai.gpt-oss-120b-1:0", {"method": "json_schema"}, "high"),
        ("openai.gpt-oss-120b-1:0", {"method": "json_schema", "include_raw": True}, "high"),
        ("openai.gpt-oss-120b-1:0", {"strict": True}, None),
        ("us.anthropic.claude-opus-4-6-v1", {"method": "json_schema"}, None),
    ],
)
def test_effort_goes_with_a_native_schema_where_there_is_room(
    local: Bedrock, model_id: str, options: Any, effort: str | None
) -> None:
    """Neither with a forced tool, nor with Claude, whose effort and schema share a field."""
    router = local.router({"only": model_id}, scorer=AtTheTop(), policy=RoutingPolicy(effort=True))
    usage = BedrockUsageCallbackHandler()

    router.with_structured_output(City, **options).invoke(EASY, {"callbacks": [usage]})

    fields = local.emulator.journal.calls()[0].params.get("additionalModelRequestFields") or {}
    assert fields.get("reasoning_effort") == effort
    (record,) = usage.ledger.records()
    assert record.route is not None
    assert record.route.effort == effort
