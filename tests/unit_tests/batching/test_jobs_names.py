"""Names of runs and jobs, and the waits between tries."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.aws.backoff import Backoff
from langchain_bedrock_opt.batching.jobs.names import (
    checked_run_id,
    job_id,
    job_name,
    request_token,
)
from langchain_bedrock_opt.catalog.batch_limits import JOB_NAME, REQUEST_TOKEN, S3_KEY
from langchain_bedrock_opt.errors import ConfigurationError

PART = st.from_regex("[a-zA-Z0-9][a-zA-Z0-9._-]{0,30}", fullmatch=True)
RUN_IDS = st.lists(PART, min_size=1, max_size=4).map("/".join)
NUMBERS = st.integers(0, 10**7)
SHARDS = st.tuples(RUN_IDS, NUMBERS, NUMBERS, st.from_regex("[0-9a-f]{64}", fullmatch=True))


@settings(max_examples=50)
@given(shard=SHARDS)
def test_a_jobs_name_and_token_are_what_bedrock_takes(shard: tuple[str, int, int, str]) -> None:
    """Whatever the run is called, its jobs have names and tokens of Bedrock's patterns."""
    name, token = job_name(*shard), request_token(*shard)

    assert JOB_NAME.fullmatch(name)
    assert len(name) <= 63
    assert REQUEST_TOKEN.fullmatch(token)
    assert S3_KEY.fullmatch(checked_run_id(shard[0]))


@settings(max_examples=50)
@given(one=SHARDS, other=SHARDS)
def test_no_two_shards_share_a_name_or_a_token(
    one: tuple[str, int, int, str], other: tuple[str, int, int, str]
) -> None:
    """Another run, stage, shard or input makes another name and another token."""
    assert (job_name(*one) == job_name(*other)) == (one == other)
    assert (request_token(*one) == request_token(*other)) == (one == other)


def test_a_name_says_to_people_whose_it_is() -> None:
    """A job's name begins with what the run is called, its stage and its shard."""
    assert job_name("nightly_2026.11", 0, 3, "00").startswith("nightly-2026-11-0-00003-")


@pytest.mark.parametrize("text", ["", "-x", "a b", "夜", "a//b", "a/", "../b", "a+b", "x" * 129])
def test_a_run_id_that_no_key_can_hold_is_refused(text: str) -> None:
    """A run id that S3 or a job would not take is refused with the value and an example."""
    with pytest.raises(ConfigurationError, match="such as 'nightly-2026-11-22'") as caught:
        checked_run_id(text)

    assert repr(text) in str(caught.value)


def test_a_jobs_id_is_the_end_of_its_arn() -> None:
    """The folder of a job's output is named by the end of its ARN."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abc"

    assert job_id(arn) == "abc"


@given(jitter=st.floats(0, 1), tries=st.integers(1, 12))
def test_waits_grow_to_a_limit_with_jitter(jitter: float, tries: int) -> None:
    """Each wait is between half and all of twice the one before, up to the longest."""
    slept: list[float] = []
    backoff = Backoff(first=1, longest=30, sleep=slept.append, random=lambda: jitter)

    for _ in range(tries):
        backoff.pause()

    assert len(slept) == backoff.pauses == tries
    for number, seconds in enumerate(slept):
        full = min(2.0**number, 30)
        assert full / 2 <= seconds <= full


def test_waits_begin_anew_after_a_success() -> None:
    """When something has worked, the next wait is the first one again."""
    slept: list[float] = []
    backoff = Backoff(first=1, longest=30, sleep=slept.append, random=lambda: 1)

    backoff.pause()
    backoff.pause()
    backoff.begin_anew()
    backoff.pause()

    assert slept == [1, 2, 1]
    assert backoff.pauses == 1
