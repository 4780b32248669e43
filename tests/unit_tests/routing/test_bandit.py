"""The bandit over thresholds: it learns from feedback which way they should move."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain.agents import create_agent
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_bedrock_opt.contracts import REPORT_KEY, Reason, RouteDecision
from langchain_bedrock_opt.errors import ConfigurationError, UnknownTierError
from langchain_bedrock_opt.routing import (
    BedrockRoutingMiddleware,
    ChatBedrockRouter,
    ComplexityScore,
    RoutingPolicy,
    ThresholdBandit,
    Tier,
)
from langchain_bedrock_opt.routing.learning.turns import Turn

MakeRouter = Callable[..., ChatBedrockRouter]

TIERS = [Tier(name=name, model_id=f"model-{name}") for name in ("simple", "complex")]
SHARES = {"simple": 0.0, "complex": 1.0}
SHIFTS = (-0.2, 0.0, 0.2)


class Always:
    """Finds every request as hard as it was told."""

    def __init__(self, value: float) -> None:
        self.value = value

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        return ComplexityScore(value=self.value)


def make_bandit(**options: Any) -> ThresholdBandit:
    settings = {"max_shift": 0.2, "arms": 3, "rng": np.random.default_rng(7), **options}
    return ThresholdBandit(**settings)


def decided(shift: float, **values: Any) -> RouteDecision:
    """A decision that an arm made."""
    said = Reason(signal="bandit", weight=0.0, detail=f"thresholds moved by {shift:+}")
    return RouteDecision(
        **{"tier": "simple", "model_id": "m", "score": 0.5, "reasons": (said,), **values}
    )


def probabilities(bandit: ThresholdBandit) -> dict[float, float]:
    return dict(bandit.odds)


# --- Learning ---


def utility(tier: str, score: float, rng: random.Random) -> float:
    """In this world the cheap tier is good up to a score of 0.65, and the strong one always."""
    return float(rng.random() < (0.9 if tier == "complex" or score < 0.65 else 0.3))


def lived_through(policy: RoutingPolicy, calls: int, *, learns: bool = True) -> list[float]:
    """The utility of each call of a simulated life, with feedback on each."""
    rng = random.Random(11)
    bandit = policy.bandit
    weight = 0.3
    found = []
    for _ in range(calls):
        score = rng.random()
        choice = policy.choose(score, TIERS, turn=Turn(key=rng.randbytes(8)))
        label = utility(choice.tier.name, score, rng)
        found.append(label - weight * SHARES[choice.tier.name])
        if bandit is not None and learns:
            decision = decided(0, tier=choice.tier.name, reasons=choice.reasons)
            bandit.learn(decision, label, cost_shares=SHARES)
    return found


@pytest.mark.parametrize(("threshold", "best"), [(0.45, 0.2), (0.8, -0.2), (0.65, 0.0)])
def test_it_finds_the_better_arm(threshold: float, best: float) -> None:
    """Thresholds that stand too low move up, those too high move down, and right ones stay."""
    bandit = make_bandit(price_weight=0.3)
    policy = RoutingPolicy([threshold], bandit=bandit, rng=random.Random(7))

    found = lived_through(policy, 3000)

    assert bandit.best == best
    assert probabilities(bandit)[best] > 0.8
    fixed = [
        float(np.mean(lived_through(RoutingPolicy([threshold + shift]), 3000))) for shift in SHIFTS
    ]
    late = float(np.mean(found[-1500:]))
    assert late > min(fixed) + 0.02
    assert late > max(fixed) - 0.03


def test_without_feedback_all_arms_stay_alike() -> None:
    """A bandit that is told nothing draws each shift as often, however many calls there are."""
    bandit = make_bandit()
    policy = RoutingPolicy([0.5], bandit=bandit, rng=random.Random(7))

    lived_through(policy, 300, learns=False)

    assert bandit.odds == tuple((shift, 1 / 3) for shift in SHIFTS)
    assert bandit.best == 0.0


def test_without_a_bandit_the_thresholds_stay(make_router: MakeRouter) -> None:
    """By default nothing moves: a score has its tier with certainty, and no bandit is named."""
    decision = make_router(scorer=Always(0.4)).decide("Hi")

    assert (decision.propensity, decision.reasons) == (1.0, ())


def test_a_world_that_changes_is_followed_with_a_discount() -> None:
    """After 200 answers one way, 200 the other way turn a bandit that forgets, and no other."""
    forgetful, faithful = make_bandit(discount=0.97), make_bandit()
    for bandit in (forgetful, faithful):
        for best, times in ((-0.2, 200), (0.2, 120)):
            for shift in SHIFTS * times:
                bandit.learn(decided(shift), shift == best, cost_shares=SHARES)

    assert forgetful.best == 0.2
    assert faithful.best == -0.2


def test_the_price_counts() -> None:
    """Of two tiers whose answers are alike, the cheaper one's arm wins."""
    bandit = make_bandit(price_weight=0.5)

    for _ in range(100):
        bandit.learn(decided(-0.2, tier="complex"), 1.0, cost_shares=SHARES)
        bandit.learn(decided(0.2, tier="simple"), 1.0, cost_shares=SHARES)

    assert bandit.best == 0.2
    assert {each["shift"]: each["mean"] for each in bandit.stats()}[-0.2] < 0.6


def test_an_escalated_answer_has_cost_both() -> None:
    """The utility of an escalated answer bears the price of the tier that was asked first, too."""
    bandit = make_bandit(price_weight=0.5)
    shares = {"simple": 0.4, "complex": 1.0}

    bandit.learn(decided(0.2, tier="complex", escalated_from="simple"), 1, cost_shares=shares)

    assert bandit.stats()[2]["mean"] == pytest.approx(1 - 0.5 * 1.4)


def test_each_arm_keeps_its_floor() -> None:
    """However bad an arm is, it is still tried as often as the floor says."""
    bandit = make_bandit(floor=0.1)

    for _ in range(300):
        bandit.learn(decided(-0.2), 1, cost_shares=SHARES)
        bandit.learn(decided(0.0), 0, cost_shares=SHARES)
        bandit.learn(decided(0.2), 0, cost_shares=SHARES)

    assert probabilities(bandit) == pytest.approx({-0.2: 0.8, 0.0: 0.1, 0.2: 0.1})


# --- What counts ---


@pytest.mark.parametrize(
    "decision",
    [
        RouteDecision(tier="simple", model_id="m", score=0.5),
        decided(0.05),
        decided(0.2, forced=True),
        decided(0.2, shadow="simple"),
        decided(0.2, fallback_from="complex"),
        decided(0.2, reasons=(*decided(0.2).reasons, Reason(signal="explore", weight=0.0))),
        decided(0.2, reasons=(Reason(signal="bandit", weight=0.0, detail="in other words"),)),
    ],
)
def test_what_says_nothing_of_an_arm_does_not_count(decision: RouteDecision) -> None:
    """Feedback where no arm or another one had the say changes nothing, and says so."""
    bandit = make_bandit()

    assert not bandit.learn(decision, 1.0, cost_shares=SHARES)
    assert sum(each["count"] for each in bandit.stats()) == 0


def test_only_contested_prompts_name_an_arm(make_router: MakeRouter) -> None:
    """Where all shifts lead to one tier nothing is drawn; else reason and propensity tell."""
    policy = RoutingPolicy([0.3, 0.6], bandit=make_bandit(), rng=random.Random(7))

    far = make_router(scorer=Always(0.05), policy=policy).decide("Hi")
    router = make_router(scorer=Always(0.4), policy=policy)
    near = [router.decide(str(number)) for number in range(60)]

    assert (far.propensity, far.reasons) == (1.0, ())
    assert {(each.tier, each.reasons[-1].detail) for each in near} == {
        ("complex", "thresholds moved by -0.2"),
        ("moderate", "thresholds moved by +0.0"),
        ("simple", "thresholds moved by +0.2"),
    }
    assert [each.propensity for each in near] == pytest.approx([1 / 3] * 60)


# --- The doors ---


@pytest.fixture
def router(make_router: MakeRouter) -> ChatBedrockRouter:
    """A router whose every prompt is contested between all three tiers."""
    policy = RoutingPolicy([0.3, 0.6], bandit=make_bandit(), rng=random.Random(7))
    return make_router(scorer=Always(0.4), policy=policy)


def test_feedback_takes_what_one_has_in_hand(router: ChatBedrockRouter) -> None:
    """A message, its decision and the decision's dict, as JSON has it, are all the same."""
    message = router.invoke("Hi")
    route = json.loads(json.dumps(message.response_metadata[REPORT_KEY]["route"]))

    assert router.feedback(message, True)
    assert router.feedback(route, 1)
    assert router.feedback(RouteDecision.from_dict(route), 0.5)

    assert sum(each["count"] for each in router.policy.bandit.stats()) == 3


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (AIMessage("Hi"), "says nothing of a route"),
        ("0a1b-run-id", "Feedback on str: .* run id alone does not tell"),
        (None, "Feedback on NoneType"),
        ({"tier": "simple"}, "Feedback on dict"),
    ],
)
def test_feedback_on_something_else_is_refused(
    router: ChatBedrockRouter, answer: Any, message: str
) -> None:
    """What does not say how it was routed is refused, with what to give."""
    with pytest.raises(ConfigurationError, match=message):
        router.feedback(answer, 1.0)


@pytest.mark.parametrize("label", [-0.1, 1.5, float("nan"), "good", None])
def test_a_label_is_a_share(router: ChatBedrockRouter, label: Any) -> None:
    """A label outside of 0 to 1 is refused."""
    with pytest.raises(ConfigurationError, match="give a number from 0 to 1, True or False"):
        router.feedback(router.invoke("Hi"), label)


def test_feedback_needs_a_bandit(make_router: MakeRouter) -> None:
    """Without a bandit, feedback is an error that says how to have one."""
    router = make_router()

    with pytest.raises(ConfigurationError, match=r"RoutingPolicy\(bandit=ThresholdBandit\(\)\)"):
        router.feedback(router.invoke("Hi"), 1.0)


def test_another_routers_decision_is_refused(router: ChatBedrockRouter) -> None:
    """A decision for a tier that is not here names the tiers there are."""
    with pytest.raises(UnknownTierError, match="'huge': the tiers here are simple, moderate"):
        router.feedback(decided(0.2, tier="huge"), 1.0)


def test_a_bandit_needs_prices_to_weigh_them() -> None:
    """Tiers without prices are refused when the router is made, unless prices don't count."""
    models = {name: FakeListChatModel(responses=["?"]) for name in ("a", "b")}

    with pytest.raises(ConfigurationError, match=r"none is known for tier a, b: .*price_weight=0"):
        ChatBedrockRouter(tiers=models, policy=RoutingPolicy(bandit=make_bandit()))

    free = RoutingPolicy(bandit=make_bandit(price_weight=0))
    assert ChatBedrockRouter(tiers=models, policy=free).invoke("Hi").content == "?"


def test_a_tool_loop_keeps_its_tier_while_the_bandit_learns(router: ChatBedrockRouter) -> None:
    """Feedback between two steps of a loop changes the odds, and not the loop's decision."""
    for number in range(20):
        prompt = HumanMessage(f"question {number}")
        first = router.invoke([prompt])
        router.feedback(first, number % 2)
        second = router.decide([prompt, first, ToolMessage("2", tool_call_id="1")])

        assert second.as_dict() == first.response_metadata[REPORT_KEY]["route"]


def test_an_agents_answer_can_be_given_feedback_on(bedrock: Any, tiers: dict[str, str]) -> None:
    """The middleware takes feedback on the answers of its agent."""
    routing = BedrockRoutingMiddleware(
        tiers=tiers,
        scorer=Always(0.4),
        policy=RoutingPolicy([0.3, 0.6], bandit=make_bandit()),
        client=bedrock,
        bedrock_client=bedrock,
    )
    agent: Any = create_agent(routing.models["simple"], [], middleware=[routing])

    state = agent.invoke({"messages": [HumanMessage("Hi")]})

    assert routing.feedback(state["messages"][-1], 1.0)


# --- Switches and state ---


def learned(bandit: ThresholdBandit) -> ThresholdBandit:
    for number in range(30):
        bandit.learn(decided(SHIFTS[number % 3]), number % 3 == 2, cost_shares=SHARES)
    return bandit


def test_it_can_be_switched_off_and_on() -> None:
    """Off, the thresholds are the policy's own at once; on again, nothing is forgotten."""
    bandit = learned(make_bandit())
    odds = bandit.odds
    policy = RoutingPolicy([0.5], bandit=bandit)
    bandit.enabled = False

    choices = [policy.choose(0.55, TIERS, turn=Turn(key=bytes([key]))) for key in range(50)]

    assert {(each.tier.name, each.propensity, each.reasons) for each in choices} == {
        ("complex", 1.0, ())
    }
    bandit.enabled = True
    assert bandit.odds == odds


def test_it_can_be_frozen() -> None:
    """Frozen, it acts as before and feedback does not count, until it goes on."""
    bandit = learned(make_bandit())
    odds = bandit.odds
    bandit.freeze()

    assert not bandit.learn(decided(0.2), 0, cost_shares=SHARES)
    assert bandit.odds == odds

    bandit.unfreeze()
    assert bandit.learn(decided(0.2), 0, cost_shares=SHARES)


def test_it_can_start_anew() -> None:
    """A reset forgets all feedback."""
    bandit = learned(make_bandit())

    bandit.reset()

    assert bandit.odds == make_bandit().odds
    assert bandit.best == 0.0


def test_its_state_goes_from_process_to_process(tmp_path: Path) -> None:
    """What is saved and loaded goes on where it was; a file that is there is replaced whole."""
    path = tmp_path / "bandit.json"
    path.write_text("old")
    first = learned(make_bandit())
    first.save(path)

    second = make_bandit()
    second.load(path)

    assert [each["count"] for each in second.stats()] == [10, 10, 10]
    assert second.best == first.best == 0.2
    assert probabilities(second)[0.2] == pytest.approx(probabilities(first)[0.2], abs=0.05)
    assert [each.name for each in tmp_path.iterdir()] == ["bandit.json"]


GOOD = {
    "format": "threshold-bandit/1",
    "shifts": list(SHIFTS),
    "price_weight": 0.15,
    "counts": [1, 1, 1],
    "sums": [0, 0, 1],
    "squares": 1,
}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is damaged or no state of a bandit"),
        ("[]", "the file is list, not an object"),
        ('"text"', "the file is str, not an object"),
        ("{}", "format is None"),
        (json.dumps({**GOOD, "format": "x"}), "format is 'x', not 'threshold-bandit/1'"),
        (json.dumps({**GOOD, "shifts": [0.0]}), r"shifts is \[0.0\], not \[-0.2"),
        (json.dumps({**GOOD, "price_weight": 9}), "price_weight is 9, not 0.15"),
        (json.dumps({**GOOD, "counts": [1]}), "counts is list, not a list of 3"),
        (json.dumps({**GOOD, "counts": [1, -1, 1]}), "no number from 0 to inf"),
        (json.dumps({**GOOD, "sums": [0, float("nan"), 1]}), "is damaged"),
        (json.dumps({**GOOD, "sums": None}), "sums is None, not a list of 3"),
    ],
)
def test_a_broken_state_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """A file that is damaged or another bandit's is named, and leaves the bandit as it was."""
    path = tmp_path / "bandit.json"
    path.write_text(text)
    bandit = learned(make_bandit())
    odds = bandit.odds

    with pytest.raises(ConfigurationError, match=message) as caught:
        bandit.load(path)

    assert "bandit.json" in str(caught.value)
    assert bandit.odds == odds


def test_feedback_from_many_threads_all_counts() -> None:
    """Threads that give feedback at once lose none, while others ask for the odds."""
    bandit = make_bandit()

    def give() -> None:
        for shift in SHIFTS * 20:
            bandit.learn(decided(shift), 1.0, cost_shares=SHARES)
            assert sum(probabilities(bandit).values()) == pytest.approx(1)

    threads = [threading.Thread(target=give) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [each["count"] for each in bandit.stats()] == [80, 80, 80]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_shift": 0}, "max_shift=0: give a number between 0 and 1"),
        ({"arms": 4}, "arms=4: give an odd number from 3 on"),
        ({"arms": 1}, "arms=1"),
        ({"price_weight": -1}, "price_weight=-1"),
        ({"floor": 0}, "floor=0: give a probability above 0 and up to 0.333333"),
        ({"floor": 0.5}, "there are 3 arms"),
        ({"discount": 0}, "discount=0"),
        ({"discount": 1.1}, "discount=1.1"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    """Settings that can't be are named, with what to give."""
    with pytest.raises(ConfigurationError, match=message):
        make_bandit(**settings)


@pytest.mark.parametrize("bandit", [True, ThresholdBandit])
def test_a_policy_takes_a_bandit(bandit: Any) -> None:
    """Anything else given as a bandit is refused."""
    with pytest.raises(ConfigurationError, match="give a ThresholdBandit, or None"):
        RoutingPolicy(bandit=bandit)


def test_exploration_and_bandit_go_together() -> None:
    """With both, propensities take both into account: the tiers' chances add up to 1."""
    policy = RoutingPolicy([0.5], explore=0.2, bandit=make_bandit(), rng=random.Random(7))
    keys: Sequence[bytes] = [bytes([key]) for key in range(100)]

    choices = [policy.choose(0.55, TIERS, turn=Turn(key=key)) for key in keys]

    chances = {choice.tier.name: choice.propensity for choice in choices}
    assert chances["complex"] == pytest.approx(2 / 3 * 0.8 + 1 / 3 * 0.2)
    assert chances["simple"] == pytest.approx(1 / 3 * 0.8 + 2 / 3 * 0.2)
    assert policy.probabilities(0.55, TIERS) == pytest.approx(chances)


def test_a_decision_keeps_its_arm_in_another_process(router: ChatBedrockRouter) -> None:
    """A decision that was stored as JSON gives its feedback to a bandit that never saw it."""
    message = router.invoke("Hi")
    stored = json.dumps(message.response_metadata[REPORT_KEY]["route"])
    elsewhere = make_bandit()

    decision = replace(RouteDecision.from_dict(json.loads(stored)), effort=None)

    assert elsewhere.learn(decision, 1.0, cost_shares={decision.tier: 1.0})
