"""The recorded requests are accepted or refused as Bedrock did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest

from langchain_bedrock_opt.emulator.models import ModelDirectory
from langchain_bedrock_opt.emulator.types import ServiceFailure
from langchain_bedrock_opt.emulator.validation import check_converse
from tests.extras import SHARED

_WIRE = SHARED / "data" / "wire"
_RUNTIME = (
    "Converse",
    "ConverseStream",
    "InvokeModel",
    "InvokeModelWithResponseStream",
)

# What the models and the rules of a Converse request can't know: credentials, and CountTokens'
# own check of a body in Anthropic's format.
_NOT_OURS = (403, "CountTokens")


def _recordings() -> Iterator[Any]:
    for name in (*_RUNTIME, "errors"):
        path = _WIRE / f"{name}.jsonl"
        if not path.exists():
            yield pytest.param(None, id=name, marks=pytest.mark.skip(f"{path} is not there"))
            continue
        for line in path.read_text("utf-8").splitlines():
            record = json.loads(line)
            if not {record["operation"], record["response"]["status"]} & set(_NOT_OURS):
                yield pytest.param(record, id=record["id"])


def _answer(record: dict[str, Any]) -> tuple[int, str | None]:
    """Status and message as the emulator's rules have them."""
    model_id = unquote(record["request"]["path"].split("/")[2])
    directory = ModelDirectory()
    try:
        directory.resolve(model_id)
        if record["operation"].startswith("Converse"):
            check_converse(
                json.loads(record["request"]["body"]),
                directory.base_of(model_id),
                streaming=record["operation"] == "ConverseStream",
            )
    except ServiceFailure as failure:
        return failure.status or 400, failure.message
    return 200, None


@pytest.mark.parametrize("record", list(_recordings()))
def test_a_recorded_request_is_answered_as_it_was(record: dict[str, Any]) -> None:
    """A request that Bedrock took is taken, one that it refused is refused with its message."""
    response = record["response"]
    expected = None
    if response["status"] != 200:
        expected = json.loads(response["body"])["message"]
    assert _answer(record) == (response["status"], expected)
