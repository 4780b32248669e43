"""What people call a good answer, as a number from 0 to 1."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_bedrock_opt.errors import ConfigurationError

_PAIRS: Final = (
    ("true", "false"),
    ("yes", "no"),
    ("y", "n"),
    ("good", "bad"),
    ("correct", "incorrect"),
    ("right", "wrong"),
    ("pass", "fail"),
    ("passed", "failed"),
    ("up", "down"),
    ("thumbs_up", "thumbs_down"),
    ("👍", "👎"),
    ("はい", "いいえ"),
    ("良い", "悪い"),
    ("正解", "不正解"),
    ("○", "×"),
    ("〇", "✕"),
    ("◯", "✗"),
)
_WORDS: Final = {word: float(not place) for pair in _PAIRS for place, word in enumerate(pair)}
_MISSING: Final = frozenset({"", "nan", "none", "null", "n/a"})
_SKIN_TONES: Final = dict.fromkeys(range(0x1F3FB, 0x1F400))

_MESSAGE_ID: Final = re.compile(r"(?:lc_run-|run)-(.+?)-\d")

Scale = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawLabel:
    """A label as it was read.

    Attributes:
        value: 1 and 0 for words and booleans; else the number.
        is_number: It is on a scale that only the user knows.
        where: The place it came from, for messages.
    """

    value: float
    is_number: bool
    where: str


def read_label(value: Any, where: str) -> RawLabel | None:
    """Read one label; None if there is none.

    Args:
        value: A boolean, a number, or a word such as "yes", "wrong", 👍 or 正解.
        where: The place it came from.

    Raises:
        ConfigurationError: It is none of these.

    Example:
        >>> read_label("Correct", "row 1").value, read_label("", "row 2")
        (1.0, None)
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return RawLabel(value=float(value), is_number=False, where=where)
    if isinstance(value, str):
        word = "_".join(unicodedata.normalize("NFKC", value).translate(_SKIN_TONES).split())
        word = word.strip("\ufe0f").lower()
        if word in _MISSING:
            return None
        if word in _WORDS:
            return RawLabel(value=_WORDS[word], is_number=False, where=where)
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{where}: label {_short(value)} is neither a boolean nor a number nor a word such as "
            "'yes', 'wrong' or 'good'."
        ) from error
    if math.isnan(number):
        return None
    if math.isinf(number):
        raise ConfigurationError(f"{where}: label {number} is not a finite number.")
    return RawLabel(value=number, is_number=True, where=where)


def by_run(labels: Any) -> dict[str, Any]:
    """The labels of usage records by the ids that these have.

    Args:
        labels: Labels by run id; as a UUID or as the id of a message will do.

    Raises:
        ConfigurationError: They are something else.

    Example:
        >>> by_run({"lc_run--019a-7c5e-0": "👍"})
        {'019a-7c5e': '👍'}
    """
    if not isinstance(labels, Mapping):
        raise ConfigurationError(
            f"labels is {type(labels).__name__}: give a dict of labels by run id."
        )
    return {_run_id(str(key)): label for key, label in labels.items()}


def _run_id(key: str) -> str:
    # LangChain makes a message's id of its run's, and of its number among the run's messages.
    found = _MESSAGE_ID.fullmatch(key)
    return key if found is None else found[1]


def on_scale(labels: Sequence[RawLabel], scale: Scale | None) -> list[float]:
    """Labels as numbers from 0, a bad answer, to 1, a good one.

    Args:
        labels: As they were read.
        scale: What the worst and the best answer get; None if the numbers are from 0 to 1.

    Raises:
        ConfigurationError: A number is off the scale, or the scale is none.

    Example:
        >>> on_scale([read_label(4, "row 1"), read_label("yes", "row 2")], (1, 5))
        [0.75, 1.0]
    """
    worst, best = (0.0, 1.0) if scale is None else _checked(scale)
    low, high = sorted((worst, best))
    numbers = [label for label in labels if label.is_number]
    off = next((label for label in numbers if not low <= label.value <= high), None)
    if off is not None:
        seen = [label.value for label in numbers]
        fix = "the worst and the best there can be, such as scale=(1, 5)"
        raise ConfigurationError(
            f"{off.where}: label {off.value:g} is not from {low:g} to {high:g}. The labels go from "
            f"{min(seen):g} to {max(seen):g}: give scale=(worst, best), {fix}."
        )
    return [
        (label.value - worst) / (best - worst) if label.is_number else label.value
        for label in labels
    ]


def _checked(scale: Any) -> Scale:
    try:
        worst, best = (float(end) for end in scale)
    except (TypeError, ValueError):
        worst = best = math.nan
    if not (math.isfinite(worst) and math.isfinite(best) and worst != best):
        raise ConfigurationError(
            f"scale={scale!r}: give two different numbers, the worst label and the best."
        )
    return worst, best


def _short(value: Any) -> str:
    """A value that may be a whole text by mistake: its beginning would be prompt text."""
    return repr(value) if len(repr(value)) <= 24 else f"of type {type(value).__name__}"  # noqa: PLR2004
