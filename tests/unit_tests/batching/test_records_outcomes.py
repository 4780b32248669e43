"""Errors in a job's output become errors that say whether a record may be sent again."""

from __future__ import annotations

import pytest

from langchain_bedrock_opt.batching.records.outcomes import record_error
from langchain_bedrock_opt.errors import BatchRecordError, RecordNotProcessedError

JOB = "arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/abcdefabcdef"


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
