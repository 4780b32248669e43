"""Operations of the control plane that are plain functions of their parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_bedrock_opt.emulator.engine import Operation, Parts, Visit
from langchain_bedrock_opt.emulator.types import HttpResponse

Answer = Callable[[Mapping[str, Any]], dict[str, Any]]
"""From an operation's parameters to its output, both by botocore's names."""

RegionalAnswer = Callable[[Mapping[str, Any], str], dict[str, Any]]
"""The same, with the region that the request was sent to."""


def plain(answer: Answer) -> Operation:
    """The operation that a function answers."""
    return lambda parts, visit: _answer(parts, visit, answer(visit.call.params))


def regional(answer: RegionalAnswer) -> Operation:
    """The operation that a function answers which goes by the region, too."""
    return lambda parts, visit: _answer(parts, visit, answer(visit.call.params, visit.region))


def _answer(parts: Parts, visit: Visit, output: Mapping[str, Any]) -> HttpResponse:
    response = parts.wire.serialise(visit.call, output)
    visit.end(response.status)
    return response
