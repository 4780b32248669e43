"""The break-even guard: when cheap-first is switched off and on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.prices import ModelPrice
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.recovery.break_even import BreakEven, Pair, Trial, balance_of

PAIR = Pair(cheap="cheap", strong="strong")
TOKENS = TokenUsage(input=1000, output=500)


def price(per_token: int) -> ModelPrice:
    return ModelPrice(input=per_token, output=per_token, source="test", checked="2026-11-22")


PRICES = {"cheap": price(40), "strong": price(100), "dear": price(70)}


def guard(**kwargs: object) -> BreakEven:
    arguments = {"minimum": 5, "window": 20, "strata": 1, "prior_trials": 0, **kwargs}
    return BreakEven(prices=PRICES.get, **arguments)  # type: ignore[arg-type]


def kept() -> Trial:
    return Trial(cheap=TOKENS)


def escalated() -> Trial:
    return Trial(cheap=TOKENS, strong=TOKENS)


def test_cheap_first_is_switched_off_where_it_costs_more() -> None:
    """At 40 % of the strong price, an escalation rate of 60 % or more does not pay."""
    too_many, few_enough = guard(), guard()
    for trial in [escalated()] * 3 + [kept()] * 2:
        too_many.observe(PAIR, trial)
    for trial in [escalated()] * 2 + [kept()] * 3:
        few_enough.observe(PAIR, trial)

    assert not too_many.pays(PAIR)
    assert few_enough.pays(PAIR)


def test_nothing_is_switched_off_before_enough_is_seen() -> None:
    """A few failures at the start prove nothing."""
    judge = guard(minimum=5)
    for _ in range(4):
        judge.observe(PAIR, escalated())

    assert judge.pays(PAIR)


def test_it_looks_again_with_what_it_has_saved_and_switches_on() -> None:
    """A pair that has saved is tried now and then, and comes back when traffic gets easier."""
    judge = guard(retry_every=3)
    for trial in [kept()] * 20 + [escalated()] * 15:
        judge.observe(PAIR, trial)

    assert [judge.pays(PAIR) for _ in range(6)] == [False, False, True, False, False, True]
    for _ in range(20):
        judge.observe(PAIR, kept())
    assert all(judge.pays(PAIR) for _ in range(6))


def test_a_pair_that_never_saved_is_not_tried_again() -> None:
    """Looking again costs money, and only money that was saved is spent on it."""
    judge = guard(retry_every=2)
    for _ in range(5):
        judge.observe(PAIR, escalated())

    assert not any(judge.pays(PAIR) for _ in range(10))


def test_switching_on_asks_for_more_than_break_even() -> None:
    """Between the bound and its margin the guard stays as it is, so that it does not flutter."""
    judge = guard(margin=0.15, window=10, minimum=5)
    for trial in [escalated()] * 5 + [kept()] * 5:  # 50 %, just below the 60 % that it may be
        judge.observe(PAIR, trial)

    assert not judge.pays(PAIR)
    for _ in range(5):
        judge.observe(PAIR, kept())
    assert judge.pays(PAIR)


def test_list_prices_alone_can_rule_a_pair_out() -> None:
    """A checker as dear as what is saved, or a cheap tier that is not cheap, is never tried."""
    judge = guard()

    assert not judge.pays(Pair(cheap="strong", strong="cheap"))
    assert not judge.pays(Pair(cheap="cheap", strong="strong", check="dear"))
    assert judge.pays(PAIR)


def test_a_model_without_a_price_is_not_judged() -> None:
    """Where nothing is known of costs, cheap-first stays as the user asked for it."""
    judge, unknown = guard(), Pair(cheap="cheap", strong="?")
    for _ in range(10):
        judge.observe(unknown, escalated())

    assert judge.pays(unknown)
    assert judge.balance(unknown).trials == 0


def test_simple_and_complex_requests_are_judged_apart() -> None:
    """A pair that fails on complex requests goes on with simple ones."""
    judge = guard(strata=2)
    for _ in range(5):
        judge.observe(PAIR, escalated(), 0.9)
        judge.observe(PAIR, kept(), 0.1)

    assert judge.pays(PAIR, 0.1)
    assert not judge.pays(PAIR, 1.0)


def test_a_request_counts_by_what_the_strong_model_charges_for_it() -> None:
    """One long request that escalates weighs more than several short ones that don't."""
    long = TokenUsage(input=100_000, output=500)
    trials = [Trial(cheap=long, strong=long), kept(), kept(), kept()]

    balance = balance_of(trials, PRICES["cheap"], PRICES["strong"])

    assert balance.escalations / balance.trials == 0.25
    assert balance.rate() > 0.9
    assert balance.saved_pico_usd < 0


_usage = st.builds(TokenUsage, input=st.integers(1, 10_000), output=st.integers(1, 5_000))
_trials = st.lists(
    st.builds(
        Trial,
        cheap=_usage,
        check_pico_usd=st.integers(0, 10**6),
        strong=st.none() | _usage,
    ),
    min_size=1,
    max_size=30,
)


@given(trials=_trials, cheap=st.integers(1, 200), strong=st.integers(1, 200))
def test_the_rule_says_what_the_sums_say(trials: list[Trial], cheap: int, strong: int) -> None:
    """The rate is below break-even exactly where cheap-first cost less."""
    balance = balance_of(trials, price(cheap), price(strong))
    spent = balance.first_pico_usd + balance.escalated_pico_usd

    assert balance.saved_pico_usd == balance.strong_pico_usd - spent
    if abs(balance.saved_pico_usd) > balance.strong_pico_usd * 1e-9:
        assert (balance.rate() < balance.break_even_rate) is (balance.saved_pico_usd > 0)


@given(outcomes=st.lists(st.booleans(), max_size=300), retry_every=st.integers(1, 10))
def test_the_guard_bounds_what_cheap_first_can_lose(outcomes: list[bool], retry_every: int) -> None:
    """Whatever comes, always-strong would not have been cheaper by more than a few trials."""
    judge = guard(retry_every=retry_every)
    cheap, strong = PRICES["cheap"].cost(TOKENS) or 0, PRICES["strong"].cost(TOKENS) or 0
    spent = 0
    for fails in outcomes:
        if judge.pays(PAIR):
            spent += cheap + strong * fails
            judge.observe(PAIR, escalated() if fails else kept())
        else:
            spent += strong

    # At most the trials of one window are misjudged, and one that saved nothing in the end.
    assert spent <= strong * len(outcomes) + 21 * cheap


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"minimum": 0}, "minimum=0 must be at least 1"),
        ({"window": 3}, "window=3 must hold minimum=5"),
        ({"prior_rate": 2}, "prior_rate=2"),
        ({"margin": -0.1}, "margin=-0.1"),
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, float], message: str) -> None:
    """A setting out of its range fails at construction with its value."""
    with pytest.raises(ConfigurationError, match=message):
        guard(**arguments)
