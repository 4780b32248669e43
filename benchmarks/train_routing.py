"""`python -m benchmarks.train_routing [--write]`: fit the n-gram weights that the package ships.

Sources: RouteLLM's MMLU and GSM8K outcomes and ZeroEval's (Apache-2.0), Shaberi's grades
(Apache-2.0), LLMRouter's (MIT), and MGSM's Japanese wording of the grade-school problems (CC BY
4.0). The share-alike question sets (JMMLU, JCommonsenseQA, ELYZA's hundred tasks) are not used.
Written are weights of hashed n-grams, and hashes of one prompt in sixteen, by which calibration
notices that it is about to judge the weights on what they have seen.

Every source counts by the square root of its size; what is explained is the differences within a
source, in its standard deviations, so that no source sets the scale. `L2` and the lengths of the
n-grams stand on a plateau of cross-validation: held-out folds of each source and, apart from
that, sources left out whole.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.routing_data import FOLDS, Source, sources
from langchain_bedrock_opt.routing.learning.worth import apgr
from langchain_bedrock_opt.routing.scoring.ngrams import HashedNgramScorer, marks_of

L2 = 3.0
WEIGHTS = (
    Path(__file__).resolve().parent.parent
    / "langchain_bedrock_opt"
    / "routing"
    / "scoring"
    / "data"
    / "ngrams.bin"
)

KIN = {"gsm8k": {"gsm8k", "zeroeval"}, "zeroeval": {"gsm8k", "zeroeval"}}
"""Sources that share prompts: leaving one out leaves out its kin."""


def fit(data: Sequence[Source], keep: Sequence[Sequence[bool]]) -> HashedNgramScorer:
    """Fit on the prompts of each source that are to be kept."""
    texts: list[str] = []
    targets: list[float] = []
    weights: list[float] = []
    labels: list[str] = []
    for source, kept in zip(data, keep, strict=True):
        places = [place for place, keeps in enumerate(kept) if keeps]
        if not places:
            continue
        gains = source.target[places]
        scaled = (source.target - gains.mean()) / gains.std()
        found = [(source.texts[place], place) for place in places]
        found += [(text, place) for place, text in source.twins if kept[place]]
        texts += [text for text, _ in found]
        targets += [float(scaled[place]) for _, place in found]
        weights += [len(source.texts) ** 0.5 / len(found)] * len(found)
        labels += [source.name] * len(found)
    about = {
        "sources": [source.name for source, kept in zip(data, keep, strict=True) if any(kept)],
        "prompts": len(texts),
        "l2": L2,
        "marks": marks_of(texts),
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
    }
    return HashedNgramScorer.fit(
        texts, targets, sample_weight=weights, sources=labels, l2=L2, about=about
    )


def out_of_fold(data: Sequence[Source]) -> dict[str, list[float]]:
    """The n-gram score of each prompt by weights that have not seen its fold."""
    found = {source.name: [float("nan")] * len(source.texts) for source in data}
    usable = _usable(data)
    for fold in range(FOLDS):
        kept = [
            [may and part != fold for may, part in zip(own, source.folds, strict=True)]
            for own, source in zip(usable, data, strict=True)
        ]
        scorer = fit(data, kept)
        for source in data:
            for place, part in enumerate(source.folds):
                if part == fold:
                    found[source.name][place] = scorer.score(source.texts[place])
    return found


def source_left_out(data: Sequence[Source]) -> dict[str, list[float]]:
    """The n-gram score of each prompt by weights that have not seen its source or its kin."""
    found = {}
    for source in data:
        unseen = KIN.get(source.name, {source.name})
        kept = [
            own if other.name not in unseen else [False] * len(own)
            for other, own in zip(data, _usable(data), strict=True)
        ]
        scorer = fit(data, kept)
        found[source.name] = [scorer.score(text) for text in source.texts]
    return found


def _usable(data: Sequence[Source]) -> list[list[bool]]:
    """Which prompts the package may be trained on."""
    return [
        [place not in source.measured_only for place in range(len(source.texts))] for source in data
    ]


def cells(data: Sequence[Source], scores: dict[str, list[float]]) -> dict[str, float]:
    """APGR by cell."""
    return {
        cell.name: apgr(np.array(scores[source.name]), cell.gains)
        for source in data
        for cell in source.cells
    }


def main() -> int:
    """Print cross-validated figures; with `--write`, fit on everything and write the weights."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train_routing")
    parser.add_argument("--write", action="store_true", help=f"write {WEIGHTS.name}")
    parser.add_argument("--no-cv", action="store_true", help="fit only")
    arguments = parser.parse_args()
    data = sources()
    if not arguments.no_cv:
        for name, scores in {
            "other folds": out_of_fold(data),
            "source left out": source_left_out(data),
        }.items():
            for cell, value in cells(data, scores).items():
                print(f"{name:<16}  {cell:<36}  {value:.3f}", flush=True)
    scorer = fit(data, _usable(data))
    if arguments.write:
        WEIGHTS.parent.mkdir(exist_ok=True)
        WEIGHTS.write_bytes(scorer.to_bytes())
    print(f"{len(scorer.to_bytes())} bytes, {scorer.about['prompts']} prompts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
