"""Which calls that ended badly may be on the bill, and which cost nothing."""

from __future__ import annotations

import sys
from typing import Final

from langchain_bedrock_opt.contracts import UNSENT
from langchain_bedrock_opt.errors import (
    AccessDeniedError,
    BatchRecordError,
    BedrockServiceError,
    BudgetExceededError,
    BudgetStoreError,
    ConfigurationError,
    InvalidRequestError,
    ModelIdError,
    RecordNotProcessedError,
    RequestTooLargeOrOverQuotaError,
    ServiceUnavailableError,
    ThrottledError,
)

_OURS: Final = (BudgetExceededError, BudgetStoreError, ConfigurationError, ModelIdError)
"""Raised by this package before anything is sent."""

_REFUSALS: Final = (
    AccessDeniedError,
    InvalidRequestError,
    RequestTooLargeOrOverQuotaError,
    ServiceUnavailableError,
    ThrottledError,
)
"""Errors of calls that no model has worked on. A timeout, a model's own error and a connection
that broke are not here: those may be billed. Unverified against AWS."""


def may_be_billed(error: BaseException | None, *, has_begun: bool) -> bool:
    """Whether Bedrock may have billed a call of whose tokens nobody said anything.

    Args:
        error: Why it failed or was given up; None if it finished.
        has_begun: Whether anything of an answer was heard.

    Example:
        >>> may_be_billed(KeyError("answer"), has_begun=False)
        False
        >>> may_be_billed(GeneratorExit(), has_begun=False)
        True
    """
    if error is None or has_begun:
        return True
    refused = was_refused(error)
    if refused is None:
        # Who gives up a call (closing, cancelling, Ctrl-C) does not keep Bedrock from billing it.
        return not isinstance(error, Exception)
    return not refused


def was_refused(error: BaseException) -> bool | None:
    """Whether a call failed before a model worked on it, so that it costs nothing.

    Args:
        error: Why it failed or was given up.

    Returns:
        True if no model worked on it, False if it may have been billed, and None for an error
        that is neither AWS's nor this package's, and so says nothing.

    Example:
        >>> was_refused(ConfigurationError("max_tokens=0: give at least 1."))
        True
        >>> was_refused(KeyError("answer")) is None
        True
    """
    unsent: bool | None = getattr(error, UNSENT, None)
    if unsent is not None:
        return unsent
    if isinstance(error, _OURS):
        return True
    known = error if isinstance(error, BedrockServiceError) else _as_service_error(error)
    if known is None:
        return None
    if isinstance(known, BatchRecordError):
        # Without a code it is an answer that can't be read: that is on the bill.
        return isinstance(known, RecordNotProcessedError) or bool(known.code)
    # An error with a code and without an HTTP status came inside a stream, which had begun.
    had_begun = bool(known.code) and known.status_code is None
    return isinstance(known, _REFUSALS) and not had_begun


def _as_service_error(error: BaseException) -> BedrockServiceError | None:
    """An error of a chat model that is not this package's, as ours; None if it is not AWS's."""
    if "botocore" not in sys.modules:
        return None  # nobody has called AWS, and importing it takes a moment
    from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS, service_error

    return service_error(error, None) if isinstance(error, BOTOCORE_ERRORS) else None
