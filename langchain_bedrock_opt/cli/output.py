"""What a command prints: its result on standard output, all else on standard error."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TextIO
from uuid import uuid4

from langchain_bedrock_opt.errors import ConfigurationError

_LONGEST_NAME: Final = 40
"""Of a file's name, so much is in the name of the one that is written beside it."""

_TOLD: Final = ("arn", "job_arn", "run_uri")
"""What is told of an error that has it: something may be billed."""


@dataclass(slots=True)
class Told:
    """What one command has told so far, and what is to be told if it ends in an error.

    Attributes:
        is_done: Whether its result is on standard output; there is at most one.
        hint: What to do then, in one line.
        facts: What its error has as data.
    """

    is_done: bool = False
    hint: str = ""
    facts: dict[str, str] = field(default_factory=dict)


told: Final = Told()
"""Of the command that this process runs."""


def if_it_fails(hint: str, **facts: str) -> None:
    """From now on an error of this command is told with a hint.

    Args:
        hint: What to do then, in one line.
        **facts: What the error has as data.
    """
    told.hint = hint
    told.facts.update(facts)


def set_up() -> None:
    """Begin a command's output, in a form that any result has a place in.

    A pipe or file gets UTF-8, whatever the locale; what a terminal can't show is escaped.
    """
    told.is_done, told.hint = False, ""
    told.facts.clear()
    stream = sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        if stream.isatty():
            stream.reconfigure(errors="backslashreplace")
        else:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def emit(document: Any, text: object, *, as_json: bool) -> None:
    """Print a command's result.

    Args:
        document: The result as data.
        text: The result for people.
        as_json: Whether the data is wanted.
    """
    say(to_json(document) if as_json else text)
    told.is_done = True


def say(text: object) -> None:
    """Print a part of a result, for people."""
    if sys.stdout is not None:  # it is, where a process was started without one
        print(text, flush=True)


def note(text: object) -> None:
    """Say something beside the result."""
    if sys.stderr is not None:  # else it would go to standard output
        print(text, file=sys.stderr, flush=True)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody sees what is printed on a stream."""
    return stream is not None and stream.isatty()


def discard() -> None:
    """Have Python print nothing more on standard output, which can't be written."""
    told.is_done = True
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def to_json(document: Any) -> str:
    """A result as JSON: money as text and exact, times in ISO 8601, durations in seconds.

    Example:
        >>> print(to_json({"cost_usd": Decimal("0.10")}))
        {
          "cost_usd": "0.10"
        }
    """
    return json.dumps(document, ensure_ascii=False, indent=2, default=_plain)


def to_json_line(document: Any) -> str:
    """A result as one line of JSON."""
    return json.dumps(document, ensure_ascii=False, default=_plain)


def error_document(error: BaseException) -> dict[str, Any]:
    """An error as data.

    Example:
        >>> error_document(ConfigurationError("No AWS region."))
        {'type': 'ConfigurationError', 'message': 'No AWS region.'}
    """
    told = {name: getattr(error, name, None) for name in _TOLD}
    known = {name: value for name, value in told.items() if value}
    return {"type": type(error).__name__, "message": one_line(error), **known}


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the first of them a heading, as text in columns.

    Example:
        >>> print(table([("name", "jobs"), ("nightly", "2")]))
        name     jobs
        nightly  2
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


@contextmanager
def replaced(path: str) -> Iterator[TextIO]:
    """A text file to be written, which takes the place of the one there only once it is whole.

    Args:
        path: The file. What is no file, such as `/dev/null` or a pipe, is written to as it is.

    Raises:
        ConfigurationError: It can't be written.
    """
    target = Path(path).resolve()
    if target.exists() and not target.is_file():
        with _written(path), target.open("w", encoding="utf-8") as file:
            yield file
        return
    part = target.with_name(f".{target.name[:_LONGEST_NAME]}.{uuid4().hex[:8]}.part")
    try:
        with _written(path):
            with part.open("x", encoding="utf-8") as file:
                yield file
            if target.exists():
                part.chmod(target.stat().st_mode)
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def write_file(path: str, text: str) -> None:
    """Write a text file, whole or not at all.

    Raises:
        ConfigurationError: It can't be written.
    """
    with replaced(path) as file:
        file.write(text)


@contextmanager
def _written(path: str) -> Iterator[None]:
    try:
        yield
    except TimeoutError:  # of a service
        raise
    except OSError as error:
        raise ConfigurationError(f"Can't write {path}: {error.strerror}.") from error


def _plain(value: Any) -> Any:
    """What JSON has no form for, in one that it has."""
    for kind, form in _FORMS:
        if isinstance(value, kind):
            return form(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_FORMS: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (Decimal, "{:f}".format),
    (date, lambda moment: moment.isoformat()),  # of a date or of a time, as it is one
    (timedelta, timedelta.total_seconds),
    (BaseException, error_document),
    (Mapping, dict),
)
"""Kinds of values that JSON lacks, and what becomes of them."""
