"""A calibration for people: as text, and in a notebook."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any, Final

from langchain_bedrock_opt.routing.tables import html_table, text_table

if TYPE_CHECKING:
    from langchain_bedrock_opt.routing.learning.calibration import Calibration

_TIERS_HEAD: Final = ("tier", "from score", "prompts", "good answers")
_BINS_HEAD: Final = ("foretold", "observed", "prompts")


def as_text(calibration: Calibration) -> str:
    """The figures as text.

    Args:
        calibration: Whose.
    """
    return "\n\n".join(
        (
            _headline(calibration),
            text_table([_TIERS_HEAD, *_tier_rows(calibration)]),
            _worth(calibration),
            f"{_reliability(calibration)}\n{text_table([_BINS_HEAD, *_bin_rows(calibration)])}",
        )
    )


def as_html(calibration: Calibration) -> str:
    """The figures as a notebook shows them.

    Args:
        calibration: Whose.
    """
    return (
        f"<div><p><b>{escape(_headline(calibration))}</b></p>"
        f"{html_table(_TIERS_HEAD, list(_tier_rows(calibration)))}"
        f"<p>{escape(_worth(calibration))}</p><p>{escape(_reliability(calibration))}</p>"
        f"{html_table(_BINS_HEAD, list(_bin_rows(calibration)))}</div>"
    )


def _headline(calibration: Calibration) -> str:
    [(name, value)] = calibration.target.items()
    left = f", {calibration.left_out} rows left out" if calibration.left_out else ""
    return (
        f"Calibrated on {calibration.prompts} prompts with {calibration.labels} labels{left}, for "
        f"{name}={_shown(value)}; scored by {calibration.scored_by}."
    )


def _shown(value: Any) -> str:
    return ", ".join(f"{each:.3g}" for each in value) if isinstance(value, tuple) else f"{value:g}"


def _tier_rows(calibration: Calibration) -> Iterator[tuple[str, ...]]:
    scores = calibration.sample.scores
    starts = [0.0, *calibration.thresholds.values()]
    cuts = [0, *(bisect_left(scores, start) for start in starts[1:]), len(scores)]
    for place, tier in enumerate(calibration.tiers):
        here = scores[cuts[place] : cuts[place + 1]]
        good = [calibration.quality(tier, score) for score in here]
        assumed = "" if tier in calibration.curves else " (no labels: assumed)"
        yield (
            tier,
            f"{starts[place]:.3f}",
            f"{len(here) / len(scores):.1%}",
            f"{sum(good) / len(good):.1%}{assumed}" if good else "",
        )


def _worth(calibration: Calibration) -> str:
    after, before = calibration.apgr, calibration.apgr_before
    if after is None or before is None or calibration.apgr_interval is None:
        return "APGR is not known: nothing says what the strongest tier gains on these prompts."
    said = f"APGR {after:.3f} {_ends(calibration.apgr_interval)}"
    if calibration.difference_interval is None:
        return f"{said}; the weights were kept. A coin has 0.5."
    gained = f"{after - before:+.3f} {_ends(calibration.difference_interval)}"
    return f"{said}, before {before:.3f}; gained {gained}. A coin has 0.5."


def _ends(interval: tuple[float, float]) -> str:
    return f"(95 %: {interval[0]:.3f} to {interval[1]:.3f})"


def _reliability(calibration: Calibration) -> str:
    was_learned = calibration.difference_interval is not None
    judged = "out of fold" if was_learned else "with the scores as they are"
    return (
        f"Good answers of {calibration.tiers[0]}, {judged}: Brier score "
        f"{calibration.brier:.3f}, mean error {calibration.calibration_error:.3f}."
    )


def _bin_rows(calibration: Calibration) -> Iterator[tuple[str, ...]]:
    for each in calibration.reliability:
        yield f"{each.predicted:.1%}", f"{each.observed:.1%}", str(each.prompts)
