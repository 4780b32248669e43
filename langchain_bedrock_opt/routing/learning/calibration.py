"""`Calibration`: what was learned from labels, with the figures that say what it is worth."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from langchain_bedrock_opt.errors import ConfigurationError, UnknownTierError
from langchain_bedrock_opt.routing.json_values import (
    load_json,
    many,
    named,
    number,
    save_json,
    text,
    whole,
)
from langchain_bedrock_opt.routing.learning.calibration_view import as_html, as_text
from langchain_bedrock_opt.routing.learning.isotonic import FallingCurve
from langchain_bedrock_opt.routing.learning.learned import LearnedScorer
from langchain_bedrock_opt.routing.learning.reliability import ReliabilityBin
from langchain_bedrock_opt.routing.targets import ScoreSample

_FORMAT: Final = "bedrock-opt-calibration-1"

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What `ChatBedrockRouter.calibrate` has learned. It holds no prompt text.

    A notebook shows it as a table; `str()` gives it as text. Routers and policies take it, or its
    file, as their `calibration`.

    APGR is the share of the gap between the cheapest and the strongest tier that the scores
    recover, averaged over all shares of strong calls; a coin has 0.5. Where weights were learned
    it is out of fold: each prompt was scored by weights that had not seen it. So are all figures of
    what is foretold. Where the scorer was kept they rest on its scores as they are, and flatter one
    that was fitted on the same prompts.

    Attributes:
        models: The model ids or ARNs by the tiers' names, from the cheapest to the strongest.
        scored_by: The class of the scorer that the curves and thresholds are for.
        scorer: The scorer with the learned weights; None if the router's own was kept.
        probe: What `ComplexityScorer` or `LearnedScorer` gave some fixed texts, by which a change
            is noticed; empty for other scorers.
        curves: How good the answers of each tier with labels are, by the score of the prompt.
        sample: The scores of the labelled prompts.
        target: What was asked for, such as `{"quality": 0.95}`.
        thresholds: The scores at which each tier but the first begins.
        labels: How many labels there were.
        prompts: How many prompts had one, each counted once; or how many usage records, which
            hold no prompt: there a prompt that was asked several times counts as often.
        left_out: Rows without a label, and records of calls that no tier here has answered or
            whose score is not the scorer's, as it failed or was not asked.
        apgr: Of these scores; None if no label tells what the strongest tier gains.
        apgr_interval: Its 95 % confidence interval.
        apgr_before: Of the scores of the scorer that there was, on the same prompts; by the
            shipped one where that was learned from labels, and by the signals alone where the
            shipped weights have seen some of these prompts.
        difference_interval: The 95 % confidence interval of what was gained; None if the weights
            were kept.
        reliability: Foretold and observed shares of good answers of the cheapest tier.
        brier: The mean squared error of what is foretold: 0 is perfect.
        calibration_error: The mean distance of foretold and observed.

    Example:
        ```python
        calibration = router.calibrate("labels.jsonl", quality=0.95)
        print(calibration)
        calibration.save("calibration.json")
        router = ChatBedrockRouter(tiers=tiers, calibration="calibration.json")
        ```
    """

    models: Mapping[str, str]
    scored_by: str
    scorer: LearnedScorer | None
    probe: tuple[float, ...] = field(repr=False)
    curves: Mapping[str, FallingCurve] = field(repr=False)
    sample: ScoreSample = field(repr=False)
    target: Mapping[str, Any]
    thresholds: Mapping[str, float]
    labels: int
    prompts: int
    left_out: int
    apgr: float | None
    apgr_interval: Interval | None
    apgr_before: float | None
    difference_interval: Interval | None
    reliability: tuple[ReliabilityBin, ...] = field(repr=False)
    brier: float
    calibration_error: float

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers' names, from the cheapest to the strongest."""
        return tuple(self.models)

    def quality(self, tier: str, score: float) -> float:
        """The probability that a tier's answer to a prompt is good enough.

        Beyond the scores of its labelled prompts, a tier's curve goes on as it ends. A tier
        without labels is taken to be between its neighbours; the strongest, always good enough.

        Args:
            tier: Its name.
            score: The prompt's.

        Raises:
            UnknownTierError: There is no such tier.
        """
        if tier not in self.tiers:
            raise UnknownTierError(
                f"Tier {tier!r} is not calibrated, only {', '.join(self.tiers)} are."
            )
        if tier in self.curves:
            return self.curves[tier].at(score)
        place, last = self.tiers.index(tier), len(self.tiers) - 1
        known = {self.tiers.index(name): curve.at(score) for name, curve in self.curves.items()}
        known.setdefault(last, 1.0)
        below = max(each for each in known if each <= place)
        above = min(each for each in known if each >= place)
        part = (place - below) / ((above - below) or 1)
        return known[below] + (known[above] - known[below]) * part

    def __str__(self) -> str:
        """The figures as text."""
        return as_text(self)

    def _repr_html_(self) -> str:
        """The figures as a notebook shows them: no script, no picture, everything escaped."""
        return as_html(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON, whole or not at all.

        Args:
            path: The file; replaced if it is there.

        Raises:
            ConfigurationError: The file can't be written.
        """
        save_json(Path(path), self.as_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """Read what `save` wrote.

        Args:
            path: The file.

        Raises:
            ConfigurationError: It is missing, damaged, or something else.
        """
        return load_json(Path(path), cls.from_dict, "calibration")

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON-ready values."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        return {
            "format": _FORMAT,
            **plain,
            "models": [list(each) for each in self.models.items()],
            "probe": list(self.probe),
            "scorer": None if self.scorer is None else self.scorer.to_dict(),
            "curves": {name: _lists(asdict(curve)) for name, curve in self.curves.items()},
            "sample": _lists(asdict(self.sample)),
            "target": _lists(self.target),
            "thresholds": dict(self.thresholds),
            **{name: _as_list(getattr(self, name)) for name in _INTERVALS},
            "reliability": [asdict(each) for each in self.reliability],
        }

    @classmethod
    def from_dict(cls, values: Any) -> Calibration:
        """Read what `as_dict` gave.

        Args:
            values: The values.

        Raises:
            ConfigurationError: A value is missing or is not what it should be.
        """
        values = named(values, "the file")
        if values.get("format") != _FORMAT:
            raise ConfigurationError(
                f"format is {values.get('format')!r}, this version reads {_FORMAT!r}: calibrate "
                "again."
            )
        try:
            return _from_values(cls, values)
        except KeyError as error:
            raise ConfigurationError(f"{error.args[0]} is missing: calibrate again.") from error


_PLAIN: Final = (
    "scored_by",
    "labels",
    "prompts",
    "left_out",
    "apgr",
    "apgr_before",
    "brier",
    "calibration_error",
)
_INTERVALS: Final = ("apgr_interval", "difference_interval")


def _as_list(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else list(values)


def _lists(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }


def _from_values(cls: type[Calibration], values: Mapping[str, Any]) -> Calibration:
    models = dict(many(values["models"], "models", _model))
    tiers = tuple(models)
    scorer = values["scorer"]
    thresholds = named(values["thresholds"], "thresholds")
    if set(thresholds) != set(tiers[1:]):
        raise ConfigurationError("thresholds are not one for each tier but the first.")
    curves = named(values["curves"], "curves")
    if not set(tiers[:1]) <= set(curves) <= set(tiers):
        raise ConfigurationError("curves must have the first tier's, and none of other tiers.")
    return cls(
        models=models,
        scored_by=text(values["scored_by"], "scored_by"),
        scorer=None if scorer is None else LearnedScorer.from_dict(named(scorer, "scorer")),
        probe=many(values["probe"], "probe", number),
        curves={name: _curve(curve, f"curves of {name}") for name, curve in curves.items()},
        sample=_sample(named(values["sample"], "sample")),
        target=_target(named(values["target"], "target")),
        thresholds=_thresholds({name: thresholds[name] for name in tiers[1:]}),
        labels=whole(values["labels"], "labels"),
        prompts=whole(values["prompts"], "prompts"),
        left_out=whole(values["left_out"], "left_out"),
        apgr=_maybe(values["apgr"], "apgr", number),
        apgr_interval=_maybe(values["apgr_interval"], "apgr_interval", _interval),
        apgr_before=_maybe(values["apgr_before"], "apgr_before", number),
        difference_interval=_maybe(values["difference_interval"], "difference_interval", _interval),
        reliability=many(values["reliability"], "reliability", _bin),
        brier=_fraction(values["brier"], "brier"),
        calibration_error=_fraction(values["calibration_error"], "calibration_error"),
    )


def _model(value: Any, name: str) -> tuple[str, str]:
    tier, model_id = many(value, name, text, count=2)
    return tier, model_id


def _fraction(value: Any, name: str) -> float:
    return number(value, name, low=0, high=1)


def _maybe(value: Any, name: str, read: Any) -> Any:
    return None if value is None else read(value, name)


def _interval(value: Any, name: str) -> Interval:
    low, high = many(value, name, number, count=2)
    return low, high


def _curve(value: Any, name: str) -> FallingCurve:
    knots = named(value, name)
    return FallingCurve(
        scores=many(knots["scores"], "scores", _fraction),
        values=many(knots["values"], "values", _fraction),
    )


def _sample(value: Mapping[str, Any]) -> ScoreSample:
    scores = many(value["scores"], "sample scores", _fraction)
    if not scores or list(scores) != sorted(scores):
        raise ConfigurationError("sample scores are none, or they don't ascend.")
    return ScoreSample(
        scores=scores, tokens=many(value["tokens"], "sample tokens", whole, count=len(scores))
    )


def _target(value: Mapping[str, Any]) -> dict[str, Any]:
    if len(value) != 1 or not {"quality", "cost_share", "shares"} >= set(value):
        raise ConfigurationError("target is none of quality, cost_share and shares.")
    [(name, wanted)] = value.items()
    read = many(wanted, name, _fraction) if name == "shares" else _fraction(wanted, name)
    return {name: read}


def _thresholds(value: Mapping[str, Any]) -> dict[str, float]:
    starts = {name: _fraction(start, f"threshold of {name}") for name, start in value.items()}
    if list(starts.values()) != sorted(starts.values()):
        raise ConfigurationError("thresholds don't ascend.")
    return starts


def _bin(value: Any, name: str) -> ReliabilityBin:
    each = named(value, name)
    return ReliabilityBin(
        predicted=_fraction(each["predicted"], f"{name} predicted"),
        observed=_fraction(each["observed"], f"{name} observed"),
        prompts=whole(each["prompts"], f"{name} prompts"),
    )
