"""The four operations of `bedrock` that are about invocation jobs."""

from __future__ import annotations

from collections.abc import Mapping

from langchain_bedrock_opt.emulator.control import plain, regional
from langchain_bedrock_opt.emulator.engine import Operation
from langchain_bedrock_opt.emulator.jobs.service import JobService


def job_operations(jobs: JobService) -> Mapping[str, Operation]:
    """The operations by their name in botocore's model.

    Args:
        jobs: The jobs they are about.
    """
    return {
        "CreateModelInvocationJob": regional(jobs.create),
        "GetModelInvocationJob": plain(jobs.get),
        "ListModelInvocationJobs": plain(jobs.list_jobs),
        "StopModelInvocationJob": plain(jobs.stop),
    }
