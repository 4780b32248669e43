"""The open halves of prompts with known answers of weaker and stronger models.

Read in place from the folder of shared evaluation data (see `BEDROCK_OPT_SHARED`); nothing of it
is in this repository.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.routing_metrics import Floats

ROOT = Path(__file__).resolve().parent.parent
FOLDS = 5

HAIKU_3, OPUS_3 = "claude-3-haiku-20240307", "claude-3-opus-20240229"
HAIKU_35, SONNET_35 = "claude-3-5-haiku-20241022", "claude-3-5-sonnet-20241022"
SONNET_35_JUNE = "claude-3-5-sonnet-20240620"
QWEN, NEMOTRON = "qwen2.5-7b-instruct", "llama-3.3-nemotron-super-49b-v1"

_UNGRADED = "high_school_mathematics"
# GPT-4 gets 3 % here and Mixtral 32 %: the strong model's worked-out answers weren't parsed.


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A pair of models on a source's prompts: `gains` is strong minus weak for each."""

    name: str
    gains: Floats


@dataclass(frozen=True, kw_only=True)
class Source:
    """One set of prompts.

    Attributes:
        name: Its name.
        texts: The prompts.
        target: What stronger models gain over weaker ones, averaged over pairs.
        folds: For each prompt the part it is in: by hash, by subject, or by benchmark.
        cells: What routers are measured on.
        twins: Translations of some prompts, with the number of the prompt.
        measured_only: Prompts whose licence (share-alike) keeps them out of training.
    """

    name: str
    texts: tuple[str, ...]
    target: Floats
    folds: tuple[int, ...]
    cells: tuple[Cell, ...]
    twins: tuple[tuple[int, str], ...] = field(default=())
    measured_only: frozenset[int] = frozenset()


def folder() -> Path:
    """Where the data is.

    Raises:
        FileNotFoundError: It is not there.
    """
    path = Path(os.environ.get("BEDROCK_OPT_SHARED", ROOT.parent / "shared")) / "data"
    if not (path / "routing").is_dir():
        raise FileNotFoundError(
            f"No evaluation data in {path.name}/routing: set BEDROCK_OPT_SHARED to its parent."
        )
    return path


def rows(name: str) -> Iterator[dict[str, str]]:
    """The rows of one file."""
    csv.field_size_limit(1 << 24)
    with gzip.open(
        folder() / "routing" / f"{name}.csv.gz", "rt", encoding="utf-8", newline=""
    ) as f:
        yield from csv.DictReader(f)


def sources() -> tuple[Source, ...]:
    """Every set that has answers of a weaker and a stronger model."""
    return tuple(read() for read in (_mmlu, _gsm8k, _zeroeval, _shaberi, _llmrouter))


def share_of(text: str) -> int:
    """A number that is the same for the same text, whatever its spaces, in every process."""
    digest = hashlib.sha256(" ".join(text.split()).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big")


def _by_hash(texts: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(share_of(text) % FOLDS for text in texts)


def _column(table: list[dict[str, str]], read: Callable[[dict[str, str]], float]) -> Floats:
    return np.array([read(row) for row in table], float)


def _right(table: list[dict[str, str]], model: str) -> Floats:
    return _column(table, lambda row: float(row[model] in {"True", "1", "1.0"}))


def _mmlu() -> Source:
    table = [row for row in rows("mmlu") if row["subject"] != _UNGRADED]
    gains = _right(table, "gpt4_1106") - _right(table, "mixtral_8x7b")
    subjects = sorted({row["subject"] for row in table}, key=share_of)
    return Source(
        name="mmlu",
        texts=tuple(row["prompt"] for row in table),
        target=gains,
        folds=tuple(subjects.index(row["subject"]) % FOLDS for row in table),
        cells=(Cell(name="MMLU, Mixtral → GPT-4", gains=gains),),
    )


def _gsm8k() -> Source:
    table = list(rows("gsm8k"))
    texts = tuple(row["prompt"] for row in table)
    gains = _right(table, "gpt4_1106") - _right(table, "mixtral_8x7b")
    return Source(
        name="gsm8k",
        texts=texts,
        target=gains,
        folds=_by_hash(texts),
        cells=(Cell(name="GSM8K, Mixtral → GPT-4", gains=gains),),
        twins=_translations(texts),
    )


def _zeroeval() -> Source:
    table = list(rows("zeroeval_claude"))
    texts = tuple(row["question"] for row in table)
    pairs = {
        "ZeroEval, Haiku 3 → Sonnet 3.5": (HAIKU_3, SONNET_35),
        "ZeroEval, Haiku 3.5 → Sonnet 3.5": (HAIKU_35, SONNET_35),
        "ZeroEval, Haiku 3 → Opus 3": (HAIKU_3, OPUS_3),
    }
    cells = tuple(
        Cell(name=name, gains=_right(table, strong) - _right(table, weak))
        for name, (weak, strong) in pairs.items()
    )
    return Source(
        name="zeroeval",
        texts=texts,
        target=np.mean([cell.gains for cell in cells], axis=0),
        folds=_by_hash(texts),
        cells=cells,
        twins=_translations(texts),
    )


def _shaberi() -> Source:
    table = [
        row for row in rows("shaberi_ja_claude") if _judged(row, HAIKU_3) == _judged(row, HAIKU_3)
    ]
    weak = _column(table, lambda row: _judged(row, HAIKU_3))
    cells = tuple(
        Cell(name=name, gains=_column(table, lambda row: _judged(row, strong)) - weak)  # noqa: B023 - called at once
        for name, strong in {
            "Shaberi (ja), Haiku 3 → Opus 3": OPUS_3,
            "Shaberi (ja), Haiku 3 → Sonnet 3.5": SONNET_35_JUNE,
        }.items()
    )
    benches = sorted({row["bench"] for row in table})
    return Source(
        name="shaberi",
        texts=tuple(row["question"] for row in table),
        target=np.mean([cell.gains for cell in cells], axis=0),
        folds=tuple(benches.index(row["bench"]) for row in table),
        cells=cells,
        measured_only=frozenset(
            place for place, row in enumerate(table) if row["bench"] == "elyza100"
        ),
    )


def _judged(row: dict[str, str], model: str) -> float:
    """The mean of the judges' grades, from 1 to 10 on every benchmark."""
    names = (key for key in row if key.startswith(f"{model}|") and not key.endswith("_chars"))
    grades = [float(row[name]) for name in names if row[name]]
    mean = sum(grades) / len(grades) if grades else float("nan")
    return 1 + (mean - 1) * 9 / 4 if row["bench"] == "elyza100" else mean


def _llmrouter() -> Source:
    table = list(rows("llmrouter_dcrouter"))
    texts = tuple(row["question"] for row in table)

    def mean(*models: str) -> Floats:
        return _column(table, lambda row: sum(float(row[m]) for m in models) / len(models))

    strong = mean(NEMOTRON, "llama-3.1-nemotron-51b-instruct")
    weak = mean(QWEN, "mistral-7b-instruct-v0.3", "llama-3.1-8b-instruct", "gemma-2-9b-it")
    return Source(
        name="llmrouter",
        texts=texts,
        target=strong - weak,
        folds=_by_hash(texts),
        cells=(Cell(name="LLMRouter, Qwen 7B → Nemotron 49B", gains=mean(NEMOTRON) - mean(QWEN)),),
    )


def _translations(texts: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    """Japanese versions of these problems, as far as there are any."""
    japanese = {share_of(row["en"]): row["ja"] for row in rows("mgsm_parity")}
    places = ((place, share_of(text)) for place, text in enumerate(texts))
    return tuple((place, japanese[key]) for place, key in places if key in japanese)
