"""What a local Bedrock was asked, and how it answered: the memory that tests look into."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from langchain_bedrock_opt.contracts import TokenUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One call that came to an end.

    Attributes:
        operation: Its name in botocore's model, such as `Converse`.
        model_id: The model id that was called; None for an operation without one.
        params: Its parameters with their contents. They do not show in `repr`, so that no prompt
            gets into a log by way of a failed assertion.
        status: The HTTP status of the answer.
        error_code: AWS's code if it was an error, also one inside the stream.
        started_at: When the call came in, in UTC.
        seconds: How long the answer took, to the end of the stream.
        usage: The tokens it spent; None if it spent none.
    """

    operation: str
    model_id: str | None
    params: Mapping[str, Any] = field(repr=False)
    status: int
    error_code: str | None = None
    started_at: datetime
    seconds: float
    usage: TokenUsage | None = None


class Journal:
    """The latest calls, in the order in which they ended. Safe to use from several threads.

    Args:
        limit: How many entries are kept; older ones are dropped, but still counted.

    Example:
        >>> from datetime import datetime, timezone
        >>> journal = Journal()
        >>> journal.add(
        ...     JournalEntry(
        ...         operation="Converse",
        ...         model_id="amazon.nova-lite-v1:0",
        ...         params={"messages": []},
        ...         status=200,
        ...         started_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
        ...         seconds=0.5,
        ...     )
        ... )
        >>> journal.count(), [call.status for call in journal.calls("Converse")]
        (1, [200])
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._lock = threading.Lock()
        self._entries: deque[JournalEntry] = deque(maxlen=limit)
        self._counts: Counter[str] = Counter()

    def add(self, entry: JournalEntry) -> None:
        """Remember a call."""
        with self._lock:
            self._entries.append(entry)
            self._counts[entry.operation] += 1

    def calls(
        self, operation: str | None = None, *, model_id: str | None = None
    ) -> tuple[JournalEntry, ...]:
        """The remembered calls, the oldest first.

        Args:
            operation: Only calls of this operation.
            model_id: Only calls of this model id.
        """
        with self._lock:
            entries = tuple(self._entries)
        return tuple(
            entry
            for entry in entries
            if operation in (None, entry.operation) and model_id in (None, entry.model_id)
        )

    def count(self, operation: str | None = None) -> int:
        """How many calls there were since the last `clear`, dropped ones included.

        Args:
            operation: Count only calls of this operation.
        """
        with self._lock:
            return self._counts.total() if operation is None else self._counts[operation]

    def clear(self) -> None:
        """Forget all calls."""
        with self._lock:
            self._entries.clear()
            self._counts.clear()

    def __repr__(self) -> str:
        """The counts by operation; never a prompt."""
        with self._lock:
            counts = ", ".join(f"{name}: {count}" for name, count in self._counts.items())
        return f"<Journal {counts or 'empty'}>"
