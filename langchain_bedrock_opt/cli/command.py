"""The command `bedrock-opt`: reads the command line and runs one verb."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from langchain_bedrock_opt import __version__
from langchain_bedrock_opt.cli import (
    batch,
    cache,
    dashboard,
    demo,
    doctor,
    emulator,
    policy,
    prices,
    report,
    throughput,
)
from langchain_bedrock_opt.cli.codes import EPILOG, ExitCode, code_of
from langchain_bedrock_opt.cli.output import error_document, note, one_line, to_json
from langchain_bedrock_opt.errors import BedrockOptError

_VERBS: Final = (
    demo,
    emulator,
    doctor,
    report,
    prices,
    dashboard,
    batch,
    throughput,
    cache,
    policy,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        arguments: The command line without the program's name; None takes the process's own.

    Returns:
        The exit status, one of `ExitCode`.
    """
    options = _parser().parse_args(arguments)
    from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS  # which `--help` need not wait for

    try:
        status: int = options.run(options)
        sys.stdout.flush()  # what is still to be written may find that its reader has gone
    except KeyboardInterrupt as error:
        return _failed(error, "Interrupted.", ExitCode.INTERRUPTED, options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.UNREAD
    except (BedrockOptError, TimeoutError, *BOTOCORE_ERRORS) as error:
        return _failed(error, one_line(error), code_of(error), options)
    return status


def _failed(
    error: BaseException, said: str, code: ExitCode, options: argparse.Namespace
) -> ExitCode:
    """Say why a command ended: on standard error for people, on standard output as data."""
    note(f"bedrock-opt: {said}")
    if getattr(options, "json", False):
        details = error_document(error) | {"message": said, "exit_code": int(code)}
        print(to_json({"error": details}), flush=True)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bedrock-opt",
        description="Amazon Bedrock inference, made cheaper, faster and steadier.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bedrock-opt {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for verb in _VERBS:
        verb.add_to(verbs)
    return parser
