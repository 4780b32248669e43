"""Calls of S3 on one bucket: tried again while that helps, and errors in one clear line."""

from __future__ import annotations

import random as random_module
import time
from collections.abc import Callable
from typing import Any, Final

from langchain_bedrock_opt.aws.backoff import Backoff
from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS, BotocoreError
from langchain_bedrock_opt.aws.trouble import (
    error_code,
    header,
    lacks_credentials,
    said,
    status_code,
    trouble_of,
)
from langchain_bedrock_opt.errors import BatchStorageError

MISSING: Final = frozenset({"404", "NoSuchKey"})
CHANGED: Final = frozenset({"412", "PreconditionFailed"})

# On top of botocore's own tries, which end after some seconds: about two minutes in all.
TRIES: Final = 9
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0

_DENIED: Final = 403
_ELSEWHERE: Final = frozenset(
    {"301", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"}
)
# What an IAM policy calls an operation, where that is another name. A HEAD or GET of a key that
# is not there is "denied" to whoever may not list the bucket.
_ACTIONS: Final = {
    "head_bucket": "s3:ListBucket",
    "list_objects_v2": "s3:ListBucket",
    "head_object": "s3:GetObject and s3:ListBucket",
    "get_object": "s3:GetObject and s3:ListBucket",
    "delete_object": "s3:DeleteObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
}


class S3Calls:
    """Makes the calls on one bucket; whatever goes wrong is a `BatchStorageError`.

    Args:
        client: A boto3 client of `s3`.
        bucket: The bucket.
        bucket_owner: The account it has to belong to; None leaves that open.
        sleep: Waits for so many seconds.
        random: Numbers from 0 to 1, by which waits differ.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        *,
        bucket_owner: str | None = None,
        sleep: Callable[[float], object] = time.sleep,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self.client = client
        self.bucket = bucket
        self._sleep = sleep
        self._random = random
        self._common: dict[str, Any] = {"Bucket": bucket}
        if bucket_owner is not None:
            self._common["ExpectedBucketOwner"] = bucket_owner

    def call(self, operation: str, key: str | None = None, **request: Any) -> dict[str, Any]:
        """Call an operation.

        Args:
            operation: As boto3 names it.
            key: The object's key; None for an operation on the bucket.
            **request: Its other arguments.

        Raises:
            BatchStorageError: It failed.
        """
        # It is None only for an error that was asked to be an answer.
        return self.call_unless(frozenset(), operation, key, **request) or {}

    def call_unless(
        self, codes: frozenset[str], operation: str, key: str | None = None, **request: Any
    ) -> dict[str, Any] | None:
        """Call an operation of which some errors are an answer.

        Args:
            codes: S3's codes of these errors.
            operation: As boto3 names it.
            key: The object's key; None for an operation on the bucket.
            **request: Its other arguments.

        Returns:
            The response; None for one of these errors.

        Raises:
            BatchStorageError: It failed in any other way.
        """
        backoff = self.backoff()
        while True:
            try:
                return self.try_once(operation, key, **request)
            except BOTOCORE_ERRORS as error:  # noqa: PERF203 - next to a call of S3
                if error_code(error) in codes:
                    return None
                self.wait_or_raise(error, backoff, operation, key)

    def try_once(self, operation: str, key: str | None = None, **request: Any) -> dict[str, Any]:
        """Call an operation; botocore's errors come through."""
        if key is not None:
            request["Key"] = key
        response: dict[str, Any] = getattr(self.client, operation)(**self._common, **request)
        return response

    def backoff(self) -> Backoff:
        """The waits between tries of one call."""
        return Backoff(
            first=FIRST_PAUSE, longest=LONGEST_PAUSE, sleep=self._sleep, random=self._random
        )

    def wait_or_raise(
        self, error: BotocoreError, backoff: Backoff, operation: str, key: str | None = None
    ) -> None:
        """Wait before the next try, if there is to be one.

        Raises:
            BatchStorageError: Trying again does not help, or was done often enough.
        """
        passes = trouble_of(error) in ("throttled", "outage")
        if not passes or backoff.pauses >= TRIES - 1:
            raise self.storage_error(error, operation, key) from error
        backoff.pause()

    def storage_error(
        self, error: BotocoreError, operation: str, key: str | None = None
    ) -> BatchStorageError:
        """What went wrong, where, and what to do, in one line."""
        uri = f"s3://{self.bucket}/{key or ''}"
        if trouble_of(error) == "credentials":
            return BatchStorageError(
                f"The AWS credentials have expired while {uri} was in use: renew them (such as by "
                "`aws sso login`) and go on with the run; nothing is lost."
            )
        if lacks_credentials(error):
            return BatchStorageError(
                f"There are no AWS credentials for {uri}: run `aws configure` or `aws sso login`, "
                "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or pass "
                "s3_client."
            )
        code = error_code(error)
        if code == "NoSuchBucket" or (operation == "head_bucket" and code in MISSING):
            return BatchStorageError(
                f"There is no bucket {self.bucket!r} ({uri}): create it in the region of the "
                "jobs, or correct s3_uri."
            )
        if code in _ELSEWHERE:
            region = header(error, "x-amz-bucket-region") or "another region"
            return BatchStorageError(
                f"Bucket {self.bucket!r} ({uri}) is in {region}: a job's bucket is in the job's "
                "region; name another one in s3_uri, or run the jobs there."
            )
        if code == "AccessDenied" or status_code(error) == _DENIED:
            action = _ACTIONS.get(operation, "s3:PutObject")
            return BatchStorageError(
                f"S3 refuses {uri}: allow {action} on it in the caller's IAM policy, and check "
                f"the bucket's policy, its owner and its KMS key ({said(error)})."
            )
        return BatchStorageError(
            f"S3 {operation} of {uri} failed: {code or 'no answer'}: {said(error)}."
        )
