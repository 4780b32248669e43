"""How often botocore tried before a call came to its end, and how many tries were throttled.

botocore says how often it tried again, in `ResponseMetadata`; why, it says only to event
handlers, and of a call without an answer it says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any, Final

THROTTLE_CODES: Final = frozenset({"throttlingexception", "toomanyrequestsexception"})
"""AWS's codes for too many requests or tokens, in lower case: streams write them otherwise."""
_TOO_MANY_REQUESTS: Final = 429


@dataclass(slots=True)
class Attempts:
    """What was seen of one call's attempts.

    Attributes:
        retries: Attempts beyond the first.
        throttles: How many of the attempts were throttled.
    """

    retries: int = 0
    throttles: int = 0


_current: ContextVar[Attempts | None] = ContextVar("bedrock_opt_attempts", default=None)


def count_attempts(attempts: Attempts) -> Token[Attempts | None]:
    """Count the attempts of the calls that are made in this context from now on.

    Args:
        attempts: Where to.

    Returns:
        What `stop_counting` takes. The two are no context manager: that costs as much as they do,
        at each call.
    """
    return _current.set(attempts)


def stop_counting(token: Token[Attempts | None]) -> None:
    """Go back to how it was before `count_attempts`."""
    _current.reset(token)


def attempts_so_far() -> Attempts | None:
    """What was seen of the call that is being made; None if nobody looks."""
    return _current.get()


def watch_attempts(client: Any) -> None:
    """Have a boto3 client count the attempts of its calls.

    Args:
        client: A client that is ours to change.
    """
    # First, since a handler after it may raise.
    client.meta.events.register_first("needs-retry.bedrock-runtime", _count)


def _count(
    attempts: int = 1,
    response: tuple[Any, Mapping[str, Any]] | None = None,
    **_: Any,
) -> None:
    """A `needs-retry` handler: called after each attempt, it has no say in the matter."""
    seen = _current.get()
    if seen is None:
        return
    if attempts > 1:
        seen.retries += 1
    if response is not None and _is_throttle(response[1]):
        seen.throttles += 1


def _is_throttle(response: Mapping[str, Any]) -> bool:
    """Whether a parsed answer says that there were too many requests or tokens."""
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return code.lower() in THROTTLE_CODES or status == _TOO_MANY_REQUESTS
