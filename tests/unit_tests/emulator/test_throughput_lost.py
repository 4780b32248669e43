"""Calls that fail on the way to the service or on the way back."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from langchain_bedrock_opt.emulator import Fault
from langchain_bedrock_opt.emulator.engine import NO_STATUS
from langchain_bedrock_opt.errors import EmulatorError
from tests.throughput_service import NOVA, ThroughputService, make_throughput_service

CREATE = "CreateProvisionedModelThroughput"
MESSAGES = [{"role": "user", "content": [{"text": "Hello!"}]}]


@pytest.fixture
def service() -> ThroughputService:
    return make_throughput_service()


@pytest.mark.parametrize("after_work", [False, True])
def test_a_connection_is_cut_before_or_after_the_work(
    service: ThroughputService, *, after_work: bool
) -> None:
    """The caller sees a broken connection; whether it has bought shows later only."""
    service.emulator.faults.add(Fault(operation=CREATE, cut=True, after_work=after_work))
    with pytest.raises(ConnectionClosedError):
        service.create(clientRequestToken="token-1")

    assert service.names() == (["chat"] if after_work else [])
    (entry,) = service.emulator.journal.calls(CREATE)
    assert (entry.status, entry.error_code) == (NO_STATUS, None)
    service.create(clientRequestToken="token-1")
    assert service.emulator.throughput.purchases == 1


def test_an_error_comes_after_the_work(service: ThroughputService) -> None:
    """An error that comes after the work is in the journal as the caller has seen it."""
    service.emulator.faults.add(
        Fault(code="InternalServerException", operation=CREATE, after_work=True)
    )
    with pytest.raises(ClientError, match="InternalServerException"):
        service.create()
    assert service.names() == ["chat"]
    (entry,) = service.emulator.journal.calls(CREATE)
    assert (entry.status, entry.error_code) == (500, "InternalServerException")


def test_a_call_that_is_refused_gets_its_refusal(service: ThroughputService) -> None:
    """Where the service would not do the work there is no answer to lose."""
    service.create("chat")
    service.emulator.faults.add(Fault(operation=CREATE, cut=True, after_work=True))
    with pytest.raises(ClientError, match="already in use"):
        service.create("chat")
    entry = service.emulator.journal.calls(CREATE)[-1]
    assert (entry.status, entry.error_code) == (400, "ValidationException")


def test_botocores_own_retry_buys_once() -> None:
    """A client that tries again by itself sends the same token, and gets the first one's ARN."""
    service = make_throughput_service()
    patient = service.emulator.client(
        "bedrock", config=Config(retries={"total_max_attempts": 2, "mode": "standard"})
    )
    service.emulator.faults.add(Fault(operation=CREATE, cut=True, after_work=True))
    answer = patient.create_provisioned_model_throughput(
        modelUnits=1, provisionedModelName="chat", modelId=NOVA
    )
    assert service.get("chat")["provisionedModelArn"] == answer["provisionedModelArn"]
    assert service.emulator.throughput.purchases == 1
    assert service.emulator.journal.count(CREATE) == 2


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        (CREATE, lambda service: service.create()),
        ("GetProvisionedModelThroughput", lambda service: service.get("there")),
        ("ListProvisionedModelThroughputs", lambda service: service.names()),
        (
            "UpdateProvisionedModelThroughput",
            lambda service: service.update("there", desiredProvisionedModelName="x"),
        ),
        ("DeleteProvisionedModelThroughput", lambda service: service.delete("there")),
    ],
)
def test_every_operation_can_be_throttled(
    service: ThroughputService, operation: str, call: Any
) -> None:
    """A planned throttle meets its operation once; then the operation does its work."""
    service.create("there")
    service.emulator.faults.add(Fault(code="ThrottlingException", operation=operation))
    with pytest.raises(ClientError, match="ThrottlingException"):
        call(service)
    assert service.names() == ["there"]
    call(service)


@pytest.mark.parametrize("code", [None, "ServiceUnavailableException"])
def test_a_lost_answer_of_a_model_is_paid_for(service: ThroughputService, code: str | None) -> None:
    """Streamed or whole, the tokens of an answer that got lost are spent, and in the journal."""
    for operation in ("Converse", "ConverseStream"):
        service.emulator.faults.add(
            Fault(code=code, cut=code is None, operation=operation, after_work=True)
        )
    for ask in (service.runtime.converse, service.runtime.converse_stream):
        with pytest.raises((ConnectionClosedError, ClientError)):
            ask(modelId=NOVA, messages=MESSAGES)
    answer = service.runtime.converse(modelId=NOVA, messages=MESSAGES)

    *lost, answered = service.emulator.journal.calls()
    assert [entry.status for entry in lost] == [NO_STATUS if code is None else 503] * 2
    assert [entry.usage for entry in lost] == [answered.usage] * 2
    assert answered.usage is not None
    assert answered.usage.output == answer["usage"]["outputTokens"]


def test_connections_are_cut_over_http_too() -> None:
    """A client of the served emulator sees its connection closed, and the work done."""
    service = make_throughput_service()
    service.emulator.faults.add(Fault(operation=CREATE, cut=True, after_work=True))
    with service.emulator:
        client = service.emulator.client("bedrock", config=Config(retries={"max_attempts": 0}))
        with pytest.raises(ConnectionClosedError):
            client.create_provisioned_model_throughput(
                modelUnits=1, provisionedModelName="chat", modelId=NOVA
            )
        listed = client.list_provisioned_model_throughputs()["provisionedModelSummaries"]
    assert [each["provisionedModelName"] for each in listed] == ["chat"]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({}, "has a code, or else cut=True"),
        ({"code": "ThrottlingException", "cut": True}, "has a code, or else cut=True"),
        ({"cut": True, "after_events": 1}, "can't come inside a stream"),
        (
            {"code": "ThrottlingException", "after_work": True, "after_events": 1},
            "after the work or inside a stream",
        ),
    ],
)
def test_a_fault_has_one_meaning(fault: dict[str, Any], why: str) -> None:
    """A fault is an error or a cut connection, at one moment."""
    with pytest.raises(EmulatorError, match=why):
        Fault(**fault)
