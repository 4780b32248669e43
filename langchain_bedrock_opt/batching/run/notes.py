"""What is known of inputs that are in no job, one JSON line each.

`{"place": 7, "same": 3}` is an input equal to that at place 3; `known` holds the message a cache
had; `refused` and `dropped` hold the error of an input that no record could be made of, or that
failed in an earlier stage. A digest tells the input from another one, where it has a record.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import Any, Final, cast

from langchain_core import exceptions as langchain_exceptions
from langchain_core.messages import AIMessage, message_to_dict, messages_from_dict

from langchain_bedrock_opt import errors
from langchain_bedrock_opt.batching.jobs.documents import (
    read_document,
    write_document,
)

_MAX_MESSAGE: Final = 2000


@dataclass(frozen=True, slots=True)
class Note:
    """One line. Exactly one of `same`, `known` and `error` is set.

    Attributes:
        place: The input's place.
        same: The place of the equal input that came first.
        known: The answer that a cache had.
        error: Why there is no record.
        is_dropped: Whether the error is that of an earlier stage.
        digest: Of the record that was not sent, by which the input is known again; None if no
            record could be made.
    """

    place: int
    same: int | None = None
    known: AIMessage | None = None
    error: Exception | None = None
    is_dropped: bool = False
    digest: str | None = None

    def to_line(self) -> bytes:
        """The note as JSON, without a line break."""
        values: dict[str, Any] = {"place": self.place}
        if self.digest is not None:
            values["digest"] = self.digest
        if self.same is not None:
            values["same"] = self.same
        elif self.known is not None:
            values["known"] = message_to_dict(self.known)
        elif self.error is not None:
            values["dropped" if self.is_dropped else "refused"] = error_to_dict(self.error)
        return write_document(values)

    @classmethod
    def from_line(cls, line: bytes) -> Note:
        """Read a note back.

        Raises:
            BatchStorageError: It is none.
        """
        values = read_document(line)
        if values is None:
            raise errors.BatchStorageError(
                "A line of a run's notes is no JSON object: restore their last version, or begin "
                "another run."
            )
        place, digest = values["place"], values.get("digest")
        if "same" in values:
            return cls(place, same=values["same"], digest=digest)
        if "known" in values:
            (message,) = messages_from_dict([values["known"]])
            return cls(place, known=cast("AIMessage", message), digest=digest)
        is_dropped = "dropped" in values
        error = error_from_dict(values["dropped" if is_dropped else "refused"])
        return cls(place, error=error, is_dropped=is_dropped, digest=digest)


def error_to_dict(error: Exception) -> dict[str, Any]:
    """An error as JSON: its class's name, its message, and what a record's error knows besides.

    Args:
        error: The error.
    """
    values: dict[str, Any] = {"type": type(error).__name__, "message": str(error)[:_MAX_MESSAGE]}
    if isinstance(error, errors.BatchRecordError):
        values |= {
            "index": error.index,
            "error_code": error.error_code,
            "job_arn": error.job_arn,
        }
    return values


def error_from_dict(values: dict[str, Any]) -> Exception:
    """The error that was written down.

    It has its own class if that is one of this package's, of LangChain's or a built-in one that
    takes a message; else it is a `BatchError` that names the class.

    Args:
        values: What `error_to_dict` gave.

    Example:
        >>> error_from_dict({"type": "ValueError", "message": "no"})
        ValueError('no')
        >>> error_from_dict({"type": "JinjaError", "message": "no"})
        BatchError('JinjaError: no')
    """
    name, message = values["type"], values["message"]
    for module in (errors, langchain_exceptions, builtins):
        kind = getattr(module, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            if issubclass(kind, errors.BatchRecordError):
                return kind(
                    message,
                    index=values["index"],
                    error_code=values["error_code"],
                    job_arn=values["job_arn"],
                )
            try:
                error = kind(message)
            except TypeError:  # it wants more than a message
                break
            # LangChain's add a link to the message, which is in it already.
            error.args = (message,)
            return error
    return errors.BatchError(f"{name}: {message}")
