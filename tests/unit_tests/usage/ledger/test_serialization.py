"""Usage records as JSON and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from datetime import timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.contracts import Reason, RouteDecision, TokenUsage, UsageRecord
from langchain_bedrock_opt.usage.ledger.serialization import (
    record_from_json,
    record_to_dict,
    record_to_json,
)

COUNTS = st.integers(0, 10**9)
TOKENS = st.builds(TokenUsage, input=COUNTS, output=COUNTS, cache_read=COUNTS, reasoning=COUNTS)
NUMBERS = st.floats(0, 10**7)
ROUTES = st.builds(
    RouteDecision,
    tier=st.text(),
    model_id=st.text(),
    score=st.floats(0, 1),
    reasons=st.lists(st.builds(Reason, signal=st.text(), weight=NUMBERS)).map(tuple),
    alternatives=st.lists(st.text()).map(tuple),
    propensity=st.floats(0, 1, exclude_min=True),
    shadow=st.none() | st.text(),
)
PICO = st.none() | st.integers(0, 10**30)
TEXTS = st.lists(st.text()).map(tuple)
MAYBE_TEXT = st.none() | st.text()
# By name, so that a field of the record that is not here fails the test below.
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "run_id": st.text(),
    "started_at": st.datetimes(timezones=st.just(timezone.utc)),
    "model_id": st.text(),
    "status": st.sampled_from(["ok", "error", "aborted"]),
    "unmetered": st.booleans(),
    "parent_run_id": MAYBE_TEXT,
    "resolved_id": MAYBE_TEXT,
    "region": MAYBE_TEXT,
    "stop_reason": MAYBE_TEXT,
    "usage": st.none() | TOKENS,
    "estimate": st.none() | TOKENS,
    "saved": TOKENS,
    "cache_hit": st.booleans(),
    "cache_tier": MAYBE_TEXT,
    "cache_status": MAYBE_TEXT,
    "cost_pico_usd": PICO,
    "estimate_pico_usd": PICO,
    "list_pico_usd": PICO,
    "uncached_pico_usd": PICO,
    "saved_pico_usd": PICO,
    "price_tier": st.sampled_from(["default", "batch", "provisioned"]),
    "price_source": MAYBE_TEXT,
    "price_checked": MAYBE_TEXT,
    "service_tier": MAYBE_TEXT,
    "performance": MAYBE_TEXT,
    "latency_ms": NUMBERS,
    "model_latency_ms": st.none() | NUMBERS,
    "ttft_ms": st.none() | NUMBERS,
    "waited_ms": NUMBERS,
    "retries": COUNTS,
    "throttles": COUNTS,
    "error": MAYBE_TEXT,
    "route": st.none() | ROUTES,
    "path": TEXTS,
    "tags": TEXTS,
    "metadata": st.dictionaries(st.text(), st.text() | st.integers() | st.booleans()),
}
RECORDS = st.builds(UsageRecord, **FIELDS)


def test_every_field_is_tried() -> None:
    """The test below tries each field that a record has, a new one too."""
    assert set(FIELDS) == {field.name for field in fields(UsageRecord)}


@given(RECORDS)
def test_records_survive_json(record: UsageRecord) -> None:
    """A record written as a line of JSON and read back is the same record."""
    line = record_to_json(record)
    assert "\n" not in line
    assert record_from_json(line) == record


def test_what_is_not_said_is_not_written(record: Callable[..., UsageRecord]) -> None:
    """A line holds no key for what a record does not say."""
    assert set(record_to_dict(record())) == {
        "v",
        "run_id",
        "started_at",
        "model_id",
        "status",
    }


def test_lines_of_earlier_releases_are_read() -> None:
    """A line that was written before records knew of regions, estimates and paths still counts."""
    line = (
        '{"v":1,"started_at":"2026-11-22T12:00:00+00:00","run_id":"r","model_id":"m",'
        '"status":"ok","cost_pico_usd":7,"latency_ms":250.0,"usage":{"input":3},"later":1}'
    )
    record = record_from_json(line)
    assert (record.cost_pico_usd, record.latency_ms, record.usage) == (
        7,
        250.0,
        TokenUsage(input=3),
    )
    assert (record.price_tier, record.path, record.list_pico_usd) == ("default", (), None)


def test_cost_of_zero_is_not_unknown(record: Callable[..., UsageRecord]) -> None:
    """A call that cost nothing stays apart from one whose cost is not known."""
    free = record(usage=TokenUsage(), cost_pico_usd=0)
    assert record_from_json(record_to_json(free)) == free


def test_metadata_without_json_type_is_written_as_text(
    record: Callable[..., UsageRecord],
) -> None:
    """Metadata of any type can be written."""
    line = record_to_json(record(metadata={"price": Decimal("1.5"), "nested": {(1, 2): 3}}))
    assert json.loads(line)["metadata"] == {"price": "1.5", "nested": {}}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "Expecting value"),
        ("[]", "not an object"),
        ("{}", "version None"),
        ('{"v": 99}', "version 99"),
        ('{"v": 1}', "lacks run_id"),
        ('{"v": 1, "run_id": "r", "model_id": "m", "status": "ok"}', "started_at"),
        (
            '{"v": 1, "run_id": "r", "model_id": "m", "status": "ok", "started_at": "2026-11-22"}',
            "no time zone",
        ),
        (
            """{"v": 1, "run_id": "r", "model_id": "m", "status": "ok", "usage": [],
            "started_at": "2026-11-22T00:00:00+00:00"}""",
            "can't be read",
        ),
    ],
)
def test_what_is_no_record_says_why(line: str, complaint: str) -> None:
    """A line that is not a usage record is refused with the reason."""
    with pytest.raises(ValueError, match=complaint):
        record_from_json(line)
