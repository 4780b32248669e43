"""Files of prompts with labels: JSON lines or CSV, compressed or not."""

from __future__ import annotations

import csv
import gzip
import io
import json
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from langchain_bedrock_opt.errors import ConfigurationError

_JSON_LINES: Final = frozenset({".jsonl", ".ndjson"})
_KINDS: Final = "JSON lines (.jsonl) or CSV (.csv), either of them also with .gz"

_LONGEST_CELL: Final = 2**31 - 1
_CSV_LIMIT = threading.Lock()
# The csv module has one limit for the whole process, and prompts are longer than its default.


def read_rows(path: Path) -> list[Mapping[str, Any]]:
    """Read a file's rows.

    Args:
        path: A file of JSON lines or CSV, in UTF-8.

    Raises:
        ConfigurationError: It is missing, of another kind, or malformed.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    packed = suffixes[-1:] == [".gz"]
    kind = (suffixes[:-1] if packed else suffixes)[-1:]
    if kind != [".csv"] and not _JSON_LINES.intersection(kind):
        raise ConfigurationError(f"examples={str(path)!r}: give a file of {_KINDS}.")
    text = _text(path, packed=packed)
    return _csv_rows(text, path) if kind == [".csv"] else _json_rows(text, path)


def _text(path: Path, *, packed: bool) -> str:
    try:
        data = path.read_bytes()
        # Spreadsheets begin their files with a byte order mark.
        return (gzip.decompress(data) if packed else data).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"{path} can't be read: {error}.") from error


def _json_rows(text: str, path: Path) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = []
    # Only these end a line of JSON; `splitlines` would cut texts at others, such as U+2028.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(
                f"{path}, line {number}: this is no JSON ({type(error).__name__}): put one object "
                "on each line."
            ) from error
        if not isinstance(row, dict):
            raise ConfigurationError(
                f"{path}, line {number}: this is a {type(row).__name__}: put one object such as "
                '{"prompt": "…", "label": true} on each line.'
            )
        rows.append(row)
    return rows


def _csv_rows(text: str, path: Path) -> list[Mapping[str, Any]]:
    with _CSV_LIMIT:
        before = csv.field_size_limit(_LONGEST_CELL)
        try:
            table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
            rows: list[Mapping[str, Any]] = list(table)
        except csv.Error as error:
            raise ConfigurationError(f"{path}: this is no CSV ({error}).") from error
        finally:
            csv.field_size_limit(before)
    for number, row in enumerate(rows, 1):
        if None in row:
            raise ConfigurationError(
                f"{path}, row {number}: more cells than the header has columns: quote cells that "
                "hold commas."
            )
    return rows
