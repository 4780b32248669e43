"""Batches of collected calls that are killed at each of their steps, in processes of their own.

`python -m tests.batch_chain_killer BUCKET FIRST STEP` speaks to the local Bedrock of the
environment. For each point it forks a child that dies there by `os._exit(137)`, before a request
is sent or after its answer came, and one that makes the same batch again under the same name; and
writes a line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
from itertools import count
from typing import Any

import boto3
from langchain_aws import ChatBedrockConverse
from langchain_core.runnables import RunnableLambda

from langchain_bedrock_opt.batching.chains import as_batch
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from tests.batch_service import HAIKU, ROLE_ARN

KILLED = 137
TEXTS = [f"question {number % 5}" for number in range(6)]


def run_it(bucket: str, run_id: str, kill_at: int | None) -> list[str]:
    """Make a batch of a chain that asks twice; or die at a point on the way."""
    requests = count()

    def step(**_: Any) -> None:
        if next(requests) == kill_at:
            os._exit(KILLED)

    clients = {}
    for service in ("s3", "bedrock", "bedrock-runtime"):
        client = clients[service] = boto3.client(service)  # noqa: TID251 - as a user's process
        client.meta.events.register("before-send", step)
        client.meta.events.register("response-received", step)
    model = BedrockBatch(
        model=ChatBedrockConverse(
            model=HAIKU,
            client=clients["bedrock-runtime"],
            bedrock_client=clients["bedrock"],
            max_tokens=50,
        ),
        s3_uri=f"s3://{bucket}/kills/",
        role_arn=ROLE_ARN,
        s3_client=clients["s3"],
        min_records=4,
        below_minimum="error",
    )

    async def twice(text: str) -> str:
        first = await model.ainvoke(text)
        return str((await model.ainvoke(f"{text}, again: {first.text}")).text)

    chain: Any = as_batch(RunnableLambda(twice), window=0.02)
    return list(chain.batch(TEXTS, {"metadata": {"bedrock_opt_run_id": run_id}}))


def in_child(bucket: str, run_id: str, kill_at: int | None) -> tuple[int, str]:
    """The exit code and the outputs of a batch in a forked process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.write(writing, json.dumps(run_it(bucket, run_id, kill_at)).encode())
            code = 0
        except BaseException as error:  # noqa: BLE001 - told to the parent
            os.write(writing, repr(error).encode())
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def main(bucket: str, first: int, step: int) -> None:
    """Kill a batch at every `step`th point, and make it again."""
    for point in count(first, step):
        run_id = f"chain-{point}"
        killed, _ = in_child(bucket, run_id, point)
        code, said = in_child(bucket, run_id, None)
        sys.stdout.write(json.dumps([point, killed, code, said]) + "\n")
        sys.stdout.flush()
        if killed != KILLED:
            return


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
