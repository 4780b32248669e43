"""A run that is gone on with, where something is not as it was the first time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from langchain_bedrock_opt.batching.parts import Outcome
from langchain_bedrock_opt.batching.run.batch_run import BatchRun
from langchain_bedrock_opt.errors import BatchStorageError
from tests.batch_service import BatchService, make_batch_service
from tests.batch_toy import TEXTS, Toy, begin, check, question_of, services_for

ORDERS = ["input", "any"]


class Died(BaseException):
    """A process ended."""


def until(count: int, texts: Iterable[Any] = TEXTS) -> Iterator[Any]:
    """The first texts; then the process dies."""
    for number, text in enumerate(texts):
        if number == count:
            raise Died
        yield text


def dies_at_job(service: BatchService, count: int) -> None:
    """Let the process die once, at its `count`th job."""
    create, calls = service.bedrock.create_model_invocation_job, []

    def dying(**request: Any) -> Any:
        calls.append(request)
        if len(calls) == count:
            raise Died
        return create(**request)

    service.bedrock.create_model_invocation_job = dying


@pytest.mark.parametrize("order", ORDERS)
def test_an_answer_that_a_cache_forgot_is_asked_for_in_its_place(order: Any) -> None:
    """Inputs that a dead process's cache had answered are sent late, and get their own answers."""
    service, program = make_batch_service(), Toy()
    program.known = {TEXTS[3]: "<question 3>", TEXTS[11]: "<question 11>"}
    with pytest.raises(Died):
        begin(service, until(18), program=program, run_id="nightly")

    run = begin(service, run_id="nightly")
    results = list(run.results(order))

    check(sorted(results, key=lambda result: result.index), TEXTS)
    assert [question_of(output) for output in run.outputs()] == TEXTS
    assert service.emulator.jobs.records == len(TEXTS)
    check(list(begin(service, run_id="nightly").results()), TEXTS)


class Flaky(Toy):
    """A program whose step between its stages fails for an input."""

    def __init__(self, place: int | None) -> None:
        super().__init__(stages=2)
        self.place = place

    def result(self, stage: int, outcome: Outcome) -> str:
        if stage == 0 and outcome.place == self.place:
            raise ConnectionError("the retriever is down")
        return super().result(stage, outcome)


@pytest.mark.parametrize("order", ORDERS)
def test_a_step_that_failed_once_shifts_no_answer(order: Any) -> None:
    """An input whose step fails no more is asked of the second model late, and in its place."""
    service = make_batch_service()
    run = begin(service, program=Flaky(3))
    dies_at_job(service, 2)
    with pytest.raises(Died):
        run.wait()

    again = BatchRun.attach(run.uri, program=Flaky(None), services=services_for(service))
    results = sorted(again.results(order), key=lambda result: result.index)

    check(results, TEXTS)
    assert not any(result.error for result in results)


@pytest.mark.parametrize("order", ORDERS)
def test_a_hole_in_the_state_is_no_short_list(order: Any) -> None:
    """A shard whose object was deleted makes reading fail, rather than the results fewer."""
    service = make_batch_service()
    run = begin(service)
    run.wait()
    (key,) = (key for key in service.keys("runs/") if key.endswith("shards/00001.json"))
    service.s3.delete_object(Bucket=service.bucket, Key=key)

    again = BatchRun.attach(run.uri, program=Toy(), services=services_for(service))

    with pytest.raises(BatchStorageError, match="Restore it"):
        list(again.results(order))
