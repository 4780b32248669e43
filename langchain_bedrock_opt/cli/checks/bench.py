"""What checks work with: clients, a clock, and what was asked for."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final

from langchain_bedrock_opt.aws.clients import client_config, service_client
from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS, BotocoreError
from langchain_bedrock_opt.aws.trouble import said

_SHOWN: Final = 200
"""How much of a service's words is repeated, in characters."""


def in_brief(error: BotocoreError) -> str:
    """A service's own words, in one line that is not too long."""
    return textwrap.shorten(said(error), _SHOWN, placeholder=" …")


@dataclass(slots=True, kw_only=True)
class Bench:
    """What checks work with.

    Attributes:
        region: The region that was asked for; None takes boto3's chain.
        models: Model ids and ARNs to look at.
        is_offline: Ask nobody.
        may_call: Also call the models, which costs a token or two each.
        cache: A cache folder to look at; None for none.
        client_of: Makes a client of a service. By default one that gives up soon.
        clock: Seconds since 1970.
        skews: By how many seconds this machine's clock was ahead of AWS's, answer by answer.
        clients: The clients that were made.
    """

    region: str | None = None
    models: tuple[str, ...] = ()
    is_offline: bool = False
    may_call: bool = False
    cache: str | None = None
    client_of: Callable[[str], Any] | None = None
    clock: Callable[[], float] = time.time
    skews: list[float] = field(default_factory=list)
    clients: dict[str, Any] = field(default_factory=dict, repr=False)

    def client(self, service: str) -> Any:
        """A client of a service in this region.

        Raises:
            ConfigurationError: There is no region.
        """
        if service not in self.clients:
            make = self.client_of or self._new_client
            self.clients[service] = make(service)
        return self.clients[service]

    def _new_client(self, service: str) -> Any:
        config = client_config(max_concurrency=2, timeout=5.0, max_retries=1)
        return service_client(service, region_name=self.region, config=config)

    def ask(self, service: str, operation: str, **request: Any) -> dict[str, Any]:
        """An operation's answer; its date is noted, also that of an error.

        Raises:
            ConfigurationError: There is no region.
            BotocoreError: It was refused, or nobody answered.
        """
        call = getattr(self.client(service), operation)
        try:
            answer: dict[str, Any] = call(**request)
        except BOTOCORE_ERRORS as error:
            self._note_date(getattr(error, "response", None) or {})
            raise
        self._note_date(answer)
        return answer

    def asking(self, service: str) -> _Asking:
        """What stands for a client of a service where one is to be given; it calls `ask`."""
        return _Asking(self, service)

    def _note_date(self, answer: dict[str, Any]) -> None:
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        try:
            told = parsedate_to_datetime(headers["date"])
        except (KeyError, TypeError, ValueError):
            return
        self.skews.append(self.clock() - told.timestamp())


class _Asking:
    """Stands for a client: each of its operations is asked at the bench."""

    def __init__(self, bench: Bench, service: str) -> None:
        self._bench = bench
        self._service = service

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        return partial(self._bench.ask, self._service, operation)
