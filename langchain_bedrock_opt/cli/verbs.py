"""The verbs: reads the command line, runs one of them, and tells how it ended."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import lru_cache
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
from langchain_bedrock_opt.cli.advice import in_shell
from langchain_bedrock_opt.cli.codes import EPILOG, ExitCode, code_of
from langchain_bedrock_opt.cli.output import discard, emit, error_document, note, set_up, told
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


def run(arguments: Sequence[str] | None) -> int:
    """Run one verb.

    Args:
        arguments: The command line without the program's name; None takes the process's own.

    Returns:
        The exit status, one of `ExitCode`.
    """
    set_up()
    options = _parser().parse_args(arguments)
    from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS  # which `--help` need not wait for

    try:
        status: int = options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()  # what is still to be written may find that its reader has gone
    except KeyboardInterrupt as error:
        return _failed(error, "Interrupted.", ExitCode.INTERRUPTED, options)
    except BrokenPipeError:
        discard()
        return ExitCode.UNREAD
    except (BedrockOptError, TimeoutError, *BOTOCORE_ERRORS) as error:
        return _failed(error, in_shell(error), code_of(error), options)
    except OSError as error:
        if error.filename is None:
            discard()
        place = error.filename or "standard output"
        return _failed(error, f"Can't use {place}: {error.strerror}.", ExitCode.WRONG, options)
    return status


def _failed(
    error: BaseException, said: str, code: ExitCode, options: argparse.Namespace
) -> ExitCode:
    """Say why a command ended: on standard error for people, on standard output as data."""
    note(f"bedrock-opt: {said}")
    facts = {}
    if code is not ExitCode.WRONG:  # else nothing was done
        facts = told.facts
        if told.hint:
            note(told.hint)
    if getattr(options, "json", False) and not told.is_done:
        details = error_document(error) | {"message": said, "exit_code": int(code)} | facts
        emit({"error": details}, "", as_json=True)
    return code


@lru_cache
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
