"""`RecordStore`: what keeps a ledger's records, and the plainest one, memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Protocol

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.usage.inbox import Inbox
from langchain_bedrock_opt.usage.ledger.selection import Selection
from langchain_bedrock_opt.usage.reporting.grouping import Group, Several, groups_of
from langchain_bedrock_opt.usage.reporting.totals import UsageTotals, grouped, total


class RecordStore(Protocol):
    """Keeps records. The same run is read once, however often it was added.

    Attributes:
        lost_records: Records that could not be kept.
    """

    lost_records: int

    def add(self, record: UsageRecord) -> None:
        """Keep one record, quickly; a failure is logged once and counted, never raised."""

    def flush(self) -> None:
        """Return when what was added can be read by other processes."""

    def read(self, selection: Selection) -> Iterator[UsageRecord]:
        """Records in the order in which they were added."""

    def totals(self, selection: Selection) -> UsageTotals:
        """What they add up to."""

    def totals_by(self, selection: Selection, by: str | Several) -> dict[Group, UsageTotals]:
        """What they add up to by properties, in the order in which the groups first occur."""


class AddedUp:
    """Totals for a store that reads all of its records for them, one after the other."""

    def read(self, selection: Selection) -> Iterator[UsageRecord]:
        """Records in the order in which they were added."""
        raise NotImplementedError

    def totals(self, selection: Selection) -> UsageTotals:
        """What they add up to."""
        return total(self.read(selection))

    def totals_by(self, selection: Selection, by: str | Several) -> dict[Group, UsageTotals]:
        """What they add up to by properties."""
        return grouped(self.read(selection), groups_of(by))


class MemoryStore(AddedUp):
    """Records in memory, of this process alone.

    Args:
        max_records: How many are kept; beyond it the oldest are dropped. None keeps all.
    """

    def __init__(self, max_records: int | None = None) -> None:
        self.lost_records = 0
        self.dropped_records = 0
        self._max_records = max_records
        # By run id, and in order: a run that another handler adds too is there once.
        self._records: OrderedDict[str, UsageRecord] = OrderedDict()
        self._inbox: Inbox[UsageRecord] = Inbox(self._keep)

    def add(self, record: UsageRecord) -> None:
        """Keep one record; what does not fit any more goes."""
        self._inbox.put(record)

    def _keep(self, record: UsageRecord) -> None:
        self._records.setdefault(record.run_id, record)
        if self._max_records is not None and len(self._records) > self._max_records:
            self._records.popitem(last=False)
            self.dropped_records += 1

    def flush(self) -> None:
        """Nothing to do: no other process can read it."""

    def read(self, selection: Selection) -> Iterator[UsageRecord]:
        """Records in the order in which they were added."""
        records: list[UsageRecord] = []
        self._inbox.exclusively(lambda: records.extend(self._records.values()))
        return filter(selection.takes, records)
