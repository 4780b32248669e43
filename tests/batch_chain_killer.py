"""Batches of collected calls that are killed at each of their steps, in processes of their own.

`python -m tests.batch_chain_killer BUCKET` speaks to the local Bedrock of the environment. For
each point of `batch_deaths` it forks a child that dies there by `os._exit(137)`, and one that
makes the same batch again under the same name; and writes a line of JSON.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from langchain_aws import ChatBedrockConverse
from langchain_core.runnables import RunnableLambda

from langchain_bedrock_opt.batching.chains import as_batch
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from tests.batch_deaths import shuffled, tell
from tests.batch_killer import make_clients
from tests.batch_service import HAIKU, ROLE_ARN

TEXTS = [f"question {number % 5}" for number in range(6)]


def run_it(
    clients: dict[str, Any],
    bucket: str,
    run_id: str,
    seed: int,
    step: Callable[..., None],
    _is_first: bool,  # noqa: FBT001 - as `batch_deaths.Attempt` has it
) -> list[str]:
    """Make a batch of a chain that asks twice; or die at a step on the way."""
    for client in clients.values():
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
    return list(chain.batch(shuffled(TEXTS, seed), {"metadata": {"bedrock_opt_run_id": run_id}}))


def main(bucket: str) -> None:
    """Kill a batch at its points, and make it again."""
    tell(partial(run_it, make_clients(), bucket), "chain")


if __name__ == "__main__":
    main(sys.argv[1])
