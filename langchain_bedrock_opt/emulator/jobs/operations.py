"""The four operations of `bedrock` that are about invocation jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_bedrock_opt.emulator.engine import Operation, Parts, Visit
from langchain_bedrock_opt.emulator.jobs.service import JobService
from langchain_bedrock_opt.emulator.types import HttpResponse


def job_operations(jobs: JobService) -> Mapping[str, Operation]:
    """The operations by their name in botocore's model.

    Args:
        jobs: The jobs they are about.
    """

    def create(parts: Parts, visit: Visit) -> HttpResponse:
        return _answer(parts, visit, jobs.create(visit.call.params, visit.region))

    return {
        "CreateModelInvocationJob": create,
        "GetModelInvocationJob": _plain(jobs.get),
        "ListModelInvocationJobs": _plain(jobs.list_jobs),
        "StopModelInvocationJob": _plain(jobs.stop),
    }


def _plain(answer: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Operation:
    """An operation that is a function of its parameters."""
    return lambda parts, visit: _answer(parts, visit, answer(visit.call.params))


def _answer(parts: Parts, visit: Visit, output: Mapping[str, Any]) -> HttpResponse:
    response = parts.wire.serialise(visit.call, output)
    visit.end(response.status)
    return response
