"""The command `bedrock-opt`, which ends well also if it is interrupted while Python imports it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

_INTERRUPTED: Final = 130  # `ExitCode.INTERRUPTED`, which is not imported yet


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        arguments: The command line without the program's name; None takes the process's own.

    Returns:
        The exit status, one of `ExitCode`.
    """
    try:
        from langchain_bedrock_opt.cli.verbs import run

        return run(arguments)
    except KeyboardInterrupt:
        if sys.stderr is not None:
            sys.stderr.write("bedrock-opt: Interrupted.\n")
        return _INTERRUPTED
