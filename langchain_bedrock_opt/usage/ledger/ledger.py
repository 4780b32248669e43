"""`UsageLedger`: the sink that keeps records, in memory or on disk, and adds them up."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, overload

from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.contracts import CallStatus, PriceTier, UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.ledger.jsonl import JsonLinesStore
from langchain_bedrock_opt.usage.ledger.selection import EVERYTHING, Selection
from langchain_bedrock_opt.usage.ledger.sqlite import SqliteStore
from langchain_bedrock_opt.usage.ledger.stores import MemoryStore, RecordStore
from langchain_bedrock_opt.usage.reporting.grouping import Several
from langchain_bedrock_opt.usage.reporting.totals import UsageTotals

if TYPE_CHECKING:
    from langchain_bedrock_opt.usage.reporting.latency import LatencyTable
    from langchain_bedrock_opt.usage.reporting.report import UsageReport

_SQLITE_SUFFIXES: Final = frozenset({".db", ".sqlite", ".sqlite3"})


class UsageLedger:
    """Keeps usage records, adds them up and reports on them. Thread-safe.

    * Without a path, records are kept in memory.
    * With one, each is appended to the file at once, as one line of JSON.
    * With a path that ends in `.db`, `.sqlite` or `.sqlite3`, they go to a SQLite database, in
      small batches by a thread: it adds up a million records by SQL. A process that is killed
      loses what it added in the last tenth of a second.

    A file holds what other processes wrote to it too, and nothing is lost when this one ends. The
    same run counts once, however many handlers add it. No prompt text is written.

    Args:
        path: The file, made by the first `add`. Its directory must exist.
        max_records: In memory only: how many records are kept; beyond it the oldest are dropped,
            from the totals too. None keeps all.

    Attributes:
        path: The file, or None.

    Raises:
        ConfigurationError: The path is a directory or in none, or a file that is no ledger;
            `max_records` is not positive, or both are given.

    Example:
        >>> from datetime import datetime, timezone
        >>> ledger = UsageLedger()
        >>> at = datetime(2026, 11, 22, tzinfo=timezone.utc)
        >>> ledger.add(UsageRecord(run_id="r", started_at=at, model_id="m", status="ok"))
        >>> ledger.totals(by="model")["m"].calls
        1
        >>> ledger.totals(by=["model", "day"])["m", "2026-11-22"].calls
        1
    """

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, max_records: int | None = None
    ) -> None:
        if max_records is not None and (max_records <= 0 or path is not None):
            raise ConfigurationError(
                f"max_records={max_records!r} bounds a ledger in memory and must be positive; "
                "a ledger with a path keeps nothing in memory: leave it out there."
            )
        self.path = None if path is None else _checked(Path(path).expanduser())
        self._store: RecordStore = (
            MemoryStore(max_records) if self.path is None else _store_in(self.path)
        )

    @property
    def dropped_records(self) -> int:
        """Records that `max_records` pushed out of memory."""
        return self._store.dropped_records if isinstance(self._store, MemoryStore) else 0

    @property
    def lost_records(self) -> int:
        """Records that could not be written."""
        return self._store.lost_records

    def add(self, record: UsageRecord) -> None:
        """Keep one record. A record that can't be written is lost, logged once and counted."""
        self._store.add(record)

    def flush(self) -> None:
        """Wait until each record that was added is in the file.

        While another program keeps a SQLite database locked it returns after three seconds; the
        records are kept, and written when the lock is gone.
        """
        self._store.flush()

    def records(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        model: str | None = None,
        tag: str | None = None,
        status: CallStatus | None = None,
        region: str | None = None,
        price_tier: PriceTier | None = None,
    ) -> list[UsageRecord]:
        """Records, in the order in which they were added.

        Lines of a file that can't be read, such as one that was cut by a crash, are left out
        and logged.

        Args:
            since: Only those that started then or later.
            until: Only those that started before.
            model: Only those of this model id or ARN, or of an ARN that stands for this id.
            tag: Only those with this tag.
            status: Only those that ended so.
            region: Only those of this region.
            price_tier: Only those that were billed so.

        Raises:
            ConfigurationError: A time is without time zone, `status` is none, or the file can't
                be read.
        """
        selection = Selection(
            since=since,
            until=until,
            model=model,
            tag=tag,
            status=status,
            region=region,
            price_tier=price_tier,
        )
        return list(self._store.read(selection))

    @overload
    def totals(
        self, by: None = None, *, since: datetime | None = None, until: datetime | None = None
    ) -> UsageTotals: ...

    @overload
    def totals(
        self, by: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> dict[str, UsageTotals]: ...

    @overload
    def totals(
        self, by: Several, *, since: datetime | None = None, until: datetime | None = None
    ) -> dict[tuple[str, ...], UsageTotals]: ...

    def totals(
        self,
        by: str | Several | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> UsageTotals | dict[str, UsageTotals] | dict[tuple[str, ...], UsageTotals]:
        """Add the records up, as a whole or by properties.

        Args:
            by: None for the whole; a property such as `model`, `tier`, `node`, `day`, `status`,
                `tag`, `tag:NAME` or `metadata:KEY` (`reporting.grouping.groups_of` has all); or a
                list of several, whose groups are tuples. `metadata:KEY` needs the handler's
                `metadata_keys=["KEY"]`: other metadata is not recorded.
            since: Only records that started then or later.
            until: Only records that started before.

        Raises:
            ConfigurationError: `by` is none of these, a time is without time zone, or the file
                can't be read.
        """
        selection = Selection(since=since, until=until) if since or until else EVERYTHING
        if by is None:
            return self._store.totals(selection)
        return self._store.totals_by(selection, by)  # type: ignore[return-value] # the overloads say which

    def latency(
        self,
        by: str | Several = "model",
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> LatencyTable:
        """How fast models answered, by what served the calls: their tier, or provisioned.

        Cache hits, failed calls and calls that waited for an invocation job are not measured.

        Args:
            by: As in `totals`.
            since: Only records that started then or later.
            until: Only records that started before.

        Raises:
            ConfigurationError: `by` is none of these, a time is without time zone, or the file
                can't be read.

        Example:
            >>> from langchain_bedrock_opt import RoutingPolicy
            >>> table = UsageLedger().latency()
            >>> policy = RoutingPolicy(max_ttft_ms=800, latency=table.ttft_ms(percentile=95))
        """
        from langchain_bedrock_opt.usage.reporting.latency import latency_table

        return latency_table(self._store.read(Selection(since=since, until=until)), by)

    def report(
        self,
        *,
        baseline: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        prices: PriceBook | None = None,
    ) -> UsageReport:
        """Usage and cost as a report, which a notebook or a terminal shows.

        It reads its records into memory, about a kilobyte each: of a ledger with millions, take
        a day or a week by `since` and `until`.

        Args:
            baseline: The model that routed calls would have gone to without a router; by default
                the one among the routes on which they would have cost the most.
            since: Only records that started then or later.
            until: Only records that started before.
            prices: Where prices for comparisons come from; by default the process's own book.

        Raises:
            ConfigurationError: The baseline has no price, a time is without time zone, or the
                file can't be read.

        Example:
            >>> print(UsageLedger().report())
            No calls.
        """
        # Here, so that keeping records does not load what shows them.
        from langchain_bedrock_opt.usage.reporting.report import usage_report

        records = self.records(since=since, until=until)
        return usage_report(records, baseline=baseline, prices=prices)


def _checked(path: Path) -> Path:
    if path.is_dir():
        raise ConfigurationError(
            f"UsageLedger path {str(path)!r} is a directory: name a file in it, "
            f"such as {str(path / 'usage.jsonl')!r}."
        )
    if not path.parent.is_dir():
        raise ConfigurationError(
            f"UsageLedger path {str(path)!r} is in a directory that does not exist: "
            f"create {str(path.parent)!r} first."
        )
    return path


def _store_in(path: Path) -> RecordStore:
    return SqliteStore(path) if path.suffix.lower() in _SQLITE_SUFFIXES else JsonLinesStore(path)
