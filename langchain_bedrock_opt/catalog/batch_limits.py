"""What Bedrock says of invocation jobs: patterns, quotas, statuses.

Checked on 2026-11-22 against botocore 1.44.5's model of `bedrock` and AWS's user guide. Quotas
are per model and region and some can be raised: the user's own values win.
"""

from __future__ import annotations

import re
from typing import Final, Literal

InvocationType = Literal["Converse", "InvokeModel"]
"""The request format of a job's records; botocore's `modelInvocationType`."""

MIN_RECORDS: Final = 100
"""Records that a job takes at least: "Minimum number of records per batch inference job"."""

MAX_RECORDS: Final = 50_000
"""Records that an input file and a job take at most, for most models."""

MAX_FILE_BYTES: Final = 1024**3
"""Bytes of an input file (1 GB; not adjustable)."""

TIMEOUT_HOURS: Final = (24, 168)
"""Shortest and longest time that a job may be given."""

JOB_NAME: Final = re.compile(r"[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9\+\-\.]){0,63}")
"""A job's name, of at most 63 characters: no underscores."""

REQUEST_TOKEN: Final = re.compile(r"[a-zA-Z0-9]{1,256}(-*[a-zA-Z0-9]){0,256}")
"""A `clientRequestToken`."""

S3_KEY: Final = re.compile(r"[-!_*'().a-zA-Z0-9]+(/[-!_*'().a-zA-Z0-9]+)*/?")
"""What may follow `s3://bucket/` in a job's URIs, of at most 1,024 characters in all."""

ROLE_ARN: Final = re.compile(r"arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+")
"""A service role's ARN."""

TERMINAL: Final = frozenset({"Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"})
"""Statuses in which a job stays. One that is not known here is taken for a passing one."""

PASSING: Final = frozenset({"Submitted", "Validating", "Scheduled", "InProgress", "Stopping"})
"""Statuses that a job passes through."""
