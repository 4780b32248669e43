"""A look at the bucket before anything is uploaded."""

from __future__ import annotations

from typing import Any

from langchain_bedrock_opt.batching.jobs.folder import S3Folder
from langchain_bedrock_opt.errors import BatchStorageError


def check_bucket(folder: S3Folder, bedrock: Any) -> None:
    """Make sure that the bucket is there, may be used, and is in the region of the jobs.

    Whether it may be written to is not tried: the first thing a run writes is its state, before
    its records.

    Args:
        folder: The folder in the bucket.
        bedrock: The boto3 client that is to make the jobs.

    Raises:
        BatchStorageError: It can't be used.
    """
    response = folder.calls.call("head_bucket")
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    # Without either the endpoint is no AWS: then there is nothing to compare.
    found = response.get("BucketRegion") or headers.get("x-amz-bucket-region")
    wanted = bedrock.meta.region_name
    if found and found != wanted:
        raise BatchStorageError(
            f"Bucket {folder.bucket!r} ({folder.uri}) is in {found} and the jobs are made in "
            f"{wanted}: a job's bucket is in its own region. Name a bucket in {wanted} in s3_uri, "
            f"or pass a bedrock_client for {found}."
        )
