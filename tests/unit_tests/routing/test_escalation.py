"""A stronger tier answers in place of one whose answer failed, seen from the caller's side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from botocore.config import Config
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from langchain_bedrock_opt.contracts import REPORT_KEY, ROUTE_METADATA_KEY, RouteDecision
from langchain_bedrock_opt.emulator import BedrockEmulator
from langchain_bedrock_opt.emulator.faults import Fault
from langchain_bedrock_opt.emulator.replies.rules import RuleResponder
from langchain_bedrock_opt.emulator.replies.scripted import ScriptedResponder
from langchain_bedrock_opt.emulator.types import Reply
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing import ChatBedrockRouter
from langchain_bedrock_opt.routing.recovery.break_even import BreakEven
from langchain_bedrock_opt.routing.recovery.escalation import Agreement, Escalation, same_answer
from langchain_bedrock_opt.usage import BedrockUsageCallbackHandler

EASY = "日本の首都は?"
REFUSAL = "申し訳ございませんが、そのご質問にはお答えできません。"
SIMPLE, MODERATE = "us.amazon.nova-lite-v1:0", "us.anthropic.claude-haiku-4-5-20251001-v1:0"
COMPLEX = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

Ask = Callable[..., Any]
RUN_ID = UUID("00000000-0000-4000-8000-000000000007")


class Runs(BaseCallbackHandler):
    """The runs that callbacks were told of."""

    def __init__(self) -> None:
        self.tiers: list[str | None] = []
        self.tags: list[list[str]] = []

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], **kwargs: Any
    ) -> None:
        self.tiers.append((kwargs["metadata"].get(ROUTE_METADATA_KEY) or {}).get("tier"))
        self.tags.append(kwargs["tags"] or [])


class Bedrock:
    """A local Bedrock whose tiers say what a test has written down."""

    def __init__(self) -> None:
        self.script = ScriptedResponder(fallback=RuleResponder())
        self.emulator = BedrockEmulator(responder=self.script)
        self.client = self.emulator.client()

    def says(self, model_id: str, line: Any, *more: Any) -> None:
        self.script.when(lambda request: str(request["modelId"]) in model_id).reply(line, *more)

    @property
    def models(self) -> list[str | None]:
        return [entry.model_id for entry in self.emulator.journal.calls()]

    def router(self, **kwargs: Any) -> ChatBedrockRouter:
        tiers = {"simple": SIMPLE, "moderate": MODERATE, "complex": COMPLEX}
        arguments = {"tiers": tiers, "client": self.client, "escalate": True, **kwargs}
        return ChatBedrockRouter(**{"bedrock_client": self.client, **arguments})


@pytest.fixture
def local() -> Bedrock:
    return Bedrock()


@pytest.fixture(params=["invoke", "ainvoke", "generate", "agenerate"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Each of the ways to get a whole answer."""

    async def call(router: BaseChatModel, prompt: str = EASY, config: Any = None) -> BaseMessage:
        config = config or {}
        if request.param == "invoke":
            return router.invoke(prompt, config)
        if request.param == "ainvoke":
            return await router.ainvoke(prompt, config)
        messages: list[list[BaseMessage]] = [[HumanMessage(prompt)]]
        if request.param == "generate":
            result = router.generate(messages, **config)
        else:
            result = await router.agenerate(messages, **config)
        return result.generations[0][0].message  # type: ignore[union-attr]

    return call


def route_of(message: BaseMessage) -> dict[str, Any]:
    route: dict[str, Any] = message.response_metadata[REPORT_KEY]["route"]
    return route


async def test_a_refusal_is_answered_by_the_next_tier(local: Bedrock, ask: Ask) -> None:
    """The caller gets the stronger tier's answer, which says whose place it took and why."""
    local.says(SIMPLE, REFUSAL)
    local.says(MODERATE, "東京です。")

    message = await ask(local.router())

    assert message.content == "東京です。"
    assert local.models == [SIMPLE, MODERATE]
    assert route_of(message)["tier"] == "moderate"
    assert route_of(message)["model_id"] == MODERATE
    assert route_of(message)["escalated_from"] == "simple"
    assert route_of(message)["escalation_reason"] == "refusal: the answer declines"
    assert not route_of(message)["forced"]
    assert RouteDecision.from_dict(route_of(message)).as_dict() == route_of(message)


async def test_both_attempts_are_runs_and_cost_once_each(local: Bedrock, ask: Ask) -> None:
    """Usage has a record for the discarded answer and one for its successor, each priced."""
    local.says(SIMPLE, Reply(content=({"text": ""},), input_tokens=100, output_tokens=0))
    local.says(MODERATE, Reply(content=({"text": "x"},), input_tokens=110, output_tokens=20))
    usage = BedrockUsageCallbackHandler()

    router = local.router()
    await ask(router, config={"callbacks": [usage]})

    first, second = usage.ledger.records()
    assert first.route is not None
    assert second.route is not None
    assert (first.model_id, first.route.tier, first.route.escalated_from) == (
        SIMPLE,
        "simple",
        None,
    )
    assert (second.model_id, second.route.tier) == (MODERATE, "moderate")
    assert second.route.escalated_from == "simple"
    assert first.usage is not None
    assert first.usage.input == 100
    assert first.cost_pico_usd == router.escalation_stats().discarded_pico_usd
    assert second.cost_pico_usd
    assert usage.open_runs == 0


def test_escalation_happens_once_a_request(local: Bedrock) -> None:
    """The second answer is final, though it fails as well."""
    for model in (SIMPLE, MODERATE, COMPLEX):
        local.says(model, REFUSAL)

    assert route_of(local.router().invoke(EASY))["tier"] == "moderate"
    assert local.models == [SIMPLE, MODERATE]


def test_the_strongest_tier_has_the_last_word(local: Bedrock) -> None:
    """Above the strongest tier there is nobody to ask, and its answer is not even checked."""
    local.says(COMPLEX, REFUSAL)
    router = local.router(tiers={"only": COMPLEX})

    assert router.invoke(EASY).content == REFUSAL
    assert router.escalation_stats().checked == 0


def test_a_tier_that_the_caller_named_is_kept(local: Bedrock) -> None:
    """A forced tier's refusal is what the caller gets."""
    local.says(SIMPLE, REFUSAL)

    assert local.router().invoke(EASY, force="simple").content == REFUSAL
    assert local.models == [SIMPLE]


def test_without_escalate_an_answer_is_final(local: Bedrock) -> None:
    """A router does not look at answers unless it is told to."""
    local.says(SIMPLE, REFUSAL)
    router = local.router(escalate=None)

    assert router.invoke(EASY).content == REFUSAL
    assert router.escalation_stats().checked == 0


def test_a_guardrails_answer_is_not_escalated(local: Bedrock) -> None:
    """What a guardrail says is the owner's will, not a weak model's failure."""
    local.says(SIMPLE, Reply(content=({"text": REFUSAL},), stop_reason="guardrail_intervened"))

    assert local.router().invoke(EASY).content == REFUSAL
    assert local.models == [SIMPLE]


def test_a_failure_of_the_stronger_tier_leaves_the_first_answer(local: Bedrock) -> None:
    """An answer that was paid for is not lost; its route says which check it failed."""
    local.says(SIMPLE, Reply(content=({"text": "Tok"},), stop_reason="max_tokens"))
    local.emulator.faults.add(Fault(code="AccessDeniedException", model_id=MODERATE))
    router = local.router()

    message = router.invoke(EASY)

    assert message.content == "Tok"
    assert route_of(message)["tier"] == "simple"
    assert route_of(message)["escalation_reason"] == "cut: stopped by max_tokens"
    assert "escalated_from" not in route_of(message)
    assert router.escalation_stats().failed == {"cut": 1}
    assert router.escalation_stats().escalated == 0


def test_a_throttled_stronger_tier_has_its_own_fallback(local: Bedrock) -> None:
    """An escalation falls back upwards, never to the tier whose answer failed."""
    local.says(SIMPLE, REFUSAL)
    local.says(COMPLEX, "東京です。")
    local.emulator.faults.add(Fault(code="ThrottlingException", model_id=MODERATE, times=None))

    message = local.router(fallback="next", max_retries=0).invoke(EASY)

    assert route_of(message)["tier"] == "complex"
    assert route_of(message)["escalated_from"] == "simple"
    assert route_of(message)["fallback_from"] == "moderate"


def test_a_function_of_ones_own_decides(local: Bedrock) -> None:
    """Any function of the answer can be a check."""
    local.says(SIMPLE, "Osaka")
    local.says(MODERATE, "Tokyo")
    checks: Any = [lambda answer: "Tokyo" in answer.text]

    message = local.router(escalate=Escalation(checks=checks)).invoke(EASY)

    assert message.content == "Tokyo"
    assert route_of(message)["escalation_reason"] == "validator: turned down"


# --- Tools and structured output ---


class City(BaseModel):
    """A city."""

    name: str
    people: int


def _use(**arguments: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": "t1", "name": "City", "input": arguments}}


def test_a_malformed_tool_call_is_made_again(local: Bedrock) -> None:
    """A call that lacks a required argument goes to the next tier, with the tools bound."""
    local.says(SIMPLE, _use(name="Tokyo"))
    local.says(MODERATE, _use(name="Tokyo", people=14))

    message = local.router().bind_tools([City]).invoke(EASY)

    assert message.tool_calls[0]["args"] == {"name": "Tokyo", "people": 14}
    assert route_of(message)["escalation_reason"].startswith("malformed_tool_call")


def test_a_structured_answer_that_fails_its_schema_is_given_again(local: Bedrock) -> None:
    """`with_structured_output` gives the stronger tier's object, parsed."""
    local.says(SIMPLE, _use(name="Tokyo", people="many"))
    local.says(MODERATE, _use(name="Tokyo", people=14))

    city = local.router().with_structured_output(City).invoke(EASY)

    assert city == City(name="Tokyo", people=14)
    assert local.models == [SIMPLE, MODERATE]


def test_a_good_tool_loop_is_left_alone(local: Bedrock) -> None:
    """An agent's tool calls and answers pass the checks and keep their tier."""
    agents = pytest.importorskip("langchain.agents")
    local.says(SIMPLE, _use(name="Tokyo", people=14), "東京です。")

    def city(name: str, people: int) -> str:
        """Tell of a city."""
        return f"{name}: {people}"

    city.__name__ = "City"
    agent = agents.create_agent(local.router(), tools=[city])
    result = agent.invoke({"messages": [HumanMessage(EASY)]})

    assert result["messages"][-1].content == "東京です。"
    assert local.models == [SIMPLE, SIMPLE]


# --- Streams ---


def _inside(router: ChatBedrockRouter) -> RunnableLambda[str, Any]:
    """A chain that invokes the router, as an agent's node does."""

    async def ask_router(prompt: str) -> Any:
        return await router.ainvoke(prompt)

    return RunnableLambda(ask_router)


async def test_a_stream_is_not_taken_back(local: Bedrock) -> None:
    """Without buffering, what was streamed stays, and nothing is checked."""
    local.says(SIMPLE, REFUSAL)
    router = local.router()

    streamed = "".join(str(chunk.text) for chunk in router.stream(EASY))
    astreamed = "".join([str(chunk.text) async for chunk in router.astream(EASY)])

    assert streamed == astreamed == REFUSAL
    assert local.models == [SIMPLE, SIMPLE]


async def test_a_buffered_stream_is_checked_and_replayed(local: Bedrock) -> None:
    """With buffering the caller sees only the stronger tier's chunks, marked like any answer."""
    local.says(SIMPLE, REFUSAL)
    local.says(MODERATE, "It is Tokyo, of course.")
    router = local.router(escalate=Escalation(buffer_streams=True))

    chunks = list(router.stream(EASY))
    achunks = [chunk async for chunk in router.astream(EASY)]

    assert len(chunks) > 1
    for parts in (chunks, achunks):
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        assert total.text == "It is Tokyo, of course."
        assert route_of(total)["escalated_from"] == "simple"
    assert local.models == [SIMPLE, MODERATE] * 2


async def test_a_stand_ins_tokens_are_not_taken_back_either(local: Bedrock) -> None:
    """After a fallback, too, an answer that somebody has watched stays."""
    local.says(MODERATE, REFUSAL)
    local.emulator.faults.add(Fault(code="ThrottlingException", model_id=SIMPLE, times=None))
    config = Config(retries={"total_max_attempts": 1})
    local.client = local.emulator.client(config=config)
    router = local.router(fallback="next")

    _ = [event async for event in _inside(router).astream_events(EASY, version="v2")]

    assert local.models == [SIMPLE, MODERATE]


async def test_a_streaming_tier_that_somebody_watches_is_not_taken_back(local: Bedrock) -> None:
    """An `invoke` whose tokens reach callbacks while it runs counts as a stream."""
    local.says(SIMPLE, REFUSAL)
    router = local.router()

    events = [event async for event in _inside(router).astream_events(EASY, version="v2")]

    assert any(event["event"] == "on_chat_model_stream" for event in events)
    assert local.models == [SIMPLE]


# --- Agreement ---


def test_two_cheap_models_that_disagree_ask_the_stronger_one(local: Bedrock) -> None:
    """The second opinion is a run of its own, without a route, and reaches nobody."""
    local.says(SIMPLE, "Osaka")
    local.says("us.amazon.nova-micro-v1:0", "Kyoto")
    local.says(MODERATE, "Tokyo")
    seen = Runs()
    agreement = Agreement(model="us.amazon.nova-micro-v1:0")
    router = local.router(escalate=Escalation(agreement=agreement))

    message = router.invoke(EASY, {"callbacks": [seen]})

    assert message.content == "Tokyo"
    assert route_of(message)["escalation_reason"] == "agreement: a second model disagrees"
    assert local.models == [SIMPLE, "us.amazon.nova-micro-v1:0", MODERATE]
    assert seen.tiers == ["simple", None, "moderate"]
    assert "agreement" in seen.tags[1]
    assert router.escalation_stats().discarded_pico_usd > 0


async def test_two_cheap_models_that_agree_are_believed(local: Bedrock, ask: Ask) -> None:
    """Agreement keeps the cheap answer; a tier may be sampled twice, by its name."""
    local.says(SIMPLE, "Tokyo.", "tokyo")
    escalation = Escalation(agreement=Agreement(model="simple"))

    assert (await ask(local.router(escalate=escalation))).content == "Tokyo."
    assert local.models == [SIMPLE, SIMPLE]


def test_a_second_opinion_that_fails_is_none(local: Bedrock) -> None:
    """If the second model can't be reached, the first answer stands."""
    local.says(SIMPLE, "Tokyo")
    local.emulator.faults.add(Fault(code="AccessDeniedException", model_id=COMPLEX))
    escalation = Escalation(agreement=Agreement(model="complex"), break_even=False)

    assert local.router(escalate=escalation).invoke(EASY).content == "Tokyo"


def test_answers_agree_by_their_calls_or_texts() -> None:
    """Tool calls are compared by name and arguments, texts without case and punctuation."""
    one = AIMessage("", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "1"}])
    same = AIMessage("?", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "2"}])

    assert same_answer(one, same)
    assert not same_answer(one, AIMessage("f"))
    assert same_answer(AIMessage("１２ Ｔｏｋｙｏ!"), AIMessage("12 tokyo"))


# --- Bounds ---


def test_a_request_has_a_bound_on_its_cost(local: Bedrock) -> None:
    """An escalation that would cost more than allowed is not made, and the answer says why."""
    local.says(SIMPLE, REFUSAL)
    local.says(MODERATE, "東京です。")

    tight = local.router(escalate=Escalation(max_cost_usd=0.0000001)).invoke(EASY)
    loose = local.router(escalate=Escalation(max_cost_usd=1)).invoke(EASY)

    assert tight.content == REFUSAL
    assert route_of(tight)["escalation_reason"] == "refusal: the answer declines"
    assert loose.content == "東京です。"


def test_the_guard_asks_the_stronger_tier_at_once_and_says_so(local: Bedrock) -> None:
    """Once cheap-first is seen to cost more, its prompts go to the stronger tier directly."""
    local.says(SIMPLE, REFUSAL)
    local.says(MODERATE, "東京です。")
    guard = BreakEven(minimum=3, window=5, prior_trials=0)
    router = local.router(escalate=Escalation(break_even=guard))

    for _ in range(3):
        router.invoke(EASY)
    message = router.invoke(EASY, {"run_id": (run_id := RUN_ID)})

    assert local.models == [SIMPLE, MODERATE] * 3 + [MODERATE]
    assert route_of(message)["tier"] == "moderate"
    assert route_of(message)["reasons"][-1]["signal"] == "break_even"
    assert "escalated_from" not in route_of(message)
    assert str(run_id) in str(message.id)
    stats = router.escalation_stats()
    assert (stats.checked, stats.escalated, stats.passed_over) == (4, 3, 1)
    assert stats.rate == 0.75
    (balance,) = (balance for pair, balance in stats.pairs.items() if pair.cheap == SIMPLE)
    assert balance.saved_pico_usd < 0


@pytest.mark.parametrize(
    ("escalate", "message"),
    [
        ("yes", "escalate='yes': give True"),
        (7, "escalate=7: give True"),
    ],
)
def test_a_bad_policy_is_refused(local: Bedrock, escalate: Any, message: str) -> None:
    """Something that is no policy fails at construction in one line."""
    with pytest.raises(ConfigurationError, match=message):
        local.router(escalate=escalate)


def test_a_bad_check_is_refused() -> None:
    """Something that is no check fails at construction, and so does a negative bound."""
    checks: Any = ["refusal"]
    with pytest.raises(ConfigurationError, match="checks holds 'refusal'"):
        Escalation(checks=checks)
    with pytest.raises(ConfigurationError, match="max_cost_usd=-1 is negative"):
        Escalation(max_cost_usd=-1)
