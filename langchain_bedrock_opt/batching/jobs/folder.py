"""A folder in S3: where a run's input, output and state lie."""

from __future__ import annotations

import random as random_module
import re
import time
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from typing import Any, Final, NamedTuple

from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS
from langchain_bedrock_opt.aws.trouble import error_code
from langchain_bedrock_opt.batching.jobs.documents import read_document, write_document
from langchain_bedrock_opt.batching.jobs.s3_calls import CHANGED, MISSING, S3Calls
from langchain_bedrock_opt.batching.jobs.upload import LineUpload
from langchain_bedrock_opt.catalog.batch_limits import S3_KEY
from langchain_bedrock_opt.errors import BatchStorageError, ConfigurationError

_URI: Final = re.compile("s3://([^/]*)(?:/(.*))?", re.DOTALL)
_BUCKET: Final = re.compile("[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]")
_LONGEST_URI: Final = 1024
_ALLOWED: Final = "letters, digits and -!_*'()."


class S3Object(NamedTuple):
    """An object in a folder.

    Attributes:
        name: Its key without the folder's.
        size: Its bytes.
        etag: Changes with its bytes.
    """

    name: str
    size: int
    etag: str


class S3Folder:
    """A prefix of a bucket, as a folder. Throttles and outages are waited for, up to two minutes.

    Args:
        client: A boto3 client of `s3`.
        uri: `s3://bucket` or `s3://bucket/prefix/`.
        bucket_owner: The account the bucket has to belong to; None leaves that open.
        kms_key_id: A KMS key to encrypt what is written with; None leaves that to the bucket.
        sleep: Waits for so many seconds.
        random: Numbers from 0 to 1, by which waits differ.

    Raises:
        ConfigurationError: A job could not use the URI.

    Example:
        >>> from langchain_bedrock_opt import BedrockEmulator
        >>> s3 = BedrockEmulator().client("s3")
        >>> _ = s3.create_bucket(Bucket="my-bucket")
        >>> folder = S3Folder(s3, "s3://my-bucket/batch").child("runs")
        >>> folder.uri, folder.put_json("run.json", {"version": 1})
        ('s3://my-bucket/batch/runs/', True)
        >>> folder.put_json("run.json", {"version": 2}, if_absent=True)
        False
        >>> folder.get_json("run.json")
        {'version': 1}
    """

    def __init__(
        self,
        client: Any,
        uri: str,
        *,
        bucket_owner: str | None = None,
        kms_key_id: str | None = None,
        sleep: Callable[[float], object] = time.sleep,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self.bucket, self._prefix = _parts_of(uri)
        self.calls = S3Calls(
            client, self.bucket, bucket_owner=bucket_owner, sleep=sleep, random=random
        )
        self._encryption: dict[str, str] = {}
        if kms_key_id is not None:
            self._encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id}

    @property
    def uri(self) -> str:
        """The folder's URI, with a `/` at its end."""
        return f"s3://{self.bucket}/{self._prefix}"

    def child(self, name: str) -> S3Folder:
        """A folder in this one.

        Raises:
            ConfigurationError: A job could not use its URI.
        """
        child = copy(self)
        _, child._prefix = _parts_of(self.uri + name)  # noqa: SLF001 - of this class
        return child

    def uri_of(self, name: str) -> str:
        """The URI of an object in this folder.

        Raises:
            ConfigurationError: A job could not use it.
        """
        uri = self.uri + name
        _parts_of(uri)
        return uri

    def key_of(self, name: str) -> str:
        """The key of an object in this folder."""
        return self._prefix + name

    def get_bytes(self, name: str) -> bytes | None:
        """An object's bytes; None if there is none. For small objects.

        Raises:
            BatchStorageError: S3 failed.
        """
        backoff = self.calls.backoff()
        while True:
            try:
                body: bytes = self.calls.try_once("get_object", self.key_of(name))["Body"].read()
            except BOTOCORE_ERRORS as error:  # noqa: PERF203 - next to a call of S3
                if error_code(error) in MISSING:
                    return None
                self.calls.wait_or_raise(error, backoff, "get_object", self.key_of(name))
            else:
                return body

    def get_json(self, name: str) -> dict[str, Any] | None:
        """A document; None if there is none.

        Raises:
            BatchStorageError: S3 failed, or the object is no JSON document.
        """
        body = self.get_bytes(name)
        if body is None:
            return None
        document = read_document(body)
        if document is None:
            raise BatchStorageError(
                f"{self.uri}{name} is not the JSON document that was written there: restore its "
                "last version, or begin another run."
            )
        return document

    def put_json(self, name: str, value: Mapping[str, Any], *, if_absent: bool = False) -> bool:
        """Write a document.

        Args:
            name: Its name in this folder.
            value: The document.
            if_absent: Leave it as it is if it is there.

        Returns:
            Whether it was written. With `if_absent` also False if an answer of S3's was lost and
            it was this call that wrote it: then what is there is equal.

        Raises:
            BatchStorageError: S3 failed.
        """
        body = write_document(value)
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        put = self.calls.call_unless(
            CHANGED if if_absent else frozenset(),
            "put_object",
            self.key_of(name),
            Body=body,
            ContentType="application/json",
            **condition,
            **self._encryption,
        )
        return put is not None

    def put_bytes(self, name: str, body: bytes) -> None:
        """Write an object.

        Raises:
            BatchStorageError: S3 failed.
        """
        self.calls.call("put_object", self.key_of(name), Body=body, **self._encryption)

    def exists(self, name: str) -> bool:
        """Whether there is such an object.

        Raises:
            BatchStorageError: S3 failed.
        """
        return self.calls.call_unless(MISSING, "head_object", self.key_of(name)) is not None

    def list(self, prefix: str = "") -> Iterator[S3Object]:
        """The objects in this folder and the folders in it, by their keys.

        Args:
            prefix: What their names begin with.

        Raises:
            BatchStorageError: S3 failed.
        """
        token: dict[str, str] = {}
        while True:
            page = self.calls.call("list_objects_v2", Prefix=self.key_of(prefix), **token)
            for item in page.get("Contents", ()):
                name = item["Key"].removeprefix(self._prefix)
                yield S3Object(name, int(item["Size"]), str(item["ETag"]))
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error.

        Raises:
            BatchStorageError: S3 failed.
        """
        self.calls.call("delete_object", self.key_of(name))

    def upload(self, name: str) -> LineUpload:
        """Write an object line by line, in constant memory.

        Args:
            name: Its name in this folder.
        """
        return LineUpload(self.calls, self.key_of(name), extra=self._encryption)


def _parts_of(uri: str) -> tuple[str, str]:
    """The bucket and the prefix, with `/` at its end, of a URI that a job can use."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise ConfigurationError(f"s3_uri={uri!r} is not an S3 URI: write 's3://bucket/prefix/'.")
    bucket, prefix = match[1], match[2] or ""
    if not _BUCKET.fullmatch(bucket):
        raise ConfigurationError(
            f"s3_uri={uri!r}: {bucket!r} is no name of a bucket: write 's3://bucket/prefix/'."
        )
    if prefix and not S3_KEY.fullmatch(prefix):
        raise ConfigurationError(f"s3_uri={uri!r}: {_what_is_wrong(prefix)}")
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    whole = len(f"s3://{bucket}/{prefix}")
    if whole > _LONGEST_URI:
        raise ConfigurationError(
            f"s3_uri={uri!r} has {whole} characters, and a job takes {_LONGEST_URI}: choose a "
            "shorter prefix or run id."
        )
    return bucket, prefix


def _what_is_wrong(prefix: str) -> str:
    """Which part of a prefix a job does not take, and the fix."""
    for part in prefix.removesuffix("/").split("/"):
        if not part:
            return "it has an empty part: write one '/' between two names, and none at the start."
        strange = sorted({character for character in part if not S3_KEY.fullmatch(character)})
        if strange:
            return (
                f"the part {part!r} has {' '.join(map(repr, strange))}, which Bedrock does not "
                f"take in a job's URI: use {_ALLOWED} only."
            )
    return f"use {_ALLOWED} only."
