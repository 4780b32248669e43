"""Lines that become an object in S3 while they are made: 8 MiB in memory, however many."""

from __future__ import annotations

import builtins
import hashlib
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

from typing_extensions import Self

from langchain_bedrock_opt.batching.jobs.s3_calls import MISSING, S3Calls
from langchain_bedrock_opt.errors import BatchStorageError

_logger: Final = logging.getLogger(__name__)
_PART: Final = 8 * 1024**2
_NO_UPLOAD: Final = frozenset({"NoSuchUpload"})
# S3 takes a checksum of a part only if the upload was begun with one.
_CHECKSUM: Final = {"ChecksumAlgorithm": "CRC32"}


class LineUpload:
    """Writes one object line by line. Nothing is there until the `with` block ends well.

    A small object is one PutObject; a larger one goes up in parts of 8 MiB and the rest of a line.
    Whatever ends the block early, Ctrl-C too, leaves no part behind.

    Args:
        calls: The calls of the bucket.
        key: The object's key.
        extra: Arguments that say how it is to be encrypted.

    Example:
        >>> from langchain_bedrock_opt import BedrockEmulator
        >>> from langchain_bedrock_opt.batching.jobs.folder import S3Folder
        >>> s3 = BedrockEmulator().client("s3")
        >>> _ = s3.create_bucket(Bucket="my-bucket")
        >>> folder = S3Folder(s3, "s3://my-bucket/")
        >>> with folder.upload("input.jsonl") as upload:
        ...     upload.write(b'{"recordId": "00000000000"}')
        >>> upload.lines, upload.bytes, upload.sha256[:8]
        (1, 28, '94b124c4')
    """

    def __init__(self, calls: S3Calls, key: str, *, extra: Mapping[str, str]) -> None:
        self._calls = calls
        self._key = key
        self._extra = extra
        self._buffer = bytearray()
        self._sha256 = hashlib.sha256()
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._sent = 0
        self.lines = 0

    @property
    def bytes(self) -> int:
        """How many bytes were written."""
        return self._sent + len(self._buffer)

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was written, in hexadecimal."""
        digest = self._sha256.copy()
        digest.update(self._buffer)
        return digest.hexdigest()

    def __enter__(self) -> Self:
        """Nothing is sent yet."""
        return self

    def write(self, line: builtins.bytes) -> None:
        """Write one line; the line break is added.

        Raises:
            BatchStorageError: S3 failed.
        """
        self._buffer += line
        self._buffer += b"\n"
        self.lines += 1
        if len(self._buffer) >= _PART:
            self._send_part()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Make the object of what was written, or leave nothing behind.

        Raises:
            BatchStorageError: S3 failed.
        """
        if kind is not None:
            self._abort()
            return
        try:
            self._commit()
        except BaseException:
            self._abort()
            raise

    def _commit(self) -> None:
        if self._upload_id is None:
            self._calls.call("put_object", self._key, Body=bytes(self._buffer), **self._extra)
            return
        if self._buffer:
            self._send_part()
        done = self._calls.call_unless(
            _NO_UPLOAD,
            "complete_multipart_upload",
            self._key,
            UploadId=self._upload_id,
            MultipartUpload={"Parts": self._parts},
        )
        if done is None:
            # It was completed before, and the answer was lost.
            self._check_it_is_there()

    def _check_it_is_there(self) -> None:
        found = self._calls.call_unless(MISSING, "head_object", self._key)
        if found is None or found["ContentLength"] != self._sent:
            raise BatchStorageError(
                f"The upload of s3://{self._calls.bucket}/{self._key} was ended by somebody else "
                "(a lifecycle rule, for one): submit the run again."
            )

    def _send_part(self) -> None:
        if self._upload_id is None:
            begun = self._calls.call(
                "create_multipart_upload", self._key, **_CHECKSUM, **self._extra
            )
            self._upload_id = begun["UploadId"]
        number = len(self._parts) + 1
        sent = self._calls.call(
            "upload_part",
            self._key,
            UploadId=self._upload_id,
            PartNumber=number,
            Body=self._buffer,
            **_CHECKSUM,
        )
        done = {"PartNumber": number, "ETag": sent["ETag"]}
        if checksum := sent.get("ChecksumCRC32"):
            done["ChecksumCRC32"] = checksum
        self._parts.append(done)
        self._sha256.update(self._buffer)
        self._sent += len(self._buffer)
        self._buffer = bytearray()

    def _abort(self) -> None:
        if self._upload_id is None:
            return
        try:
            self._calls.call_unless(
                _NO_UPLOAD, "abort_multipart_upload", self._key, UploadId=self._upload_id
            )
        except BatchStorageError as error:
            # What ended the upload is the error to be seen; these parts only cost their storage.
            _logger.warning(
                "Parts of s3://%s/%s could not be removed (%s): a lifecycle rule "
                "(AbortIncompleteMultipartUpload) does it.",
                self._calls.bucket,
                self._key,
                error,
            )
