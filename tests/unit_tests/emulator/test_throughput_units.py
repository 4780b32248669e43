"""What model units take in a minute, and what is throttled beyond."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.model_units import UnitCapacity
from langchain_bedrock_opt.emulator import Quota, ScriptedResponder
from langchain_bedrock_opt.emulator.quota import UNKNOWN_MAX_TOKENS
from langchain_bedrock_opt.emulator.throughput.units import Allowance, Remaining, UnitMeter
from langchain_bedrock_opt.emulator.types import Reply, ServiceFailure
from tests.throughput_service import NOVA, SONNET, ThroughputService, make_throughput_service

ARN = "arn"
SMALL = UnitCapacity(input_per_minute=100, output_per_minute=50)


class Clock:
    """A clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def meter(capacity: UnitCapacity = SMALL, units: int = 1, clock: Clock | None = None) -> UnitMeter:
    return UnitMeter(lambda _arn: Allowance(units, capacity), clock=clock or Clock())


def reserve(units: UnitMeter, input_tokens: int, max_tokens: int | None = 0) -> Any:
    return units.reserve(ARN, NOVA, input_tokens=input_tokens, max_tokens=max_tokens)


def small_service(reply: Reply | None = None, **changes: Any) -> ThroughputService:
    """A service whose units of NOVA take 100 tokens in and 50 out; every answer has 10."""
    reply = reply or Reply(content=({"text": "Hi"},), input_tokens=5, output_tokens=10)
    responder = ScriptedResponder().when(lambda _request: True).reply(reply)
    return make_throughput_service(capacities={NOVA: SMALL}, responder=responder, **changes)


def test_a_call_holds_its_prompt_and_its_longest_answer() -> None:
    """A call is throttled that does not fit beside those in flight, by input or by output."""
    units = meter(units=2)
    reserve(units, 120, 60)
    assert units.remaining(ARN) == Remaining(input=80, output=40, total=None)
    for wanted in ((81, 1), (1, 41)):
        with pytest.raises(ServiceFailure) as caught:
            reserve(units, *wanted)
        assert (caught.value.code, caught.value.status) == ("ThrottlingException", 429)
    reserve(units, 80, 40)
    assert units.remaining(ARN) == Remaining(input=0, output=0, total=None)


def test_what_a_call_did_not_take_comes_back() -> None:
    """Settled, a call takes what it used, without what it read from the cache; once only."""
    units = meter()
    held = reserve(units, 90, 50)
    assert held.settle(input_tokens=20, cache_write=10, output_tokens=5) == 35
    held.release()
    assert units.remaining(ARN) == Remaining(input=70, output=45, total=None)


def test_a_call_that_failed_takes_nothing() -> None:
    """Released, a call gives back all that it held."""
    units = meter()
    reserve(units, 90, 50).release()
    assert units.remaining(ARN) == Remaining(input=100, output=50, total=None)


def test_each_minute_begins_empty() -> None:
    """A new minute has all its tokens, and calls that began before it change nothing in it."""
    clock = Clock()
    units = meter(clock=clock)
    held = reserve(units, 100, 50)
    clock.now = 59.9
    with pytest.raises(ServiceFailure):
        reserve(units, 1)
    clock.now = 60.0
    held.settle(input_tokens=100, cache_write=0, output_tokens=50)
    assert units.remaining(ARN) == Remaining(input=100, output=50, total=None)


def test_a_total_counts_input_and_output_together() -> None:
    """Where a unit has a total only, prompts and answers share it."""
    units = meter(UnitCapacity(total_per_minute=100))
    reserve(units, 70, 20)
    assert units.remaining(ARN) == Remaining(input=None, output=None, total=10)
    with pytest.raises(ServiceFailure):
        reserve(units, 1, 10)


@pytest.mark.parametrize("max_tokens", [None, 71, 100_000])
def test_an_answer_longer_than_a_minute_takes_a_whole_one(max_tokens: int | None) -> None:
    """A call that may write more than the units do is admitted to a minute that is empty."""
    assert UNKNOWN_MAX_TOKENS > 50
    for capacity in (SMALL, UnitCapacity(total_per_minute=100)):
        units = meter(capacity)
        reserve(units, 30, max_tokens)
        left = units.remaining(ARN)
        assert left is not None
        assert 0 in (left.output, left.total)
        with pytest.raises(ServiceFailure):
            reserve(units, 0, max_tokens)


def test_a_prompt_longer_than_a_minute_is_never_admitted() -> None:
    """A prompt that the units can't take in a minute is throttled whenever it comes."""
    for capacity in (SMALL, UnitCapacity(total_per_minute=100)):
        with pytest.raises(ServiceFailure):
            reserve(meter(capacity), 101)


steps = st.lists(
    st.tuples(
        st.integers(0, 60),  # input
        st.integers(0, 40),  # the longest answer
        st.floats(0, 1),  # the share of it that is written
        st.integers(0, 3),  # calls that end before this one begins
        st.sampled_from((0.0, 0.0, 7.0, 25.0, 60.0)),  # seconds before it begins
    ),
    max_size=40,
)
capacities = st.builds(
    UnitCapacity,
    input_per_minute=st.none() | st.integers(1, 80),
    output_per_minute=st.integers(1, 60),
    total_per_minute=st.none() | st.integers(1, 120),
)


@settings(max_examples=100, deadline=None)
@given(capacities, st.integers(1, 3), steps)
def test_a_minute_takes_what_fits_and_never_more(
    capacity: UnitCapacity, units: int, calls: list[tuple[int, int, float, int, float]]
) -> None:
    """Beside a log of all calls: each is admitted exactly if it fits what its minute holds."""
    clock = Clock()
    counted = meter(capacity, units, clock)
    limits = Allowance(units, capacity).limits
    log: list[list[int]] = []  # the minute, the input and the output of each admitted call
    in_flight: list[tuple[Any, list[int], int]] = []
    for tokens_in, asked, share, ended, seconds in calls:
        for held, entry, output in in_flight[:ended]:
            held.settle(input_tokens=entry[1], cache_write=0, output_tokens=output)
            entry[2] = output
        del in_flight[:ended]
        clock.now += seconds
        minute = int(clock.now // 60)
        # Longer answers than a minute has room for are a test of their own.
        room = (limits.output, None if limits.total is None else limits.total - tokens_in)
        longest = min([asked, *(max(0, most) for most in room if most is not None)])
        used = Counter({"in": tokens_in, "out": longest})
        for entry in log:
            if entry[0] == minute:
                used.update({"in": entry[1], "out": entry[2]})
        wanted = (used["in"], used["out"], used["in"] + used["out"])
        fits = all(
            most is None or tokens <= most for tokens, most in zip(wanted, limits, strict=True)
        )
        try:
            held = reserve(counted, tokens_in, longest)
        except ServiceFailure:
            assert not fits
            continue
        assert fits
        entry = [minute, tokens_in, longest]
        log.append(entry)
        in_flight.append((held, entry, int(longest * share)))


def test_the_guides_capacity_holds_unless_told_otherwise() -> None:
    """A unit of the guide's model takes the guide's tokens; other models have no limit."""
    service = make_throughput_service()
    sonnet = service.create("sonnet", modelUnits=2, modelId=f"{SONNET}:28k")
    units = service.emulator.throughput.units
    assert units.remaining(sonnet) == Remaining(input=360_000, output=72_000, total=None)
    assert units.remaining(service.create("nova", modelId=NOVA)) is None
    unlimited = make_throughput_service(capacities={SONNET: None})
    assert unlimited.emulator.throughput.units.remaining(unlimited.create()) is None


def test_calls_beyond_the_units_are_throttled_until_the_next_minute() -> None:
    """Five calls of ten tokens fill a unit's fifty; the sixth waits for the next minute."""
    service = small_service()
    arn = service.create(modelId=NOVA)
    for _ in range(5):
        service.say(arn, max_tokens=10)
    with pytest.raises(ClientError, match="Too many tokens") as caught:
        service.say(arn, max_tokens=10)
    assert caught.value.response["Error"]["Code"] == "ThrottlingException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert service.emulator.journal.calls("Converse")[-1].usage is None
    service.clock.sleep(60)
    service.say(arn, max_tokens=10)


def test_twice_the_units_take_twice_the_calls() -> None:
    """Each throughput has units of its own, and as many times a unit's tokens as units."""
    service = small_service()
    for name, units in (("one", 1), ("two", 2)):
        arn = service.create(name, modelId=NOVA, modelUnits=units)
        for _ in range(5 * units):
            service.say(arn, max_tokens=10)
        with pytest.raises(ClientError, match="ThrottlingException"):
            service.say(arn, max_tokens=10)


def test_streams_and_native_calls_take_units_too() -> None:
    """A stream takes what it has written when it is over; InvokeModel takes the same tokens."""
    service = small_service()
    arn = service.create(modelId=NOVA)
    units = service.emulator.throughput.units
    messages = [{"role": "user", "content": [{"text": "Hello!"}]}]
    stream = service.runtime.converse_stream(
        modelId=arn, messages=messages, inferenceConfig={"maxTokens": 30}
    )["stream"]
    left = units.remaining(arn)
    assert left is not None
    assert left.output == 20
    list(stream)
    assert units.remaining(arn) == Remaining(input=95, output=40, total=None)
    service.runtime.invoke_model(
        modelId=arn,
        body='{"messages": [{"role": "user", "content": [{"text": "Hello!"}]}],'
        ' "inferenceConfig": {"maxTokens": 30}}',
    )
    assert units.remaining(arn) == Remaining(input=90, output=30, total=None)


def test_embeddings_take_input_only() -> None:
    """An embedding model's unit is filled by its inputs."""
    model_id = "amazon.titan-embed-text-v2:0"
    service = make_throughput_service(capacities={model_id: SMALL})
    arn = service.create(modelId=model_id)
    service.runtime.invoke_model(modelId=arn, body='{"inputText": "Hello there"}')
    left = service.emulator.throughput.units.remaining(arn)
    assert left is not None
    assert (left.input or 100) < 100
    assert left.output == 50


def test_a_failed_answer_takes_no_units() -> None:
    """Where the model fails the tokens come back."""
    failure = ServiceFailure("ModelErrorException", "The model failed.")
    service = make_throughput_service(
        capacities={NOVA: SMALL}, responder=ScriptedResponder([failure])
    )
    arn = service.create(modelId=NOVA)
    with pytest.raises(ClientError, match="The model failed"):
        service.say(arn, max_tokens=40)
    left = service.emulator.throughput.units.remaining(arn)
    assert left == Remaining(input=100, output=50, total=None)


def test_units_and_on_demand_quotas_are_apart() -> None:
    """A provisioned call takes nothing of its model's quota, and an on-demand one no units."""
    service = small_service(quotas={NOVA: Quota(tokens_per_minute=200)})
    arn = service.create(modelId=NOVA)
    service.say(arn)
    service.say(NOVA)
    quota = service.emulator.quota
    assert quota.remaining(NOVA, NOVA) == 200 - 15
    assert service.emulator.throughput.units.remaining(arn) == Remaining(
        input=95, output=40, total=None
    )


def test_a_quota_of_its_own_holds_instead_of_the_units() -> None:
    """A quota that a test gives to a throughput's ARN is the only limit of that throughput."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdef123456"
    service = small_service(quotas={arn: Quota(tokens_per_minute=1_000)}, provisioned={arn: NOVA})
    for _ in range(10):
        service.say(arn, max_tokens=10)
    assert service.emulator.quota.remaining(arn, NOVA) == 1_000 - 150
    assert service.emulator.throughput.units.remaining(arn) == Remaining(
        input=100, output=50, total=None
    )


def test_counting_tokens_takes_no_units() -> None:
    """CountTokens is answered behind a throughput's ARN, and costs nothing of it."""
    model_id = "anthropic.claude-3-5-haiku-20241022-v1:0"
    service = make_throughput_service(capacities={model_id: SMALL})
    arn = service.create(modelId=model_id)
    messages = [{"role": "user", "content": [{"text": "Hello!"}]}]
    answer = service.runtime.count_tokens(modelId=arn, input={"converse": {"messages": messages}})
    assert answer["inputTokens"] > 0
    left = service.emulator.throughput.units.remaining(arn)
    assert left == Remaining(input=100, output=50, total=None)
