"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["ok", "warning", "failure", "unknown"]
"""`failure`: calls will not work as asked for. `unknown`: the check could not be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check has found.

    Attributes:
        check: Which check.
        status: How it went.
        said: What was found, in one line.
        fix: What to do, in one line; empty if nothing.
    """

    check: str
    status: Status
    said: str
    fix: str = ""
