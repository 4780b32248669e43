"""A control plane whose calls end as a test says: answers that are lost, and processes that die."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, NamedTuple

from botocore.exceptions import ConnectionClosedError

from langchain_bedrock_opt.capacity.provisioned.manager import ProvisionedThroughputManager
from tests.faulty_clients import lost_answer, no_connection, service_says
from tests.throughput_service import ThroughputService

NOVA_24K = "amazon.nova-lite-v1:0:24k"


class Killed(BaseException):
    """The process is no more: none of its code reaches AWS after this."""


class Fate(NamedTuple):
    """How a call ends.

    Attributes:
        name: In a word.
        error: Makes what is raised.
        is_done: Whether AWS does what it is asked, and only the answer is lost.
    """

    name: str
    error: Callable[[], BaseException]
    is_done: bool = False


TROUBLES = (
    Fate("throttled", lambda: service_says("ThrottlingException", 429)),
    Fate("lost answer", lost_answer, is_done=True),
    Fate("failed before", lambda: service_says("InternalServerException", 500)),
    Fate("failed after", lambda: service_says("InternalServerException", 500), is_done=True),
    Fate("no connection", no_connection),
    Fate("cut", lambda: ConnectionClosedError(endpoint_url="https://x.invalid"), is_done=True),
)
"""What passes by itself."""

DEATHS = (Fate("killed before", Killed), Fate("killed after", Killed, is_done=True))
CTRL_C = (
    Fate("Ctrl-C before", KeyboardInterrupt),
    Fate("Ctrl-C after", KeyboardInterrupt, is_done=True),
)


class FatedClient:
    """Passes calls on to a client; each may have a fate of its own.

    Attributes:
        calls: The operations that were called, in their order.
    """

    def __init__(self, client: Any, fate_of: Callable[[int], Fate | None]) -> None:
        self._client = client
        self._fate_of = fate_of
        self._is_dead = False
        self.calls: list[str] = []
        self.meta = client.meta

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            fate = self._next(operation)
            if fate is not None and not fate.is_done:
                raise self._end(fate)
            answer = getattr(self._client, operation)(**request)
            if fate is not None:
                raise self._end(fate)
            return answer

        return call

    def sleep(self, _seconds: float) -> None:
        """What a dead process does not do either."""
        if self._is_dead:
            raise Killed

    def _next(self, operation: str) -> Fate | None:
        if self._is_dead:
            raise Killed
        self.calls.append(operation)
        return self._fate_of(len(self.calls) - 1)

    def _end(self, fate: Fate) -> BaseException:
        error = fate.error()
        self._is_dead = isinstance(error, Killed)
        return error


class RetoldClient:
    """Passes calls on to a client, and tells of throughputs in other words."""

    def __init__(self, client: Any, retell: Callable[[dict[str, Any]], None]) -> None:
        self._client = client
        self._retell = retell
        self.meta = client.meta

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            answer = getattr(self._client, operation)(**request)
            for told in (answer, *answer.get("provisionedModelSummaries", ())):
                if "modelArn" in told:
                    self._retell(told)
            return answer

        return call


def without_length(told: dict[str, Any]) -> None:
    """Name a model without its context length."""
    told["modelArn"] = told["modelArn"].removesuffix(":24k")
    told["desiredModelArn"] = told["modelArn"]


def fated(service: ThroughputService, fates: dict[int, Fate]) -> FatedClient:
    """A client whose calls end well but for some, by their number from 0."""
    return FatedClient(service.bedrock, fates.get)


def manager_of(
    service: ThroughputService,
    client: Any = None,
    *,
    before_sleep: Callable[[], object] = lambda: None,
) -> ProvisionedThroughputManager:
    """A manager on a service's clock, which passes only while it sleeps."""

    def sleep(seconds: float) -> None:
        if isinstance(client, FatedClient):
            client.sleep(seconds)
        before_sleep()
        service.clock.sleep(seconds)

    return ProvisionedThroughputManager(
        client or service.bedrock,
        clock=lambda: datetime.fromtimestamp(service.clock(), timezone.utc),
        sleep=sleep,
        random=lambda: 1.0,
        poll_seconds=60,
    )
