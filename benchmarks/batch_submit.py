"""What it costs to submit 50,000 inputs of a prompt and a model: CPU a record, all of it.

From a dict to an object in S3 and a job: records, deduplication, shards, upload, journal, create.
Beside it, in the same run: a list of `prompt.invoke` and the model's own request, `json.dumps`,
one PutObject; and llmbo, where it is installed. Each is a process of its own, over a service in
this one, and takes the inputs from the same generator.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from benchmarks.batch_chain import (
    BUCKET,
    HUMAN,
    MAX_TOKENS,
    MODEL,
    ROLE,
    SYSTEM,
    chain,
    inputs,
    model,
    prompt,
)
from benchmarks.harness import Result, compare
from benchmarks.processes import in_a_process
from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.aws.clients import service_client
from langchain_bedrock_opt.aws.replay import CaptureClient
from langchain_bedrock_opt.batching import BatchChain, as_batch
from langchain_bedrock_opt.batching.parts import record_id
from langchain_bedrock_opt.emulator import JobPace, JobQuotas, JobSettings

RECORDS = 50_000
ROUNDS = 3
# The usual way takes ten times as long, and as long for each record however many there are.
FEWER = 10_000
WARM = 100

Submit = Callable[[int], object]
"""Submits so many inputs."""


def run(records: int = RECORDS, rounds: int = ROUNDS) -> Result:
    """Compare ours with the usual way, and with llmbo."""
    # Jobs wait in a queue for ever: nothing is measured of them.
    jobs = JobSettings(pace=JobPace(scheduled=math.inf), quotas=JobQuotas(max_running=1000))
    with BedrockEmulator(jobs=jobs) as emulator:
        emulator.client("s3").create_bucket(Bucket=BUCKET)

        def cost(way: str, count: int = records) -> Callable[[], float]:
            return lambda: float(in_a_process(emulator, "batch_submit", way, count))

        usual = compare(cost("as_batch"), cost("usual", min(records, FEWER)), rounds=rounds)
        llmbo = compare(cost("as_batch"), cost("llmbo"), rounds=rounds) if _has_llmbo() else None
    figures = {
        "submit, CPU µs a record": usual.ours,
        "submit / list, json.dumps and PutObject": usual.ratio,
    }
    baselines = {"list, json.dumps and PutObject, CPU µs a record": usual.baseline}
    if llmbo is not None:
        figures["submit / llmbo"] = llmbo.ratio
        baselines["llmbo, CPU µs a record"] = llmbo.baseline
    return Result(
        benchmark="batch_submit",
        figures=figures,
        baselines=baselines,
        goals={"submit, CPU µs a record": ("<=", 30)},
    )


def with_as_batch() -> Submit:
    """Ours: any chain, any iterable."""
    batch: BatchChain[Any, Any] = as_batch(chain())
    return lambda count: batch.submit(inputs(count))


def the_usual_way() -> Submit:
    """What one writes without a library: everything in a list."""
    messages, its_model = prompt(), model()
    s3, bedrock = service_client("s3"), service_client("bedrock")

    def submit(count: int) -> None:
        lines = []
        for number, item in enumerate(inputs(count)):
            capture = CaptureClient()
            copy = its_model.model_copy(update={"client": capture})
            copy._generate(messages.invoke(item).to_messages())  # noqa: SLF001 - a documented override point
            (request,) = capture.requests
            del request["modelId"]
            lines.append(json.dumps({"recordId": record_id(number), "modelInput": request}))
        name = f"usual-{uuid4().hex}"
        uri = f"s3://{BUCKET}/{name}"
        body = "\n".join(lines).encode()
        s3.put_object(Bucket=BUCKET, Key=f"{name}/input.jsonl", Body=body)
        bedrock.create_model_invocation_job(
            jobName=name,
            roleArn=ROLE,
            modelId=MODEL,
            modelInvocationType="Converse",
            inputDataConfig={"s3InputDataConfig": {"s3Uri": f"{uri}/input.jsonl"}},
            outputDataConfig={"s3OutputDataConfig": {"s3Uri": f"{uri}/out/"}},
        )

    return submit


def with_llmbo() -> Submit:
    """The same by llmbo. It takes no chain: its inputs are made by `str.format`."""
    from llmbo import BatchInferer, ModelInput  # type: ignore[import-not-found, unused-ignore]

    session = _Session()

    def submit(count: int) -> None:
        requests = {}
        for number, item in enumerate(inputs(count)):
            said = [{"role": "user", "content": HUMAN.format(**item)}]
            requests[record_id(number)] = ModelInput(
                messages=said, system=SYSTEM.format(**item), max_tokens=MAX_TOKENS
            )
        # It refuses to work without a profile.
        with tempfile.TemporaryDirectory() as folder, patch.dict("os.environ", AWS_PROFILE="any"):
            job = BatchInferer(
                model_name=MODEL,
                bucket_name=BUCKET,
                region="us-east-1",
                job_name=f"llmbo-{uuid4().hex}",
                role_arn=ROLE,
                session=session,
                output_dir=folder,
            )
            job.prepare_requests(requests)
            job.push_requests_to_s3()
            job.create()

    return submit


class _Session:
    """llmbo's clients: this package's, and an IAM in which every role is there."""

    def __init__(self) -> None:
        self._clients = {name: service_client(name) for name in ("s3", "bedrock")}
        self._clients["iam"] = SimpleNamespace(get_role=lambda **_: {})

    def client(self, name: str, **_: Any) -> Any:
        return self._clients[name]


WAYS: dict[str, Callable[[], Submit]] = {
    "as_batch": with_as_batch,
    "usual": the_usual_way,
    "llmbo": with_llmbo,
}


def _has_llmbo() -> bool:
    return find_spec("llmbo") is not None


def main(way: str, count: int) -> float:
    """Submit so many inputs one way; µs of this process's CPU that a record took."""
    submit = WAYS[way]()
    submit(WARM)  # loads what clients and parsers need
    start = time.process_time()
    submit(count)
    return (time.process_time() - start) / count * 1e6


if __name__ == "__main__":
    print(main(sys.argv[1], int(sys.argv[2])))
