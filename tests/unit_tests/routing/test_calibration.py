"""A calibration as a thing: what it says, and what its file is good for, whole or broken."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.errors import ConfigurationError, UnknownTierError
from langchain_bedrock_opt.routing import (
    Calibration,
    ChatBedrockRouter,
    ComplexityScorer,
    LearnedScorer,
    RoutingPolicy,
    ScoreSample,
    route,
)
from langchain_bedrock_opt.routing.learning.isotonic import FallingCurve
from langchain_bedrock_opt.routing.learning.reliability import ReliabilityBin

MakeRouter = Callable[..., ChatBedrockRouter]
PROMPTS = ("Tell the zorble hello.", "Tell the quimpet hello.", "日本の首都は?", "")

fractions = st.floats(0, 1)
names = st.text(min_size=1, max_size=8)


@st.composite
def calibrations(draw: st.DrawFn) -> Calibration:
    """Any calibration that could have been saved, with the shipped weights."""
    tiers = tuple(draw(st.lists(names, min_size=2, max_size=4, unique=True)))
    knots = draw(st.lists(st.tuples(fractions, fractions), min_size=1, max_size=6))
    scores = tuple(sorted(score for score, _ in knots))
    curve = FallingCurve(scores=scores, values=tuple(sorted((v for _, v in knots), reverse=True)))
    starts = sorted(draw(st.lists(fractions, min_size=len(tiers) - 1, max_size=len(tiers) - 1)))
    interval = draw(st.none() | st.tuples(fractions, fractions))
    return Calibration(
        models={tier: draw(names) for tier in tiers},
        scored_by=draw(names),
        scorer=None,
        probe=tuple(draw(st.lists(fractions, max_size=3))),
        curves={tiers[0]: curve},
        sample=ScoreSample(scores=scores, tokens=(7,) * len(scores)),
        target={"shares": tuple(draw(st.lists(fractions, min_size=1, max_size=4)))},
        thresholds=dict(zip(tiers[1:], starts, strict=True)),
        labels=draw(st.integers(0, 10**6)),
        prompts=draw(st.integers(0, 10**6)),
        left_out=draw(st.integers(0, 9)),
        apgr=draw(st.none() | st.floats(-3, 3)),
        apgr_interval=interval,
        apgr_before=draw(st.none() | fractions),
        difference_interval=interval,
        reliability=(ReliabilityBin(predicted=draw(fractions), observed=0.5, prompts=3),),
        brier=draw(fractions),
        calibration_error=draw(fractions),
    )


@pytest.fixture
def values(calibration: Calibration) -> dict[str, Any]:
    """What stands in the file of a calibration."""
    found: dict[str, Any] = json.loads(json.dumps(calibration.as_dict()))
    return found


# --- Files ---


@settings(deadline=None)  # the first example of a process imports numpy
@given(calibrations())
def test_whatever_is_saved_comes_back(found: Calibration) -> None:
    """A calibration is the same after JSON, to the last bit."""
    assert Calibration.from_dict(json.loads(json.dumps(found.as_dict()))) == found


def test_a_loaded_calibration_scores_and_routes_alike(
    make_router: MakeRouter, calibration: Calibration, tmp_path: Path
) -> None:
    """A router that starts from the file decides as one that starts from the calibration."""
    calibration.save(tmp_path / "calibration.json")

    from_file = make_router(calibration=str(tmp_path / "calibration.json"))
    from_object = make_router(calibration=calibration)

    for prompt in PROMPTS:
        assert from_file.decide(prompt) == from_object.decide(prompt)
    assert from_file.policy.thresholds == calibration.thresholds


def test_the_file_holds_no_prompt(calibration: Calibration, tmp_path: Path) -> None:
    """Neither the prompts nor any run of their letters can be read from the file."""
    calibration.save(tmp_path / "calibration.json")

    text = (tmp_path / "calibration.json").read_text("utf-8")

    assert "zorble" not in text
    assert "Tell" not in text


def test_saving_replaces_the_file_whole(calibration: Calibration, tmp_path: Path) -> None:
    """The folder holds nothing but the file afterwards, and the file is the new one."""
    path = tmp_path / "calibration.json"
    path.write_text("old")

    calibration.save(path)

    assert [each.name for each in tmp_path.iterdir()] == ["calibration.json"]
    assert Calibration.load(path).as_dict() == calibration.as_dict()


def test_a_folder_that_is_not_there_is_named(calibration: Calibration, tmp_path: Path) -> None:
    """Saving to nowhere fails with the path, and leaves nothing behind."""
    with pytest.raises(ConfigurationError, match=r"nowhere.*can't be written"):
        calibration.save(tmp_path / "nowhere" / "calibration.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged or no calibration"),
        (b"\xff\xfe", "damaged or no calibration"),
        (b"[1, 2]", "the file is list, not an object"),
        (b"null", "the file is None, not an object"),
        (b'{"format": "bedrock-opt-calibration-9"}', "this version reads"),
        (b'{"format": NaN}', "damaged"),
        (b"[" * 100_000, "damaged"),
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """A file of another kind fails with its path and one line that says what it is."""
    path = tmp_path / "broken.json"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=message) as raised:
        Calibration.load(path)

    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path with nothing there is refused when the router is made."""
    with pytest.raises(ConfigurationError, match=r"missing\.json can't be read"):
        route({"simple": "m"}, calibration=tmp_path / "missing.json")


def test_every_cut_of_the_file_is_noticed(calibration: Calibration, tmp_path: Path) -> None:
    """A file that was cut anywhere is refused."""
    path = tmp_path / "calibration.json"
    calibration.save(path)
    content = path.read_bytes()

    for end in range(0, len(content) - 1, len(content) // 40):
        path.write_bytes(content[:end])
        with pytest.raises(ConfigurationError, match=r"calibration\.json"):
            Calibration.load(path)


def test_every_missing_value_is_named(values: dict[str, Any]) -> None:
    """A file without one of its values says which."""
    for name in set(values) - {"format"}:
        rest = {key: value for key, value in values.items() if key != name}
        with pytest.raises(ConfigurationError, match=f"{name}.* is missing"):
            Calibration.from_dict(rest)


_WRONG: tuple[Any, ...] = (
    "a text",
    7.5,
    -1,
    True,
    math.nan,
    math.inf,
    ["a"],
    [[1]],
    {"a": 1},
    {},
    None,
)


@pytest.mark.parametrize("wrong", _WRONG)
def test_values_of_the_wrong_kind_are_refused_or_harmless(
    values: dict[str, Any], wrong: Any
) -> None:
    """Whatever stands in a value's place, there is an answer or a one-line error of ours."""

    def said(name: str) -> str:
        try:
            found = Calibration.from_dict({**values, name: wrong})
        except ConfigurationError as error:
            return str(error)
        assert 0 <= found.quality("simple", 0.5) <= 1
        return str(found).splitlines()[0]

    assert all(said(name).count("\n") == 0 for name in values)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("thresholds", {"moderate": 0.9, "complex": 0.1}, "thresholds don't ascend"),
        ("thresholds", {"moderate": 0.9}, "not one for each tier but the first"),
        ("thresholds", {"moderate": math.nan, "complex": 1}, "threshold of moderate is nan"),
        ("curves", {}, "must have the first tier's"),
        ("curves", {"simple": {"scores": [0.1, 0.2], "values": [0.1, 0.9]}}, "values fall"),
        ("curves", {"simple": {"scores": [0.1], "values": []}}, "one value for each score"),
        ("sample", {"scores": [0.9, 0.1], "tokens": [1, 1]}, "don't ascend"),
        ("sample", {"scores": [0.1], "tokens": []}, "not a list of 1"),
        ("scorer", {"format": "learned-scorer-0"}, "no values of a learned scorer"),
        ("target", {"quality": 2}, "quality is 2, no number from 0 to 1"),
        ("target", {"profit": 1}, "none of quality, cost_share and shares"),
        ("labels", -5, "labels is -5"),
    ],
)
def test_wrong_values_are_named(
    values: dict[str, Any], name: str, wrong: Any, message: str
) -> None:
    """Values that can't be are refused, with their name."""
    with pytest.raises(ConfigurationError, match=message):
        Calibration.from_dict({**values, name: wrong})


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("wording", "AAAA"), ("wording", "é"), ("wording", 3), ("spread", 0), ("slope", math.nan)],
)
def test_damaged_weights_are_refused(values: dict[str, Any], name: str, wrong: Any) -> None:
    """Weights that were cut or edited are never used."""
    with pytest.raises(ConfigurationError, match="no values of a learned scorer"):
        LearnedScorer.from_dict({**values["scorer"], name: wrong})


# --- Doors that start with one ---


def test_every_door_takes_it(
    make_router: MakeRouter, calibration: Calibration, tiers: dict[str, str]
) -> None:
    """Router, `route` and the agents' middleware start with the same scorer and thresholds."""
    middleware = import_module("langchain_bedrock_opt.routing.middleware")
    router = make_router(calibration=calibration)

    decided = route(tiers, calibration=calibration).invoke(PROMPTS[1])
    agents = middleware.BedrockRoutingMiddleware(tiers=router.models, calibration=calibration)

    assert decided == router.decide(PROMPTS[1])
    assert agents._decider.decide(PROMPTS[1]) == decided
    assert decided.score == calibration.scorer.score(PROMPTS[1]).value  # type: ignore[union-attr]


def test_a_policys_quality_brings_the_calibration(
    make_router: MakeRouter, calibration: Calibration
) -> None:
    """`RoutingPolicy(quality=…, calibration=…)` alone makes a router score as it was calibrated."""
    router = make_router(policy=RoutingPolicy(quality=0.9, calibration=calibration))

    assert router.scorer is calibration.scorer
    assert router.decide(PROMPTS[1]) == make_router(calibration=calibration).decide(PROMPTS[1])


def test_a_policys_own_wish_stands_above_the_calibrations(
    make_router: MakeRouter, calibration: Calibration
) -> None:
    """Thresholds of the policy hold, and its target asks the calibration's sample."""
    by_hand = make_router(policy=RoutingPolicy([0.2, 0.4]), calibration=calibration)
    by_share = make_router(policy=RoutingPolicy(shares=(0.2, 0.3, 0.5)), calibration=calibration)

    assert by_hand._decider.thresholds == (0.0, 0.2, 0.4)
    shares = RoutingPolicy(shares=(0.2, 0.3, 0.5), sample=calibration.sample)
    assert by_share._decider.thresholds == shares.thresholds_for(calibration.tiers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scorer": ComplexityScorer()}, "the calibration brings its own"),
        ({"calibration": 7}, "calibration is int: give a Calibration or the path"),
        ({"tiers": {"low": "amazon.nova-lite-v1:0", "high": "amazon.nova-pro-v1:0"}}, "low, high"),
    ],
)
def test_what_does_not_go_together_is_refused(
    make_router: MakeRouter, calibration: Calibration, arguments: dict[str, Any], message: str
) -> None:
    """Another scorer, other tiers or something else fail when the router is made."""
    with pytest.raises(ConfigurationError, match=message):
        make_router(**{"calibration": calibration, **arguments})


def test_two_calibrations_are_one_too_many(
    make_router: MakeRouter, calibration: Calibration
) -> None:
    """A policy and a router with different calibrations are refused; with equal ones they agree."""
    policy = RoutingPolicy(quality=0.9, calibration=calibration)
    copy = Calibration.from_dict(calibration.as_dict())

    make_router(policy=policy, calibration=copy)
    with pytest.raises(ConfigurationError, match="another calibration than the router's"):
        make_router(policy=policy, calibration=replace(copy, labels=1))


def test_a_changed_scorer_is_noticed(make_router: MakeRouter, calibration: Calibration) -> None:
    """Where another version of the package scores otherwise, the thresholds are not believed."""
    old = replace(calibration, probe=(0.1, 0.2, 0.3))

    with pytest.raises(ConfigurationError, match="scores otherwise than when"):
        make_router(calibration=old)


def test_the_curve_knows_only_its_tiers(calibration: Calibration) -> None:
    """A tier that was not calibrated is named with those that were."""
    with pytest.raises(UnknownTierError, match="'huge' is not calibrated, only simple"):
        calibration.quality("huge", 0.5)


def test_a_tier_with_another_model_is_told_once(
    calibration: Calibration, make_router: MakeRouter, caplog: pytest.LogCaptureFixture
) -> None:
    """Who puts a new model into a tier is told that it was calibrated with the old one."""
    for _ in range(2):
        make_router(
            {**calibration.models, "simple": "us.amazon.nova-micro-v1:0"}, calibration=calibration
        )
        make_router(dict(calibration.models), calibration=calibration)

    said = [record.getMessage() for record in caplog.records if "calibrated" in record.name]
    assert len(said) == 1
    assert "<us.amazon.nova-micro-v1:0>, and was" in said[0]


# --- For people ---


def test_the_report_says_what_it_is_worth(calibration: Calibration) -> None:
    """As text it has the tiers, APGR before and after with intervals, and the reliability."""
    text = str(calibration)

    assert "Calibrated on 200 prompts with 200 labels, for quality=0.9" in text
    assert f"APGR {calibration.apgr:.3f} (95 %:" in text
    assert f"before {calibration.apgr_before:.3f}" in text
    assert "moderate" in text
    assert "(no labels: assumed)" in text
    assert "foretold  observed  prompts" in text


def test_a_notebook_shows_tables_and_escapes_names(calibration: Calibration) -> None:
    """The HTML has the same figures, and a tier's name can't put markup into a notebook."""
    evil = replace(
        calibration,
        models={"simple": "a", "moderate": "b", "<script>": "c"},
        thresholds={"moderate": 0.2, "<script>": 0.3},
    )

    html = evil._repr_html_()

    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "good answers" in html
    assert f"{calibration.brier:.3f}" in html


def test_what_is_shown_of_it_is_the_same_in_every_process(calibration: Calibration) -> None:
    """Neither the calibration nor a scorer shows an address, or pages of numbers."""
    assert " at 0x" not in repr(calibration)
    assert len(repr(calibration)) < 1000
