"""Throttling by Bedrock's own arithmetic."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.specs import spec_of
from langchain_bedrock_opt.emulator.quota import UNKNOWN_MAX_TOKENS, Quota, QuotaMeter, Reservation
from langchain_bedrock_opt.emulator.types import ServiceFailure
from langchain_bedrock_opt.errors import EmulatorError

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-lite-v1:0"
PROVISIONED = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdef123456"

TOKENS = "Too many tokens, please wait before trying again."
REQUESTS = "Too many requests, please wait before trying again."
TOKENS_A_DAY = "Too many tokens per day, please wait before trying again."


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def meter(quota: Quota, *, model_id: str = NOVA, clock: Any = None) -> QuotaMeter:
    return QuotaMeter({model_id: quota}, clock=clock or Clock())


def reserve(
    quotas: QuotaMeter, input_tokens: int, max_tokens: int | None = 0, **tokens: int
) -> Reservation:
    return quotas.reserve(NOVA, NOVA, input_tokens=input_tokens, max_tokens=max_tokens, **tokens)


def test_a_call_reserves_its_input_and_its_longest_answer() -> None:
    """Input, cache reads, cache writes and max_tokens must fit what is left of the minute."""
    quotas = meter(Quota(tokens_per_minute=100))
    assert reserve(quotas, 10, 60, cache_read=20, cache_write=10).tokens == 100
    with pytest.raises(ServiceFailure) as caught:
        reserve(quotas, 1)
    assert (caught.value.code, caught.value.message, caught.value.status) == (
        "ThrottlingException",
        TOKENS,
        429,
    )


def test_what_was_not_used_comes_back() -> None:
    """Settled, a call costs input, cache writes and output; cache reads are free."""
    quotas = meter(Quota(tokens_per_minute=100))
    reservation = reserve(quotas, 10, 60, cache_read=20, cache_write=10)
    assert reservation.settle(input_tokens=10, cache_write=10, output_tokens=5) == 25
    assert quotas.remaining(NOVA, NOVA) == 75


def test_output_of_newer_claude_models_counts_five_times_at_the_end() -> None:
    """The burndown counts at settlement only, and may use more than was reserved."""
    spec = spec_of(HAIKU)
    assert spec is not None
    assert spec.output_burndown == 5
    quotas = meter(Quota(tokens_per_minute=1000), model_id=HAIKU)
    reservation = quotas.reserve(HAIKU, HAIKU, input_tokens=100, max_tokens=200)
    assert quotas.remaining(HAIKU, HAIKU) == 700
    assert reservation.settle(input_tokens=100, cache_write=0, output_tokens=200) == 1100
    assert quotas.remaining(HAIKU, HAIKU) == -100


def test_without_max_tokens_the_models_maximum_is_reserved() -> None:
    """A request that names no maximum holds the most that its model writes."""
    quotas = QuotaMeter({})
    spec = spec_of(NOVA)
    assert spec is not None
    assert reserve(quotas, 5, None).tokens == 5 + (spec.max_output_tokens or 0)
    unknown = quotas.reserve("xai.grok-9.9", "xai.grok-9.9", input_tokens=5)
    assert unknown.tokens == 5 + UNKNOWN_MAX_TOKENS


def test_a_failed_call_gives_everything_back() -> None:
    """A released reservation costs nothing, and only its first end counts."""
    quotas = meter(Quota(tokens_per_minute=100))
    reservation = reserve(quotas, 40)
    reservation.release()
    reservation.settle(input_tokens=40, cache_write=0, output_tokens=0)
    reservation.release()
    assert quotas.remaining(NOVA, NOVA) == 100


def test_a_new_minute_begins_afresh() -> None:
    """Windows of 60 s count from the meter's start, and a late settlement stays in its own."""
    clock = Clock()
    quotas = meter(Quota(tokens_per_minute=100), clock=clock)
    late = reserve(quotas, 100)
    clock.now += 59.9
    with pytest.raises(ServiceFailure, match=TOKENS):
        reserve(quotas, 1)
    clock.now += 0.1
    reserve(quotas, 90)
    late.settle(input_tokens=100, cache_write=0, output_tokens=50)
    assert quotas.remaining(NOVA, NOVA) == 10


def test_requests_are_limited_beside_tokens() -> None:
    """A quota of requests counts admitted calls, whatever they cost in the end."""
    clock = Clock()
    quotas = meter(Quota(tokens_per_minute=100, requests_per_minute=2), clock=clock)
    reserve(quotas, 1).release()
    with pytest.raises(ServiceFailure, match=TOKENS):
        reserve(quotas, 1000)
    reserve(quotas, 1)
    with pytest.raises(ServiceFailure, match=REQUESTS):
        reserve(quotas, 1)
    clock.now += 60
    reserve(quotas, 1)


def test_a_daily_limit_outlasts_the_minute() -> None:
    """A day's tokens are gone until the next day, and the message says so."""
    clock = Clock()
    quotas = meter(Quota(tokens_per_minute=100, tokens_per_day=150), clock=clock)
    reserve(quotas, 100)
    clock.now += 60
    with pytest.raises(ServiceFailure, match=TOKENS_A_DAY):
        reserve(quotas, 51)
    reserve(quotas, 50)
    clock.now += 86_400
    reserve(quotas, 100)


@pytest.mark.parametrize(
    ("quota_of", "called", "limited"),
    [
        (NOVA, NOVA, True),
        (NOVA, f"us.{NOVA}", True),
        (NOVA, "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc", True),
        (f"us.{NOVA}", f"us.{NOVA}", True),
        (
            f"us.{NOVA}",
            f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{NOVA}",
            True,
        ),
        (f"us.{NOVA}", NOVA, False),
        (f"us.{NOVA}", f"eu.{NOVA}", False),
        (NOVA, PROVISIONED, False),
        (PROVISIONED, PROVISIONED, True),
        (NOVA, "no model id", False),
    ],
)
def test_a_call_draws_on_the_quota_of_its_id(quota_of: str, called: str, limited: bool) -> None:  # noqa: FBT001 - a column of the table
    """A profile has its own quota or its model's; provisioned capacity is apart."""
    quotas = meter(Quota(tokens_per_minute=7), model_id=quota_of)
    assert quotas.remaining(called, NOVA) == (7 if limited else None)


def test_quotas_of_different_ids_do_not_meet() -> None:
    """A profile with a quota of its own leaves the model's alone."""
    quotas = QuotaMeter(
        {NOVA: Quota(tokens_per_minute=10), f"us.{NOVA}": Quota(tokens_per_minute=10)},
        clock=Clock(),
    )
    quotas.reserve(f"us.{NOVA}", NOVA, input_tokens=10, max_tokens=0)
    assert reserve(quotas, 10).tokens == 10


def test_a_negative_quota_is_refused() -> None:
    """A limit below zero is reported with its name and value."""
    with pytest.raises(EmulatorError, match="requests_per_minute is -1"):
        Quota(tokens_per_minute=1, requests_per_minute=-1)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 60),  # input
        st.integers(0, 60),  # max_tokens
        st.sampled_from(["settle", "release", "keep"]),
        st.floats(0, 40, allow_nan=False),  # seconds that pass
    ),
    max_size=40,
)


@given(steps=STEPS)
def test_nothing_is_admitted_over_the_limit(steps: list[tuple[int, int, str, float]]) -> None:
    """In every minute, what was admitted and not given back stays within the quota."""
    clock = Clock()
    quotas = meter(Quota(tokens_per_minute=100), clock=clock)
    held: dict[int, int] = {}
    for input_tokens, max_tokens, end, seconds in steps:
        minute = int((clock.now - 1_000) // 60)
        used = held.get(minute, 0)
        try:
            reservation = reserve(quotas, input_tokens, max_tokens)
        except ServiceFailure:
            assert used + input_tokens + max_tokens > 100
        else:
            used += reservation.tokens
            assert used <= 100
            if end == "settle":
                reservation.settle(input_tokens, 0, max_tokens // 2)
                used -= max_tokens - max_tokens // 2
            elif end == "release":
                reservation.release()
                used -= reservation.tokens
            held[minute] = used
        assert quotas.remaining(NOVA, NOVA) == 100 - used
        clock.now += seconds


def test_sums_are_exact_under_threads() -> None:
    """Whatever the interleaving, admitted calls fill the quota to its edge and no further."""
    quotas = meter(Quota(tokens_per_minute=1000, requests_per_minute=1000))
    admitted: list[int] = []

    def work() -> None:
        for _ in range(50):
            try:
                reservation = reserve(quotas, 5, 5)
            except ServiceFailure:
                continue
            admitted.append(reservation.settle(input_tokens=5, cache_write=0, output_tokens=1))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    remaining = quotas.remaining(NOVA, NOVA)
    assert remaining == 1000 - sum(admitted)
    assert remaining is not None
    assert 0 <= remaining < 10
