"""What was saved, over all prompts and threads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock

from langchain_bedrock_opt.prompting.optimizing.text import Optimized


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """What was taken out of prompts so far.

    Attributes:
        prompts: How many prompts were looked at.
        removed_chars: How many characters were taken out.
        saved_tokens: How many tokens those are: an estimate.
    """

    prompts: int = 0
    removed_chars: int = 0
    saved_tokens: int = 0


class SavingsCounter:
    """Adds up savings. Used by many threads at once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._total = Savings()

    @property
    def total(self) -> Savings:
        """What was saved so far."""
        return self._total

    def __getstate__(self) -> Savings:
        """What a copy, or another process, goes on from: a lock can't be copied."""
        return self._total

    def __setstate__(self, total: Savings) -> None:
        """Go on from there."""
        self._lock = Lock()
        self._total = total

    def add(self, texts: Iterable[Optimized]) -> Savings:
        """Count one prompt with the texts in it, and return what it alone saved."""
        kept = [*texts]
        saved = Savings(
            prompts=1,
            removed_chars=sum(text.removed_chars for text in kept),
            saved_tokens=sum(text.saved_tokens for text in kept),
        )
        with self._lock:
            total = self._total
            self._total = Savings(
                prompts=total.prompts + 1,
                removed_chars=total.removed_chars + saved.removed_chars,
                saved_tokens=total.saved_tokens + saved.saved_tokens,
            )
        return saved
