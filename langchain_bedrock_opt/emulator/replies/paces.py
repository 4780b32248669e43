"""How fast an emulated model answers, so that demos and benchmarks have something to measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_bedrock_opt.emulator.replies.digests import dice
from langchain_bedrock_opt.emulator.replies.profiles import profile_of
from langchain_bedrock_opt.emulator.types import Pace

JITTER: Final = 0.15
"""The most by which one answer is faster or slower than the model's prior, as a share."""


def pace_of(model_id: str, seed: int = 0, request: Mapping[str, Any] | None = None) -> Pace:
    """The pace of one answer: the model's prior with a small jitter.

    The priors (`profiles`) are illustrative, not measurements of Bedrock.

    Args:
        model_id: The id that was called.
        seed: Another seed draws other jitter.
        request: The request, so that two requests differ and a repeated one does not; None gives
            the jitter of the model alone.

    Example:
        >>> haiku = pace_of("us.anthropic.claude-haiku-4-5-20251001-v1:0")
        >>> haiku.seconds(100) < pace_of("anthropic.claude-3-opus-20240229-v1:0").seconds(100)
        True
    """
    profile = profile_of(model_id)
    draw = dice("pace", model_id, seed, request)
    return Pace(
        time_to_first_token=profile.time_to_first_token * draw.uniform(1 - JITTER, 1 + JITTER),
        tokens_per_second=profile.tokens_per_second * draw.uniform(1 - JITTER, 1 + JITTER),
    )
