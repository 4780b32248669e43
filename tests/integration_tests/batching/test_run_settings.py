"""A run that is submitted again with other settings goes by them, or says why not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from langchain_bedrock_opt.batching.run.batch_run import BatchRun
from langchain_bedrock_opt.emulator import OutputFault
from langchain_bedrock_opt.errors import (
    BatchCostError,
    BatchJobError,
    BatchTooSmallError,
    ConfigurationError,
)
from tests.batch_service import BatchService, make_batch_service
from tests.batch_toy import TEXTS, Calls, Toy, begin, check, services_for

OTHER_ROLE = "arn:aws:iam::123456789012:role/typo"


def test_a_higher_cost_limit_is_taken() -> None:
    """What a `BatchCostError` advises helps, under the same run id; nothing was left behind."""
    service = make_batch_service()
    with pytest.raises(BatchCostError, match="raise the limit"):
        begin(service, run_id="nightly", settings={"max_cost_usd": Decimal("0.000001")})
    assert service.keys() == []

    run = begin(service, run_id="nightly", settings={"max_cost_usd": Decimal(1)})

    check(list(run.results()), TEXTS)


def test_too_few_records_may_be_answered_the_second_time() -> None:
    """What a `BatchTooSmallError` advises helps, also with other limits and another chain."""
    service, other = make_batch_service(), Toy()
    other.fingerprint = "other"
    with pytest.raises(BatchTooSmallError, match="below_minimum"):
        begin(
            service,
            TEXTS[:3],
            run_id="nightly",
            program=other,
            settings={"below_minimum": "error", "min_records": 10, "max_records": 20},
            direct=Calls(service),
        )

    check(
        list(begin(service, TEXTS[:3], run_id="nightly", direct=Calls(service)).results()),
        TEXTS[:3],
    )


def refuse_role(service: BatchService, role_arn: str) -> None:
    create = service.bedrock.create_model_invocation_job

    def refusing(**request: Any) -> Any:
        if request["roleArn"] == role_arn:
            error: Any = {"Code": "AccessDeniedException", "Message": "iam:PassRole"}
            raise ClientError({"Error": error}, "CreateModelInvocationJob")
        return create(**request)

    service.bedrock.create_model_invocation_job = refusing


def test_a_mistyped_role_is_mended() -> None:
    """Jobs that are not there yet are made with the role of the last submit, attached or not."""
    service = make_batch_service()
    refuse_role(service, OTHER_ROLE)
    with pytest.raises(BatchJobError, match="PassRole"):
        begin(service, run_id="nightly", settings={"role_arn": OTHER_ROLE})

    run = begin(service, run_id="nightly")
    attached = BatchRun.attach(run.uri, program=Toy(), services=services_for(service))

    check(list(attached.results()), TEXTS)
    assert {service.get(job.arn)["roleArn"] for job in service.emulator.jobs.list()} == {
        service.role_arn
    }


def test_failed_records_may_be_sent_again_later() -> None:
    """`on_failed` of a later submit holds for a run that is over."""
    service = make_batch_service()
    service.emulator.jobs.faults.add(OutputFault(errors=6, error_code=429, times=1))
    first = list(begin(service, TEXTS[:10], run_id="nightly").results())

    again = begin(service, TEXTS[:10], run_id="nightly", settings={"on_failed": "resubmit"})

    assert sum(result.error is not None for result in first) == 6
    assert not any(result.error for result in again.results())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_records", 4),
        ("max_records", 11),
        ("max_file_bytes", 10**6),
        ("below_minimum", "flex"),
    ],
)
def test_records_are_not_cut_anew(name: str, value: Any) -> None:
    """A setting by which records were cut is named, with what it was, if it is another one."""
    service = make_batch_service()
    begin(service, run_id="nightly")

    with pytest.raises(ConfigurationError, match=f"was sent with {name}=.*{name}={value!r} was"):
        begin(service, run_id="nightly", settings={name: value})
