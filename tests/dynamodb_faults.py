"""A DynamoDB client some of whose calls go wrong, for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError


class FaultyClient:
    """Passes calls on, and for each operation first gives what was planned for it.

    A plan is an exception to raise, or a function of the request and the real method that gives
    the response. `calls` holds what was asked, in order.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.plans: dict[str, list[Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def plan(self, operation: str, *plans: Any) -> None:
        self.plans.setdefault(operation, []).extend(plans)

    def requests(self, operation: str) -> list[dict[str, Any]]:
        return [request for name, request in self.calls if name == operation]

    def __getattr__(self, operation: str) -> Any:
        method = getattr(self._client, operation)
        if not callable(method):
            return method

        def call(**request: Any) -> Any:
            self.calls.append((operation, request))
            if plans := self.plans.get(operation):
                plan = plans.pop(0)
                if isinstance(plan, BaseException):
                    raise plan
                return plan(request, method)
            return method(**request)

        return call


def error(code: str, operation: str = "GetItem", message: str = "said so") -> ClientError:
    """What boto3 raises where DynamoDB answers with an error."""
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def twice(request: dict[str, Any], method: Callable[..., Any]) -> Any:
    """A request whose first answer is lost on the way, so that botocore sends it again."""
    method(**request)
    return method(**request)
