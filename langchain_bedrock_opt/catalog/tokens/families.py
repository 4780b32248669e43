"""Families of tokenizers: how many tokens a character of each class has, by model."""

from __future__ import annotations

from dataclasses import dataclass
from operator import mul
from typing import Final

from langchain_bedrock_opt.catalog.tokens.classes import Counts

Weights = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFamily:
    """Models whose tokenizers count alike.

    Attributes:
        name: Its name.
        weights: Tokens of one of each class, in the order of `CLASSES`.
    """

    name: str
    weights: Weights


DEFAULT: Final = TokenFamily(
    name="default", weights=(0.20, 0.61, 2.05, 0.18, 0.08, 1.14, 1.17, 1.47, 2.27)
)


def family_of(_model: object = None) -> TokenFamily:
    """The family of a model; the default one for a model that is not known."""
    return DEFAULT


def weighed(counts: Counts, weights: Weights) -> float:
    """The tokens of so many of each class."""
    return sum(map(mul, weights, counts))
