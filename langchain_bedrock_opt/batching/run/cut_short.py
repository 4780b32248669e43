"""Answers that did not come to their own end, by what their models say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_REASONS: Final = {
    "content_filter": "content_filtered",
    "content_filtered": "content_filtered",
    "error_toxic": "content_filtered",
    "guardrail_intervened": "guardrail_intervened",
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "model_context_window_exceeded": "model_context_window_exceeded",
    "refusal": "refusal",
}
_NAMES: Final = ("stopReason", "stop_reason", "finish_reason", "completionReason")
# Where families keep a list of answers, of which a record has one.
_LISTS: Final = ("choices", "outputs", "results")
_GUARDRAIL: Final = "amazon-bedrock-guardrailAction"


def cut_short(document: Mapping[str, Any]) -> str | None:
    """Why an answer ended early, in Converse's words; None if it did not.

    Args:
        document: A `modelOutput` of any family.

    Example:
        >>> cut_short({"stopReason": "max_tokens"}), cut_short({"stopReason": "end_turn"})
        ('max_tokens', None)
        >>> cut_short({"choices": [{"finish_reason": "length"}]})
        'max_tokens'
    """
    if document.get(_GUARDRAIL) == "INTERVENED":
        return "guardrail_intervened"
    listed = next((document[name] for name in _LISTS if document.get(name)), None)
    first = listed[0] if isinstance(listed, list) else None
    for place in (document, first):
        if isinstance(place, Mapping):
            for name in _NAMES:
                if (said := place.get(name)) is not None:
                    return _REASONS.get(str(said).lower())
    return None
