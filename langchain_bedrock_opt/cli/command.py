"""The command `bedrock-opt`: reads the command line and runs one verb."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from langchain_bedrock_opt import __version__
from langchain_bedrock_opt.cli import dashboard, demo, emulator, prices, report
from langchain_bedrock_opt.errors import BedrockOptError


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
    for verb in (demo, emulator, report, prices, dashboard):
        verb.add_to(verbs)
    return parser
