"""Runs that are killed at each of their steps, in processes of their own.

`python -m tests.batch_killer SCENARIO BUCKET FIRST STEP` speaks to the local Bedrock of the
environment. For each point it forks a child that dies there by `os._exit(137)`, before a request
is sent or after its answer came, and one that goes on with the run; and writes a line of JSON.
In the scenarios "cache" and "flaky" an input needs no record in the first child: a cache has its
answer, or a step between two models fails.
"""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import count
from typing import Any

from langchain_bedrock_opt.aws.clients import service_client
from langchain_bedrock_opt.batching.parts import BatchSettings, Outcome, Services
from langchain_bedrock_opt.batching.run.batch_run import submit
from tests.batch_service import ROLE_ARN, ManualClock
from tests.batch_toy import Toy, question_of

KILLED = 137
TEXTS: list[Any] = [*(f"question {number}" for number in range(12)), "question 3", None]
ODD = 1


class OnceFlaky(Toy):
    """A program of two stages; the step between them fails for an input."""

    def result(self, stage: int, outcome: Outcome) -> str:
        if stage == 0 and outcome.place == ODD:
            raise ConnectionError("the retriever is down")
        return super().result(stage, outcome)


def program_of(scenario: str, *, is_first: bool) -> Toy:
    """What a scenario's first child, or the one that goes on, asks."""
    if scenario == "flaky" and is_first:
        return OnceFlaky(stages=2)
    program = Toy(stages=2 if scenario in ("stages", "flaky") else 1)
    if scenario == "cache" and is_first:
        program.known = {TEXTS[ODD]: f"<{TEXTS[ODD]}>"}
    return program


def make_clients() -> dict[str, Any]:
    """Clients that no request was made with yet: what takes long is done before the forks."""
    names = ("s3", "bedrock", "bedrock-runtime")
    return {name: service_client(name) for name in names}


def run_it(
    clients: dict[str, Any], scenario: str, bucket: str, run_id: str, kill_at: int | None
) -> list[Any]:
    """Submit, wait and read; or die at a point on the way."""
    requests, clock = count(), ManualClock(time.time())

    def step(**_: Any) -> None:
        if next(requests) == kill_at:
            os._exit(KILLED)

    for client in clients.values():
        client.meta.events.register("before-send", step)
        client.meta.events.register("response-received", step)
    settings = BatchSettings(
        s3_uri=f"s3://{bucket}/kills/",
        role_arn=ROLE_ARN,
        min_records=4,
        max_records=7,
        on_failed="resubmit" if scenario == "again" else "raise",
    )

    def direct(kind: Any, body: bytes, flex: bool) -> bytes:  # noqa: FBT001
        answer = clients["bedrock-runtime"].converse(modelId=kind.model_id, **json.loads(body))
        return json.dumps({"output": answer["output"], "usage": answer["usage"]}).encode()

    services = Services(
        bedrock=clients["bedrock"],
        s3=clients["s3"],
        direct=direct,
        clock=clock,
        sleep=clock.sleep,
    )
    texts = TEXTS[:3] if scenario == "few" else TEXTS
    program = program_of(scenario, is_first=kill_at is not None)
    run = submit(program, iter(texts), settings, services, run_id=run_id)
    results = run.results()
    return [None if result.error else question_of(result.output) for result in results]


def in_child(*arguments: Any) -> tuple[int, str]:
    """The exit code and the results of a run in a forked process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            results = run_it(*arguments)
            os.write(writing, json.dumps(results).encode())
            code = 0
        except BaseException as error:  # noqa: BLE001 - told to the parent
            os.write(writing, repr(error).encode())
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def main(scenario: str, bucket: str, first: int, step: int) -> None:
    """Kill a run at every `step`th point, and go on with it."""
    clients = make_clients()
    for point in count(first, step):
        run_id = f"{scenario}-{point}"
        killed, _ = in_child(clients, scenario, bucket, run_id, point)
        code, said = in_child(clients, scenario, bucket, run_id, None)
        sys.stdout.write(json.dumps([point, killed, code, said]) + "\n")
        sys.stdout.flush()
        if killed != KILLED:
            return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
