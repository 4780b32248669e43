"""Structured output of batches: one job, the parsers of single calls, and errors by record."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from pydantic import BaseModel
from typing_extensions import TypedDict

from langchain_bedrock_opt.emulator import OutputFault
from langchain_bedrock_opt.errors import BatchPartialError
from tests.batch_models import batch_model, calls_of, inner_model, jobs_of, questions
from tests.batch_service import HAIKU, NOVA, BatchService


class Sum(BaseModel):
    """The result of an addition."""

    result: int


class SumDict(TypedDict):
    """The result of an addition."""

    result: int


SCHEMA = {
    "title": "Sum",
    "description": "The result of an addition.",
    "type": "object",
    "properties": {"result": {"type": "integer"}},
    "required": ["result"],
}


@pytest.mark.parametrize("schema", [Sum, SumDict, SCHEMA])
@pytest.mark.parametrize(
    ("model_id", "method", "invocation"),
    [
        (HAIKU, None, "Converse"),
        (HAIKU, "json_schema", "Converse"),
        (HAIKU, "function_calling", "InvokeModel"),
        (NOVA, None, "InvokeModel"),
    ],
)
def test_a_structured_batch_is_one_job(
    batch_service: BatchService, schema: Any, model_id: str, method: str | None, invocation: str
) -> None:
    """Every kind of schema, by every method that jobs take, is one job of the right format."""
    model = batch_model(batch_service, inner_model(batch_service, model_id))

    outputs = model.with_structured_output(schema, method=method).batch(questions(6))

    (job,) = jobs_of(batch_service)
    assert job["modelInvocationType"] == invocation
    assert calls_of(batch_service) == 0
    wanted = Sum if schema is Sum else dict
    assert all(isinstance(each, wanted) for each in outputs)


@pytest.mark.parametrize("method", [None, "function_calling"])
async def test_the_raw_message_comes_from_the_same_job(
    batch_service: BatchService, method: str | None
) -> None:
    """`include_raw` gives message and result of one job, also asynchronously and one by one."""
    model = batch_model(batch_service, inner_model(batch_service, HAIKU))
    form = model.with_structured_output(Sum, include_raw=True, method=method)

    outputs: list[Any] = form.batch(questions(6))
    aoutputs: list[Any] = await form.abatch(questions(6))

    assert len(jobs_of(batch_service)) == 2
    assert calls_of(batch_service) == 0
    for each in [*outputs, *aoutputs]:
        assert isinstance(each["raw"], AIMessage)
        assert isinstance(each["parsed"], Sum)
        assert each["parsing_error"] is None
    single: Any = form.invoke(questions(1)[0])
    assert set(single) == {"raw", "parsed", "parsing_error"}


def test_what_can_not_be_parsed_is_said_beside_the_message(batch_service: BatchService) -> None:
    """With `include_raw`, a cut answer has a parsing error, and its message all the same."""
    inner = inner_model(batch_service, HAIKU, max_tokens=1)
    form = batch_model(batch_service, inner).with_structured_output(Sum, include_raw=True)

    outputs: list[Any] = form.batch(questions(6))

    assert all(each["parsed"] is None for each in outputs)
    assert all(isinstance(each["parsing_error"], Exception) for each in outputs)
    assert all(each["raw"].response_metadata["stopReason"] == "max_tokens" for each in outputs)


def test_a_record_that_fails_fails_alone(batch_service: BatchService) -> None:
    """Behind a failed record nothing is parsed; the others are."""
    batch_service.emulator.jobs.faults.add(OutputFault(errors=[2]))
    form = batch_model(batch_service, inner_model(batch_service, HAIKU)).with_structured_output(Sum)

    outputs: list[Any] = form.batch(questions(6), return_exceptions=True)

    assert [isinstance(each, Sum) for each in outputs] == [at != 2 for at in range(6)]
    with pytest.raises(BatchPartialError):
        form.batch(questions(6))
