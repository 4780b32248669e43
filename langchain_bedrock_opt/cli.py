"""`bedrock-opt`: one verb for each thing that is done from a shell.

Exit status: 0 if all went well, 1 if something failed on the way, 2 if something was asked for
that can't be done; then one line on standard error says what to do.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from langchain_bedrock_opt import __version__
from langchain_bedrock_opt.errors import BedrockOptError

DEFAULT_PORT = 4599
MAX_PORT = 65_535


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        arguments: The command line without the program's name; None takes the process's own.

    Returns:
        The exit status.
    """
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except BedrockOptError as error:
        print(f"bedrock-opt: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `bedrock-opt demo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bedrock-opt",
        description="Amazon Bedrock inference, made cheaper, faster and steadier.",
    )
    parser.add_argument("--version", action="version", version=f"bedrock-opt {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _add_demo(verbs.add_parser("demo", help="run prompts through routing, cache and accounting"))
    _add_emulator(verbs.add_parser("emulator", help="serve a local Bedrock, S3, DynamoDB, …"))
    return parser


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_demo)
    parser.add_argument(
        "--prompts",
        metavar="FILE",
        help="your own prompts: JSON lines with `prompt`, or one a line",
    )
    parser.add_argument("--real", action="store_true", help="run on AWS, with your credentials")
    parser.add_argument("--region", default=None, help="the AWS region")
    parser.add_argument(
        "--cap",
        type=_cap,
        default="1.00",
        metavar="USD",
        help="with --real: spend at most this (or `none`)",
    )
    # Without a limit Bedrock reserves the model's own maximum for each call.
    parser.add_argument(
        "--max-tokens", type=_positive, default=1024, metavar="N", help="the longest answer"
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        default=100.0,
        metavar="X",
        help="how many times faster than life the local models answer",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def _add_emulator(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_emulator)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help="the port; 0 takes any that is free"
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
    parser.add_argument("--speed", type=_speed, default=1.0, help="divides every latency")


def _cap(text: str) -> Decimal | None:
    """`0.5` → half a dollar; `none` → no cap."""
    if text.lower() == "none":
        return None
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is neither an amount in US dollars nor `none`")
    return amount


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = float("nan")
    if not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0; 10 is ten times life")
    return speed


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to {MAX_PORT}")
    return int(text)


def _demo(options: argparse.Namespace) -> int:
    from langchain_bedrock_opt.demo.command import demo

    if options.region is None and not options.real:
        options.region = "us-east-1"
    # Ended from outside it still says what it has spent, and takes its answers off the disk.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return demo(options)
    finally:
        signal.signal(signal.SIGTERM, before)


def _emulator(options: argparse.Namespace) -> int:
    from langchain_bedrock_opt.emulator import BedrockEmulator

    emulator = BedrockEmulator(
        host=options.host,
        port=options.port,
        region=options.region,
        seed=options.seed,
        strict=options.strict,
        pace=_pace(options.latency),
        speed=options.speed,
    )
    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopped.set())
    with emulator as aws:
        print(f"Amazon Bedrock, local, at {aws.endpoint_url} (Ctrl-C ends it)", flush=True)
        variables = " ".join(f"{name}={value}" for name, value in aws.environment.items())
        print(f"  export {variables}", flush=True)
        stopped.wait()
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
