"""Usage records as JSON and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timezone
from decimal import Decimal

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
RECORDS = st.builds(
    UsageRecord,
    run_id=st.text(),
    started_at=st.datetimes(timezones=st.just(timezone.utc)),
    model_id=st.text(),
    status=st.sampled_from(["ok", "error", "aborted"]),
    parent_run_id=st.none() | st.text(),
    usage=st.none() | TOKENS,
    saved=TOKENS,
    cache_hit=st.booleans(),
    cost_pico_usd=st.none() | COUNTS,
    saved_pico_usd=st.none() | st.integers(0, 10**30),
    latency_ms=NUMBERS,
    ttft_ms=st.none() | NUMBERS,
    error=st.none() | st.text(),
    route=st.none() | ROUTES,
    tags=st.lists(st.text()).map(tuple),
    metadata=st.dictionaries(st.text(), st.text() | st.integers() | st.booleans()),
)


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
        "latency_ms",
    }


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
