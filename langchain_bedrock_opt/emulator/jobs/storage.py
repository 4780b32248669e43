"""A job's files in S3: reading its input, writing its output."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import IO, Any, Final, NamedTuple, TypeAlias

from botocore.exceptions import ClientError

from langchain_bedrock_opt.emulator.types import ServiceFailure

_PIECE: Final = 1 << 20
_PART: Final = 8 << 20

Spool: TypeAlias = "IO[bytes]"
"""A file on disk that nobody else sees and that is gone when it is closed."""


class InputFile(NamedTuple):
    """One object of a job's input.

    Attributes:
        key: Its key.
        name: Its key below the folder that was asked for.
        size: Its bytes.
    """

    key: str
    name: str
    size: int


class Storage:
    """What a local Bedrock reads and writes in S3.

    Args:
        make_client: Makes a boto3 client of `s3`, at the first use.
    """

    def __init__(self, make_client: Callable[[], Any]) -> None:
        self._make_client = make_client
        self._client: Any = None

    def input_files(self, uri: str) -> list[InputFile]:
        """The `.jsonl` objects that a URI names: one, or all of a folder, in their keys' order.

        Raises:
            ServiceFailure: They can't be read.
        """
        bucket, key = split_uri(uri)
        folder = key.rpartition("/")[0] + "/" if "/" in key else ""
        if not key.endswith(".jsonl"):
            folder = key = f"{key.rstrip('/')}/" if key else ""
        try:
            pages = self._s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
            found = [entry for page in pages for entry in page.get("Contents", ())]
        except ClientError as error:
            raise _no_permission("ListBucket", uri) from error
        return [
            InputFile(entry["Key"], entry["Key"].removeprefix(folder), entry["Size"])
            for entry in found
            if entry["Key"].endswith(".jsonl") and (key == folder or entry["Key"] == key)
        ]

    def check_bucket(self, uri: str, action: str, region: str) -> None:
        """See whether a bucket is there, and where the job is.

        Args:
            uri: A URI in the bucket.
            action: What is to be done there, such as `PutObject`.
            region: The job's region.

        Raises:
            ServiceFailure: It is not.
        """
        bucket, _ = split_uri(uri)
        try:
            home = self._s3().head_bucket(Bucket=bucket)["BucketRegion"]
        except ClientError as error:
            raise _no_permission(action, uri) from error
        if home != region:
            # Unverified against AWS: the text.
            raise ServiceFailure(
                "ValidationException",
                f"The S3 bucket {bucket} is in {home}, the job in {region}: they must be the same.",
            )

    def fetch(self, uri: str, file: InputFile) -> Spool:
        """Copy an object to disk, so that what becomes of it later is no matter.

        Raises:
            ServiceFailure: It can't be read.
        """
        try:
            body = self._s3().get_object(Bucket=split_uri(uri)[0], Key=file.key)["Body"]
        except ClientError as error:
            raise _no_permission("GetObject", uri) from error
        spool = new_spool()
        shutil.copyfileobj(body, spool, _PIECE)
        return spool

    def write(self, uri: str, pieces: Iterable[bytes]) -> None:
        """Write an object, in parts if it is large.

        Args:
            uri: Its URI.
            pieces: Its bytes. They may be more than fit into memory.
        """
        bucket, key = split_uri(uri)
        s3, place = self._s3(), {"Bucket": bucket, "Key": key}
        parts = _in_parts(pieces)
        first, second = next(parts, b""), next(parts, None)
        if second is None:
            s3.put_object(**place, Body=first)
            return
        upload = {**place, "UploadId": s3.create_multipart_upload(**place)["UploadId"]}
        done = [
            {"PartNumber": n, "ETag": s3.upload_part(**upload, PartNumber=n, Body=part)["ETag"]}
            for n, part in enumerate(chain((first, second), parts), 1)
        ]
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})

    def delete_folder(self, uri: str) -> None:
        """Delete all objects below a URI."""
        bucket, key = split_uri(uri)
        pages = self._s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        for entry in [entry for page in pages for entry in page.get("Contents", ())]:
            self._s3().delete_object(Bucket=bucket, Key=entry["Key"])

    def _s3(self) -> Any:
        if self._client is None:
            self._client = self._make_client()
        return self._client


def new_spool() -> Spool:
    """A new file on disk, empty."""
    return tempfile.TemporaryFile(prefix="bedrock-job-")


def split_uri(uri: str) -> tuple[str, str]:
    """The bucket and the key of an S3 URI.

    Example:
        >>> split_uri("s3://bucket/a/b.jsonl"), split_uri("s3://bucket")
        (('bucket', 'a/b.jsonl'), ('bucket', ''))
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def lines_of(spool: Spool) -> Iterator[bytes]:
    """The lines of a file from its start, without line breaks; blank ones are left out."""
    spool.seek(0)
    for line in spool:
        stripped = line.strip()
        if stripped:
            yield stripped


def _in_parts(pieces: Iterable[bytes]) -> Iterator[bytes]:
    part = bytearray()
    for piece in pieces:
        part += piece
        if len(part) >= _PART:
            yield bytes(part)
            part.clear()
    if part:
        yield bytes(part)


def _no_permission(action: str, uri: str) -> ServiceFailure:
    # ListBucket's text is the one that users report; the others follow it, unverified against AWS.
    return ServiceFailure(
        "ValidationException", f"Could not validate {action} permissions for S3URI: {uri}"
    )
