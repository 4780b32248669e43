"""A record that was filled in as a draft is a record like any other."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from datetime import datetime, timezone
from typing import Any

import pytest

from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.usage.recording.drafts import (
    RecordDraft,
    TokensDraft,
    sealed_record,
    sealed_tokens,
)

FIELDS: dict[str, Any] = {
    "run_id": "r",
    "started_at": datetime(2026, 11, 22, tzinfo=timezone.utc),
    "model_id": "us.amazon.nova-lite-v1:0",
    "status": "ok",
    "tags": ("team:x",),
}


def test_sealed_record_equals_one_that_was_constructed() -> None:
    """A sealed draft is a record, equal to the one with the same fields, defaults included."""
    record = sealed_record(RecordDraft(**FIELDS))
    assert type(record) is UsageRecord
    assert record == UsageRecord(**FIELDS)


def test_sealed_record_can_be_replaced_but_not_changed() -> None:
    """Nobody can change a sealed record, but a changed copy can be made of it."""
    record = sealed_record(RecordDraft(**FIELDS))
    with pytest.raises(FrozenInstanceError):
        record.status = "error"  # type: ignore[misc] # that is what must fail
    assert replace(record, status="error").status == "error"
    assert record.status == "ok"


def test_defaults_are_not_shared() -> None:
    """Two sealed records without metadata do not share one dict."""
    first, second = (sealed_record(RecordDraft(**FIELDS)) for _ in range(2))
    assert first.metadata is not second.metadata


def test_sealed_tokens_equal_constructed_ones() -> None:
    """Sealed token counts are equal to constructed ones, hash alike and can't be changed."""
    usage, same = sealed_tokens(TokensDraft(input=3, output=1)), TokenUsage(input=3, output=1)
    assert usage == same
    assert hash(usage) == hash(same)
    with pytest.raises(FrozenInstanceError):
        usage.input = 4  # type: ignore[misc] # that is what must fail
