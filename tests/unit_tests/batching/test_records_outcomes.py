"""Errors in a job's output become errors that say whether a record may be sent again."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_bedrock_opt.batching.records.outcomes import error_of, record_error
from langchain_bedrock_opt.errors import BatchRecordError, RecordNotProcessedError

JOB = "arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/abcdefabcdef"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ({"modelOutput": {"content": []}}, None),
        ({"modelOutput": {}}, None),
        ({}, None),
        ({"error": None, "modelOutput": {"output": {}}}, None),
        ({"error": {"errorCode": 400, "errorMessage": "bad request"}}, ("400", "bad request")),
        ({"error": {"errorCode": "429", "errorMessage": "slow"}}, ("429", "slow")),
        ({"error": {"errorMessage": "no code"}}, ("", "no code")),
        ({"error": {}}, ("", "")),
        ({"error": "plain text"}, ("", "plain text")),
        ({"modelOutput": {"errorCode": 500, "errorMessage": "oops"}}, ("500", "oops")),
        ({"modelOutput": {"errorCode": 500}}, ("500", "")),
        # A model may answer with JSON that speaks of errors.
        ({"modelOutput": {"errorCode": 1, "output": {"message": {}}}}, None),
        ({"modelOutput": {"errorMessage": "in an answer"}}, None),
    ],
)
def test_errors_are_found_in_both_places(line: dict[str, Any], error: Any) -> None:
    """An error stands in its own place or alone in the answer's, its code a number or a text."""
    assert error_of({"recordId": "00000000001", "modelInput": {}, **line}) == error


@pytest.mark.parametrize("code", ["408", "429", "500", "502", "503", "599"])
def test_what_came_at_a_bad_time_may_be_sent_again(code: str) -> None:
    """Timeouts, throttles and errors of the server are safe to send again."""
    error = record_error(code, "later", place=7, job_arn=JOB)

    assert isinstance(error, RecordNotProcessedError)
    assert error.retry_safe
    assert (error.index, error.code, error.status_code, error.job_arn) == (7, code, int(code), JOB)


@pytest.mark.parametrize("code", ["400", "403", "404", "413", "424", "", "5", "Validation"])
def test_what_is_wrong_with_a_record_stays_wrong(code: str) -> None:
    """Other errors are the record's own: sending it again would change nothing."""
    error = record_error(code, "bad request", place=7, job_arn=JOB)

    assert type(error) is BatchRecordError
    assert not error.retry_safe
    assert "Record 7" in str(error)
    assert "bad request" in str(error)
