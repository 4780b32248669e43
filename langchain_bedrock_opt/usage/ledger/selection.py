"""`Selection`: which records of a ledger are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError

_STATUSES: Final = ("ok", "error", "aborted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What records must be like. What is None is not asked about.

    Attributes:
        since: The first moment they may have started at.
        until: The first moment they may not have started at any more.
        model: The model id or ARN that was called, or the id that the ARN stands for.
        tag: A tag that they have.
        status: How they ended.
        region: The region that was called.
        price_tier: By what they were billed.

    Raises:
        ConfigurationError: A time is without time zone, or `status` is none.
    """

    since: datetime | None = None
    until: datetime | None = None
    model: str | None = None
    tag: str | None = None
    status: str | None = None
    region: str | None = None
    price_tier: str | None = None

    def __post_init__(self) -> None:
        """Refuse what would take no record, or the wrong ones."""
        for name, moment in (("since", self.since), ("until", self.until)):
            if moment is not None and (not isinstance(moment, datetime) or moment.tzinfo is None):
                raise ConfigurationError(
                    f"{name}={moment!r} is no time with a time zone: give a datetime with "
                    "tzinfo, such as datetime(2026, 11, 22, tzinfo=timezone.utc)."
                )
        if self.status is not None and self.status not in _STATUSES:
            raise ConfigurationError(
                f"status={self.status!r} is not known: use {', '.join(map(repr, _STATUSES))}."
            )

    def takes(self, record: UsageRecord) -> bool:
        """Whether a record is asked for."""
        return (
            (self.since is None or record.started_at >= self.since)
            and (self.until is None or record.started_at < self.until)
            and (self.model is None or self.model in (record.model_id, record.resolved_id))
            and (self.tag is None or self.tag in record.tags)
            and (self.status is None or record.status == self.status)
            and (self.region is None or record.region == self.region)
            and (self.price_tier is None or record.price_tier == self.price_tier)
        )

    def where(self) -> tuple[str, list[Any]]:
        """The same as a condition over the columns of `sqlite_schema`, with its parameters."""
        conditions = {
            "started_at >= ?": _text(self.since),
            "started_at < ?": _text(self.until),
            "? IN (model, resolved)": self.model,
            "EXISTS (SELECT 1 FROM json_each(records.json, '$.tags') WHERE value = ?)": (self.tag),
            "status = ?": self.status,
            "region = ?": self.region,
            "price_tier = ?": self.price_tier,
        }
        asked = {text: value for text, value in conditions.items() if value is not None}
        return " AND ".join(asked) or "1", list(asked.values())


def _text(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")


EVERYTHING: Final = Selection()
"""All records."""
