"""Clients of commands: while nobody answers, they say so, and don't try for longer than asked."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from langchain_bedrock_opt.cli.output import note
from langchain_bedrock_opt.errors import ServiceUnavailableError

LOOKS: Final = 2
"""How often a command that only looks tries a call that nobody answers."""

_CONNECTIONS: Final = 16
_LOOKING: Final = 10.0
"""Seconds in which whoever only looks wants a connection, and each part of an answer."""
_LEAST_PATIENCE: Final = 1.0
_LONGEST_ANSWER: Final = 1_000
"""In tokens, by which timeouts are told: those of a short answer of a model."""
_BETWEEN_NOTES: Final = 15.0
_SERVER_ERRORS: Final = 500
_TOO_MANY_REQUESTS: Final = 429


class Patience:
    """Looks at each try of a client's calls, and says on standard error if nobody answers.

    Args:
        tries: How often a call is tried that nobody answers; None leaves that to the caller.
        timeout: Seconds after which nobody waits any more; None for no end.
        clock: Seconds, monotonic.
        say: Is told what there is to say.
    """

    def __init__(
        self,
        *,
        tries: int | None = None,
        timeout: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], object] = note,
    ) -> None:
        self._tries = math.inf if tries is None else tries
        self._clock = clock
        self._say = say
        self._timeout = timeout
        self._end = math.inf if timeout is None else clock() + timeout
        self._next_note = self._began = -math.inf
        self._is_trouble = False
        self._lock = threading.Lock()

    @property
    def seconds_a_try(self) -> float | None:
        """How long a try waits for a connection, and for each part of an answer; None is long."""
        if self._timeout is not None:
            return max(_LEAST_PATIENCE, min(_LOOKING, self._timeout))
        return _LOOKING if self._tries < math.inf else None

    def watch(self, client: Any) -> Any:
        """Look at a client's calls from now on.

        Args:
            client: One of this command's own.
        """
        client.meta.events.register_first("needs-retry", self._looked)
        return client

    def _looked(
        self,
        request_dict: dict[str, Any],
        attempts: int = 1,
        response: tuple[Any, Any] | None = None,
        caught_exception: Exception | None = None,
        **_: Any,
    ) -> None:
        """Told by botocore of each try; what it raises ends the call."""
        trouble = _trouble(response, caught_exception)
        with self._lock:
            now = self._clock()
            if not trouble:
                self._is_trouble = False
                return
            if not self._is_trouble:
                self._is_trouble, self._began = True, now
            # Pauses grow: the next try is about as far off as the first one is away.
            is_late = now + (now - self._began) >= self._end
            is_told = now < self._next_note
            if not is_told:
                self._next_note = now + _BETWEEN_NOTES
        host = urlsplit(request_dict.get("url", "")).netloc or "AWS"
        if is_late:
            raise TimeoutError(f"{host} {trouble}, and the {self._timeout:g} seconds are over.")
        if caught_exception is not None and attempts >= self._tries:
            raise ServiceUnavailableError(
                f"{host} {trouble}: check the region, the network, proxies (HTTPS_PROXY) and VPC "
                f"endpoints ({caught_exception})."
            )
        if not is_told:
            self._say(f"{host} {trouble}, trying again.")


def watched_client(service: str, region: str | None, patience: Patience | None = None) -> Any:
    """A client of this command's own.

    Args:
        service: `bedrock`, `s3`, …
        region: The region; None takes boto3's chain.
        patience: How long it is tried to reach AWS; None leaves that to the callers.

    Raises:
        ConfigurationError: There is no region, or no such profile.
    """
    from langchain_bedrock_opt.aws.clients import ClientSettings, client_config, new_client

    patience = patience or Patience()
    seconds = patience.seconds_a_try
    config = client_config(
        max_concurrency=_CONNECTIONS, max_tokens=_LONGEST_ANSWER, timeout=seconds
    )
    settings = ClientSettings(service=service, region_name=region, config=config)
    return patience.watch(new_client(settings))


def _trouble(response: tuple[Any, Any] | None, error: Exception | None) -> str:
    """What is wrong with a try; empty if it was answered."""
    if error is not None or response is None:
        return "does not answer"
    status = response[0].status_code
    is_trouble = status >= _SERVER_ERRORS or status == _TOO_MANY_REQUESTS
    return f"answers {status}" if is_trouble else ""
