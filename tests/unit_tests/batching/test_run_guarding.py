"""What a cost limit puts aside while it counts comes back as it was, and out of memory's way."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from langchain_core.messages import AIMessage

from langchain_bedrock_opt.batching.jobs.folder import S3Folder
from langchain_bedrock_opt.batching.parts import Entry, JobKind, Known, Record, Refused
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.guarding import guarded
from tests.batch_service import HAIKU, make_batch_service
from tests.batch_toy import KIND, Toy, services_for


def limited() -> Context:
    service = make_batch_service()
    return Context(
        folder=S3Folder(service.s3, f"s3://{service.bucket}/"),
        run_id="run",
        program=Toy(),
        settings=service.settings(max_cost_usd=Decimal(1000)),
        services=services_for(service),
        estimate=lambda *_: (1, 1),
    )


def test_entries_come_back_in_their_order() -> None:
    """Records of several kinds, known answers and refusals are given on as they came."""
    entries: list[Any] = [
        Record(0, KIND, b"{}"),
        Known(1, AIMessage("half an emoji \ud83d"), b"known"),
        Record(2, JobKind(HAIKU, "InvokeModel"), b"other"),
        Refused(3, ValueError("no")),
        Record(4, KIND, b"last"),
    ]

    found = list(guarded(limited(), iter(entries)))

    assert found[:3] == entries[:3]
    assert found[4] == entries[4]
    assert isinstance(found[3], Refused)
    assert repr(found[3].error) == "ValueError('no')"


def test_memory_does_not_grow_with_what_waits() -> None:
    """Of an entry only the digest stays, by which equal ones are counted once."""
    count = 40_000

    def entries() -> Iterator[Entry]:
        for place in range(0, count, 2):
            yield Record(place, KIND, b"%d" % place)
            yield Refused(place + 1, ValueError("no"))

    context = limited()
    tracemalloc.start()
    try:
        assert sum(1 for _ in guarded(context, entries())) == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 60 * count
