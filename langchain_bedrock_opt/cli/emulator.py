"""`bedrock-opt emulator`: the local Bedrock as a server."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from langchain_bedrock_opt.cli import values
from langchain_bedrock_opt.cli.codes import ExitCode
from langchain_bedrock_opt.cli.output import emit, say, to_json_line

DEFAULT_PORT: Final = 4599


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("emulator", help="serve a local Bedrock, S3, DynamoDB, …")
    parser.set_defaults(run=_run)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument(
        "--port", type=values.port, default=DEFAULT_PORT, help="the port; 0 takes any that is free"
    )
    parser.add_argument("--region", default="us-east-1", help="the region it plays")
    parser.add_argument(
        "--strict", action="store_true", help="accept only models and ARNs that it knows"
    )
    parser.add_argument("--seed", type=int, default=0, help="the seed of its replies and latencies")
    parser.add_argument(
        "--latency",
        default="none",
        metavar="none|models|SECONDS",
        help="answer at once, as fast as each model, or after so many seconds",
    )
    parser.add_argument("--speed", type=values.speed, default=1.0, help="divides every latency")
    parser.add_argument(
        "--bucket", action="append", default=[], help="an S3 bucket to make; may be repeated"
    )
    parser.add_argument(
        "--job-seconds",
        type=values.seconds,
        default=0.0,
        help="how long an invocation job runs; 0 is at once",
    )
    parser.add_argument(
        "--throughput-seconds",
        type=values.seconds,
        default=0.0,
        help="how long a provisioned throughput is in Creating; 0 is at once",
    )
    parser.add_argument("--json", action="store_true", help="print where it is as JSON")


def _run(options: argparse.Namespace) -> int:
    from langchain_bedrock_opt.emulator import (
        BedrockEmulator,
        JobPace,
        JobSettings,
        ThroughputPace,
        ThroughputSettings,
    )

    emulator = BedrockEmulator(
        host=options.host,
        port=options.port,
        region=options.region,
        seed=options.seed,
        strict=options.strict,
        pace=_pace(options.latency),
        speed=options.speed,
        jobs=JobSettings(pace=JobPace(running=options.job_seconds)),
        throughput=ThroughputSettings(pace=ThroughputPace(creating=options.throughput_seconds)),
    )
    for bucket in options.bucket:
        _make_bucket(emulator, bucket)
    stopped = threading.Event()
    with _ended_by_signals(stopped), emulator as aws:
        variables = " ".join(f"{name}={value}" for name, value in aws.environment.items())
        if options.json:  # in one line, for who reads it while the server runs
            place = {"endpoint_url": aws.endpoint_url, "environment": aws.environment}
            emit(place, to_json_line(place), as_json=False)
        else:
            say(f"Amazon Bedrock, local, at {aws.endpoint_url} (Ctrl-C ends it)")
            say(f"  export {variables}")
        stopped.wait()
    return ExitCode.DONE


@contextmanager
def _ended_by_signals(stopped: threading.Event) -> Iterator[None]:
    """Inside the block Ctrl-C and SIGTERM set an event."""
    names = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(name, lambda *_: stopped.set()) for name in names]
    try:
        yield
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)


def _make_bucket(emulator: Any, bucket: str) -> None:
    from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS
    from langchain_bedrock_opt.errors import ConfigurationError

    # Only this region must not be named.
    place = {"CreateBucketConfiguration": {"LocationConstraint": emulator.region}}
    options = {} if emulator.region == "us-east-1" else place
    try:
        emulator.client("s3").create_bucket(Bucket=bucket, **options)
    except BOTOCORE_ERRORS as error:
        said = " ".join(str(error).split())
        raise ConfigurationError(f"--bucket {bucket!r} can't be made: {said}") from error


def _pace(text: str) -> str | float | None:
    if text in {"none", "models"}:
        return None if text == "none" else text
    try:
        return float(text)
    except ValueError:
        from langchain_bedrock_opt.errors import ConfigurationError

        raise ConfigurationError(
            f"--latency {text!r} is neither `none`, `models` nor a number of seconds."
        ) from None
