"""Failures 1 to 7 and 36: what can be known before anything is sent is said before."""

from __future__ import annotations

import base64
import json
import re
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_bedrock_opt.batching import FullPriceWarning
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from langchain_bedrock_opt.emulator import S3Fault
from langchain_bedrock_opt.errors import (
    BatchCostError,
    BatchStorageError,
    BatchTooSmallError,
    ConfigurationError,
    InvalidRequestError,
)
from tests.batch_models import batch_model, calls_of, inner_model, jobs_of, questions
from tests.batch_service import NOVA, BatchService, make_batch_service

LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
TITAN = "amazon.titan-text-express-v1"
# One pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def input_lines(service: BatchService) -> list[dict[str, Any]]:
    """The records that were uploaded."""
    keys = [key for key in service.keys("runs/") if "/input/" in key]
    return [json.loads(line) for key in keys for line in service.read(key).splitlines()]


@pytest.mark.parametrize(
    "wrong",
    [
        {"s3_uri": "s3://bucket/dt=2026-01-01/"},
        {"s3_uri": "s3://bucket/a b/"},
        {"s3_uri": "s3://bucket/run+1/"},
        {"s3_uri": "bucket/prefix"},
        {"role_arn": "arn:aws:iam::123456789012:user/me"},
        {"timeout_hours": 12},
        {"timeout_hours": 169},
    ],
)
def test_settings_that_no_job_takes_are_refused(
    batch_service: BatchService, wrong: dict[str, Any]
) -> None:
    """1: A prefix, role or timeout that a job does not take is refused at construction."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        batch_model(batch_service, **wrong)

    assert batch_service.keys() == []


@pytest.mark.parametrize("run_id", ["a b", "-x", "dt=1", "ü", "x" * 129])
def test_run_ids_that_no_job_takes_are_refused(batch_service: BatchService, run_id: str) -> None:
    """1: A run id that could not stand in S3 is refused before anything is uploaded."""
    with pytest.raises(ConfigurationError, match="run_id"):
        batch_model(batch_service).submit(questions(8), run_id=run_id)

    assert batch_service.keys() == []


@pytest.mark.parametrize("run_id", ["nightly_2026.11/b_c", "x_" * 64, None])
def test_what_is_sent_is_what_botocore_takes(
    batch_service: BatchService, run_id: str | None
) -> None:
    """1: Names, tokens and URIs of jobs have the patterns of botocore's model, whatever the id."""
    batch_model(batch_service).submit(questions(8), run_id=run_id)

    (call,) = batch_service.emulator.journal.calls("CreateModelInvocationJob")
    shape_for = batch_service.bedrock.meta.service_model.shape_for
    sent = {
        "ModelInvocationJobName": call.params["jobName"],
        "ModelInvocationIdempotencyToken": call.params["clientRequestToken"],
        "RoleArn": call.params["roleArn"],
    }
    for name, value in sent.items():
        metadata = shape_for(name).metadata
        assert re.fullmatch(metadata["pattern"], value), name
        assert len(value) <= metadata.get("max", len(value)), name
    for side in ("input", "output"):
        config = call.params[f"{side}DataConfig"][f"s3{side.title()}DataConfig"]
        metadata = shape_for("S3Uri").metadata
        assert re.fullmatch(metadata["pattern"], config["s3Uri"])
        assert len(config["s3Uri"]) <= metadata["max"]


def test_parameters_that_are_wrong_for_converse_are_refused(batch_service: BatchService) -> None:
    """2: Settings that botocore would refuse in a call are refused, before a job fails in hours."""
    inner = inner_model(batch_service, guardrail_config={"guardrail": "abc"})

    with pytest.raises(ConfigurationError, match="guardrailConfig"):
        batch_model(batch_service, inner)


def test_bodies_that_are_wrong_for_converse_are_refused(batch_service: BatchService) -> None:
    """2: Each form of message is held against botocore's model; what is wrong fails alone.

    A canary of 100 records would cost money and an hour, so there is none.
    """
    wrong: list[Any] = [
        [HumanMessage([{"type": "text", "text": {"secret": 1}}])],
        [HumanMessage([{"image": {"format": "png", "source": {"bytes": 5}}}])],
    ]

    outputs: list[Any] = batch_model(batch_service).batch(
        [*questions(5), *wrong], return_exceptions=True
    )

    assert all(isinstance(output, AIMessage) for output in outputs[:5])
    for output in outputs[5:]:
        assert isinstance(output, (InvalidRequestError, ValueError, TypeError))
        assert "secret" not in str(output)
    assert len(input_lines(batch_service)) == 5


def test_tools_go_where_jobs_take_them_or_are_refused(batch_service: BatchService) -> None:
    """2: Tools make an InvokeModel job; where the model's own format has none they are refused."""

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    with pytest.raises(ConfigurationError, match="tools"):
        batch_model(batch_service, inner_model(batch_service, LLAMA)).bind_tools([add])
    batch_model(batch_service).bind_tools([add]).batch(questions(5))

    (job,) = jobs_of(batch_service)
    assert job["modelInvocationType"] == "InvokeModel"
    assert job["successRecordCount"] == 5


def test_bytes_are_sent_as_base64(batch_service: BatchService) -> None:
    """3: An image's bytes come to the model as they were, through JSON."""
    image = {"type": "image", "base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"}
    prompts: list[Any] = [
        [HumanMessage([{"type": "text", "text": f"What is this? {place}"}, image])]
        for place in range(5)
    ]

    outputs = batch_model(batch_service).batch(prompts)

    assert all(isinstance(output, AIMessage) for output in outputs)
    for line in input_lines(batch_service):
        (sent,) = (b["image"] for b in line["modelInput"]["messages"][0]["content"] if "image" in b)
        assert base64.b64decode(sent["source"]["bytes"]) == PNG


def test_an_input_that_makes_no_record_fails_alone(batch_service: BatchService) -> None:
    """4: No prompt, no record or a record larger than a file: that index fails, others go on."""
    wrong: list[Any] = [
        17,
        [HumanMessage([{"type": "text", "text": object()}])],
        "x" * 6000,
    ]
    prompts = [*questions(3), *wrong, *questions(8)[3:]]

    outputs: list[Any] = batch_model(batch_service, max_file_bytes=5000).batch(
        prompts, return_exceptions=True
    )

    failed = [place for place, output in enumerate(outputs) if isinstance(output, Exception)]
    assert failed == [3, 4, 5]
    assert "6" in str(outputs[5])
    assert "shorten it" in str(outputs[5])
    assert len(input_lines(batch_service)) == 8


def test_too_few_are_single_calls_or_an_error(batch_service: BatchService) -> None:
    """5: Below the minimum: single calls, the flex tier, or an error before anything is sent.

    There is no `pad`: it would pay for records that nobody asked for.
    """
    with pytest.warns(FullPriceWarning, match="4 records are fewer than the 5"):
        assert len(batch_model(batch_service).batch(questions(4))) == 4
    with pytest.raises(BatchTooSmallError):
        batch_model(batch_service, below_minimum="error").batch(questions(4))
    assert (jobs_of(batch_service), calls_of(batch_service)) == ([], 4)

    pro = inner_model(batch_service, "us.amazon.nova-pro-v1:0")
    batch_model(batch_service, pro, below_minimum="flex").batch(questions(4))
    tiers = [call.params.get("serviceTier") for call in batch_service.emulator.journal.calls()]
    assert tiers.count({"type": "flex"}) == 4
    with pytest.raises(ConfigurationError, match="not offered in the flex tier"):
        batch_model(batch_service, below_minimum="flex")


@pytest.mark.parametrize("count", [5, 9, 10, 13, 28])
def test_no_tail_is_below_the_minimum(batch_service: BatchService, count: int) -> None:
    """5: Whatever the number of records, no job has fewer than the least."""
    outputs = batch_model(batch_service, max_records=9).batch(questions(count))

    sizes = [job["totalRecordCount"] for job in jobs_of(batch_service)]
    assert len(outputs) == count
    assert sum(sizes) == count
    assert min(sizes) >= 5
    assert calls_of(batch_service) == 0


@pytest.mark.parametrize("limit", [{"max_records": 9}, {"max_file_bytes": 2000}])
def test_large_batches_are_split_by_count_and_bytes(limit: dict[str, int]) -> None:
    """6: More records or bytes than a job takes are several jobs, each within the quotas."""
    quotas = {name.replace("max_records", "max_file_records"): most for name, most in limit.items()}
    service = make_batch_service(quotas={**limit, **quotas})

    outputs = batch_model(service, **limit).batch(questions(40))

    wanted = [inner_model(service).invoke(question).text for question in questions(40)]
    assert [output.text for output in outputs] == wanted
    assert len(jobs_of(service)) >= 4
    assert {job["status"] for job in jobs_of(service)} == {"Completed"}


def bucket_elsewhere(service: BatchService) -> BedrockBatch:
    name = f"{service.bucket}-eu"
    place = {"LocationConstraint": "eu-west-1"}
    service.s3.create_bucket(Bucket=name, CreateBucketConfiguration=place)
    return batch_model(service, s3_uri=f"s3://{name}/runs/")


def no_bucket(service: BatchService) -> BedrockBatch:
    return batch_model(service, s3_uri=f"s3://{service.bucket}-none/runs/")


def no_permission(service: BatchService) -> BedrockBatch:
    denied = S3Fault(operation="PutObject", code="AccessDenied", times=None)
    service.emulator.s3_faults.add(denied)
    return batch_model(service)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (bucket_elsewhere, "is in eu-west-1 and the jobs are made in us-east-1"),
        (no_bucket, "There is no bucket"),
        (no_permission, "allow s3:PutObject"),
    ],
)
def test_a_bucket_that_will_not_do_is_said_first(
    batch_service: BatchService, make: Any, says: str
) -> None:
    """7: A bucket elsewhere, none, or one that is not to be written to: one clear line, no job."""
    with pytest.raises(BatchStorageError, match=says):
        make(batch_service).batch(questions(8))

    assert jobs_of(batch_service) == []
    assert not any("input" in key for key in batch_service.keys("runs/"))


def test_a_batch_that_may_cost_too_much_is_not_sent(batch_service: BatchService) -> None:
    """36: What a batch may cost is estimated, and refused over the limit before any upload."""
    plan = batch_model(batch_service).plan(questions(20))
    assert plan.at_most_usd is not None
    model = batch_model(batch_service, max_cost_usd=plan.at_most_usd * Decimal("0.9"))

    with pytest.raises(BatchCostError, match="None of these records was sent") as caught:
        model.batch(questions(20))

    assert caught.value.needed_usd == plan.at_most_usd
    assert jobs_of(batch_service) == []
    assert input_lines(batch_service) == []
    assert len(batch_model(batch_service, max_cost_usd=plan.at_most_usd).batch(questions(20))) == 20
    assert jobs_of(batch_service)[0]["modelId"].endswith(NOVA.removeprefix("us."))
