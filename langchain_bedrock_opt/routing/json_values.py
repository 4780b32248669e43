"""Values out of a JSON file that somebody may have edited, cut or mixed up: checked one by one."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from uuid import uuid4

from langchain_bedrock_opt.errors import ConfigurationError

_Read = TypeVar("_Read")


def save_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a file whole or not at all: readers see what was there before, or all of this.

    Args:
        path: The file; replaced if it is there.
        values: JSON-ready.

    Raises:
        ConfigurationError: It can't be written.
    """
    # Not of `tempfile`: its files can be read by nobody else, and this one may be deployed.
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with draft.open("x", encoding="utf-8") as file:
            json.dump(values, file, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{path} can't be written ({error.strerror}): give a path in a folder that is there."
        ) from error


def load_json(path: Path, read: Callable[[Mapping[str, Any]], _Read], what: str) -> _Read:
    """Read a file that `save_json` wrote.

    Args:
        path: The file.
        read: Makes of the values what is wanted; raises a `ConfigurationError` if it can't.
        what: What the file should hold, in a few words, for messages.

    Raises:
        ConfigurationError: It is missing, damaged, or holds something else.
    """
    try:
        values = json.loads(path.read_text("utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is damaged or no {what} ({type(error).__name__}): save it again."
        ) from error
    try:
        return read(values)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def number(value: Any, name: str, *, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number within bounds.

    Args:
        value: Out of the file.
        name: Of the value, for messages.
        low: The least it may be.
        high: The most it may be.

    Raises:
        ConfigurationError: It is something else.
    """
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not low <= value <= high:
        raise ConfigurationError(f"{name} is {_shown(value)}, no number from {low:g} to {high:g}.")
    return float(value)


def whole(value: Any, name: str) -> int:
    """A count.

    Args:
        value: Out of the file.
        name: Of the value, for messages.

    Raises:
        ConfigurationError: It is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigurationError(f"{name} is {_shown(value)}, no whole number from 0.")
    return value


def many(
    value: Any, name: str, read: Callable[[Any, str], _Read], *, count: int | None = None
) -> tuple[_Read, ...]:
    """A list, with each of its values read.

    Args:
        value: Out of the file.
        name: Of the value, for messages.
        read: Reads one value.
        count: How many there must be; None for any number.

    Raises:
        ConfigurationError: It is something else.
    """
    if not isinstance(value, list) or (count is not None and len(value) != count):
        wanted = "a list" if count is None else f"a list of {count}"
        raise ConfigurationError(f"{name} is {_shown(value)}, not {wanted}.")
    return tuple(read(each, f"{name}[{place}]") for place, each in enumerate(value))


def named(value: Any, name: str) -> Mapping[str, Any]:
    """A JSON object.

    Args:
        value: Out of the file.
        name: Of the value, for messages.

    Raises:
        ConfigurationError: It is something else.
    """
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is {_shown(value)}, not an object.")
    return value


def text(value: Any, name: str) -> str:
    """A text.

    Args:
        value: Out of the file.
        name: Of the value, for messages.

    Raises:
        ConfigurationError: It is something else.
    """
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} is {_shown(value)}, not a text.")
    return value


def _shown(value: Any) -> str:
    """A plain value, or the kind of one that may be long."""
    return (
        repr(value) if isinstance(value, (bool, int, float, type(None))) else type(value).__name__
    )
