"""`Overflow`: what a provisioned throughput has no room for is answered on-demand, at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, EventStreamError

from langchain_bedrock_opt import (
    BedrockSemanticCache,
    BedrockUsageCallbackHandler,
    ChatBedrockRouter,
    InMemoryCacheStore,
)
from langchain_bedrock_opt.aws.layers import LayeredClient
from langchain_bedrock_opt.capacity.lanes.lane import Lane
from langchain_bedrock_opt.capacity.lanes.overflow import Overflow
from langchain_bedrock_opt.capacity.lanes.overflow_model import overflow_model
from langchain_bedrock_opt.chat_model import ChatBedrockOptimized
from langchain_bedrock_opt.emulator import BedrockEmulator, Fault, Quota
from langchain_bedrock_opt.errors import (
    ConfigurationError,
    InvalidRequestError,
    ModelIdError,
    ThrottledError,
)

ARN = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/lanes1234567"
BASE = "amazon.nova-lite-v1:0"
PROFILE = "us.amazon.nova-lite-v1:0"
MINUTE = 60.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bedrock() -> BedrockEmulator:
    return BedrockEmulator(provisioned={ARN: BASE})


def model_on(
    bedrock: BedrockEmulator, clock: Clock | None = None, **settings: Any
) -> ChatBedrockOptimized:
    """A model whose two legs are one client of the emulator's, without retries."""
    return overflow_model(
        ARN,
        **{"on_demand": PROFILE, "probe_after": MINUTE, "clock": clock or Clock(), **settings},
        client=bedrock.client(config=Config(retries={"total_max_attempts": 1})),
        bedrock_client=bedrock.client("bedrock"),
    )


def throttle(bedrock: BedrockEmulator, **how: Any) -> None:
    bedrock.faults.add(Fault(code="ThrottlingException", **{"model_id": ARN, **how}))


def asked(bedrock: BedrockEmulator) -> list[str]:
    """Which of the two each request went to."""
    names = {ARN: "provisioned", PROFILE: "on_demand"}
    return [names[call.model_id] for call in bedrock.journal.calls() if call.model_id in names]


def lane_of(answer: Any) -> dict[str, Any]:
    lane: dict[str, Any] = answer.response_metadata["bedrock_opt"]["lane"]
    return lane


def test_what_there_is_room_for_is_served_by_the_provisioned_throughput(
    bedrock: BedrockEmulator,
) -> None:
    """Without a throttle no call goes on-demand, and the report says who served it."""
    answer = model_on(bedrock).invoke("Hi")

    assert asked(bedrock) == ["provisioned"]
    assert lane_of(answer) == {"capacity": "provisioned"}
    assert answer.response_metadata["bedrock_opt"]["model_id"] == ARN


@pytest.mark.parametrize("streams", [False, True])
def test_a_throttled_call_is_answered_on_demand_at_once(
    bedrock: BedrockEmulator, *, streams: bool
) -> None:
    """The same request goes to the on-demand id, and the report names that."""
    throttle(bedrock)
    model = model_on(bedrock)

    answer: Any = None
    if streams:
        for chunk in model.stream("Hi"):
            answer = chunk if answer is None else answer + chunk
    else:
        answer = model.invoke("Hi")

    assert asked(bedrock) == ["provisioned", "on_demand"]
    assert lane_of(answer) == {"capacity": "on_demand", "overflow": "throttled"}
    told = answer.response_metadata["bedrock_opt"]
    assert (told["model_id"], "resolved_id" in told) == (PROFILE, False)


async def test_async_calls_overflow_likewise(bedrock: BedrockEmulator) -> None:
    """`ainvoke` and `astream` know of the same gate as `invoke`."""
    throttle(bedrock)
    model = model_on(bedrock)

    first = await model.ainvoke("Hi")
    chunks = [chunk async for chunk in model.astream("Hi again")]

    assert lane_of(first)["overflow"] == "throttled"
    assert asked(bedrock) == ["provisioned", "on_demand", "on_demand"]
    assert any(chunk.content for chunk in chunks)


def test_calls_stay_on_demand_for_a_minute_and_then_one_probes(
    bedrock: BedrockEmulator, clock: Clock
) -> None:
    """After a refusal nobody asks for `probe_after` seconds; a probe that is served ends it."""
    throttle(bedrock)
    model = model_on(bedrock, clock)
    lanes = [lane_of(model.invoke("1"))]

    clock.now += MINUTE - 1
    lanes.append(lane_of(model.invoke("2")))
    clock.now += 1
    lanes += [lane_of(model.invoke("3")), lane_of(model.invoke("4"))]

    assert asked(bedrock) == [
        *("provisioned", "on_demand"),
        "on_demand",
        *("provisioned", "provisioned"),
    ]
    assert [lane.get("overflow") for lane in lanes] == ["throttled", "cooling", None, None]


def test_a_probe_that_is_throttled_costs_nothing_but_another_minute(
    bedrock: BedrockEmulator, clock: Clock
) -> None:
    """The probe's own call is answered on-demand, and the next probe is a minute away."""
    throttle(bedrock, times=2)
    model = model_on(bedrock, clock)
    model.invoke("1")
    clock.now += MINUTE

    probe = model.invoke("2")
    clock.now += MINUTE - 1
    after = model.invoke("3")

    assert lane_of(probe)["overflow"] == "throttled"
    assert lane_of(after)["overflow"] == "cooling"


def test_of_many_calls_one_at_a_time_probes(bedrock: BedrockEmulator, clock: Clock) -> None:
    """While a probe is under way, all other threads' calls go on-demand."""
    arrived, may_answer = threading.Event(), threading.Event()

    class Slow:
        meta = SimpleNamespace(region_name="us-east-1")
        is_slow = False
        provisioned = 0

        def converse(self, modelId: str, **request: Any) -> Any:  # noqa: N803 - boto3's name
            if modelId == ARN:
                self.provisioned += 1
                if not self.is_slow:
                    raise ClientError({"Error": {"Code": "ThrottlingException"}}, "Converse")
                arrived.set()
                may_answer.wait(10)
            return {"by": modelId}

    base = Slow()
    client = LayeredClient(base, [Overflow(PROFILE, clock=clock)])
    client.converse(modelId=ARN)
    clock.now += MINUTE
    base.is_slow = True
    with ThreadPoolExecutor() as pool:
        probe = pool.submit(client.converse, modelId=ARN)
        arrived.wait(10)
        others = [client.converse(modelId=ARN) for _ in range(20)]
        may_answer.set()

    assert {other["by"] for other in others} == {PROFILE}
    assert probe.result()["by"] == ARN
    assert base.provisioned == 2


@pytest.mark.parametrize("after_events", [0, 1])
def test_a_stream_overflows_until_the_first_part_of_its_answer(
    bedrock: BedrockEmulator, after_events: int
) -> None:
    """A throttle inside the stream, before any text, is answered by another stream."""
    throttle(bedrock, after_events=after_events)

    chunks = list(model_on(bedrock).stream("Hi"))

    assert asked(bedrock) == ["provisioned", "on_demand"]
    assert sum(chunk.response_metadata.get("stopReason") is not None for chunk in chunks) == 1
    assert any(chunk.content for chunk in chunks)


def test_a_stream_that_breaks_after_a_part_of_its_answer_is_raised(
    bedrock: BedrockEmulator,
) -> None:
    """What the consumer has seen is not told again by another model."""
    throttle(bedrock, after_events=3)

    with pytest.raises(ThrottledError):
        list(model_on(bedrock).stream("Write a long story"))
    assert asked(bedrock) == ["provisioned"]


def test_empty_deltas_are_no_part_of_an_answer() -> None:
    """A stream that fails after an empty text overflows; one after reasoning does not."""
    closed: list[str] = []

    class Streams:
        meta = SimpleNamespace(region_name="us-east-1")

        def __init__(self, *deltas: dict[str, Any]) -> None:
            self.deltas = deltas

        def converse_stream(self, modelId: str) -> Any:  # noqa: N803 - boto3's name
            return {"stream": self.events(modelId)}

        def events(self, model_id: str) -> Iterator[Any]:
            try:
                yield {"messageStart": {"role": "assistant"}}
                for delta in self.deltas:
                    yield {"contentBlockDelta": {"contentBlockIndex": 0, "delta": delta}}
                if model_id == ARN:
                    raise EventStreamError({"Error": {"Code": "throttlingException"}}, "x")
                yield {"messageStop": {"stopReason": "end_turn"}}
            finally:
                closed.append(model_id)

    def read(*deltas: dict[str, Any]) -> int:
        client = LayeredClient(Streams(*deltas), [Overflow(PROFILE)])
        return len(list(client.converse_stream(modelId=ARN)["stream"]))

    assert read({"text": ""}, {"reasoningContent": {"text": ""}}, {"toolUse": {"input": ""}}) == 5
    assert closed == [ARN, PROFILE]
    for delta in ({"reasoningContent": {"text": "Hm"}}, {"toolUse": {"input": "{"}}):
        with pytest.raises(ThrottledError):
            read(delta)


def test_a_stream_that_is_left_gives_its_connection_back() -> None:
    """Closing the stream closes Bedrock's own, whether any of it was read or not."""
    closed: list[str] = []

    class Events:
        def __iter__(self) -> Iterator[Any]:
            yield {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Hi"}}}

        def close(self) -> None:
            closed.append("closed")

    base = SimpleNamespace(converse_stream=lambda **_: {"stream": Events()})
    stream = LayeredClient(base, [Overflow(PROFILE)]).converse_stream(modelId=ARN)["stream"]
    stream.close()

    assert closed


@pytest.mark.parametrize(
    "code", ["ModelNotReadyException", "ServiceUnavailableException", "InternalServerException"]
)
def test_a_throughput_that_is_not_available_overflows_too(
    bedrock: BedrockEmulator, code: str
) -> None:
    """What passes by itself is no reason to fail a call that on-demand can answer."""
    bedrock.faults.add(Fault(code=code, model_id=ARN))

    assert lane_of(model_on(bedrock).invoke("Hi")) == {
        "capacity": "on_demand",
        "overflow": "unavailable",
    }


def test_a_broken_connection_overflows() -> None:
    """What a provisioned throughput may have served costs no tokens, so nothing is paid twice."""

    class Breaks:
        def converse(self, modelId: str) -> Any:  # noqa: N803 - boto3's name
            if modelId == ARN:
                raise ConnectionClosedError(endpoint_url="https://bedrock.example")
            return {"by": modelId}

    response = LayeredClient(Breaks(), [Overflow(PROFILE)]).converse(modelId=ARN)

    assert response["bedrock_opt"]["lane"]["overflow"] == "unavailable"


@pytest.mark.parametrize("code", ["ValidationException", "AccessDeniedException"])
def test_what_the_throughput_refuses_for_good_is_raised(
    bedrock: BedrockEmulator, clock: Clock, code: str
) -> None:
    """A mistake in a request is told, keeps nobody away, and does not end a probe's turn."""
    bedrock.faults.add(Fault(code=code, model_id=ARN))
    model = model_on(bedrock, clock)

    with pytest.raises((InvalidRequestError, PermissionError)):
        model.invoke("Hi")
    assert lane_of(model.invoke("Hi")) == {"capacity": "provisioned"}

    throttle(bedrock)
    model.invoke("Hi")
    clock.now += MINUTE
    bedrock.faults.add(Fault(code=code, model_id=ARN))
    with pytest.raises((InvalidRequestError, PermissionError)):
        model.invoke("this one probes")
    assert lane_of(model.invoke("so does this one")) == {"capacity": "provisioned"}


def test_an_error_of_the_on_demand_leg_is_raised(bedrock: BedrockEmulator) -> None:
    """Where both are full the caller hears of it, with the model that refused last."""
    throttle(bedrock)
    throttle(bedrock, model_id=PROFILE)

    with pytest.raises(ThrottledError) as raised:
        model_on(bedrock).invoke("Hi")
    assert raised.value.model_id == PROFILE


def test_records_are_priced_by_who_served(bedrock: BedrockEmulator) -> None:
    """Provisioned calls cost no tokens; what overflowed costs what on-demand costs."""
    usage = BedrockUsageCallbackHandler()
    model = model_on(bedrock, callbacks=[usage])
    model.invoke("Hi")
    throttle(bedrock)
    model.invoke("Hi")
    list(model.stream("Hi"))

    provisioned, throttled, cooling = usage.ledger.records()
    assert (provisioned.model_id, provisioned.price_tier) == (ARN, "provisioned")
    assert (provisioned.cost_pico_usd, provisioned.price_source) == (0, "hourly")
    for record in (throttled, cooling):
        assert (record.model_id, record.resolved_id) == (PROFILE, None)
        assert (record.price_tier, record.price_source) == ("default", "shipped")
        assert record.cost_pico_usd
        assert record.cost_pico_usd == record.list_pico_usd


def test_an_application_profile_as_on_demand_has_its_own_price(bedrock: BedrockEmulator) -> None:
    """The model behind its ARN is asked for once, and is not taken for the throughput's."""
    name = "lanes7654321"
    profile = bedrock.models.register_application_profile("us.amazon.nova-pro-v1:0", name)
    usage = BedrockUsageCallbackHandler()
    throttle(bedrock)

    model_on(bedrock, on_demand=profile, callbacks=[usage]).invoke("Hi")

    (record,) = usage.ledger.records()
    assert (record.model_id, record.resolved_id) == (profile, "us.amazon.nova-pro-v1:0")
    assert record.cost_pico_usd


def test_a_cache_before_it_does_not_see_the_legs(bedrock: BedrockEmulator) -> None:
    """What on-demand has answered is a hit for the same request, whoever would serve it now."""
    throttle(bedrock)
    model = model_on(bedrock, cache=BedrockSemanticCache(InMemoryCacheStore()), temperature=0)
    first = model.invoke("Hi")
    again = model.invoke("Hi")

    assert asked(bedrock) == ["provisioned", "on_demand"]
    assert again.content == first.content
    assert again.response_metadata["bedrock_opt"]["cache"]["status"] == "hit"
    assert "lane" not in again.response_metadata["bedrock_opt"]


def test_a_lane_before_it_reports_beside_it(bedrock: BedrockEmulator) -> None:
    """A throughput has no tiers, so a lane asks for none, also of what overflows."""
    throttle(bedrock)

    answer = model_on(bedrock, layers=[Lane(service_tier="flex")]).invoke("Hi")

    assert lane_of(answer) == {
        "left_out": ["service_tier"],
        "capacity": "on_demand",
        "overflow": "throttled",
    }


def test_a_router_sees_no_throttle_of_a_tier_that_overflows(bedrock: BedrockEmulator) -> None:
    """A tier may be such a model: its tier answers, and no fallback is taken."""
    throttle(bedrock)
    router = ChatBedrockRouter(
        tiers={
            "simple": model_on(bedrock),
            "complex": ChatBedrockOptimized(
                model="us.amazon.nova-pro-v1:0", client=bedrock.client()
            ),
        }
    )

    answer = router.invoke("Hi")

    told = answer.response_metadata["bedrock_opt"]
    assert (told["route"]["tier"], told["route"].get("fallback_from")) == ("simple", None)
    assert told["lane"] == {"capacity": "on_demand", "overflow": "throttled"}
    assert asked(bedrock) == ["provisioned", "on_demand"]


@contextmanager
def played_by(bedrock: BedrockEmulator, *clients: Any) -> Iterator[None]:
    attachments = [bedrock.attach(client) for client in clients]
    try:
        yield
    finally:
        for attachment in attachments:
            attachment.detach()


def test_the_throughput_is_asked_once_and_on_demand_with_the_usual_retries(
    bedrock: BedrockEmulator,
) -> None:
    """A throttled request is sent to the ARN once, whatever retries the user asked for."""
    model = overflow_model(
        ARN,
        on_demand=PROFILE,
        base_model=BASE,
        region_name="us-east-1",
        max_retries=4,
        config=Config(read_timeout=77, retries={"mode": "adaptive"}),
    )
    (overflow,) = model.layers
    provisioned, on_demand = model.client.base, overflow._client.base
    usage = BedrockUsageCallbackHandler()
    throttle(bedrock, times=None)
    bedrock.faults.add(Fault(code="InternalServerException", model_id=PROFILE))
    with played_by(bedrock, provisioned, on_demand):
        answer = model.invoke("Hi", {"callbacks": [usage]})

    assert asked(bedrock) == ["provisioned", "on_demand", "on_demand"]
    assert lane_of(answer)["overflow"] == "throttled"
    assert {client.meta.config.read_timeout for client in (provisioned, on_demand)} == {77}
    (record,) = usage.ledger.records()
    assert (record.throttles, record.retries, record.region) == (1, 1, "us-east-1")


def test_quotas_of_the_throughput_overflow_and_end(clock: Clock) -> None:
    """A full minute of the throughput overflows, and after it a probe brings calls back."""
    bedrock = BedrockEmulator(
        provisioned={ARN: BASE},
        quotas={ARN: Quota(tokens_per_minute=100_000, requests_per_minute=2)},
        clock=clock,
    )
    model = model_on(bedrock, clock, max_tokens=50)

    lanes = [lane_of(model.invoke("Hi"))["capacity"] for _ in range(5)]
    clock.now += MINUTE
    lanes += [lane_of(model.invoke("Hi"))["capacity"] for _ in range(2)]

    assert lanes == ["provisioned"] * 2 + ["on_demand"] * 3 + ["provisioned"] * 2


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"on_demand": ARN}, ConfigurationError, "is a provisioned throughput"),
        ({"on_demand": "no model"}, ModelIdError, "no model"),
        ({"on_demand": PROFILE, "probe_after": 0}, ConfigurationError, "probe_after=0"),
    ],
)
def test_mistakes_are_told_at_construction(
    settings: dict[str, Any], error: type[Exception], says: str
) -> None:
    """What can't work is refused with the value and the fix."""
    with pytest.raises(error, match=says):
        Overflow(**settings)


def test_it_says_whether_it_is_cooling(bedrock: BedrockEmulator) -> None:
    """Who watches a process can see that its calls go on-demand."""
    model = model_on(bedrock)
    (overflow,) = model.layers
    before = overflow.is_cooling
    throttle(bedrock)
    model.invoke("Hi")

    assert (before, overflow.is_cooling) == (False, True)
