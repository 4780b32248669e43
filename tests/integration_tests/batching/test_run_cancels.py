"""A run that is cancelled: all of its jobs stop, and what they have done is given."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from langchain_bedrock_opt.batching.run.batch_run import BatchRun
from langchain_bedrock_opt.batching.run.stage import Stage
from langchain_bedrock_opt.errors import BatchError, BatchPartialError, RecordNotProcessedError
from tests.batch_service import SLOW, BatchService, make_batch_service
from tests.batch_toy import TEXTS, Toy, begin, check, services_for


class KilledError(BaseException):
    """The process ends here."""


def cut_after(count: int) -> Iterator[str]:
    """Inputs of a process that is killed after some of them."""
    yield from TEXTS[:count]
    raise KilledError


def attached(service: BatchService, uri: str, stages: int = 1) -> BatchRun:
    return BatchRun.attach(uri, program=Toy(stages), services=services_for(service))


def job_statuses(service: BatchService) -> list[str]:
    listed = service.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]
    return [job["status"] for job in listed]


def test_a_run_whose_inputs_were_not_all_taken_can_be_cancelled_and_read() -> None:
    """Jobs that were paid for are read, and that inputs are missing is said."""
    service = make_batch_service(pace=SLOW)
    with pytest.raises(KilledError):
        begin(service, cut_after(22), run_id="cut")
    service.clock.now += 3600
    run = attached(service, f"s3://{service.bucket}/runs/runs/cut/")
    with pytest.raises(BatchError, match="or cancel it"):
        list(run.results())

    run.cancel()

    results = list(run.results())
    check(results, TEXTS[: len(results)])
    assert [result.error for result in results] == [None] * 10
    assert run.summary().success == 10
    with pytest.raises(BatchPartialError, match="before all of its inputs were taken") as caught:
        run.outputs()
    assert len(caught.value.results) == 10


def test_a_later_stage_that_was_cut_off_by_a_cancel_keeps_its_answers() -> None:
    """Jobs of a stage that was not submitted whole are read; each input has a result."""
    service = make_batch_service(pace=SLOW)

    class Dying(Toy):
        def entries(self, stage: int, items: Any) -> Iterator[Any]:
            for number, entry in enumerate(super().entries(stage, items)):
                if stage == 1 and number == 17:
                    raise KilledError
                yield entry

    texts = [*TEXTS[:21], None, *TEXTS[21:]]
    run = begin(service, texts, program=Dying(2))
    with pytest.raises(KilledError):
        run.wait()
    service.clock.now += 3600
    again = attached(service, run.uri, stages=2)

    again.cancel()

    results, summary = list(again.results()), again.summary()
    check(results, texts)
    answered = [result.index for result in results if result.error is None]
    assert answered == list(range(10))
    assert isinstance(results[21].error, ValueError)
    assert isinstance(results[23].error, RecordNotProcessedError)
    assert (summary.inputs, summary.success, summary.error, summary.missing) == (24, 10, 1, 13)


def test_a_job_that_nobody_has_written_down_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies right after a creation leaves no job that a cancel does not find."""
    service = make_batch_service(pace=SLOW)

    def die(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Stage, "store_job", die)
        with pytest.raises(KilledError):
            begin(service, TEXTS[:10], run_id="killed")
    assert job_statuses(service) == ["Submitted"]
    run = attached(service, f"s3://{service.bucket}/runs/runs/killed/")

    run.cancel()

    assert job_statuses(service) == ["Stopping"]
    (shard,) = run.wait().status().stages[0].shards
    assert shard.status == "Stopped"
    assert shard.job_arn == service.emulator.jobs.list()[0].arn


def test_a_cancel_is_seen_by_who_submits() -> None:
    """From a cancel on no job is created, and the one that is being created is stopped."""
    service = make_batch_service(pace=SLOW)
    uri = f"s3://{service.bucket}/runs/runs/busy/"

    def texts() -> Iterator[str]:
        for number, text in enumerate(TEXTS):
            if number == 17:
                attached(service, uri).cancel()
            yield text

    run = begin(service, texts(), run_id="busy")

    assert job_statuses(service) == ["Stopping"]
    check(list(run.results()), TEXTS)
    assert service.emulator.jobs.records == 0


def test_a_job_that_is_created_while_the_run_is_cancelled_is_stopped_and_read() -> None:
    """Whoever gave its shard up meanwhile does not hide its answers."""
    service = make_batch_service(pace=SLOW)
    create = service.bedrock.create_model_invocation_job
    uri = f"s3://{service.bucket}/runs/runs/race/"

    def cancel_and_create(**request: Any) -> Any:
        other = attached(service, uri)
        other.cancel()
        other.wait()  # there is no job yet: its shard is given up
        return create(**request)

    service.bedrock.create_model_invocation_job = cancel_and_create
    run = begin(service, TEXTS[:10], run_id="race")

    assert job_statuses(service) == ["Stopping"]
    (shard,) = attached(service, uri).wait().status().stages[0].shards
    assert (shard.status, shard.job_arn is None) == ("Stopped", False)
    check(list(run.results()), TEXTS[:10])


def test_a_cancel_stops_the_other_jobs_if_one_is_refused() -> None:
    """One job that may not be stopped is said, and no reason to let the rest run."""
    service = make_batch_service(pace=SLOW)
    run = begin(service)
    stop = service.bedrock.stop_model_invocation_job
    first = run.status().stages[0].shards[0].job_arn

    def refuse_one(**request: Any) -> Any:
        if request["jobIdentifier"] == first:
            return service.bedrock.get_model_invocation_job(jobIdentifier="no-job")
        return stop(**request)

    service.bedrock.stop_model_invocation_job = refuse_one
    with pytest.raises(BatchError, match="GetModelInvocationJob"):
        run.cancel()

    assert sorted(job_statuses(service)) == ["Stopping", "Stopping", "Submitted"]


@pytest.mark.parametrize("first", [0, 7])
def test_a_run_that_was_killed_anywhere_can_be_cancelled_and_read(first: int) -> None:
    """Whatever jobs a killed process has made, a cancel knows them all and each answer is read."""
    has_ended = False
    for point in range(first, 200, 13):
        service = make_batch_service()
        requests = count()

        def step(*, requests: count[int] = requests, point: int = point, **_: Any) -> None:
            if next(requests) >= point:
                raise KilledError

        events = [client.meta.events for client in (service.s3, service.bedrock)]
        for client in events:
            client.register("before-send", step)
            client.register("response-received", step)
        try:
            begin(service, run_id="killed")
            has_ended = True
        except KilledError:
            pass
        for client in events:
            client.unregister("before-send", step)
            client.unregister("response-received", step)
        if not any(key.endswith("run.json") for key in service.keys("runs/")):
            continue
        service.clock.now += 3600
        run = attached(service, f"s3://{service.bucket}/runs/runs/killed/")

        run.cancel()
        results = list(run.results())

        check(results, TEXTS[: len(results)])
        answered = sum(result.error is None for result in results)
        assert answered == service.emulator.jobs.records, point
        known = [shard.job_arn for shard in run.status().stages[0].shards if shard.job_arn]
        assert sorted(known) == sorted(job.arn for job in service.emulator.jobs.list()), point
        if has_ended:
            break
    assert has_ended
