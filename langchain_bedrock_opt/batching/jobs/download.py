"""Lines of an object in S3, in constant memory: a broken connection loses and repeats nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Final, NamedTuple

from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS
from langchain_bedrock_opt.aws.trouble import error_code
from langchain_bedrock_opt.batching.jobs.folder import S3Folder
from langchain_bedrock_opt.batching.jobs.s3_calls import CHANGED, MISSING
from langchain_bedrock_opt.errors import BatchStorageError

# What one GET asks for: little enough to be read before S3 closes a connection whose reader is
# slow, and much enough that round trips don't count.
_RANGE: Final = 16 * 1024**2
_PIECE: Final = 512 * 1024


class Line(NamedTuple):
    """A line of an object.

    Attributes:
        data: Its bytes, without the line break.
        complete: Whether it ends with a line break. Only an object's last line may not, and
            may then be cut off.
    """

    data: bytes
    complete: bool = True


def read_lines(folder: S3Folder, name: str) -> Iterator[Line]:
    """The lines of an object, from its first byte to its last.

    Args:
        folder: The folder.
        name: The object's name in it.

    Raises:
        BatchStorageError: S3 failed for minutes, or the object is gone, or was changed meanwhile.
    """
    begun: list[bytes] = []  # of a line that goes on in the next piece
    for piece in _pieces(folder, name):
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            data = piece[start:end]
            if begun:
                begun.append(data)
                data = b"".join(begun)
                begun.clear()
            yield Line(data)
            start = end + 1
        if start < len(piece):
            begun.append(piece[start:])
    if begun:
        yield Line(b"".join(begun), complete=False)


def _pieces(folder: S3Folder, name: str) -> Iterator[bytes]:
    calls, key, uri = folder.calls, folder.key_of(name), folder.uri + name
    head = calls.call_unless(MISSING, "head_object", key)
    if head is None:
        raise _gone(uri)
    size, etag = int(head["ContentLength"]), head["ETag"]
    position = 0
    backoff = calls.backoff()
    while position < size:
        try:
            for piece in _range(folder, key, position, min(position + _RANGE, size), etag):
                position += len(piece)
                backoff.begin_anew()
                yield piece
        except BOTOCORE_ERRORS as error:  # noqa: PERF203 - next to a call of S3
            if error_code(error) in MISSING:
                raise _gone(uri) from error
            if error_code(error) in CHANGED:
                raise BatchStorageError(
                    f"{uri} was changed while it was read: read it again."
                ) from error
            calls.wait_or_raise(error, backoff, "get_object", key)


def _range(folder: S3Folder, key: str, start: int, end: int, etag: str) -> Iterator[bytes]:
    """The bytes from `start` to `end`; botocore's errors come through."""
    response = folder.calls.try_once(
        "get_object", key, Range=f"bytes={start}-{end - 1}", IfMatch=etag
    )
    # A proxy that knows no ranges would send the object from its first byte on.
    if not str(response.get("ContentRange", "")).startswith(f"bytes {start}-{end - 1}/"):
        raise BatchStorageError(
            f"What is between here and S3 does not answer ranges of s3://{folder.bucket}/{key}: "
            "check the proxy or the endpoint."
        )
    with closing(response["Body"]) as body:
        while piece := body.read(_PIECE):
            yield piece


def _gone(uri: str) -> BatchStorageError:
    return BatchStorageError(
        f"{uri} is not there: was it deleted, by a lifecycle rule for one? Restore it from a "
        "version of the bucket's; if there is none, its answers have to be asked for again."
    )
