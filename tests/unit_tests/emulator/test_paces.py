"""How fast emulated models answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.emulator.replies.paces import JITTER, pace_of
from langchain_bedrock_opt.emulator.replies.profiles import profile_of

_HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
_SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
_OPUS = "us.anthropic.claude-opus-4-1-20250805-v1:0"


@given(seed=st.integers(0, 1_000), prompt=st.text())
def test_jitter_stays_near_the_models_prior(seed: int, prompt: str) -> None:
    """Whatever is asked, a model answers about as fast as models of its class do."""
    prior, pace = profile_of(_HAIKU), pace_of(_HAIKU, seed, {"prompt": prompt})

    assert abs(pace.time_to_first_token / prior.time_to_first_token - 1) <= JITTER
    assert abs(pace.tokens_per_second / prior.tokens_per_second - 1) <= JITTER


def test_the_same_request_takes_the_same_time() -> None:
    """A benchmark on the emulator can be repeated: model, request and seed decide the pace."""
    request = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}

    assert pace_of(_HAIKU, 1, request) == pace_of(_HAIKU, 1, request)
    assert pace_of(_HAIKU, 1, request) != pace_of(_HAIKU, 2, request)
    assert pace_of(_HAIKU, 1, request) != pace_of(_HAIKU, 1, {"messages": []})


def test_larger_models_take_longer() -> None:
    """Routing to a smaller model shows in the latency of an emulated call."""
    seconds = [pace_of(model).seconds(200) for model in (_HAIKU, _SONNET, _OPUS)]

    assert seconds == sorted(seconds)


@pytest.mark.parametrize(
    "model", ["acme.frontier-v9", "not a model id", f"arn:aws:bedrock:us-east-1::x/{_HAIKU}"]
)
def test_unknown_models_have_a_pace_too(model: str) -> None:
    """A model nobody has heard of answers at a middling speed instead of failing."""
    assert pace_of(model).seconds(100) > 0
