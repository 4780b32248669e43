"""What Bedrock says of a provisioned throughput, and how people read it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from langchain_bedrock_opt.aws.resolution import bare_model_id

CREATING: Final = "Creating"
IN_SERVICE: Final = "InService"
UPDATING: Final = "Updating"
FAILED: Final = "Failed"
STATUSES: Final = (CREATING, IN_SERVICE, UPDATING, FAILED)
"""The statuses in botocore's model (1.44.5); one that is not among them is waited for."""

_SOON: Final = timedelta(days=14)
_FOUNDATION: Final = ":foundation-model/"
_COLUMNS: Final = ("name", "status", "model", "units", "commitment")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedThroughput:
    """A provisioned throughput as Bedrock last described it. It bills until it is deleted.

    Attributes:
        arn: Its ARN: the model id that calls go to.
        name: Its name.
        status: `Creating`, `InService`, `Updating` or `Failed`.
        model_id: Its model: an id, with its context length if it has one, such as
            `amazon.nova-lite-v1:0:24k`, or the ARN of a custom model.
        foundation_model_id: The foundation model behind it, without a context length.
        units: Its model units.
        commitment: `OneMonth` or `SixMonths`; None without one.
        commitment_ends: Until when it can't be deleted, in UTC; None without a commitment.
        created_at: When it was bought, in UTC.
        modified_at: When it last changed, in UTC.
        failure_message: Why it failed. A list does not say.
        desired_model_id: The model that it is being moved to; else `model_id`.
        desired_units: The units that it is being changed to; else `units`.
    """

    arn: str
    name: str
    status: str
    model_id: str
    foundation_model_id: str
    units: int
    commitment: str | None
    commitment_ends: datetime | None
    created_at: datetime
    modified_at: datetime
    failure_message: str
    desired_model_id: str
    desired_units: int

    @property
    def is_in_service(self) -> bool:
        """Whether calls can go to it."""
        return self.status == IN_SERVICE

    def is_committed(self, now: datetime) -> bool:
        """Whether its commitment keeps it from being deleted.

        Args:
            now: The time, aware of its zone.
        """
        return self.commitment_ends is not None and now < self.commitment_ends

    def ends_soon(self, now: datetime) -> bool:
        """Whether its commitment ends within 14 days: time to keep it, or to let it go.

        Args:
            now: The time, aware of its zone.
        """
        ends = self.commitment_ends
        return ends is not None and now < ends <= now + _SOON

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, for people."""
        rows = [("status", self.status), ("model", self.model_id), ("units", str(self.units))]
        if self.failure_message:
            rows.append(("failure", self.failure_message))
        if self.desired_model_id != self.model_id:
            rows.append(("moves to", self.desired_model_id))
        rows += [
            ("commitment", self._commitment()),
            ("created", moment_of(self.created_at)),
            ("arn", self.arn),
        ]
        return rows

    def cells(self) -> tuple[str, ...]:
        """Its row in a table of many."""
        return (self.name, self.status, self.model_id, str(self.units), self._commitment())

    def _commitment(self) -> str:
        if self.commitment_ends is None:
            return self.commitment or "none"
        return f"{self.commitment}, until {moment_of(self.commitment_ends)}"

    def __str__(self) -> str:
        """A table."""
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        lines = [f"  {name:<{width}}  {value}" for name, value in rows]
        return "\n".join([f"Provisioned throughput {self.name}", *lines])

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
            for name, value in self.rows()
        )
        title = f"Provisioned throughput {html.escape(self.name)}"
        return f"<table><caption>{title}</caption>{cells}</table>"


class ThroughputTable(tuple[ProvisionedThroughput, ...]):
    """Provisioned throughputs, newest first: a tuple that prints as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        """A table."""
        if not self:
            return "No provisioned throughput."
        lines = [_COLUMNS, *(each.cells() for each in self)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(_line(cells, widths) for cells in lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in each.cells()) + "</tr>"
            for each in self
        )
        return f"<table><tr>{head}</tr>{body}</table>"


def throughput_of(answer: Mapping[str, Any]) -> ProvisionedThroughput:
    """What an answer of GetProvisionedModelThroughput says, or a summary of the List.

    Args:
        answer: The dict as boto3 gives it.
    """
    model_arn = answer["modelArn"]
    units = answer["modelUnits"]
    return ProvisionedThroughput(
        arn=answer["provisionedModelArn"],
        name=answer["provisionedModelName"],
        status=answer["status"],
        model_id=_model_id(model_arn),
        foundation_model_id=bare_model_id(answer["foundationModelArn"]),
        units=units,
        commitment=answer.get("commitmentDuration"),
        commitment_ends=_utc(answer.get("commitmentExpirationTime")),
        created_at=answer["creationTime"].astimezone(timezone.utc),
        modified_at=answer["lastModifiedTime"].astimezone(timezone.utc),
        failure_message=answer.get("failureMessage", ""),
        desired_model_id=_model_id(answer.get("desiredModelArn", model_arn)),
        desired_units=answer.get("desiredModelUnits", units),
    )


def moment_of(moment: datetime) -> str:
    """A moment for people, to the minute, in UTC."""
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def _model_id(arn: str) -> str:
    """A foundation model by its id, any other by its ARN."""
    return arn.rpartition("/")[2] if _FOUNDATION in arn else arn


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(timezone.utc)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
