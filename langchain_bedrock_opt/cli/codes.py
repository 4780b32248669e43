"""Exit codes: what the shell is told, and which error ends with which."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from langchain_bedrock_opt.errors import (
    BatchJobError,
    BatchPartialError,
    BatchStorageError,
    BedrockServiceError,
    BudgetExceededError,
    BudgetStoreError,
    CacheStoreError,
    CapacityError,
    SpendingCapError,
    ThroughputTimeoutError,
    UnitsFixedError,
)


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    """What was asked was done, and all is well."""

    NOT_WELL = 1
    """It was done, and what was asked about is not well: a failed job, check or prompt."""

    WRONG = 2
    """The command line, a file or the set-up is wrong; nothing was done."""

    REFUSED = 3
    """AWS, or a store, refused or could not be reached."""

    INTERRUPTED = 130
    """Ctrl-C."""

    UNREAD = 141
    """Whoever read the output has gone, as in `bedrock-opt demo | head`."""


EPILOG: Final = """\
exit codes:
  0    done, and all is well
  1    done, and what was asked about is not well: a job or a prompt failed, a check of doctor
       failed, a model has no price, a wait ran out of time
  2    the command line, a file or the set-up is wrong; nothing was done
  3    AWS, or a store, refused or could not be reached
  130  interrupted by Ctrl-C
  141  whoever read the output has gone

With --json, standard output is one JSON document, and for an error {"error": {…}}; progress and
remarks go to standard error. Mistakes in the command line itself are told there alone.
"""
"""What `bedrock-opt --help` says of them."""

_NOT_WELL: Final = (BatchPartialError, BudgetExceededError, SpendingCapError, TimeoutError)
_REFUSED: Final = (
    BatchJobError,
    BatchStorageError,
    BedrockServiceError,
    BudgetStoreError,
    CacheStoreError,
    CapacityError,
)


def code_of(error: BaseException) -> ExitCode:
    """The exit code of an error that ended a command.

    Args:
        error: One of this package, a `TimeoutError`, or what a boto3 client raises.

    Example:
        >>> from langchain_bedrock_opt.errors import ConfigurationError
        >>> int(code_of(ConfigurationError("No AWS region.")))
        2
        >>> int(code_of(CacheStoreError("the store failed")))
        3
    """
    from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS

    if isinstance(error, UnitsFixedError):
        return ExitCode.WRONG
    if isinstance(error, ThroughputTimeoutError):
        return ExitCode.NOT_WELL
    # Both a service error and a `TimeoutError` is a model that was waited for too long.
    if isinstance(error, (*_REFUSED, *BOTOCORE_ERRORS)):
        return ExitCode.REFUSED
    if isinstance(error, _NOT_WELL):
        return ExitCode.NOT_WELL
    return ExitCode.WRONG
