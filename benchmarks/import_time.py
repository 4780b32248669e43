"""What importing this package adds to importing langchain-aws's chat model."""

from __future__ import annotations

import resource
import subprocess
import sys

from benchmarks.harness import Result, compare

ROUNDS = 15
OURS = "from langchain_bedrock_opt import ChatBedrockOptimized"
THEIRS = "from langchain_aws import ChatBedrockConverse"
MAIN_JOB = (
    "from langchain_bedrock_opt import ChatBedrockRouter, BedrockSemanticCache, DiskCacheStore,"
    " BedrockUsageCallbackHandler"
)


def cpu_seconds(statement: str) -> float:
    """CPU seconds of a fresh interpreter that runs one statement."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run() -> Result:
    """Compare CPU times of whole interpreters."""
    cpu_seconds(OURS)  # byte-compiled files, warm disk cache
    cpu_seconds(MAIN_JOB)
    package = compare(lambda: cpu_seconds(OURS), lambda: cpu_seconds(THEIRS), rounds=ROUNDS)
    main_job = compare(lambda: cpu_seconds(MAIN_JOB), lambda: cpu_seconds(THEIRS), rounds=ROUNDS)
    return Result(
        benchmark="import_time",
        figures={
            "chat model / ChatBedrockConverse, ratio": package.ratio,
            "router, cache and usage / ChatBedrockConverse, ratio": main_job.ratio,
            "chat model, CPU s": package.ours,
        },
        baselines={"ChatBedrockConverse, CPU s": package.baseline},
        goals={"chat model / ChatBedrockConverse, ratio": ("<=", 1.05)},
    )
