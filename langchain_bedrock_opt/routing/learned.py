"""A score that is learned from one's own prompts: what the shipped score says, and what it misses.

The shipped score keeps its say as far as it explains the labels; learned weights of the wording
explain the rest. So some hundred labels are enough not to do worse.
"""

from __future__ import annotations

import binascii
import math
from base64 import b64decode, b64encode
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.language_models import LanguageModelInput

from langchain_bedrock_opt.contracts import Reason
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.ngrams import HashedNgramScorer
from langchain_bedrock_opt.routing.reading import read_conversation
from langchain_bedrock_opt.routing.scorer import ComplexityScore, ComplexityScorer

_FORMAT: Final = "learned-scorer-1"
_EDGE: Final = 1e-6

_L2: Final = 30.0
# Ten times as cautious as for weights that stand alone: by cross-validation on known outcomes,
# there from 10 to 100 differ by a hundredth of APGR.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """How the parts are put together: `(slope * log-odds + gain * wording - middle) / spread`."""

    slope: float
    gain: float
    middle: float
    spread: float


class LearnedScorer:
    """Scores prompts by what was learned from labels; made by `fit`.

    Example:
        >>> prompts = ["prove the lemma", "say hello", "prove it is prime", "say good night"]
        >>> scorer = LearnedScorer.fit(prompts, [1, 0, 1, 0])
        >>> scorer.score("prove that").value > scorer.score("say it").value
        True
        >>> again = LearnedScorer.from_dict(scorer.to_dict())
        >>> again.score("prove that") == scorer.score("prove that")
        True
    """

    def __init__(self, wording: HashedNgramScorer, line: _Line) -> None:
        self._wording = wording
        self._line = line
        self._base = ComplexityScorer()

    def __repr__(self) -> str:
        """The same in every process: what is learned is not shown."""
        return "LearnedScorer()"

    @classmethod
    def fit(
        cls,
        prompts: Sequence[LanguageModelInput],
        gains: Sequence[float],
        *,
        groups: Sequence[Hashable] | None = None,
    ) -> LearnedScorer:
        """Learn from prompts with known outcomes. The same result each time.

        Args:
            prompts: What `invoke` takes, each.
            gains: What the strongest tier's answer is better by than the cheapest's.
            groups: Where each prompt comes from: only differences within a group are explained.

        Raises:
            ConfigurationError: The lengths differ, a gain is not finite, or all are equal.
        """
        import numpy as np

        base = ComplexityScorer()
        texts = [read_conversation(prompt).ask for prompt in prompts]
        odds = np.array([_log_odds(base.score(prompt).value) for prompt in prompts])
        names = [0] * len(texts) if groups is None else list(groups)
        if not len(texts) == len(gains) == len(names):
            raise ConfigurationError(
                f"{len(texts)} prompts, {len(gains)} gains, {len(names)} groups: give one of each."
            )
        places = {name: place for place, name in enumerate(dict.fromkeys(names))}
        group = np.array([places[name] for name in names], int)
        y = np.asarray(gains, float)
        x, rest = _within(odds, group), _within(y, group)
        slope = max(0.0, float(x @ rest) / (float(x @ x) or 1.0))
        fitted = HashedNgramScorer.fit(texts, rest - slope * x, sources=names, l2=_L2)
        # As it is saved, so that a loaded scorer gives the same scores to the last bit.
        wording = HashedNgramScorer.from_bytes(fitted.to_bytes())
        total = slope * odds + fitted.scale * np.array([wording.score(text) for text in texts])
        line = _Line(
            slope=slope,
            gain=fitted.scale,
            middle=float(total.mean()),
            spread=float(total.std()) or 1.0,
        )
        return cls(wording, line)

    def score(
        self, messages: LanguageModelInput, tools: Sequence[Any] | None = None
    ) -> ComplexityScore:
        """Score a request.

        Args:
            messages: What `invoke` takes.
            tools: The tools that are bound, in any form.

        Raises:
            TypeError: `messages` is nothing a chat model could be given.
        """
        ask, line = read_conversation(messages).ask, self._line
        signals = line.slope * _log_odds(self._base.score(messages, tools).value) - line.middle
        wording = line.gain * self._wording.score(ask)
        total = (signals + wording) / line.spread
        value = (1 + math.tanh(total / 2)) / 2
        share = (value - 0.5) / (total * line.spread) if total else 0.0
        return ComplexityScore(
            value=value,
            reasons=(
                Reason(
                    signal="learned_wording",
                    weight=round(wording * share, 4),
                    detail="what the wording's n-grams say, by weights learned from your labels",
                ),
                Reason(
                    signal="signals",
                    weight=round(signals * share, 4),
                    detail="the shipped score, beside that of a usual prompt of yours",
                ),
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values. No text can be read back from them."""
        return {
            "format": _FORMAT,
            "slope": self._line.slope,
            "gain": self._line.gain,
            "middle": self._line.middle,
            "spread": self._line.spread,
            "wording": b64encode(self._wording.to_bytes()).decode("ascii"),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LearnedScorer:
        """Read what `to_dict` gave.

        Args:
            values: The values.

        Raises:
            ConfigurationError: They are something else, or damaged.
        """
        try:
            if values["format"] != _FORMAT:
                raise ValueError(f"format {values['format']!r}")  # noqa: TRY301 - one message below
            numbers = {name: float(values[name]) for name in _Line.__dataclass_fields__}
            if not all(map(math.isfinite, numbers.values())) or numbers["spread"] <= 0:
                raise ValueError("numbers out of range")  # noqa: TRY301
            data = b64decode(values["wording"], validate=True)
            return cls(HashedNgramScorer.from_bytes(data), _Line(**numbers))
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise ConfigurationError(
                f"These are no values of a learned scorer ({type(error).__name__}: {error}): "
                "calibrate again."
            ) from error


def _log_odds(value: float) -> float:
    value = min(max(value, _EDGE), 1 - _EDGE)
    return math.log(value / (1 - value))


def _within(values: Any, group: Any) -> Any:
    """Values less the mean of their group."""
    import numpy as np

    means = np.bincount(group, values) / np.maximum(np.bincount(group), 1)
    return values - means[group]
