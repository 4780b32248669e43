"""Estimates corrected by what calls really used: `TokenCorrection`.

An estimate is a sum: so many characters of each class, by their weight, and what is flat. For
each model this keeps one factor for each part of the sum, and after a call moves the factors
towards what its usage says, the more the larger their share in it and the less sure they are (a
Kalman filter). A call in English so teaches nothing false about Japanese, yet all factors of a
model lean on each other a little: where everything counts 30 % more, one call tells most of it.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from operator import mul
from typing import Any, Final

from langchain_bedrock_opt.catalog.tokens.classes import CLASSES
from langchain_bedrock_opt.catalog.tokens.content import Measured
from langchain_bedrock_opt.catalog.tokens.families import Weights, base_id_of, family_of
from langchain_bedrock_opt.catalog.tokens.given import given_model
from langchain_bedrock_opt.errors import ConfigurationError

_SIZE: Final = len(CLASSES) + 1
"""Parts of an estimate: the classes, and what is flat."""

_VERSION: Final = 1

# In shares of an estimate. How far a class may be off by itself, and all of a model together;
# how much one call's count differs from the best weights; how far the truth drifts in a call.
_OWN: Final = 0.25**2
_SHARED: Final = 0.25**2
_NOISE: Final = 0.06**2
_DRIFT: Final = 0.004**2
_ROUNDING: Final = 2.0
"""Tokens by which a count may be off whatever its size."""

_SURPRISE: Final = 3.0
"""Standard deviations beyond which a count pulls no harder: one odd call ruins nothing."""

_STEP: Final = 0.3
"""How far one call moves a factor at most: the first calls may be the odd ones."""

_LEAST, _MOST = 0.4, 2.5
"""Bounds of a factor: hardly two tokenizers differ by more in a whole text."""

_NONSENSE: Final = 10.0
"""A count so many times off is another request's, and taught from not at all."""

_MODELS: Final = 64
"""Models that are remembered; the one not seen for longest is forgotten."""


class TokenCorrection:
    """Learns from returned usage by how much a model's estimates are off.

    Give it to `estimate_tokens` and `TokenCounter`, and let a layer
    (`langchain_bedrock_opt.prompting.CorrectTokens`) or your own code feed it. It may be shared
    by threads. It holds numbers by model id, nothing of what was said.

    Example:
        >>> from langchain_bedrock_opt.catalog.tokens import estimate_tokens
        >>> correction, model = TokenCorrection(), "us.amazon.nova-lite-v1:0"
        >>> request = {"messages": [{"role": "user", "content": [{"text": "word " * 500}]}]}
        >>> before = estimate_tokens(request, model)
        >>> for _ in range(20):
        ...     correction.observe(request, {"inputTokens": 600}, model)
        >>> abs(estimate_tokens(request, model, correction=correction) - 600) < 20
        True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: OrderedDict[str, _Filter] = OrderedDict()

    def observe(self, what: Any, usage: Mapping[str, Any], model: Any = None) -> None:
        """Learn from one call.

        Args:
            what: What was sent, as `estimate_tokens` takes it: best the Converse request.
            usage: Converse's `usage`, or LangChain's `usage_metadata`. Tokens read from and
                written to the prompt cache are prompt tokens, too.
            model: The model that was called; None takes the request's `modelId`.
        """
        from langchain_bedrock_opt.catalog.tokens.counter import measured

        if model is None and isinstance(what, Mapping):
            model = what.get("modelId")
        actual = prompt_tokens(usage)
        if actual > 0:
            self.learn(measured(what, family_of(model)), actual, model)

    def learn(self, found: Measured, actual: int, model: Any) -> None:
        """Learn from what a prompt was measured to hold and the tokens that it had.

        Args:
            found: What was measured, by the model's family.
            actual: All tokens of the prompt, cached ones too.
            model: The model that was called.
        """
        parts = _parts(found, family_of(model).weights)
        estimate = sum(parts)
        if not 1 / _NONSENSE < actual / max(estimate, 1.0) < _NONSENSE:
            return
        shares = [part / estimate for part in parts]
        noise = _NOISE + (_ROUNDING / estimate) ** 2
        key = _key(model)
        with self._lock:
            kept = self._models.get(key)
            if kept is None:
                kept = self._models[key] = _Filter()
                if len(self._models) > _MODELS:
                    self._models.popitem(last=False)
            self._models.move_to_end(key)
            kept.learn(shares, actual / estimate, noise)

    def factors(self, model: Any) -> Weights | None:
        """The factors of each class, and of what is flat, in the order of `CLASSES`.

        Returns:
            None if nothing was learned of the model.
        """
        with self._lock:
            kept = self._models.get(_key(model))
            return None if kept is None else tuple(kept.factors)

    def as_dict(self) -> dict[str, Any]:
        """All that was learned, as versioned JSON: numbers by model id."""
        with self._lock:
            models = {
                key: {
                    "factors": list(kept.factors),
                    "doubt": [list(row) for row in kept.doubt],
                }
                for key, kept in self._models.items()
            }
        return {"version": _VERSION, "classes": list(CLASSES), "models": models}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> TokenCorrection:
        """What `as_dict` gave.

        Raises:
            ConfigurationError: It is of another version of this package, or was damaged.

        Example:
            >>> TokenCorrection.from_dict(TokenCorrection().as_dict()).as_dict()["models"]
            {}
        """
        made = cls()
        if document.get("version") != _VERSION or document.get("classes") != list(CLASSES):
            raise ConfigurationError(
                f"A token correction of version {document.get('version')!r} can't be read: this "
                f"package writes version {_VERSION}. Start with a new TokenCorrection()."
            )
        for key, kept in document.get("models", {}).items():
            if not _is_sound(kept):
                raise ConfigurationError(
                    f"The token correction of {key!r} is damaged: it needs {_SIZE} factors from "
                    f"{_LEAST} to {_MOST} and their matrix. Take the model out, or start with a "
                    "new TokenCorrection()."
                )
            made._models[key] = _Filter(kept["factors"], kept["doubt"])
        return made


def prompt_tokens(usage: Mapping[str, Any]) -> int:
    """All tokens of a prompt, by Converse's `usage` or by LangChain's `usage_metadata`.

    Example:
        >>> prompt_tokens({"inputTokens": 10, "cacheReadInputTokens": 90})
        100
    """
    if "inputTokens" in usage:
        names = ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
        return sum(usage.get(name) or 0 for name in names)
    return usage.get("input_tokens") or 0  # LangChain has the cached ones in it


def _is_sound(kept: object) -> bool:
    if not isinstance(kept, Mapping) or not _are_numbers(kept.get("factors")):
        return False
    doubt = kept.get("doubt")
    return (
        all(_LEAST <= factor <= _MOST for factor in kept["factors"])
        and isinstance(doubt, list)
        and len(doubt) == _SIZE
        and all(map(_are_numbers, doubt))
        and all(doubt[i][i] >= 0 for i in range(_SIZE))
    )


def _are_numbers(values: object) -> bool:
    return (
        isinstance(values, list)
        and len(values) == _SIZE
        and all(isinstance(value, (int, float)) and math.isfinite(value) for value in values)
    )


def _parts(found: Measured, weights: Weights) -> list[float]:
    parts = [count * weight for count, weight in zip(found.counts, weights, strict=True)]
    parts.append(found.flat)
    return parts


def _key(model: Any) -> str:
    """What a model is remembered by: profiles of one model count alike."""
    model = given_model(model).model
    name = model if isinstance(model, str) else getattr(model, "model_id", None)
    return base_id_of(model) or (name if isinstance(name, str) else "")


class _Filter:
    """The factors of one model, with their covariance."""

    def __init__(
        self,
        factors: Sequence[float] | None = None,
        doubt: Sequence[Sequence[float]] | None = None,
    ) -> None:
        self.factors = list(factors) if factors else [1.0] * _SIZE
        self.doubt = (
            [list(row) for row in doubt]
            if doubt
            else [[_SHARED + _OWN * (i == j) for j in range(_SIZE)] for i in range(_SIZE)]
        )

    def learn(self, shares: Sequence[float], ratio: float, noise: float) -> None:
        """Move the factors towards a call whose tokens were so many times the estimate."""
        pull = [sum(map(mul, row, shares)) for row in self.doubt]
        variance = sum(map(mul, pull, shares)) + noise
        surprise = ratio - sum(map(mul, self.factors, shares))
        # What is too odd is taken for noise: it pulls less, and makes nothing surer. So the next
        # call, an ordinary one, takes back what an odd one did.
        variance *= max(1.0, abs(surprise) / (_SURPRISE * variance**0.5))
        variance = max(variance, max(map(abs, pull)) * abs(surprise) / _STEP)
        for i, strength in enumerate(pull):
            gain = strength / variance
            moved = self.factors[i] + gain * surprise
            self.factors[i] = min(_MOST, max(_LEAST, moved))
            row = self.doubt[i]
            for j, other in enumerate(pull):
                row[j] -= gain * other
            # It drifts, so that what was learned long ago gives way; not beyond the beginning.
            row[i] = min(row[i] + _DRIFT, _OWN + _SHARED)
