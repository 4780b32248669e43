"""One provisioned throughput: what was bought, and how far it is."""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final, Literal

Commitment = Literal["OneMonth", "SixMonths"]
"""For how long a throughput can't be deleted."""

Status = Literal["Creating", "InService", "Updating", "Failed"]
"""How far a throughput is."""

_REGION: Final = 3  # of the parts of an ARN
_MONTHS: Final[Mapping[Commitment, int]] = {"OneMonth": 1, "SixMonths": 6}


@dataclass(frozen=True, slots=True, kw_only=True)
class ThroughputState:
    """A throughput as it is at a moment.

    Attributes:
        arn: Its ARN, which is called as a model id.
        name: Its name.
        model_arn: The model that answers behind it.
        model_units: How many model units it has.
        status: Its status.
        message: Why it failed; None otherwise.
        commitment: For how long it can't be deleted; None: at any time.
        created_at: When it was bought, in UTC.
        committed_until: When its commitment ends, in UTC; None if it has none.
        tags: Its tags.
    """

    arn: str
    name: str
    model_arn: str
    model_units: int
    status: Status
    message: str | None
    commitment: Commitment | None
    created_at: datetime
    committed_until: datetime | None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ProvidedModel:
    """A model that throughput is provided for.

    Attributes:
        arn: Its ARN.
        base: The bare id of the foundation model that answers.
        foundation_arn: The ARN of that model.
        is_custom: Whether it is a model of the user's own.
    """

    arn: str
    base: str
    foundation_arn: str
    is_custom: bool = False


@dataclass(slots=True, kw_only=True)
class Throughput:
    """One throughput. Whoever reads or changes it holds the service's lock.

    Attributes:
        arn: Its ARN.
        name: Its name.
        model: The model that answers behind it.
        units: How many model units it has.
        created: When it was bought, in seconds since 1970.
        modified: When it was last changed.
        commitment: For how long it can't be deleted.
        tags: Its tags.
        request: The parameters of its creation, without the token; None if it was registered.
        token: The `clientRequestToken` of its creation.
        status: Its status.
        message: Why it failed.
        due: When its status ends; None for one that stays.
        next_status: What its status is then.
        next_message: Why it fails then.
        next_model: The model that answers from then on; None if it is the same.
        is_deleted: Whether it is gone.
    """

    arn: str
    name: str
    model: ProvidedModel
    units: int
    created: float
    modified: float
    commitment: Commitment | None = None
    tags: dict[str, str] = field(default_factory=dict)
    request: Mapping[str, Any] | None = None
    token: str | None = None
    status: Status = "InService"
    message: str | None = None
    due: float | None = None
    next_status: Status = "InService"
    next_message: str | None = None
    next_model: ProvidedModel | None = None
    is_deleted: bool = False

    @property
    def region(self) -> str:
        """Where it was bought: nowhere else is it known."""
        return self.arn.split(":")[_REGION]

    @property
    def committed_until(self) -> datetime | None:
        """When its commitment ends; calendar months, unverified against AWS."""
        if self.commitment is None:
            return None
        return months_after(moment(self.created), _MONTHS[self.commitment])

    def state(self) -> ThroughputState:
        """A copy of it, for tests to look at."""
        return ThroughputState(
            arn=self.arn,
            name=self.name,
            model_arn=self.model.arn,
            model_units=self.units,
            status=self.status,
            message=self.message,
            commitment=self.commitment,
            created_at=moment(self.created),
            committed_until=self.committed_until,
            tags=dict(self.tags),
        )

    def described(self) -> dict[str, Any]:
        """The throughput as Get and List tell of it, by botocore's names."""
        told: dict[str, Any] = {
            "provisionedModelName": self.name,
            "provisionedModelArn": self.arn,
            "modelArn": self.model.arn,
            "desiredModelArn": (self.next_model or self.model).arn,
            "foundationModelArn": self.model.foundation_arn,
            "modelUnits": self.units,
            "desiredModelUnits": self.units,
            "status": self.status,
            "creationTime": moment(self.created),
            "lastModifiedTime": moment(self.modified),
        }
        if self.message is not None:
            told["failureMessage"] = self.message
        if self.commitment is not None:
            told["commitmentDuration"] = self.commitment
            told["commitmentExpirationTime"] = self.committed_until
        return told


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def months_after(start: datetime, months: int) -> datetime:
    """The same time so many months later, or on the last day of a month that is too short.

    Example:
        >>> months_after(datetime(2026, 8, 31, tzinfo=timezone.utc), 6).date().isoformat()
        '2027-02-28'
    """
    years, month = divmod(start.month - 1 + months, 12)
    year, month = start.year + years, month + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return start.replace(year=year, month=month, day=day)
