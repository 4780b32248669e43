"""How near estimates of tokens come to public tokenizers, and how quick they are.

Measured on passages with recorded counts (`tests/unit_tests/catalog/token_passages.json`), which
nothing was fitted to. `python -m benchmarks.token_estimates FOLDER` measures besides on manuals,
interfaces, code and JSON, with the tokenizers themselves: `benchmarks.token_texts` says what must
be installed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from langchain_core.messages import HumanMessage
from langchain_core.messages.utils import count_tokens_approximately

from benchmarks.harness import Result, compare
from benchmarks.token_texts import HELD_OUT, chunks, tokenizers
from langchain_bedrock_opt.catalog.tokens import TokenCounter, estimate_tokens
from langchain_bedrock_opt.catalog.tokens.bounds import most_tokens

PASSAGES: Final = (
    Path(__file__).resolve().parent.parent
    / "tests"
    / "unit_tests"
    / "catalog"
    / "token_passages.json"
)
HARD_TEXTS: Final = PASSAGES.with_name("token_hard_texts.json")
"""Figures, ids and base64, with recorded counts."""

MODELS: Final = {
    "claude-2": "anthropic.claude-v2",
    "cl100k_base": "meta.llama3-8b-instruct-v1:0",
    "o200k_base": "openai.gpt-oss-20b-1:0",
    "deepseek-v3": "deepseek.v3-v1:0",
    "mistral-tekken": "mistral.ministral-3-8b-instruct",
    "mistral-v3": "mistral.mistral-7b-instruct-v0:2",
    "qwen": "qwen.qwen3-32b-v1:0",
}
"""A model of each tokenizer's family."""

BOUND: Final = "most_tokens / highest count, least of all texts"
REPEATS: Final = 20
ROUNDS: Final = 21


def run() -> Result:
    """Print the errors by tokenizer and class; return the worst, and the speed."""
    passages: dict[str, Any] = json.loads(PASSAGES.read_text("utf-8"))["passages"]
    texts = {name: [row["text"] for row in rows] for name, rows in passages.items()}
    ours, fours = {}, {}
    for tokenizer, model in MODELS.items():
        counts = {
            name: [row["tokens"][tokenizer] for row in rows] for name, rows in passages.items()
        }
        ours[tokenizer] = _errors(TokenCounter(model).text, texts, counts)
        fours[tokenizer] = _errors(lambda text: len(text) // 4, texts, counts)
        _print(tokenizer, ours[tokenizer])
    figures = {
        f"mean error, {name}, worst tokenizer, %": max(found[name] for found in ours.values())
        for name in texts
    }
    pile = [text for each in texts.values() for text in each] * REPEATS
    size = sum(len(text.encode()) for text in pile) / 1e6
    fast = compare(
        lambda: _seconds(estimate_tokens, pile), lambda: _seconds(_by_four, pile), rounds=ROUNDS
    )
    bound = compare(
        lambda: _seconds(most_tokens, pile), lambda: _seconds(estimate_tokens, pile), rounds=ROUNDS
    )
    messages = [HumanMessage(text) for text in pile]
    counter = TokenCounter()
    many = compare(
        lambda: _seconds(counter, [messages]),
        lambda: _seconds(count_tokens_approximately, [messages]),
        rounds=ROUNDS,
    )
    return Result(
        benchmark="token_estimates",
        figures={
            **figures,
            BOUND: _least_bound(passages),
            "most_tokens / estimate_tokens, time ratio": bound.ratio,
            "estimate_tokens(str), MB/s": size / fast.ours,
            "TokenCounter(messages) / count_tokens_approximately, time ratio": many.ratio,
        },
        baselines={
            "len(text) // 4, MB/s": size / fast.baseline,
            **{
                f"len // 4, mean error, {name}, worst tokenizer, %": max(
                    found[name] for found in fours.values()
                )
                for name in texts
            },
        },
        goals={**dict.fromkeys(figures, ("<=", 12)), BOUND: (">=", 1)},
    )


def _least_bound(passages: dict[str, Any]) -> float:
    """The least that a budget's bound is, in counts of the tokenizer that counts a text highest."""
    hard = json.loads(HARD_TEXTS.read_text("utf-8"))["texts"].values()
    rows = [*hard, *(row for each in passages.values() for row in each)]
    least: float = min(most_tokens(row["text"]) / max(row["tokens"].values()) for row in rows)
    return least


def held_out(folder: Path) -> None:
    """Print the errors on the texts of a folder, by the tokenizers themselves."""
    texts = {name: chunks(HELD_OUT, name, folder) for name in HELD_OUT}
    for tokenizer, count in tokenizers().items():
        counts = {name: [count(text) for text in found] for name, found in texts.items()}
        _print(tokenizer, _errors(TokenCounter(MODELS[tokenizer]).text, texts, counts))


def _errors(
    estimate: Callable[[str], int],
    texts: dict[str, list[str]],
    counts: dict[str, list[int]],
) -> dict[str, float]:
    """The mean absolute error by class, in percent."""
    found: dict[str, float] = {}
    for name, each in texts.items():
        pairs = zip(each, counts[name], strict=True)
        shares = [abs(estimate(text) - actual) / actual for text, actual in pairs]
        if shares:
            found[name] = 100 * sum(shares) / len(shares)
    return found


def _print(tokenizer: str, found: dict[str, float]) -> None:
    errors = "  ".join(f"{name} {error:4.1f}" for name, error in found.items())
    print(f"{tokenizer:<15} mean absolute error, %: {errors}")


def _by_four(text: str) -> int:
    return len(text) // 4


def _seconds(count: Callable[[Any], Any], pieces: Sequence[Any]) -> float:
    start = time.process_time()
    for piece in pieces:
        count(piece)
    return time.process_time() - start


if __name__ == "__main__":
    print(run().as_table())
    if len(sys.argv) > 1:
        held_out(Path(sys.argv[1]))
