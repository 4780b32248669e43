"""What may go wrong with a job."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFault:
    """What shall go wrong with some jobs."""

    def shown_status(self, status: str, looks: int) -> str:  # noqa: ARG002
        """The status that is told."""
        return status

    def shown_counts(self, total: int, succeeded: int, failed: int) -> dict[str, int]:
        """The counts that are told."""
        return {
            "totalRecordCount": total,
            "processedRecordCount": succeeded + failed,
            "successRecordCount": succeeded,
            "errorRecordCount": failed,
        }
