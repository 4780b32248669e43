"""Another tier stands in for one that can't be reached, and gets parameters it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_aws import ChatBedrockConverse
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import BaseMessage, HumanMessage

from langchain_bedrock_opt.contracts import REPORT_KEY
from langchain_bedrock_opt.emulator import BedrockEmulator
from langchain_bedrock_opt.emulator.faults import Fault
from langchain_bedrock_opt.errors import (
    AccessDeniedError,
    ConfigurationError,
    InvalidRequestError,
    ThrottledError,
    UnknownTierError,
)
from langchain_bedrock_opt.routing import ChatBedrockRouter
from langchain_bedrock_opt.routing.recovery.fallback import FallbackOrder
from langchain_bedrock_opt.routing.recovery.translation import translate
from langchain_bedrock_opt.usage import BedrockUsageCallbackHandler

EASY = "日本の首都は?"
NAMES = ["simple", "moderate", "complex"]
SIMPLE, MODERATE = "us.amazon.nova-lite-v1:0", "us.anthropic.claude-haiku-4-5-20251001-v1:0"
COMPLEX = "us.anthropic.claude-opus-4-7"

Throttle = Callable[..., Fault]


@pytest.fixture
def emulator() -> BedrockEmulator:
    return BedrockEmulator()


@pytest.fixture
def throttle(emulator: BedrockEmulator) -> Throttle:
    """Makes a tier fail."""

    def add(model_id: str, code: str = "ThrottlingException", **kwargs: Any) -> Fault:
        return emulator.faults.add(Fault(code=code, model_id=model_id, times=None, **kwargs))

    return add


@pytest.fixture
def make(emulator: BedrockEmulator) -> Callable[..., ChatBedrockRouter]:
    """Makes routers over the emulator; boto3 itself does not retry."""
    from botocore.config import Config

    client = emulator.client(config=Config(retries={"total_max_attempts": 1}))

    def router(fallback: Any = "next", **kwargs: Any) -> ChatBedrockRouter:
        tiers = dict(zip(NAMES, (SIMPLE, MODERATE, COMPLEX), strict=True))
        arguments = {"tiers": tiers, "client": client, "bedrock_client": client, **kwargs}
        return ChatBedrockRouter(fallback=fallback, **arguments)

    return router


def route_of(message: BaseMessage) -> dict[str, Any]:
    route: dict[str, Any] = message.response_metadata[REPORT_KEY]["route"]
    return route


def models(emulator: BedrockEmulator) -> list[str | None]:
    return [entry.model_id for entry in emulator.journal.calls()]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream", "generate", "agenerate"])
async def test_a_throttled_tier_is_stood_in_for(
    make: Callable[..., ChatBedrockRouter], throttle: Throttle, way: str
) -> None:
    """However the router is called, the next tier answers, and the answer says for whom."""
    throttle(SIMPLE)
    router, usage = make(), BedrockUsageCallbackHandler()
    config: Any = {"callbacks": [usage]}
    prompts: list[list[BaseMessage]] = [[HumanMessage(EASY)]]
    message: BaseMessage
    if way == "invoke":
        message = router.invoke(EASY, config)
    elif way == "ainvoke":
        message = await router.ainvoke(EASY, config)
    elif way == "stream":
        message = list(router.stream(EASY, config))[0]  # noqa: RUF015 - all are read
    elif way == "astream":
        message = [chunk async for chunk in router.astream(EASY, config)][0]  # noqa: RUF015 - all are read
    elif way == "generate":
        message = router.generate(prompts, **config).generations[0][0].message  # type: ignore[union-attr]
    else:
        result = await router.agenerate(prompts, **config)
        message = result.generations[0][0].message  # type: ignore[union-attr]

    assert route_of(message)["tier"] == "moderate"
    assert route_of(message)["fallback_from"] == "simple"
    assert not route_of(message)["forced"]
    failed, answered = usage.ledger.records()
    assert (failed.model_id, failed.status, failed.error) == (
        SIMPLE,
        "error",
        "ThrottlingException",
    )
    assert (answered.model_id, answered.status) == (MODERATE, "ok")
    assert answered.route is not None
    assert answered.route.fallback_from == "simple"


async def test_an_error_inside_a_stream_before_its_first_word_is_stood_in_for(
    make: Callable[..., ChatBedrockRouter], throttle: Throttle
) -> None:
    """A stream that has only been opened has told nobody anything."""
    throttle(SIMPLE, after_events=1)
    router = make()

    assert route_of(next(iter(router.stream(EASY))))["tier"] == "moderate"
    assert route_of(await anext(router.astream(EASY)))["tier"] == "moderate"


async def test_an_error_after_the_first_word_is_the_callers(
    make: Callable[..., ChatBedrockRouter], throttle: Throttle, emulator: BedrockEmulator
) -> None:
    """Once something was streamed no other tier goes on in its place."""
    throttle(SIMPLE, after_events=4)
    router = make()
    stream = router.stream(EASY)

    assert next(stream).content is not None
    with pytest.raises(ThrottledError):
        list(stream)
    with pytest.raises(ThrottledError):
        _ = [chunk async for chunk in router.astream(EASY)]

    assert models(emulator) == [SIMPLE, SIMPLE]


@pytest.mark.parametrize(
    ("code", "error"),
    [("AccessDeniedException", AccessDeniedError), ("ValidationException", InvalidRequestError)],
)
def test_what_another_tier_would_not_mend_is_raised(
    make: Callable[..., ChatBedrockRouter],
    throttle: Throttle,
    emulator: BedrockEmulator,
    code: str,
    error: type[Exception],
) -> None:
    """Missing access and bad requests are the caller's to know, at once."""
    throttle(SIMPLE, code)

    with pytest.raises(error):
        make().invoke(EASY)
    assert models(emulator) == [SIMPLE]


def test_each_tier_is_asked_once_and_the_last_error_tells_the_first(
    make: Callable[..., ChatBedrockRouter], throttle: Throttle, emulator: BedrockEmulator
) -> None:
    """When no tier is left, the last error is raised from the first."""
    throttle(SIMPLE)
    throttle(MODERATE, "ServiceUnavailableException")
    throttle(COMPLEX)

    with pytest.raises(ThrottledError) as caught:
        make().invoke(EASY)

    assert models(emulator) == [SIMPLE, MODERATE, COMPLEX]
    assert caught.value.model_id == COMPLEX
    assert isinstance(caught.value.__cause__, ThrottledError)
    assert caught.value.__cause__.model_id == SIMPLE


def test_above_the_strongest_the_next_weaker_tier_stands_in(
    make: Callable[..., ChatBedrockRouter], throttle: Throttle, emulator: BedrockEmulator
) -> None:
    """`next` goes up, and from the top down."""
    from langchain_bedrock_opt.routing import RoutingPolicy

    throttle(COMPLEX)
    policy = RoutingPolicy({"moderate": 0.0, "complex": 0.0})

    assert route_of(make(policy=policy).invoke(EASY))["tier"] == "moderate"


def test_a_dict_names_who_stands_in(
    make: Callable[..., ChatBedrockRouter], throttle: Throttle, emulator: BedrockEmulator
) -> None:
    """Only the named tier is asked, and a tier without an entry has nobody."""
    throttle(SIMPLE)
    assert route_of(make({"simple": "complex"}).invoke(EASY))["tier"] == "complex"

    with pytest.raises(ThrottledError):
        make({"moderate": "complex"}).invoke(EASY)


def test_a_tier_that_the_caller_named_has_nobody(
    make: Callable[..., ChatBedrockRouter], throttle: Throttle
) -> None:
    """A forced tier's error is what the caller gets."""
    throttle(SIMPLE)

    with pytest.raises(ThrottledError):
        make().invoke(EASY, force="simple")


async def test_a_native_json_schema_is_asked_of_another_tier(
    make: Callable[..., ChatBedrockRouter], throttle: Throttle, emulator: BedrockEmulator
) -> None:
    """Structured output by the tiers' own ways falls back as well, to a tier that has them."""
    throttle(MODERATE)
    schema = {"title": "Town", "type": "object", "properties": {"name": {"type": "string"}}}
    model = make().with_structured_output(schema, method="json_schema", include_raw=True)

    answers: list[Any] = [model.invoke(EASY), await model.ainvoke(EASY)]

    for answer in answers:
        assert route_of(answer["raw"])["tier"] == "complex"
        assert route_of(answer["raw"])["fallback_from"] == "moderate"
    assert models(emulator) == [MODERATE, COMPLEX] * 2


def test_a_plain_langchain_model_is_stood_in_for(emulator: BedrockEmulator) -> None:
    """Tiers that raise botocore's own errors fall back as well."""
    from botocore.config import Config

    emulator.faults.add(Fault(code="ThrottlingException"))
    client = emulator.client(config=Config(retries={"total_max_attempts": 1}))
    plain = ChatBedrockConverse(model=SIMPLE, client=client, bedrock_client=client)
    router = ChatBedrockRouter(
        tiers={"a": plain, "b": FakeListChatModel(responses=["from b"])}, fallback="next"
    )

    assert router.invoke(EASY).content == "from b"


def test_tools_stay_bound_and_parameters_fit_the_other_model(
    make: Callable[..., ChatBedrockRouter], throttle: Throttle, emulator: BedrockEmulator
) -> None:
    """A call's temperature and length become what the newest Claude models take."""
    throttle(SIMPLE)

    def weather(city: str) -> str:
        """The weather of a city."""
        return city

    router = make({"simple": "complex"}).bind_tools([weather])
    router.invoke(EASY, temperature=0.2, top_p=0.9, max_tokens=500_000)

    sent = emulator.journal.calls()[-1].params
    assert sent["inferenceConfig"] == {"maxTokens": 128_000}
    assert sent["toolConfig"]["tools"][0]["toolSpec"]["name"] == "weather"


# --- The order ---


@given(
    start=st.sampled_from(NAMES),
    able=st.sets(st.sampled_from(NAMES)),
    fallback=st.sampled_from(["next"])
    | st.dictionaries(st.sampled_from(NAMES), st.sampled_from(NAMES)).filter(
        lambda names: all(a != b for a, b in names.items())
    ),
)
def test_the_order_ends_and_asks_no_tier_twice(start: str, able: set[str], fallback: Any) -> None:
    """From any tier, by any rule, able tiers are asked once each at most."""
    order, tried = FallbackOrder(fallback, NAMES), [start]
    while (tier := order.after(tried[-1], able=able, tried=tried)) is not None:
        assert tier in able
        tried.append(tier)

    assert len(set(tried)) == len(tried)
    if fallback == "next":
        assert set(tried) == able | {start}


@pytest.mark.parametrize(
    ("fallback", "error", "message"),
    [
        ("up", ConfigurationError, "fallback='up': give 'next'"),
        ({"simple": "huge"}, UnknownTierError, "fallback names 'huge': tiers are simple"),
        ({"simple": "simple"}, ConfigurationError, "a tier can't be its own"),
    ],
)
def test_a_bad_fallback_is_refused(
    make: Callable[..., ChatBedrockRouter], fallback: Any, error: type[Exception], message: str
) -> None:
    """A fallback that can't work fails at construction in one line."""
    with pytest.raises(error, match=message):
        make(fallback)


# --- Translation ---


def model(model_id: str, **profile: Any) -> Any:
    known: Any = profile
    return FakeModel(responses=["x"], model_id=model_id, profile=known)


class FakeModel(FakeListChatModel):
    model_id: str


OLD = "us.anthropic.claude-sonnet-4-20250514-v1:0"
THINKING = {"thinking": {"type": "enabled", "budget_tokens": 8000}, "top_k": 5}


@pytest.mark.parametrize(
    ("given_", "target", "expected"),
    [
        ({"temperature": 0.1, "top_p": 0.9}, model(COMPLEX, temperature=False), {}),
        ({"temperature": 0.1, "top_p": 0.9}, model(OLD), {"temperature": 0.1}),
        ({"temperature": 0.1, "top_p": 0.9}, model(SIMPLE), {"temperature": 0.1, "top_p": 0.9}),
        ({"max_tokens": 90_000}, model(SIMPLE), {"max_tokens": 10_000}),
        ({"max_tokens": 9}, model(SIMPLE), {"max_tokens": 9}),
        ({"max_tokens": 9}, model("gateway/x", max_output_tokens=5), {"max_tokens": 5}),
        ({"reasoning_effort": "high"}, model(SIMPLE), {}),
        (
            {"reasoning_effort": "max"},
            model(COMPLEX, reasoning_effort_levels=["low", "high"]),
            {"reasoning_effort": "high"},
        ),
        (
            {"reasoning_effort": "low"},
            model(COMPLEX, reasoning_effort_levels=["low", "high"]),
            {"reasoning_effort": "low"},
        ),
        ({"additional_model_request_fields": THINKING}, model(SIMPLE), {}),
        (
            {"additional_model_request_fields": THINKING},
            model(OLD, reasoning_output=True),
            {"additional_model_request_fields": THINKING},
        ),
        (
            {"additional_model_request_fields": THINKING},
            model(OLD),
            {"additional_model_request_fields": {"top_k": 5}},
        ),
        (
            {"additional_model_request_fields": THINKING},
            model(COMPLEX, temperature=False, reasoning_effort_levels=["low", "medium", "high"]),
            {"additional_model_request_fields": {"top_k": 5}, "reasoning_effort": "medium"},
        ),
        (
            {"additional_model_request_fields": THINKING, "max_tokens": 4000},
            model(OLD, reasoning_output=True),
            {
                "additional_model_request_fields": {
                    "thinking": {"type": "enabled", "budget_tokens": 3744},
                    "top_k": 5,
                },
                "max_tokens": 4000,
            },
        ),
        (
            {"additional_model_request_fields": THINKING, "max_tokens": 1000},
            model(OLD, reasoning_output=True),
            {"additional_model_request_fields": {"top_k": 5}, "max_tokens": 1000},
        ),
        (
            {"performance_config": {"latency": "optimized"}, "stop": ["x"]},
            model(OLD),
            {"stop": ["x"]},
        ),
        ({"serviceTier": "flex", "stop": ["x"]}, model(OLD), {"stop": ["x"]}),
        (
            {"serviceTier": "default", "stop": ["x"]},
            model(OLD),
            {"serviceTier": "default", "stop": ["x"]},
        ),
    ],
)
def test_parameters_become_what_the_other_model_takes(
    given_: dict[str, Any], target: Any, expected: dict[str, Any]
) -> None:
    """What a model refuses is dropped, lowered or mapped; the caller's dicts stay as they were."""
    before = repr(given_)

    assert translate(given_, model(MODERATE), target) == expected
    assert repr(given_) == before
