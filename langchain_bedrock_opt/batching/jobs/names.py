"""Names that come out the same after a crash: job names, request tokens, run ids.

A job's name and token follow from what the job is to do, so whoever submits a run a second time
asks for the very same job, and Bedrock has it already.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from langchain_bedrock_opt.errors import ConfigurationError

_RUN_ID: Final = re.compile("[a-zA-Z0-9][a-zA-Z0-9._-]*(/[a-zA-Z0-9][a-zA-Z0-9._-]*)*")
_LONGEST_RUN_ID: Final = 128
_NOT_IN_A_NAME: Final = re.compile("[^a-zA-Z0-9]+")
_LONGEST_READABLE: Final = 24
_LONGEST_NUMBER: Final = 99_999
_DIGEST: Final = 16


def checked_run_id(text: str) -> str:
    """A run id, if it may stand in an S3 key.

    Args:
        text: Letters, digits, `.`, `_` and `-`; parts of it may be divided by `/`.

    Raises:
        ConfigurationError: It may not.

    Example:
        >>> checked_run_id("nightly-2026-11-22")
        'nightly-2026-11-22'
    """
    if len(text) <= _LONGEST_RUN_ID and _RUN_ID.fullmatch(text):
        return text
    raise ConfigurationError(
        f"run_id={text!r}: a run id is made of up to {_LONGEST_RUN_ID} letters, digits, '.', '_' "
        "and '-', begins with a letter or a digit, and may be divided by '/', such as "
        "'nightly-2026-11-22'."
    )


def job_name(run_id: str, stage: int, shard: int, sha256: str) -> str:
    """The name of a shard's job: readable at its beginning, unique by its end.

    Args:
        run_id: The run.
        stage: The stage, from 0.
        shard: The shard, from 0.
        sha256: Of the shard's input, in hexadecimal.

    Returns:
        At most 63 letters, digits and `-`.

    Example:
        >>> job_name("nightly_2026", 0, 3, "ab" * 32)
        'nightly-2026-0-00003-a110b30294f76c33'
    """
    readable = _NOT_IN_A_NAME.sub("-", run_id)[:_LONGEST_READABLE].strip("-") or "run"
    digest = request_token(run_id, stage, shard, sha256)[:_DIGEST]
    # Numbers beyond the digits there is room for still differ by the digest.
    place = f"{min(stage, _LONGEST_NUMBER)}-{min(shard, _LONGEST_NUMBER):05d}"
    return f"{readable}-{place}-{digest}"


def request_token(run_id: str, stage: int, shard: int, sha256: str) -> str:
    """The `clientRequestToken` of a shard's job: 64 hexadecimal digits.

    Args:
        run_id: The run.
        stage: The stage, from 0.
        shard: The shard, from 0.
        sha256: Of the shard's input, in hexadecimal.

    Example:
        >>> len(request_token("nightly", 0, 3, "ab" * 32))
        64
    """
    # Divided by what a run id can't contain, so that no two shards have one text.
    text = "\n".join((run_id, str(stage), str(shard), sha256))
    return hashlib.sha256(text.encode()).hexdigest()


def job_id(arn: str) -> str:
    """The last part of a job's ARN, which is the name of its output's folder.

    Example:
        >>> job_id("arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/abc123def456")
        'abc123def456'
    """
    return arn.rpartition("/")[2]
