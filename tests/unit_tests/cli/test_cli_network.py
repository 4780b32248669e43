"""Commands when nobody answers: they say so at once, and don't try for longer than asked."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from langchain_bedrock_opt.cli.clients import Patience, watched_client
from tests.unit_tests.cli.conftest import Run

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS is where nobody listens."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOWHERE)
    monkeypatch.setenv("AWS_REGION", "us-east-1")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "command",
    [
        "batch status s3://bucket/runs/r/",
        "batch results s3://bucket/runs/r/",
        "batch list",
        "throughput list",
        "throughput show chat",
    ],
)
def test_a_look_gives_up_soon(command: str, run: Run) -> None:
    """A command that only looks tries twice, says so, and names the endpoint and what to check."""
    ended = run(*command.split(), "--json")

    assert (ended.code, ended.document["error"]["type"]) == (3, "ServiceUnavailableError")
    told, last = ended.err.splitlines()
    assert told == "127.0.0.1:1 does not answer, trying again."
    assert "127.0.0.1:1 does not answer: check the region, the network" in last


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("command", ["batch wait s3://bucket/runs/r/", "throughput wait chat"])
def test_a_wait_is_no_longer_than_asked(command: str, run: Run) -> None:
    """A wait of no time ends by its first try, as a wait that ran out of time."""
    ended = run(*command.split(), "--timeout", "0")

    assert ended.code == 1
    assert "127.0.0.1:1 does not answer, and the 0 seconds are over" in ended.err


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def tried(patience: Patience, **seen: Any) -> None:
    """Tell a client's watcher of one try."""
    handlers: list[Callable[..., None]] = []
    events = SimpleNamespace(register_first=lambda _, handler: handlers.append(handler))
    patience.watch(SimpleNamespace(meta=SimpleNamespace(events=events)))
    handlers[0](request_dict={"url": "https://s3.amazonaws.com/b"}, **seen)


def answer(status: int) -> dict[str, Any]:
    return {"response": (SimpleNamespace(status_code=status), {})}


def test_an_outage_is_told_now_and_then() -> None:
    """Whoever goes on trying says so from the first time on, and not each time."""
    clock, told = Clock(), list[str]()
    patience = Patience(clock=clock, say=told.append)
    for moment, seen in (
        (0, {"caught_exception": OSError("away")}),
        (1, {"caught_exception": OSError("away")}),
        (20, answer(503)),
        (40, answer(200)),
        (60, answer(404)),
    ):
        clock.now = moment
        tried(patience, **seen)

    assert told == [
        "s3.amazonaws.com does not answer, trying again.",
        "s3.amazonaws.com answers 503, trying again.",
    ]


def test_a_short_outage_does_not_end_a_long_wait() -> None:
    """A wait goes on until the next try would come too late."""
    clock = Clock()
    patience = Patience(timeout=100, clock=clock, say=lambda _: None)
    for moment, seen in ((90, answer(503)), (95, answer(200)), (97, answer(503))):
        clock.now = moment
        tried(patience, **seen)
    clock.now = 99

    with pytest.raises(TimeoutError, match="answers 503, and the 100 seconds are over"):
        tried(patience, **answer(503))


def test_a_client_is_the_commands_own() -> None:
    """What is changed about a command's client reaches no other client of the process."""
    one, other = (watched_client("s3", "us-east-1", Patience(tries=2)) for _ in range(2))

    assert one is not other
    assert one.meta.config.connect_timeout == 10
    assert watched_client("s3", "us-east-1").meta.config.connect_timeout == 5
