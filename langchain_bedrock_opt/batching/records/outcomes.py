"""Errors in a job's output, as Bedrock writes them and as a user gets them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_bedrock_opt.errors import BatchRecordError, RecordNotProcessedError

# Nothing is wrong with the record: it came at a bad time.
_MAY_BE_SENT_AGAIN: Final = frozenset({"408", "429"})
_ONLY_IN_ERRORS: Final = frozenset({"errorCode", "errorMessage"})


def error_of(output_line: Mapping[str, Any]) -> tuple[str, str] | None:
    """The error of one line of a job's output.

    Args:
        output_line: The parsed line. An error stands in `error`, and, as users report, sometimes
            inside `modelOutput`.

    Returns:
        Its code, as text, and its message; None if there is an answer.

    Example:
        >>> error_of({"recordId": "1", "error": {"errorCode": 400, "errorMessage": "bad request"}})
        ('400', 'bad request')
        >>> error_of({"recordId": "1", "modelOutput": {"content": []}}) is None
        True
    """
    error = output_line.get("error")
    if error is None:
        answer = output_line.get("modelOutput")
        if not isinstance(answer, Mapping) or "errorCode" not in answer:
            return None
        if not answer.keys() <= _ONLY_IN_ERRORS:
            return None
        error = answer
    if not isinstance(error, Mapping):
        return "", str(error)
    return str(error.get("errorCode", "")), str(error.get("errorMessage", ""))


def record_error(code: str, message: str, *, place: int, job_arn: str | None) -> BatchRecordError:
    """What a user gets for a record that ended with an error.

    Args:
        code: The code in the job's output, as text.
        message: Bedrock's words.
        place: The record's place among the inputs.
        job_arn: The job.

    Returns:
        A `RecordNotProcessedError`, which is retry-safe, for 408, 429 and what begins with 5; a
        `BatchRecordError` for the rest.

    Example:
        >>> record_error("429", "Too many tokens", place=3, job_arn=None).retry_safe
        True
        >>> print(record_error("400", "bad request", place=3, job_arn=None))
        Record 3 ended with error 400: bad request
    """
    is_server = len(code) == 3 and code.startswith("5")  # noqa: PLR2004 - digits of an HTTP status
    is_safe = is_server or code in _MAY_BE_SENT_AGAIN
    kind = RecordNotProcessedError if is_safe else BatchRecordError
    text = f"Record {place} ended with error {code or 'without a code'}: {message or 'no message'}"
    return kind(text, index=place, error_code=code, job_arn=job_arn)
