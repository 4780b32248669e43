"""`bedrock-opt demo`: the main job, on the local Bedrock or on AWS."""

from __future__ import annotations

import argparse
import logging
from typing import Any

from langchain_bedrock_opt.cli import values
from langchain_bedrock_opt.cli.signals import ended_like_ctrl_c


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("demo", help="run prompts through routing, cache and accounting")
    parser.set_defaults(run=_run)
    parser.add_argument(
        "--prompts",
        metavar="FILE",
        help="your own prompts: JSON lines with `prompt`, or one a line",
    )
    parser.add_argument("--real", action="store_true", help="run on AWS, with your credentials")
    parser.add_argument("--region", default=None, help="the AWS region")
    parser.add_argument(
        "--cap",
        type=values.cap,
        default="1.00",
        metavar="USD",
        help="with --real: spend at most this (or `none`)",
    )
    # Without a limit Bedrock reserves the model's own maximum for each call.
    parser.add_argument(
        "--max-tokens", type=values.positive, default=1024, metavar="N", help="the longest answer"
    )
    parser.add_argument(
        "--speed",
        type=values.speed,
        default=100.0,
        metavar="X",
        help="how many times faster than life the local models answer",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def _run(options: argparse.Namespace) -> int:
    from langchain_bedrock_opt.demo.command import demo

    # The cap ends the run by an error in a callback: langchain-core logs that, and the summary
    # says it in the user's terms.
    logging.getLogger("langchain_core.callbacks").setLevel(logging.ERROR)

    if options.region is None and not options.real:
        options.region = "us-east-1"
    # Ended from outside it still says what it has spent, and takes its answers off the disk.
    with ended_like_ctrl_c():
        return demo(options)
