"""Faults of the S3 beside a local Bedrock: which of its requests fail, and how."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote

from langchain_bedrock_opt.emulator.http.routes import signing_name
from langchain_bedrock_opt.emulator.planned import PlannedFaults
from langchain_bedrock_opt.emulator.types import ConnectionCut, HttpRequest, HttpResponse
from langchain_bedrock_opt.errors import EmulatorError

_CODES: Final[Mapping[str, tuple[int, str]]] = {
    "SlowDown": (503, "Please reduce your request rate."),
    "ServiceUnavailable": (503, "Service is unable to handle request."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "AccessDenied": (403, "Access Denied"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold"),
}
_OPERATIONS: Final[Mapping[tuple[str, bool, str], str]] = {
    ("GET", True, ""): "GetObject",
    ("GET", True, "uploadId"): "ListParts",
    ("HEAD", True, ""): "HeadObject",
    ("PUT", True, ""): "PutObject",
    ("PUT", True, "uploadId"): "UploadPart",
    ("POST", True, "uploads"): "CreateMultipartUpload",
    ("POST", True, "uploadId"): "CompleteMultipartUpload",
    ("DELETE", True, ""): "DeleteObject",
    ("DELETE", True, "uploadId"): "AbortMultipartUpload",
    ("GET", False, "list-type"): "ListObjectsV2",
    ("GET", False, "uploads"): "ListMultipartUploads",
    ("GET", False, "location"): "GetBucketLocation",
    ("POST", False, "delete"): "DeleteObjects",
    ("HEAD", False, ""): "HeadBucket",
    ("PUT", False, ""): "CreateBucket",
}
_MARKS: Final = ("uploadId", "uploads", "list-type", "location", "delete")
_VIRTUAL_HOST: Final = re.compile(r"(?P<bucket>.+)\.s3[.-].*amazonaws\.com.*")


class S3Request(NamedTuple):
    """What a request asks of S3.

    Attributes:
        operation: Its name in botocore's model; the method alone for rare ones.
        bucket: The bucket.
        key: The key; empty for the bucket itself.
    """

    operation: str
    bucket: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Fault:
    """How some requests to S3 fail.

    Attributes:
        operation: The operation that fails, such as `GetObject`; None for all.
        key: A pattern of the keys, as file names have them: `*/manifest.json.out`.
        times: How many requests fail; None for no end.
        code: S3's code, such as `SlowDown` or `AccessDenied`; None: it is answered.
        cut_at: The answer breaks off after so many bytes of its body.
        is_lost: The request is carried out, and its connection breaks without an answer.
        delay: Seconds that pass before anything else.

    Raises:
        EmulatorError: The code is unknown, or more than one thing is to happen.

    Example:
        >>> S3Fault(operation="GetObject", key="*.out", cut_at=1000).times
        1
    """

    operation: str | None = None
    key: str = "*"
    times: int | None = 1
    code: str | None = None
    cut_at: int | None = None
    is_lost: bool = False
    delay: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what can never happen, so that a typo does not pass as a green test."""
        if self.code is not None and self.code not in _CODES:
            raise EmulatorError(f"code={self.code!r} is none of {', '.join(_CODES)}.")
        if self.operation is not None and self.operation not in _OPERATIONS.values():
            known = ", ".join(sorted(_OPERATIONS.values()))
            raise EmulatorError(f"operation={self.operation!r} is none of {known}.")
        for name, least in (("times", 1), ("cut_at", 0), ("delay", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise EmulatorError(f"{name} is {value}: it must be at least {least}.")
        effects = (self.code is not None) + (self.cut_at is not None) + self.is_lost
        if effects > 1 or not (effects or self.delay):
            raise EmulatorError(
                "An S3Fault has one of code, cut_at and is_lost, or a delay: "
                f"code={self.code!r}, cut_at={self.cut_at}, is_lost={self.is_lost}."
            )

    def matches(self, request: S3Request) -> bool:
        """Whether a request is one of those that this fault is about."""
        return self.operation in (None, request.operation) and fnmatchcase(request.key, self.key)


class S3FaultPlan(PlannedFaults[S3Fault]):
    """The faults that S3 has in store. Safe to use from several threads.

    Args:
        wait: Waits for so many seconds.

    Attributes:
        counts: How many requests there were, by operation.
    """

    def __init__(self, wait: Callable[[float], object]) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self._wait = wait

    def answer(
        self, request: HttpRequest, pass_on: Callable[[HttpRequest], HttpResponse]
    ) -> HttpResponse:
        """Answer a request, or have it answered.

        Args:
            request: A request for a service that is not Bedrock.
            pass_on: Answers it.

        Raises:
            ConnectionCut: The answer gets lost.
        """
        asked = s3_request(request)
        fault = None if asked is None else self._next(asked)
        if fault is None:
            return pass_on(request)
        if fault.delay:
            self._wait(fault.delay)
        if fault.code is not None:
            return _error(fault.code)
        response = pass_on(request)
        if fault.is_lost:
            raise ConnectionCut
        if fault.cut_at is None or not isinstance(response.body, bytes):
            return response
        headers = {**response.headers, "Content-Length": str(len(response.body))}
        return replace(response, headers=headers, cut_at=fault.cut_at)

    def _next(self, asked: S3Request) -> S3Fault | None:
        with self._lock:
            self.counts[asked.operation] += 1
            return self._first(lambda fault: fault.matches(asked))


def s3_request(request: HttpRequest) -> S3Request | None:
    """What a request asks of S3; None if it is for another service.

    Args:
        request: Any request; its signature tells the service.
    """
    if signing_name(request) != "s3":
        return None
    path = unquote(request.path).lstrip("/")
    virtual = _VIRTUAL_HOST.fullmatch(request.headers.get("host", ""))
    bucket, key = (virtual["bucket"], path) if virtual else _split(path)
    query = parse_qs(request.query, keep_blank_values=True)
    mark = next((mark for mark in _MARKS if mark in query), "")
    operation = _OPERATIONS.get((request.method, bool(key), mark), request.method)
    return S3Request(operation, bucket, key)


def _split(path: str) -> tuple[str, str]:
    bucket, _, key = path.partition("/")
    return bucket, key


def _error(code: str) -> HttpResponse:
    status, message = _CODES[code]
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    headers = {"Content-Type": "application/xml"}
    return HttpResponse(status=status, headers=headers, body=body.encode())
