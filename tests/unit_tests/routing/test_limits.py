"""What rules tiers out besides abilities: places and money; and effort as a step before."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_aws import BedrockEmbeddings
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.language_models import FakeListChatModel
from langchain_core.tools import tool

from langchain_bedrock_opt import (
    BedrockEmulator,
    BedrockRoutingMiddleware,
    Budget,
    ChatBedrockOptimized,
)
from langchain_bedrock_opt.contracts import REPORT_KEY, RouteDecision
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing import (
    Agreement,
    ChatBedrockRouter,
    ComplexityScore,
    EmbeddingScorer,
    Escalation,
    JudgeScorer,
    LabelledVectors,
    Needs,
    PromptRouterScorer,
    RoutingPolicy,
    Tier,
    route,
)

MakeRouter = Callable[..., ChatBedrockRouter]

TIERS = [
    Tier(name="simple", model_id="a", images=False),
    Tier(name="moderate", model_id="b"),
    Tier(name="complex", model_id="c"),
]
HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
OPUS = "us.anthropic.claude-opus-4-6-v1"


class Fixed:
    """Gives every prompt the same score."""

    def __init__(self, value: float) -> None:
        self.value = value

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        return ComplexityScore(value=self.value)


# --- Data residency ---


def test_only_allowed_scopes_answer(make_router: MakeRouter) -> None:
    """With `scopes` a tier whose profile answers elsewhere is passed over, and says why."""
    tiers = {"world": f"global.{HAIKU}", "japan": f"jp.{HAIKU}"}

    decision = make_router(tiers, policy=RoutingPolicy(scopes=["jp."])).decide("Hi")

    assert decision.tier == "japan"
    assert decision.alternatives == ()
    (reason,) = [reason for reason in decision.reasons if reason.signal == "constraint"]
    assert "world lacks a place where data may go (it has scope global" in reason.detail


def test_a_forced_tier_does_not_leave_the_allowed_places(
    make_router: MakeRouter, bedrock: Any
) -> None:
    """No caller can force data to where the policy does not let it go."""
    tiers = {"world": f"global.{HAIKU}", "japan": f"jp.{HAIKU}"}
    router = make_router(tiers, policy=RoutingPolicy(scopes=["jp"]))

    with pytest.raises(ConfigurationError, match=r"'world' .* was forced, and lacks a place"):
        router.invoke("Hi", force="world")

    assert bedrock.requests == []


def test_regions_rule_out_profiles_unless_they_are_allowed(make_router: MakeRouter) -> None:
    """With `regions` alone, only what stays in the called region may answer."""
    bare = "amazon.nova-lite-v1:0"
    tiers = {"profile": f"us.{bare}", "here": bare}

    def chosen(**where: Any) -> str:
        return make_router(tiers, policy=RoutingPolicy(**where)).decide("Hi").tier

    assert chosen(regions=["us-east-1"]) == "here"
    assert chosen(regions=["us-east-1"], scopes=["us"]) == "profile"
    with pytest.raises(ConfigurationError, match=r"'here' lacks a place .* region us-east-1"):
        make_router(tiers, policy=RoutingPolicy(regions=["eu-west-1"]))


def test_what_is_not_known_of_a_place_is_not_allowed(make_router: MakeRouter) -> None:
    """An application profile may be a copy of a cross-region one, so it is refused."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
    provisioned = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc123"
    tiers = {"profile": arn, "provisioned": provisioned}

    router = make_router(
        tiers, policy=RoutingPolicy(regions=["us-east-1"]), base_model="amazon.nova-lite-v1:0"
    )

    assert router.decide("Hi").tier == "provisioned"


@pytest.mark.parametrize(
    ("model", "place"),
    [
        ("us.amazon.nova-micro-v1:0", "scope us"),
        ("big", "scope us"),
        (FakeListChatModel(responses=["?"]), "scope not known"),
    ],
)
def test_a_second_opinion_does_not_leave_the_allowed_places(
    make_router: MakeRouter, bedrock: Any, model: Any, place: str
) -> None:
    """A model that is to agree is refused where data may not go: an id, a tier or a chat model."""
    tiers = {"small": "jp.amazon.nova-2-lite-v1:0", "big": "us.amazon.nova-pro-v1:0"}
    policy = RoutingPolicy(scopes=["jp"])

    with pytest.raises(ConfigurationError, match=f"^Agreement model .* {place}, .*Give one that"):
        make_router(tiers, policy=policy, escalate=Escalation(agreement=Agreement(model=model)))
    allowed = Escalation(agreement=Agreement(model="jp.amazon.nova-2-lite-v1:0"))
    make_router(tiers, policy=policy, escalate=allowed).invoke("Hi")

    assert set(bedrock.models) == {"jp.amazon.nova-2-lite-v1:0"}


@pytest.mark.parametrize("door", ["router", "shadow", "middleware", "route"])
def test_a_scorer_does_not_send_prompts_out_of_the_allowed_places(
    make_router: MakeRouter, bedrock: Any, door: str
) -> None:
    """A judge that data may not go to is refused by every door before it has seen a prompt."""
    tiers = {"small": "jp.amazon.nova-2-lite-v1:0"}
    clients = {"client": bedrock, "bedrock_client": bedrock}
    far, near = (
        JudgeScorer(ChatBedrockOptimized(model=model, **clients))
        for model in ("us.amazon.nova-micro-v1:0", "jp.amazon.nova-2-lite-v1:0")
    )
    doors: dict[str, Callable[..., Any]] = {
        "router": partial(make_router, tiers),
        "shadow": partial(make_router, tiers, shadow="small"),
        "middleware": partial(BedrockRoutingMiddleware, tiers=tiers, **clients),
        "route": partial(route, tiers),
    }
    policy = RoutingPolicy(scopes=["jp"])

    with pytest.raises(ConfigurationError, match=r"^What JudgeScorer asks, us\.amazon.* scope us,"):
        doors[door](scorer=far, policy=policy)
    assert doors[door](scorer=near, policy=policy)
    assert doors[door](scorer=far)

    assert bedrock.requests == []


def test_a_prompt_router_is_not_known_to_stay(make_router: MakeRouter, bedrock: Any) -> None:
    """A scorer that asks Bedrock's prompt router, which sends to several regions, is refused."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/amazon.nova:1"
    options = {"client": bedrock, "bedrock_client": bedrock, "base_model": "amazon.nova-lite-v1:0"}
    scorer = PromptRouterScorer(arn, strong="amazon.nova-pro-v1:0", **options)
    here = {"here": "amazon.nova-lite-v1:0"}

    with pytest.raises(ConfigurationError, match=r"^What PromptRouterScorer asks, arn:aws"):
        make_router(here, scorer=scorer, policy=RoutingPolicy(regions=["us-east-1"]))


def test_embeddings_have_to_say_where_they_are(make_router: MakeRouter, bedrock: Any) -> None:
    """Bedrock's embeddings go by their model id and region, all others are refused."""
    here = {"here": "amazon.nova-lite-v1:0"}
    policy = RoutingPolicy(regions=["us-east-1"])
    examples = LabelledVectors([[1.0, 0.0], [0.0, 1.0]], [0.0, 1.0])

    def make(embeddings: Embeddings) -> ChatBedrockRouter:
        return make_router(here, scorer=EmbeddingScorer(embeddings, examples), policy=policy)

    def titan(region: str, model_id: str = "amazon.titan-embed-text-v2:0") -> BedrockEmbeddings:
        client = SimpleNamespace(meta=SimpleNamespace(region_name=region))
        return BedrockEmbeddings(client=client, model_id=model_id)

    assert make(titan("us-east-1"))
    with pytest.raises(ConfigurationError, match=r"titan.* lacks .* region eu-west-1"):
        make(titan("eu-west-1"))
    with pytest.raises(ConfigurationError, match=r"lacks .*scope global"):
        make(titan("us-east-1", "global.cohere.embed-v4:0"))
    with pytest.raises(ConfigurationError, match=r"DeterministicFakeEmbedding lacks .*not known"):
        make(DeterministicFakeEmbedding(size=2))


@pytest.mark.parametrize("where", [{"scopes": "jp"}, {"regions": "us-east-1"}, {"scopes": []}])
def test_places_are_lists(where: dict[str, Any]) -> None:
    """A single text or nothing at all, where a list of places belongs, is refused."""
    with pytest.raises(ConfigurationError, match="give a list of names"):
        RoutingPolicy(**where)


# --- A budget that is running out ---


def test_a_short_budget_pays_for_the_cheapest_able_tier() -> None:
    """Below the floor only the cheapest tier that can serve a request takes it."""
    left = 1.0
    policy = RoutingPolicy([0.3, 0.6], headroom=lambda: left)

    assert policy.choose(0.9, TIERS).tier.name == "complex"
    left = 0.05
    short = policy.choose(0.9, TIERS, Needs(at_least="complex"))

    assert short.tier.name == "simple"
    assert short.alternatives == ()
    assert [reason.signal for reason in short.reasons] == ["budget"]
    assert short.reasons[0].detail == "5% of the budget is left, less than 10%"
    assert policy.choose(0.9, TIERS, Needs(images=True)).tier.name == "moderate"


def test_a_budget_may_be_an_object() -> None:
    """Anything with `headroom()` is a budget."""

    class Empty:
        def headroom(self) -> float:
            return 0.0

    assert RoutingPolicy([0.3, 0.6], headroom=Empty()).choose(0.9, TIERS).tier.name == "simple"


def test_a_budget_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A budget that can't say what is left is logged and not asked further."""

    def broken() -> float:
        raise OSError("no ledger")

    choice = RoutingPolicy([0.3, 0.6], headroom=broken).choose(0.9, TIERS)

    assert choice.tier.name == "complex"
    assert "routing without it" in caplog.text


# --- Effort ---


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_harder_prompt_never_gets_less_effort(one: float, other: float) -> None:
    """Within a tier's band the effort rises with the score, from none to the most."""
    levels = ["low", "medium", "high"]
    tiers = [Tier(name="only", model_id="m", efforts=tuple(levels))]
    ladder = [None, *levels]
    policy = RoutingPolicy(effort=True)

    low, high = (ladder.index(policy.choose(score, tiers).effort) for score in sorted((one, other)))

    assert low <= high
    assert policy.choose(0.0, tiers).effort is None
    assert policy.choose(1.0, tiers).effort == "high"


@pytest.mark.parametrize(("score", "effort"), [(0.1, None), (0.55, "low"), (0.99, "high")])
def test_the_effort_reaches_the_wire_and_the_answer(
    make_router: MakeRouter, bedrock: Any, score: float, effort: str | None
) -> None:
    """A model with levels of effort is asked for one, and the decision says so."""
    router = make_router({"only": OPUS}, scorer=Fixed(score), policy=RoutingPolicy(effort=True))

    message = router.invoke("Hi")

    fields = bedrock.requests[0].get("additionalModelRequestFields") or {}
    assert fields.get("output_config", {}).get("effort") == effort
    route = message.response_metadata[REPORT_KEY]["route"]
    assert RouteDecision.from_dict(route).effort == effort
    assert ("effort" in route) is (effort is not None)


@pytest.mark.parametrize(
    "settings",
    [{"temperature": 0.2}, {"reasoning_effort": "low"}, {"top_p": 0.5}],
)
def test_what_the_user_has_set_up_stays_as_it_is(
    make_router: MakeRouter, bedrock: Any, settings: dict[str, Any]
) -> None:
    """A model with an effort of its own, or parameters that forbid thinking, is left alone."""
    router = make_router(
        {"only": OPUS}, scorer=Fixed(0.99), policy=RoutingPolicy(effort=True), **settings
    )

    assert router.decide("Hi").effort is None


def test_nothing_is_asked_of_models_without_levels(make_router: MakeRouter) -> None:
    """A model whose profile has no levels of effort is called as ever."""
    router = make_router(scorer=Fixed(0.99), policy=RoutingPolicy(effort=True))

    assert router.decide("Hi").effort is None


@pytest.mark.parametrize(("choice", "effort"), [(None, "high"), ("any", None)])
def test_a_forced_tool_is_not_thought_about(
    make_router: MakeRouter, bedrock: Any, choice: str | None, effort: str | None
) -> None:
    """Claude refuses to think while a tool is forced on it, so no effort is asked for then."""

    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    router = make_router({"only": OPUS}, scorer=Fixed(0.99), policy=RoutingPolicy(effort=True))

    message = router.bind_tools([add], tool_choice=choice).invoke("Hi")

    assert message.response_metadata[REPORT_KEY]["route"].get("effort") == effort
    assert bool(bedrock.requests[0].get("additionalModelRequestFields")) is (effort is not None)


def test_the_callers_own_effort_holds(make_router: MakeRouter, bedrock: Any) -> None:
    """`reasoning_effort=` of a call is not overruled, and not claimed by the decision."""
    router = make_router({"only": OPUS}, scorer=Fixed(0.99), policy=RoutingPolicy(effort=True))

    message = router.invoke("Hi", reasoning_effort="low")

    fields = bedrock.requests[0]["additionalModelRequestFields"]
    assert fields["output_config"] == {"effort": "low"}
    assert "effort" not in message.response_metadata[REPORT_KEY]["route"]


@pytest.mark.parametrize("model_id", [OPUS, "us.amazon.nova-2-lite-v1:0", "openai.gpt-oss-20b-1:0"])
def test_a_local_bedrock_takes_the_effort(model_id: str) -> None:
    """Each family of models takes the effort in the form of its own, streamed or not."""
    emulator = BedrockEmulator()
    router = ChatBedrockRouter(
        tiers={"only": model_id},
        scorer=Fixed(0.99),
        policy=RoutingPolicy(effort=True),
        client=emulator.client(),
        bedrock_client=emulator.client("bedrock"),
    )

    router.invoke("Hi")
    list(router.stream("Hi"))

    calls = emulator.journal.calls()
    assert [call.operation for call in calls] == ["Converse", "ConverseStream"]
    assert all("high" in str(call.params["additionalModelRequestFields"]) for call in calls)


def test_a_budget_by_tag_is_refused_as_a_gauge() -> None:
    """A budget that must be told whose it is can't be asked by a policy, and says what to do."""
    budget = Budget(5, by="tag:team")
    with pytest.raises(ConfigurationError, match="headroom=lambda"):
        RoutingPolicy(headroom=budget)
    assert RoutingPolicy(headroom=lambda: budget.headroom("search")).headroom is not None
