"""Records are filled in as drafts, and frozen when they are done.

A frozen dataclass sets each field by a call of `object.__setattr__`; for a `UsageRecord` that was
the dearest step of recording. A draft has the same fields in the same slots and is not frozen, so
that it sets them at the speed of plain assignments; `sealed_record` then turns the object itself
into a `UsageRecord`. Python lets an object change its class if both have the same slots.
"""

from __future__ import annotations

from dataclasses import field, fields, make_dataclass
from typing import TYPE_CHECKING, Any

from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord


def _draft_of(frozen: Any) -> Any:
    """A dataclass with the same fields and slots that is not frozen."""
    same = [
        (own.name, own.type, field(default=own.default, default_factory=own.default_factory))
        for own in fields(frozen)
    ]
    return make_dataclass(f"{frozen.__name__}Draft", same, slots=True, kw_only=True)


if TYPE_CHECKING:  # it is made with the same arguments
    RecordDraft = UsageRecord
    TokensDraft = TokenUsage
else:
    RecordDraft = _draft_of(UsageRecord)
    TokensDraft = _draft_of(TokenUsage)


def sealed_record(draft: UsageRecord) -> UsageRecord:
    """Turn a `RecordDraft` into the record itself, which nobody can change any more."""
    draft.__class__ = UsageRecord
    return draft


def sealed_tokens(draft: TokenUsage) -> TokenUsage:
    """Turn a `TokensDraft` into the token counts themselves."""
    draft.__class__ = TokenUsage
    return draft
