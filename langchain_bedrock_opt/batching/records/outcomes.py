"""Errors of records, as a user gets them."""

from __future__ import annotations

from typing import Final

from langchain_bedrock_opt.errors import BatchRecordError, RecordNotProcessedError

# Nothing is wrong with the record: it came at a bad time.
_MAY_BE_SENT_AGAIN: Final = frozenset({"408", "429"})


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
