"""`python -m benchmarks.fit_tokens FOLDER [--write]`: fit the weights of tokenizer families.

Each public tokenizer's counts are explained by the classes of characters of each text, in its
share of the count, with no weight below `LEAST`, by least absolute errors. A class of text weighs
the same however many chunks of it there are. `benchmarks.token_texts` says what must be in the
folder and which packages must be installed.

Families whose tokenizer is not public take the weights of the nearest one; the data names which.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.token_texts import FITTED, HELD_OUT, chunks, tokenizers
from langchain_bedrock_opt.catalog.tokens.classes import CLASSES, class_counts

DATA = (
    Path(__file__).resolve().parent.parent
    / "langchain_bedrock_opt"
    / "catalog"
    / "data"
    / "token_families.json"
)

MINOR = {"Latin": 0.4, "Cyrillic": 0.4, "other": 0.4, "emoji": 0.2}
"""Classes of text that count less than English, Japanese, Chinese, Korean, code and JSON."""

EMOJI = [*range(0x1F300, 0x1F5FF), *range(0x1F600, 0x1F64F), *range(0x1F680, 0x1F6C0)]
ROUNDS = 30
SWEEPS = 2_000
LEAST = 0.01
"""The least weight: no length of text is free."""

LEAST_ERROR = 0.02
"""Errors below this share weigh alike: the last round of least squares is not all for one chunk."""


def emoji_chunks() -> list[str]:
    """Short words with emoji among them: no project's own text has enough of these."""
    chosen = random.Random(11)
    words = [
        "great",
        "thanks",
        "see",
        "you",
        "soon",
        "happy",
        "birthday",
        "team",
        "well",
        "done",
        "news",
    ]
    return [
        " ".join(chosen.choice(words) + chr(chosen.choice(EMOJI)) for _ in range(120))
        for _ in range(40)
    ]


def prose() -> dict[str, list[str]]:
    """Prose by language: manuals and interfaces have few words, and common ones."""
    document = json.loads(Path(__file__).with_name("token_prose.json").read_text("utf-8"))
    return {f"{name} prose": document[name] for name in document if name != "about"}


def fit(texts: Mapping[str, Sequence[str]], counts: Sequence[Mapping[str, Sequence[int]]]) -> Any:
    """Weights by which the texts come nearest to their counts.

    Args:
        texts: Chunks by class of text.
        counts: Their tokens by class of text, by one or more tokenizers.
    """
    rows: list[Any] = []
    targets: list[Any] = []
    for name, chunk in texts.items():
        features = np.array([class_counts(text) for text in chunk], float)
        for counted in counts:
            actual = np.array(counted[name], float)
            share = MINOR.get(name, 1.0) / np.sqrt(len(actual))
            rows.append(features / actual[:, None] * share)
            targets.append(np.full(len(actual), share))
    matrix, target = np.vstack(rows), np.concatenate(targets)
    emphasis = np.ones(len(target))
    for _ in range(ROUNDS):
        found = _bounded(matrix * emphasis[:, None], target * emphasis)
        errors = np.abs(matrix @ found - target) / target
        emphasis = 1 / np.sqrt(np.maximum(errors, LEAST_ERROR))
    return found


def _bounded(matrix: Any, target: Any) -> Any:
    """Least squares with no weight below `LEAST`, one weight after the other."""
    gram, pull = matrix.T @ matrix, matrix.T @ target
    found = np.full(len(gram), LEAST)
    for _ in range(SWEEPS):
        for at, diagonal in enumerate(gram.diagonal()):
            rest = pull[at] - gram[at] @ found + diagonal * found[at]
            found[at] = max(LEAST, rest / diagonal) if diagonal else LEAST
    return found


def mean_errors(
    weights: Any, texts: Mapping[str, Sequence[str]], counts: Mapping[str, Sequence[int]]
) -> dict[str, float]:
    """The mean absolute error by class of text, in percent."""
    found: dict[str, float] = {}
    for name, chunk in texts.items():
        actual = np.array(counts[name], float)
        estimate = np.array([class_counts(text) for text in chunk], float) @ weights
        found[name] = float(100 * np.mean(np.abs(estimate - actual) / actual))
    return found


def main() -> None:
    """Fit, say how well the weights do on held-out texts, and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    known = tokenizers()
    if not known:
        raise SystemExit("The tokenizers are not installed: see benchmarks/token_texts.py.")
    fitted = {name: chunks(FITTED, name, arguments.folder) for name in FITTED}
    fitted["emoji"] = emoji_chunks()
    fitted |= prose()
    held = {name: chunks(HELD_OUT, name, arguments.folder) for name in HELD_OUT}
    held = {name: chunk for name, chunk in held.items() if chunk}
    counts = {
        key: [
            {name: [count(text) for text in chunk] for name, chunk in texts.items()}
            for texts in (fitted, held)
        ]
        for key, count in known.items()
    }
    document = json.loads(DATA.read_text("utf-8"))
    print({name: (len(chunk), len(held.get(name, ()))) for name, chunk in fitted.items()})
    for key, row in document["tokenizers"].items():
        weights = fit(fitted, [counts[name][0] for name in row["fitted_to"]])
        row["weights"] = {
            name: round(float(w), 3) for name, w in zip(CLASSES, weights, strict=True)
        }
        for name in row["fitted_to"]:
            errors = mean_errors(weights, held, counts[name][1])
            print(f"{key} on {name}:", {name: round(error, 1) for name, error in errors.items()})
    if arguments.write:
        document["fitted"] = dt.datetime.now(dt.timezone.utc).date().isoformat()
        DATA.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
