"""What tells one emulated model from another: its family, its size, its speed. Data.

The speeds are illustrative priors, in the order of magnitude that public benchmarks report for
models of that size; they are not measurements of Bedrock. Set your own with a responder or an
emulator setting where a figure matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.errors import ModelIdError

Size = Literal["small", "medium", "large"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """How an emulated model behaves.

    Attributes:
        provider: `anthropic`, `amazon`, …; empty if the id does not say.
        size: Larger models write longer answers, and slower.
        time_to_first_token: Seconds, as a prior.
        tokens_per_second: After the first token, as a prior.
    """

    provider: str
    size: Size
    time_to_first_token: float
    tokens_per_second: float


# A part of the bare model id → size, seconds to the first token, tokens a second. First match wins,
# so `mini` stands behind nothing it is a part of.
_PRIORS: Final[tuple[tuple[str, Size, float, float], ...]] = (
    ("nova-micro", "small", 0.30, 200.0),
    ("nova-2-lite", "small", 0.40, 160.0),
    ("nova-lite", "small", 0.40, 160.0),
    ("nova-pro", "medium", 0.60, 100.0),
    ("nova-premier", "large", 1.20, 60.0),
    ("haiku", "small", 0.40, 150.0),
    ("claude-instant", "small", 0.50, 100.0),
    ("sonnet", "medium", 0.90, 70.0),
    ("opus", "large", 1.60, 40.0),
    ("fable", "large", 1.60, 40.0),
    ("titan", "small", 0.60, 80.0),
    ("-1b-", "small", 0.25, 200.0),
    ("-3b-", "small", 0.25, 180.0),
    ("-8b-", "small", 0.30, 150.0),
    ("-7b-", "small", 0.30, 150.0),
    ("ministral", "small", 0.30, 150.0),
    ("gpt-oss-20b", "small", 0.30, 180.0),
    ("mistral-small", "small", 0.40, 120.0),
    ("mistral-large", "large", 0.90, 50.0),
    ("-405b-", "large", 1.50, 25.0),
    ("deepseek", "large", 1.20, 50.0),
)
_UNKNOWN: Final[tuple[Size, float, float]] = ("medium", 0.80, 80.0)


@lru_cache(maxsize=1024)
def profile_of(model_id: str) -> ModelProfile:
    """The profile of the model behind an id; a middling one if it is not known.

    Example:
        >>> profile_of("us.anthropic.claude-haiku-4-5-20251001-v1:0").size
        'small'
        >>> profile_of("acme.frontier-v9").size
        'medium'
    """
    try:
        parsed = parse_model_id(model_id)
    except ModelIdError:
        base, provider = "", ""
    else:
        base, provider = parsed.base or "", parsed.provider or ""
    found = next((row for row in _PRIORS if row[0] in base), ("", *_UNKNOWN))
    _, size, first, rate = found
    return ModelProfile(
        provider=provider, size=size, time_to_first_token=first, tokens_per_second=rate
    )
