"""What a local Bedrock remembers of its calls."""

from __future__ import annotations

import threading
from datetime import datetime, timezone

from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.emulator.journal import Journal, JournalEntry

SECRET = "the patient's name"
NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)


def entry(
    operation: str = "Converse", model_id: str | None = "amazon.nova-lite-v1:0"
) -> JournalEntry:
    return JournalEntry(
        operation=operation,
        model_id=model_id,
        params={"messages": [{"role": "user", "content": [{"text": SECRET}]}]},
        status=200,
        started_at=NOW,
        seconds=0.25,
        usage=TokenUsage(input=3, output=2),
    )


def test_calls_are_found_by_operation_and_model() -> None:
    """A test asks for the calls of an operation, of a model, of both, or for all."""
    journal = Journal()
    for operation, model_id in (("Converse", "a"), ("Converse", "b"), ("CountTokens", "a")):
        journal.add(entry(operation, model_id))
    assert len(journal.calls()) == 3
    assert [call.model_id for call in journal.calls("Converse")] == ["a", "b"]
    assert [call.operation for call in journal.calls(model_id="a")] == ["Converse", "CountTokens"]
    assert len(journal.calls("Converse", model_id="a")) == 1
    assert journal.calls("InvokeModel") == ()


def test_what_was_sent_is_kept_but_not_shown() -> None:
    """The parameters can be looked at, and no representation of a journal quotes them."""
    journal = Journal()
    journal.add(entry())
    call = journal.calls()[0]
    assert call.params["messages"][0]["content"][0]["text"] == SECRET
    assert SECRET not in f"{call} {call!r} {journal!r} {journal.calls()}"
    assert "Converse" in repr(call)
    assert repr(journal) == "<Journal Converse: 1>"


def test_old_calls_are_dropped_and_still_counted() -> None:
    """A journal of a long run stays small, and its counts stay right."""
    journal = Journal(limit=2)
    for model_id in "abc":
        journal.add(entry(model_id=model_id))
    assert [call.model_id for call in journal.calls()] == ["b", "c"]
    assert (journal.count(), journal.count("Converse"), journal.count("InvokeModel")) == (3, 3, 0)


def test_a_cleared_journal_is_empty() -> None:
    """After `clear` there is nothing left, not even a count."""
    journal = Journal()
    journal.add(entry())
    journal.clear()
    assert (journal.calls(), journal.count(), repr(journal)) == ((), 0, "<Journal empty>")


def test_threads_write_into_one_journal() -> None:
    """No call is lost when many threads end calls at once."""
    journal = Journal()

    def write() -> None:
        for _ in range(100):
            journal.add(entry())

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.count() == len(journal.calls()) == 800
