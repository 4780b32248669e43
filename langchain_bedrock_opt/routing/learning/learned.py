"""A score that is learned from one's own prompts: signals, and learned weights of the wording.

How much say each of the two has is found by cross-validation. The weights that are shipped have
none: on known outcomes that cost nothing, and nothing that they have seen can flatter the score.
"""

from __future__ import annotations

import binascii
import math
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from langchain_core.language_models import LanguageModelInput

from langchain_bedrock_opt.contracts import Reason
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.scoring.ngrams import HashedNgramScorer
from langchain_bedrock_opt.routing.scoring.reading import read_conversation
from langchain_bedrock_opt.routing.scoring.scorer import ComplexityScore, ComplexityScorer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_FORMAT: Final = "learned-scorer-1"
_EDGE: Final = 1e-6

_L2: Final = 30.0
# Ten times as cautious as the weights that are shipped, which rest on thousands of prompts. From
# 10 to 100 the figures differ by a hundredth of APGR.

_FOLDS: Final = 5
_RIDGE: Final = 10.0
"""As if ten prompts had shown that neither says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blend:
    """How the signals' log-odds and the wording's score make one: `slope * odds + say * wording`.

    Attributes:
        slope: The signals' say.
        say: The wording's say.
        middle: The sum for a usual prompt.
        spread: By how much prompts differ in the sum, those that were not learned from.
    """

    slope: float
    say: float
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

    def __init__(self, wording: HashedNgramScorer, blend: _Blend) -> None:
        self._wording = wording
        self._blend = blend
        self._signals = ComplexityScorer(weights=None)

    def __repr__(self) -> str:
        """The same in every process: what is learned is not shown."""
        return "LearnedScorer()"

    @classmethod
    def fit(cls, prompts: Sequence[LanguageModelInput], gains: Sequence[float]) -> LearnedScorer:
        """Learn from prompts with known outcomes. The same result each time.

        Args:
            prompts: What `invoke` takes, each.
            gains: What the strongest tier's answer is better by than the cheapest's.

        Raises:
            ConfigurationError: The lengths differ, a gain is not finite, or all are equal.
        """
        import numpy as np

        texts = [read_conversation(prompt).ask for prompt in prompts]
        fitted = HashedNgramScorer.fit(texts, gains, l2=_L2)
        # As it is saved, so that a loaded scorer gives the same scores to the last bit.
        wording = HashedNgramScorer.from_bytes(fitted.to_bytes())
        signals = ComplexityScorer(weights=None)
        odds = np.array([_log_odds(signals.score(prompt).value) for prompt in prompts])
        unseen = _unseen(texts, np.asarray(gains, float))
        slope, say = _says(odds, unseen, np.asarray(gains, float))
        total = slope * odds + say * unseen
        middle, spread = float(total.mean()), float(total.std()) or 1.0
        return cls(wording, _Blend(slope=slope, say=say, middle=middle, spread=spread))

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
        ask, blend = read_conversation(messages).ask, self._blend
        odds = _log_odds(self._signals.score(messages, tools).value)
        signals = (blend.slope * odds - blend.middle) / blend.spread
        wording = blend.say * self._wording.score(ask) / blend.spread
        total = signals + wording
        value = (1 + math.tanh(total / 2)) / 2
        share = (value - 0.5) / total if total else 0.0
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
                    detail="what else is in the prompt, beside a usual prompt of yours",
                ),
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values. No text can be read back from them."""
        return {
            "format": _FORMAT,
            **asdict(self._blend),
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
            numbers = {name: float(values[name]) for name in _Blend.__dataclass_fields__}
            if not all(map(math.isfinite, numbers.values())) or numbers["spread"] <= 0:
                raise ValueError("numbers out of range")  # noqa: TRY301
            data = b64decode(values["wording"], validate=True)
            return cls(HashedNgramScorer.from_bytes(data), _Blend(**numbers))
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise ConfigurationError(
                f"These are no values of a learned scorer ({type(error).__name__}: {error}): "
                "calibrate again."
            ) from error


def _log_odds(value: float) -> float:
    value = min(max(value, _EDGE), 1 - _EDGE)
    return math.log(value / (1 - value))


def _unseen(texts: Sequence[str], gains: Floats) -> Floats:
    """The wording's score of each text by weights that were learned from other texts."""
    import numpy as np

    folds = np.array([fold_of(text) for text in texts])
    found = np.zeros(len(texts))
    for fold in range(_FOLDS):
        others = [text for text, part in zip(texts, folds, strict=True) if part != fold]
        theirs = gains[folds != fold]
        if others and np.ptp(theirs) > 0:
            scorer = HashedNgramScorer.fit(others, theirs.tolist(), l2=_L2)
            own = [
                scorer.score(text) for text, part in zip(texts, folds, strict=True) if part == fold
            ]
            found[folds == fold] = own
    return found


def _says(odds: Floats, wording: Floats, gains: Floats) -> tuple[float, float]:
    """What say each has in the gains: a small ridge regression, and never against its meaning."""
    import numpy as np

    spreads = [float(part.std()) or 1.0 for part in (odds, wording)]
    parts = np.stack([odds / spreads[0], wording / spreads[1]], axis=1)
    parts = parts - parts.mean(axis=0)
    inner = parts.T @ parts + _RIDGE * np.eye(2)
    outer = parts.T @ (gains - gains.mean())
    says = np.linalg.solve(inner, outer)
    if says.min() < 0:
        # The better one alone.
        says = np.where(outer == outer.max(), np.maximum(outer / np.diag(inner), 0), 0.0)
    # Half of it is settled: few labels tell little of who is to have more say.
    says = says / says.sum() + 0.5 if says.any() else np.ones(2)
    return float(says[0] / spreads[0]), float(says[1] / spreads[1])


def fold_of(text: str) -> int:
    """Into which part of cross-validation a text goes, from 0 to 4.

    Args:
        text: Any text; the same one is always in the same part.
    """
    data = text.encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=8).digest()[0] % _FOLDS
