"""Purchases of provisioned throughput that die at their requests, in processes of their own.

`python -m tests.provisioned_killer` speaks to the local Bedrock of the environment. For some
points of `batch_deaths` it forks a child that dies there by `os._exit(137)`, and one that does
the same again; and writes a line of JSON.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from langchain_bedrock_opt.aws.clients import service_client
from langchain_bedrock_opt.capacity.provisioned.manager import ProvisionedThroughputManager
from tests.batch_deaths import tell

MODEL = "amazon.nova-lite-v1:0:24k"


def buy(bedrock: Any, name: str, _seed: int, step: Callable[..., None], _is_first: bool) -> str:  # noqa: FBT001
    """Buy one and wait for it; or die at a step on the way."""
    manager = _manager(bedrock, step)
    return manager.wait(manager.create(MODEL, name=name, confirm=True)).status


def use(bedrock: Any, name: str, _seed: int, step: Callable[..., None], _is_first: bool) -> str:  # noqa: FBT001
    """Have one for a block."""
    with _manager(bedrock, step).temporary(MODEL, name=name, confirm=True) as throughput:
        return throughput.status


def _manager(bedrock: Any, step: Callable[..., None]) -> ProvisionedThroughputManager:
    bedrock.meta.events.register("before-send", step)
    bedrock.meta.events.register("response-received", step)
    return ProvisionedThroughputManager(
        bedrock, sleep=lambda seconds: time.sleep(seconds / 1000), poll_seconds=10
    )


def leave_open(bedrock: Any) -> None:
    """Go into a block and never come out of it: the process ends."""
    _manager(bedrock, lambda **_: None).temporary(MODEL, name="open", confirm=True).__enter__()


def main() -> None:
    """Kill purchases at their points, and make them again; then end inside a block."""
    bedrock = service_client("bedrock")
    tell(partial(buy, bedrock), "buy")
    tell(partial(use, bedrock), "use")
    leave_open(bedrock)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
