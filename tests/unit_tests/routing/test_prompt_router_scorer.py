"""Amazon Bedrock's prompt routers, as a tier and as a scorer, on the emulator."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel

from langchain_bedrock_opt import (
    BedrockEmulator,
    BedrockUsageCallbackHandler,
    ChatBedrockOptimized,
    ChatBedrockRouter,
    ComplexityScorer,
)
from langchain_bedrock_opt.catalog.prices import price_of
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing import PromptRouterScorer, RoutingPolicy

LITE, PRO = "us.amazon.nova-lite-v1:0", "us.amazon.nova-pro-v1:0"
SHORT, LONG = "Hello!", "Compare the two plans in every respect. " * 20
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.fixture
def bedrock() -> BedrockEmulator:
    return BedrockEmulator(prompt_routers={"nova": [LITE, PRO]})


@pytest.fixture
def arn(bedrock: BedrockEmulator) -> str:
    return bedrock.models.prompt_routers[0].arn


@pytest.fixture
def clients(bedrock: BedrockEmulator) -> dict[str, Any]:
    return {"client": bedrock.client(), "bedrock_client": bedrock.client("bedrock")}


@pytest.fixture
def scorer(arn: str, clients: dict[str, Any]) -> PromptRouterScorer:
    return PromptRouterScorer(arn, strong="amazon.nova-pro-v1:0", **clients)


# --- As a tier ---


@pytest.mark.parametrize("door", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize(("prompt", "model"), [(SHORT, LITE), (LONG, PRO)])
async def test_a_prompt_router_is_a_tier(
    arn: str, clients: dict[str, Any], door: str, prompt: str, model: str
) -> None:
    """The answer says which model Bedrock's router took, and costs what that model costs."""
    usage = BedrockUsageCallbackHandler()
    router = ChatBedrockRouter(
        tiers={"either": arn, "complex": CLAUDE}, policy=RoutingPolicy([1.0]), **clients
    )
    config: Any = {"callbacks": [usage]}

    if door == "invoke":
        answer: Any = await asyncio.to_thread(router.invoke, prompt, config)
    elif door == "ainvoke":
        answer = await router.ainvoke(prompt, config)
    elif door == "stream":
        chunks = await asyncio.to_thread(lambda: list(router.stream(prompt, config)))
        answer = sum(chunks[1:], chunks[0])
    else:
        parts = [chunk async for chunk in router.astream(prompt, config)]
        answer = sum(parts[1:], parts[0])

    report = answer.response_metadata["bedrock_opt"]
    chosen = answer.response_metadata["trace"]["promptRouter"]["invokedModelId"]
    (record,) = usage.ledger.records()
    price = price_of(model)
    assert chosen.endswith(f"inference-profile/{model}")
    assert report["model_id"] == report["route"]["model_id"] == arn
    assert report["route"]["tier"] == "either"
    assert record.model_id == chosen
    assert price is not None
    assert record.usage is not None
    assert record.cost_pico_usd == price.cost(record.usage)


# --- As a scorer ---


@pytest.mark.parametrize("is_async", [False, True])
async def test_the_routers_choice_is_the_score(
    scorer: PromptRouterScorer, *, is_async: bool
) -> None:
    """A prompt for which Bedrock takes the strong model scores 1, any other 0."""
    scores = [
        await scorer.ascore(prompt) if is_async else await asyncio.to_thread(scorer.score, prompt)
        for prompt in (SHORT, LONG)
    ]

    assert [score.value for score in scores] == [0.0, 1.0]
    assert scores[1].reasons[0].signal == "prompt_router"
    assert scores[1].reasons[0].detail.endswith("picked amazon.nova-pro-v1:0")
    assert scorer.failures == 0


def test_a_choice_costs_one_short_request(
    scorer: PromptRouterScorer, bedrock: BedrockEmulator, arn: str
) -> None:
    """Each question is asked once, for one token of output."""
    for _ in range(3):
        scorer.score(SHORT)

    (call,) = bedrock.journal.calls(model_id=arn)
    assert call.params["inferenceConfig"]["maxTokens"] == 1
    assert call.usage is not None
    assert call.usage.output == 1


async def test_equal_prompts_share_one_choice(
    scorer: PromptRouterScorer, bedrock: BedrockEmulator, arn: str
) -> None:
    """Fifty equal prompts at once make one request."""
    await asyncio.gather(*(scorer.ascore(SHORT) for _ in range(50)))

    assert len(bedrock.journal.calls(model_id=arn)) == 1


def test_it_chooses_between_tiers_of_other_families(
    scorer: PromptRouterScorer, clients: dict[str, Any]
) -> None:
    """Bedrock's choice between two Nova models decides between tiers that are neither."""
    haiku = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
    router = ChatBedrockRouter(
        tiers={"simple": haiku, "complex": CLAUDE},
        scorer=scorer,
        policy=RoutingPolicy([0.5]),
        **clients,
    )

    assert router.decide(SHORT).tier == "simple"
    assert router.decide(LONG).tier == "complex"


def test_the_values_are_ones_own(arn: str, clients: dict[str, Any]) -> None:
    """The two scores can be set, and a model that is made already can ask."""
    model = ChatBedrockOptimized(model=arn, **clients)
    scorer = PromptRouterScorer(model, strong=PRO, when_strong=0.8, when_other=0.3)

    assert [scorer.score(prompt).value for prompt in (SHORT, LONG)] == [0.3, 0.8]


def test_a_model_that_routes_nothing_is_stood_in_for(
    clients: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """An answer without a router's choice is a failure, and the log says what to give."""
    scorer = PromptRouterScorer(LITE, strong=PRO, **clients)

    score = scorer.score(SHORT)

    assert score.value == ComplexityScorer().score(SHORT).value
    assert score.reasons[-1].detail == "ConfigurationError"
    assert "give model= the ARN of one" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"strong": "no model"}, "strong: 'no model'"),
        (
            {"strong": "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdef123456"},
            "does not name its model",
        ),
        ({"strong": PRO, "when_strong": 1.2}, "when_strong=1.2"),
        ({"strong": PRO, "when_strong": 0.2, "when_other": 0.2}, "must be above"),
        ({"strong": PRO, "only_between": (1, 0)}, "only_between="),
        ({"strong": PRO, "model": "no model"}, "model: 'no model'"),
        ({"strong": PRO, "model": FakeListChatModel(responses=[])}, "a prompt router's ARN"),
    ],
)
def test_mistakes_are_told_at_construction(
    arn: str, clients: dict[str, Any], arguments: Any, said: str
) -> None:
    """A setting that can't be is a configuration error that names it."""
    with pytest.raises(ConfigurationError, match=said):
        PromptRouterScorer(**{"model": arn, **clients, **arguments})


def test_settings_belong_to_the_model_that_is_made(arn: str, clients: dict[str, Any]) -> None:
    """Arguments for a model beside a model are refused."""
    model = ChatBedrockOptimized(model=arn, **clients)

    with pytest.raises(ConfigurationError, match="timeout: set them on the model"):
        PromptRouterScorer(model, strong=PRO, timeout=3)
