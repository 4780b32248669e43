"""Invocation jobs of the local Bedrock, as clients of `bedrock` and `s3` see them."""

from __future__ import annotations

import base64
import json
import math
from datetime import datetime, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from langchain_bedrock_opt.emulator import JobPace, ScriptedResponder
from tests.batch_service import HAIKU, NOON, SLOW, BatchService, make_batch_service, records

DAY = 24 * 3600.0


def manifest(service: BatchService, arn: str) -> dict[str, int]:
    told: dict[str, int] = json.loads(
        service.read(f"out/{arn.rpartition('/')[2]}/manifest.json.out")
    )
    return told


def test_a_job_reads_s3_and_writes_s3(batch_service: BatchService) -> None:
    """A job's output is one `.out` file for its input file, and a manifest of counts."""
    batch_service.put("in/a.jsonl", records(6))

    job = batch_service.get(batch_service.create())

    folder = f"out/{job['jobArn'].rpartition('/')[2]}"
    assert job["status"] == "Completed"
    assert batch_service.keys("out/") == [f"{folder}/a.jsonl.out", f"{folder}/manifest.json.out"]
    output = batch_service.output(job["jobArn"])
    assert [{key: line[key] for key in ("recordId", "modelInput")} for line in output] == records(6)
    usages = [line["modelOutput"]["usage"] for line in output]
    assert manifest(batch_service, job["jobArn"]) == {
        "totalRecordCount": 6,
        "processedRecordCount": 6,
        "successRecordCount": 6,
        "errorRecordCount": 0,
        "inputTokenCount": sum(usage["inputTokens"] for usage in usages),
        "outputTokenCount": sum(usage["outputTokens"] for usage in usages),
    }


def test_a_record_is_answered_as_a_call_is(batch_service: BatchService) -> None:
    """A Converse record gets the answer that Converse gives to the same request."""
    batch_service.put("in/a.jsonl", records(5))
    answer = batch_service.runtime.converse(
        modelId="us.amazon.nova-lite-v1:0", messages=records(1)[0]["modelInput"]["messages"]
    )

    arn = batch_service.create()
    batch_service.get(arn)

    output = batch_service.output(arn)[0]["modelOutput"]
    assert output["output"] == answer["output"]
    assert output["stopReason"] == answer["stopReason"]
    assert output["usage"]["totalTokens"] == answer["usage"]["totalTokens"]


def test_all_files_of_a_folder_are_read(batch_service: BatchService) -> None:
    """Each `.jsonl` file of a folder gets an output file of its own; other files are left."""
    batch_service.put("in/a.jsonl", records(3))
    batch_service.put("in/deep/b.jsonl", records(4))
    batch_service.put("in/notes.txt", ["not a record"])

    arn = batch_service.create()

    folder = f"out/{arn.rpartition('/')[2]}"
    assert batch_service.get(arn)["totalRecordCount"] == 7
    assert batch_service.keys("out/") == [
        f"{folder}/a.jsonl.out",
        f"{folder}/deep/b.jsonl.out",
        f"{folder}/manifest.json.out",
    ]


def test_one_file_is_read_alone(batch_service: BatchService) -> None:
    """A URI of a file takes that file, though others begin with its name."""
    uri = batch_service.put("in/a.jsonl", records(5))
    batch_service.put("in/a.jsonl.jsonl", records(3))

    arn = batch_service.create(inputDataConfig={"s3InputDataConfig": {"s3Uri": uri}})

    assert batch_service.get(arn)["totalRecordCount"] == 5


def test_native_records_are_answered_in_their_format(batch_service: BatchService) -> None:
    """InvokeModel records of a Claude job carry tools and images, and get Claude's own body."""
    image = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    source = {"type": "base64", "media_type": "image/png", "data": image}
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": source},
                    {"type": "text", "text": "What is the weather in Kyoto?"},
                ],
            }
        ],
        "tools": [
            {
                "name": "weather",
                "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
            }
        ],
        "tool_choice": {"type": "any"},
    }
    batch_service.put("in/a.jsonl", [{"recordId": str(n), "modelInput": body} for n in range(5)])

    arn = batch_service.create(modelId=HAIKU, modelInvocationType="InvokeModel")
    job = batch_service.get(arn)

    assert job["successRecordCount"] == 5
    answer = batch_service.output(arn)[0]["modelOutput"]
    assert (answer["type"], answer["stop_reason"]) == ("message", "tool_use")
    assert answer["content"][-1]["name"] == "weather"


@pytest.mark.parametrize(
    ("model_id", "body", "key"),
    [
        (
            "amazon.nova-lite-v1:0",
            {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
            "output",
        ),
        ("amazon.titan-text-express-v1", {"inputText": "Hi"}, "results"),
        ("meta.llama3-8b-instruct-v1:0", {"prompt": "Hi", "max_gen_len": 50}, "generation"),
        ("mistral.mistral-7b-instruct-v0:2", {"prompt": "<s>[INST] Hi [/INST]"}, "outputs"),
        ("cohere.command-r-v1:0", {"message": "Hi"}, "text"),
        (
            "openai.gpt-oss-20b-1:0",
            {"messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 50},
            "choices",
        ),
    ],
)
def test_every_family_has_its_format(model_id: str, body: dict[str, Any], key: str) -> None:
    """InvokeModel records are read and answered in the format of their model's family."""
    service = make_batch_service()
    service.put("in/a.jsonl", [{"recordId": str(n), "modelInput": body} for n in range(5)])

    arn = service.create(modelId=model_id, modelInvocationType="InvokeModel")
    job = service.get(arn)

    assert job["successRecordCount"] == 5
    assert all(line["modelOutput"][key] for line in service.output(arn))


def test_structured_output_is_kept_to(batch_service: BatchService) -> None:
    """A Converse record with a JSON schema is answered by JSON of that schema."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    structure = {"jsonSchema": {"name": "place", "schema": json.dumps(schema)}}
    config = {"textFormat": {"type": "json_schema", "structure": structure}}
    batch_service.put("in/a.jsonl", records(5, outputConfig=config))

    arn = batch_service.create(modelId=HAIKU)

    assert batch_service.get(arn)["successRecordCount"] == 5
    for line in batch_service.output(arn):
        text = line["modelOutput"]["output"]["message"]["content"][0]["text"]
        assert set(json.loads(text)) == {"city"}


def test_embeddings_are_made(batch_service: BatchService) -> None:
    """A job of an embedding model answers with vectors and counts input tokens alone."""
    batch_service.put(
        "in/a.jsonl",
        [{"recordId": str(n), "modelInput": {"inputText": f"Text {n}"}} for n in range(5)],
    )

    arn = batch_service.create(
        modelId="amazon.titan-embed-text-v2:0", modelInvocationType="InvokeModel"
    )
    batch_service.get(arn)

    assert len(batch_service.output(arn)[0]["modelOutput"]["embedding"]) == 1024
    assert manifest(batch_service, arn)["outputTokenCount"] == 0
    assert manifest(batch_service, arn)["inputTokenCount"] > 0


def test_blobs_are_base64() -> None:
    """An image in a Converse record travels as base64, and its responder gets bytes."""
    seen: list[Any] = []

    def remember(request: Any) -> bool:
        seen.append(request["messages"][0]["content"][0]["image"]["source"]["bytes"])
        return True

    service = make_batch_service(responder=ScriptedResponder().when(remember).reply("A cat."))
    data = b"\x89PNG\r\n\x1a\n"
    image = {"format": "png", "source": {"bytes": base64.b64encode(data).decode()}}
    content = [{"image": image}, {"text": "What is it?"}]
    model_input = {"messages": [{"role": "user", "content": content}]}
    service.put("in/a.jsonl", [{"recordId": str(n), "modelInput": model_input} for n in range(5)])

    arn = service.create()

    assert service.get(arn)["successRecordCount"] == 5
    assert seen == [data] * 5


def test_bad_records_fail_alone(batch_service: BatchService) -> None:
    """What the model refuses is an error of that record, though the job is Completed."""
    bad = [
        {"recordId": "tools", "modelInput": {**records(1)[0]["modelInput"], "toolConfig": {}}},
        {"recordId": "empty", "modelInput": {"messages": []}},
        {"recordId": "shape", "modelInput": {"messages": "Hello"}},
        {"recordId": "model", "modelInput": {**records(1)[0]["modelInput"], "modelId": "m"}},
    ]
    batch_service.put("in/a.jsonl", [*bad, *records(3)])

    arn = batch_service.create()
    job = batch_service.get(arn)

    assert (job["status"], job["successRecordCount"], job["errorRecordCount"]) == (
        "Completed",
        3,
        4,
    )
    errors = {
        line["recordId"]: line["error"]["errorCode"]
        for line in batch_service.output(arn)
        if "modelOutput" not in line
    }
    assert errors == {"tools": 400, "empty": 400, "shape": 400, "model": 400}


def test_missing_ids_are_made_up(batch_service: BatchService) -> None:
    """A record without an id gets one of its own."""
    batch_service.put("in/a.jsonl", [{"modelInput": r["modelInput"]} for r in records(5)])

    arn = batch_service.create()
    batch_service.get(arn)

    assert len({line["recordId"] for line in batch_service.output(arn)}) == 5


def test_records_are_no_calls(batch_service: BatchService) -> None:
    """The journal has no entry for a record; the jobs count records and tokens themselves."""
    batch_service.put("in/a.jsonl", records(6))

    batch_service.get(batch_service.create())

    jobs = batch_service.emulator.jobs
    assert batch_service.emulator.journal.count("Converse") == 0
    assert batch_service.emulator.journal.count("CreateModelInvocationJob") == 1
    assert (len(jobs.list()), jobs.records) == (1, 6)
    assert jobs.usage.output > jobs.usage.input > 0


def test_statuses_follow_the_clock() -> None:
    """A job walks through its statuses as the clock goes on, and is over at its time."""
    service = make_batch_service(pace=SLOW)
    service.put("in/a.jsonl", records(10))
    arn = service.create()

    seen = []
    for seconds in (0, 10, 60, 30, 100, 150):
        service.clock.sleep(seconds)
        job = service.get(arn)
        seen.append((job["status"], job["totalRecordCount"], job["processedRecordCount"]))

    assert seen == [
        ("Submitted", 0, 0),
        ("Validating", 0, 0),
        ("Scheduled", 10, 0),
        ("InProgress", 10, 0),
        ("InProgress", 10, 5),
        ("Completed", 10, 10),
    ]
    noon = datetime.fromtimestamp(NOON, timezone.utc)
    assert job["submitTime"] == noon
    assert (job["endTime"] - noon).total_seconds() == 300
    assert (job["jobExpirationTime"] - noon).total_seconds() == DAY


def test_output_comes_at_the_end() -> None:
    """S3 has nothing of a job before it is over, unless the settings show what is processed."""
    partial = make_batch_service(pace=SLOW, jobs={"shows_partial_output": True})
    whole = make_batch_service(pace=SLOW)
    counts = []
    for service in (partial, whole):
        service.put("in/a.jsonl", records(10))
        arn = service.create()
        service.clock.sleep(200)
        service.get(arn)
        counts.append(len(service.output(arn)))
        service.clock.sleep(100)
        service.get(arn)
        counts.append(len(service.output(arn)))

    assert counts == [5, 10, 0, 10]


def test_input_is_read_once() -> None:
    """What becomes of the input after validation is no matter."""
    service = make_batch_service(pace=SLOW)
    service.put("in/a.jsonl", records(10))
    arn = service.create()
    service.clock.sleep(100)
    service.get(arn)

    service.s3.delete_object(Bucket=service.bucket, Key="in/a.jsonl")
    service.clock.sleep(200)

    assert service.get(arn)["successRecordCount"] == 10


def test_stopping_keeps_what_is_processed() -> None:
    """A stopped job is Stopping for a while, then Stopped with the records it had processed."""
    service = make_batch_service(pace=SLOW)
    service.put("in/a.jsonl", records(10))
    arn = service.create()
    service.clock.sleep(200)

    service.bedrock.stop_model_invocation_job(jobIdentifier=arn)
    stopping = service.get(arn)
    service.clock.sleep(20)
    stopped = service.get(arn)

    assert (stopping["status"], stopped["status"]) == ("Stopping", "Stopped")
    assert stopped["processedRecordCount"] == len(service.output(arn)) == 5


def test_a_job_stops_before_it_begins() -> None:
    """A job that is stopped in the queue ends without output."""
    service = make_batch_service(pace=SLOW)
    service.put("in/a.jsonl", records(10))
    arn = service.create()

    service.bedrock.stop_model_invocation_job(jobIdentifier=arn.rpartition("/")[2])
    service.clock.sleep(20)

    assert service.get(arn)["status"] == "Stopped"
    assert service.keys("out/") == []


def test_what_is_over_can_t_be_stopped(batch_service: BatchService) -> None:
    """Stopping a job that has ended is a conflict."""
    batch_service.put("in/a.jsonl", records(5))
    arn = batch_service.create()

    with pytest.raises(ClientError) as error:
        batch_service.bedrock.stop_model_invocation_job(jobIdentifier=arn)

    assert error.value.response["Error"]["Code"] == "ConflictException"


def test_jobs_expire_in_the_queue() -> None:
    """A job that has not begun within its time is Expired, without output."""
    service = make_batch_service(pace=JobPace(scheduled=math.inf))
    service.put("in/a.jsonl", records(5))
    arn = service.create(timeoutDurationInHours=48)

    service.clock.sleep(2 * DAY - 1)
    waiting = service.get(arn)["status"]
    service.clock.sleep(1)

    assert (waiting, service.get(arn)["status"]) == ("Scheduled", "Expired")
    assert service.keys("out/") == []


def test_jobs_that_run_out_of_time_are_partial() -> None:
    """A job that is not through in its time is PartiallyCompleted with what it has."""
    service = make_batch_service(pace=JobPace(running=2 * DAY))
    service.put("in/a.jsonl", records(10))
    arn = service.create()

    service.clock.sleep(3 * DAY)

    assert service.get(arn)["status"] == "PartiallyCompleted"
    assert len(service.output(arn)) == 5
