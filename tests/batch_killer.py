"""Runs that are killed at each of their steps, in processes of their own.

`python -m tests.batch_killer SCENARIO BUCKET` speaks to the local Bedrock of the environment. For
each point of `batch_deaths` it forks a child that dies there by `os._exit(137)`, and one that
goes on with the run; and writes a line of JSON. In the scenarios "cache" and "flaky" an input
needs no record the first time: a cache has its answer, or a step between two models fails.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from typing import Any

from langchain_bedrock_opt.aws.clients import service_client
from langchain_bedrock_opt.batching.parts import BatchSettings, Outcome, Services
from langchain_bedrock_opt.batching.run.batch_run import submit
from tests.batch_deaths import shuffled, tell
from tests.batch_service import ROLE_ARN, ManualClock
from tests.batch_toy import Toy, question_of

TEXTS: list[Any] = [*(f"question {number}" for number in range(12)), "question 3", None]


ODD = "question 1"


class OnceFlaky(Toy):
    """A program of two stages; the step between them fails for an input."""

    def result(self, stage: int, outcome: Outcome) -> str:
        answer = super().result(stage, outcome)
        if stage == 0 and question_of(answer) == ODD:
            raise ConnectionError("the retriever is down")
        return answer


def program_of(scenario: str, *, is_first: bool) -> Toy:
    """What is asked the first time, or when a run is gone on with."""
    if scenario == "flaky" and is_first:
        return OnceFlaky(stages=2)
    program = Toy(stages=2 if scenario in ("stages", "flaky") else 1)
    if scenario == "cache" and is_first:
        program.known = {ODD: f"<{ODD}>"}
    return program


def make_clients() -> dict[str, Any]:
    """Clients that no request was made with yet: what takes long is done before the forks."""
    names = ("s3", "bedrock", "bedrock-runtime")
    return {name: service_client(name) for name in names}


def run_it(
    clients: dict[str, Any],
    scenario: str,
    bucket: str,
    *at: Any,
) -> list[Any]:
    """Submit, wait and read; or die at a step on the way, as `batch_deaths.Attempt` says."""
    run_id, seed, step, is_first = at
    clock = ManualClock(time.time())
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
    texts = shuffled(TEXTS, seed)[: 3 if scenario == "few" else None]
    program = program_of(scenario, is_first=is_first)
    run = submit(program, iter(texts), settings, services, run_id=run_id)
    results = run.results()
    answers = [None if result.error else question_of(result.output) for result in results]
    allowed = [texts]
    if scenario == "flaky":  # the failure of a stage that was all sent stands
        allowed.append([None if text == ODD else text for text in texts])
    if answers not in allowed:
        raise AssertionError(f"{answers} are not the answers to {texts}")
    return answers


def main(scenario: str, bucket: str) -> None:
    """Kill a run at its points, and go on with it."""
    tell(partial(run_it, make_clients(), scenario, bucket), scenario)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
