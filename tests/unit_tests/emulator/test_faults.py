"""Faults that a local Bedrock was told to have."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Any

import botocore.session
import pytest

from langchain_bedrock_opt.emulator.faults import (
    DEFAULT_MESSAGES,
    STREAM_CODES,
    Fault,
    FaultPlan,
)
from langchain_bedrock_opt.emulator.types import Call
from langchain_bedrock_opt.errors import EmulatorError

NOVA = "amazon.nova-lite-v1:0"
THROTTLED = Fault(code="ThrottlingException")


def converse(model_id: str = NOVA, operation: str = "Converse") -> Call:
    return Call(
        service="bedrock-runtime",
        operation=operation,
        params={"modelId": model_id},
        request_id="1",
    )


def codes(plan: FaultPlan, calls: int) -> list[str | None]:
    faults = [plan.next_for(converse()) for _ in range(calls)]
    return [None if fault is None else fault.code for fault in faults]


def test_a_fault_happens_as_often_as_it_says() -> None:
    """After its times are used up, calls go through again."""
    plan = FaultPlan([Fault(code="ThrottlingException", times=2)])
    assert codes(plan, 4) == ["ThrottlingException", "ThrottlingException", None, None]


def test_a_fault_without_end_goes_on_until_it_is_cleared() -> None:
    """With no number of times, every call fails until the plan is cleared."""
    plan = FaultPlan([Fault(code="ThrottlingException", times=None)])
    assert codes(plan, 5) == ["ThrottlingException"] * 5
    plan.clear()
    assert codes(plan, 2) == [None, None]


def test_every_third_call_can_fail() -> None:
    """A rhythm counts the calls that match, and the number of times still ends it."""
    plan = FaultPlan([Fault(code="ThrottlingException", every=3, times=2)])
    assert codes(plan, 10) == [None, None, "ThrottlingException"] * 2 + [None] * 4


def test_faults_come_in_the_order_of_their_planning() -> None:
    """A script of different failures is played from its beginning."""
    plan = FaultPlan([THROTTLED])
    assert plan.add(Fault(code="ModelTimeoutException")).code == "ModelTimeoutException"
    assert codes(plan, 3) == ["ThrottlingException", "ModelTimeoutException", None]


@pytest.mark.parametrize(
    ("fault", "hit", "missed"),
    [
        ({"operation": "Converse"}, converse(), converse(operation="ConverseStream")),
        ({"model_id": NOVA}, converse(), converse("amazon.nova-pro-v1:0")),
        ({"model_id": NOVA}, converse(f"us.{NOVA}"), converse("not an id")),
        ({"model_id": f"us.{NOVA}"}, converse(f"us.{NOVA}"), converse()),
        ({"after_events": 2}, converse(operation="ConverseStream"), converse()),
    ],
)
def test_a_fault_meets_only_the_calls_it_is_about(
    fault: dict[str, Any], hit: Call, missed: Call
) -> None:
    """A fault of an operation, a model or a stream leaves other calls alone."""
    plan = FaultPlan([Fault(code="ThrottlingException", **fault)])
    assert plan.next_for(missed) is None
    assert plan.next_for(hit) is not None


def test_a_call_without_a_model_does_not_meet_a_model_s_fault() -> None:
    """A control-plane call is never taken for a model's."""
    plan = FaultPlan([Fault(code="ThrottlingException", model_id=NOVA)])
    listing = Call(service="bedrock", operation="ListPromptRouters", params={}, request_id="1")
    assert plan.next_for(listing) is None


def test_chance_is_seeded() -> None:
    """Two plans with one seed fail the same calls, and about as many as they say."""
    fault = Fault(code="ThrottlingException", probability=0.3, times=None)
    first = codes(FaultPlan([fault], chance=random.Random(7)), 200)
    second = codes(FaultPlan([fault], chance=random.Random(7)), 200)
    assert first == second
    assert 30 <= Counter(first)["ThrottlingException"] <= 90


def test_threads_share_the_number_of_times() -> None:
    """However many threads call at once, exactly the planned number of calls fails."""
    plan = FaultPlan([Fault(code="ThrottlingException", times=50)])
    hits: list[str | None] = []

    def ask() -> None:
        hits.extend(codes(plan, 50))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(hits) == {"ThrottlingException": 50, None: 350}


def test_a_fault_speaks_in_bedrocks_words_unless_it_has_its_own() -> None:
    """Without a message the code's usual one is sent; a status of one's own is kept."""
    assert THROTTLED.failure().message == "Too many requests, please wait before trying again."
    own = Fault(code="TeapotException", message="I am a teapot.", status=418).failure()
    assert (own.code, own.message, own.status) == ("TeapotException", "I am a teapot.", 418)


def test_every_code_of_the_service_has_a_message() -> None:
    """No modelled error of bedrock-runtime needs a message written by the user."""
    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    modelled = {shape.name for shape in model.error_shapes}
    assert modelled <= set(DEFAULT_MESSAGES)


def test_the_codes_of_a_stream_are_botocores() -> None:
    """A fault inside a stream can have the codes that the streams of botocore's model have."""
    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    events = (model.shape_for("ConverseStreamOutput"), model.shape_for("ResponseStream"))
    modelled = {
        name[0].upper() + name[1:]
        for shape in events
        for name, member in shape.members.items()  # type: ignore[attr-defined]
        if member.metadata.get("exception")
    }
    assert modelled == STREAM_CODES


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"code": "ThrotlingException"}, "'ThrotlingException' is not one of Bedrock's codes"),
        ({"code": "AccessDeniedException", "after_events": 1}, "can't come inside a stream"),
        ({"code": "ThrottlingException", "times": 0}, "times is 0: it must be at least 1"),
        ({"code": "ThrottlingException", "every": 0}, "every is 0"),
        ({"code": "ThrottlingException", "after_events": -1}, "after_events is -1"),
        ({"code": "ThrottlingException", "delay": -0.5}, "delay is -0.5"),
        ({"code": "ThrottlingException", "probability": 2}, "probability is 2"),
    ],
)
def test_a_fault_that_can_not_happen_is_refused(wrong: dict[str, Any], words: str) -> None:
    """A typo in a scripted fault fails at once, with the value and what would do."""
    with pytest.raises(EmulatorError, match=words):
        Fault(**wrong)
