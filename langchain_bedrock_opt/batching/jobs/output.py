"""One line of a job's output: whose answer it is, and the answer's bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from langchain_bedrock_opt.batching.jobs.documents import read_document
from langchain_bedrock_opt.batching.parts import place_of

_OUTPUT: Final = b'"modelOutput"'
_ID: Final = b'"recordId"'

RecordError: TypeAlias = tuple[str, str]
"""The code of a record's error, as text, and Bedrock's words."""


class OutputLine(NamedTuple):
    """What one line of an output says. Exactly one of `output` and `error` is set.

    Attributes:
        place: The place of the record that it answers; None if its `recordId` is none of ours.
        output: `modelOutput` as JSON text.
        error: The error's code and words.
    """

    place: int | None
    output: bytes | None = None
    error: RecordError | None = None


def error_of(document: Mapping[str, Any]) -> RecordError | None:
    """The error in a line of an output: beside the answer, or in its place.

    Args:
        document: The line. Codes are numbers or texts.

    Returns:
        Its code as text and its words; None if there is no error.

    Example:
        >>> error_of({"error": {"errorCode": 400, "errorMessage": "bad request"}})
        ('400', 'bad request')
        >>> error_of({"modelOutput": {"errorCode": "429", "errorMessage": "slow down"}})
        ('429', 'slow down')
        >>> error_of({"modelOutput": {"content": []}}) is None
        True
    """
    error = document.get("error")
    if error is None:
        output = document.get("modelOutput")
        # No model family has these two keys in its answers, or the first one alone.
        if not isinstance(output, dict) or "errorCode" not in output:
            return None
        if "errorMessage" not in output and len(output) > 1:
            return None
        error = output
    if not isinstance(error, Mapping):
        return "", str(error)
    return _text(error.get("errorCode")), _text(error.get("errorMessage"))


def read_line(data: bytes) -> OutputLine | None:
    """Read one line of a `.jsonl.out` object.

    Args:
        data: The line.

    Returns:
        What it says; None if it is no JSON object, or has neither an answer nor an error.

    Example:
        >>> read_line(b'{"recordId": "00000000007", "modelInput": {}, "modelOutput": {"a": 1}}')
        OutputLine(place=7, output=b'{"a": 1}', error=None)
        >>> read_line(b'{"recordId": "00000000007", "modelOu') is None
        True
    """
    document = read_document(data)
    if document is None:
        return None
    place = place_of(document.get("recordId"))
    error = error_of(document)
    if error is not None:
        return OutputLine(place, error=error)
    if document.get("modelOutput") is None:
        return None
    return OutputLine(place, output=_output_text(data, document))


def _output_text(data: bytes, document: dict[str, Any]) -> bytes:
    """The text of `modelOutput`, as it was sent: numbers of any size keep all their digits."""
    # A quote within a text has a backslash before it. So if this occurs once it is the key, and
    # what follows is its value, and after that nothing or the recordId.
    if data.count(_OUTPUT) == 1:
        start = data.index(b":", data.index(_OUTPUT) + len(_OUTPUT)) + 1
        *_, before, last = ("", *document)
        if last == "modelOutput":
            return data[start : data.rindex(b"}")].strip()
        if (before, last) == ("modelOutput", "recordId"):
            return data[start : data.rindex(_ID)].strip(b", \t\r\n")
    # A line in another order. orjson would make a float of a number of more than 64 bits.
    return json.dumps(json.loads(data)["modelOutput"]).encode()


def _text(value: object) -> str:
    return "" if value is None else str(value)
