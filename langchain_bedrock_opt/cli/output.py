"""What a command prints: its result on standard output, all else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from langchain_bedrock_opt.errors import ConfigurationError


def emit(document: Any, text: object, *, as_json: bool) -> None:
    """Print a result.

    Args:
        document: The result as data.
        text: The result for people.
        as_json: Whether the data is wanted.
    """
    if as_json:
        print(to_json(document), flush=True)
    else:
        print(text, flush=True)


def note(text: object) -> None:
    """Say something beside the result."""
    print(text, file=sys.stderr, flush=True)


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
    return {"type": type(error).__name__, "message": one_line(error)}


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


def write_file(path: str, text: str) -> None:
    """Write a text file.

    Raises:
        ConfigurationError: It can't be written.
    """
    try:
        Path(path).write_text(text, "utf-8")
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
