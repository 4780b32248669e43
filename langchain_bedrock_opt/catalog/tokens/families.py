"""Families of tokenizers: what counts alike, as data: `catalog/data/token_families.json`.

Few of Bedrock's models have a tokenizer that anybody can run. A family without one takes the
weights of its nearest relative, and the data says so; `TokenCorrection` then learns the rest
from what calls return.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from operator import mul
from typing import Any, Final, Literal, TypeAlias

from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.catalog.tokens.classes import CLASSES, Counts
from langchain_bedrock_opt.catalog.tokens.given import given_model
from langchain_bedrock_opt.errors import ModelIdError

Weights: TypeAlias = tuple[float, ...]
"""Tokens of one of each class, in the order of `CLASSES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRule:
    """What an image counts for.

    Attributes:
        flat: Tokens of an image whose size can't be read.
        pixels: Pixels of one token; None if every image counts `flat`.
        edge: The longest edge, in pixels; a larger image is scaled down to it.
        most: The most tokens of one image.
    """

    flat: int
    pixels: int | None = None
    edge: int = 8000
    most: int | None = None

    def tokens(self, size: tuple[int, int] | None) -> int:
        """The tokens of an image of a width and a height in pixels; None if not known.

        Example:
            >>> ImageRule(flat=1600, pixels=750, edge=1568, most=1600).tokens((1000, 750))
            1000
        """
        if size is None or self.pixels is None:
            return self.flat
        width, height = size
        scale = min(1.0, self.edge / max(width, height, 1))
        tokens = max(1, -int(-width * height * scale * scale // self.pixels))
        return tokens if self.most is None else min(tokens, self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFamily:
    """Models whose prompts count alike.

    Attributes:
        name: Its name.
        weights: Tokens of one of each class of characters.
        basis: `public` if the family's own tokenizer was fitted to; `nearest` if a relative's.
        request: Tokens around a whole request.
        message: Tokens around one message.
        tools: Tokens of the instructions that a model is given once if there are tools.
        tool: Tokens around one tool.
        image: What an image counts for.
        note: Where the numbers come from.
    """

    name: str
    weights: Weights
    basis: Literal["public", "nearest"]
    request: int
    message: int
    tools: int
    tool: int
    image: ImageRule
    note: str


def weighed(counts: Counts, weights: Weights) -> float:
    """The tokens of so many of each class."""
    total: float = sum(map(mul, weights, counts))
    return total


@lru_cache(maxsize=1)
def token_families() -> Mapping[str, TokenFamily]:
    """All families by what the base ids of their models begin with; `""` is for the rest."""
    document = json.loads((files(_DATA) / "data" / "token_families.json").read_text("utf-8"))
    families: dict[str, TokenFamily] = {}
    for row in document["families"]:
        family = _family(row, document["tokenizers"])
        families.update(dict.fromkeys(row["models"], family))
    return families


_DATA: Final = "langchain_bedrock_opt.catalog"


def _family(row: Mapping[str, Any], tokenizers: Mapping[str, Any]) -> TokenFamily:
    weights = tokenizers[row["tokenizer"]]["weights"]
    scale = row.get("scale", {})
    return TokenFamily(
        weights=tuple(weights[name] * scale.get(name, 1.0) for name in CLASSES),
        image=ImageRule(**row["image"]),
        **{
            key: row[key]
            for key in ("name", "basis", "request", "message", "tools", "tool", "note")
        },
    )


def base_id_of(model: object) -> str | None:
    """The base id of a model; None if it is not known.

    Args:
        model: A model id of any form, or a chat model with a `base_model_id` and a `model_id`,
            with tools bound to it or not.

    Example:
        >>> base_id_of("us.amazon.nova-lite-v1:0")
        'amazon.nova-lite-v1:0'
    """
    if isinstance(model, str):
        names: tuple[object, ...] = (model,)
    else:
        model = given_model(model).model
        names = (getattr(model, "base_model_id", None), getattr(model, "model_id", None))
    for name in names:
        if isinstance(name, str):
            try:
                base = parse_model_id(name).base
            except ModelIdError:
                continue
            if base is not None:
                return base
    return None


def family_of(model: object = None) -> TokenFamily:
    """The family of a model; the default one for a model that is not known.

    Args:
        model: A model id of any form, or a chat model.

    Example:
        >>> family_of("us.anthropic.claude-opus-4-7").name
        'claude-5'
        >>> family_of("acme.frontier-v9").name
        'default'
    """
    base = None if model is None else base_id_of(model)
    return default_family() if base is None else _family_of_base(base)


@lru_cache(maxsize=256)
def _family_of_base(base: str) -> TokenFamily:
    families = token_families()
    return families[max(filter(base.startswith, families), key=len)]


@lru_cache(maxsize=1)
def default_family() -> TokenFamily:
    """The family of models that are not known."""
    return token_families()[""]
