"""Invocation jobs of the local Bedrock, as a client of `bedrock` and `s3` sees them."""

from __future__ import annotations

from tests.batch_service import SLOW, BatchService, make_batch_service, records


def test_a_job_reads_s3_and_writes_s3(batch_service: BatchService) -> None:
    """A job's output is one `.out` file for its input file, and a manifest of counts."""
    batch_service.put("in/a.jsonl", records(6))

    job = batch_service.get(batch_service.create())

    folder = f"out/{job['jobArn'].rpartition('/')[2]}"
    assert job["status"] == "Completed"
    assert batch_service.keys("out/") == [f"{folder}/a.jsonl.out", f"{folder}/manifest.json.out"]
    output = batch_service.output(job["jobArn"])
    assert [line["recordId"] for line in output] == [line["recordId"] for line in records(6)]


def test_statuses_follow_the_clock() -> None:
    """A job walks through its statuses as the clock goes on, and is over at its time."""
    service = make_batch_service(pace=SLOW)
    service.put("in/a.jsonl", records(10))
    arn = service.create()

    seen = []
    for seconds in (0, 10, 60, 30, 100, 100):
        service.clock.sleep(seconds)
        job = service.get(arn)
        seen.append((job["status"], job["processedRecordCount"]))

    assert seen == [
        ("Submitted", 0),
        ("Validating", 0),
        ("Scheduled", 0),
        ("InProgress", 0),
        ("InProgress", 5),
        ("Completed", 10),
    ]
