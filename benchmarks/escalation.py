"""Cheap-first with a second opinion against always asking the strong model, on recorded outcomes.

For each prompt of ZeroEval's gsm, crux and math-l5 it is known which Claude model was right and
how long its answer was. A cheap model answers, another one answers too, and where the two
disagree the strong model answers in their place; the break-even guard may send prompts to the
strong model at once. Every triple of models with a catalog price is tried whose list prices leave
room for it.

Tokens are estimates: the prompt's by this package's estimator, an answer's by its characters / 4.
Prices are the catalog's. The recordings say who was right, not what was said: two models of which
one is right disagree, two right ones agree, and of two wrong ones some agree on the same wrong
answer. How many is not in the data. The figures take 1 in 8, which fits what was published of the
whole set (of the answers that two models agree on, 95 to 96 % are right), and the bounds take
none, where escalation costs most, and all, where quality suffers most.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import os
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.harness import Result
from langchain_bedrock_opt.catalog.prices import ModelPrice, price_of
from langchain_bedrock_opt.catalog.tokens import estimate_tokens
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.routing.recovery.break_even import BreakEven, Pair, Trial
from langchain_bedrock_opt.routing.scoring.scorer import ComplexityScorer

MODELS: Final = {
    "claude-3-haiku-20240307": "anthropic.claude-3-haiku-20240307-v1:0",
    "claude-3-5-haiku-20241022": "anthropic.claude-3-5-haiku-20241022-v1:0",
    "claude-3-sonnet-20240229": "anthropic.claude-3-sonnet-20240229-v1:0",
    "claude-3-opus-20240229": "anthropic.claude-3-opus-20240229-v1:0",
    "claude-3-5-sonnet-20240620": "anthropic.claude-3-5-sonnet-20240620-v1:0",
    "claude-3-5-sonnet-20241022": "anthropic.claude-3-5-sonnet-20241022-v2:0",
}
HEADLINE: Final = ("claude-3-haiku-20240307", "claude-3-5-haiku-20241022", "claude-3-opus-20240229")
ORDERS: Final = 3
"""In how many orders the prompts come: the guard learns as it goes."""

AGREEING_WRONG: Final = 1 / 8
"""The share of prompts on which two wrong answers are the same."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One prompt and what each model made of it."""

    key: str
    score: float
    right: Mapping[str, bool]
    usage: Mapping[str, TokenUsage]

    def agree(self, first: str, second: str, share: float) -> bool:
        """Whether two models gave the same answer, taking a share of wrong pairs as the same."""
        if self.right[first] or self.right[second]:
            return self.right[first] and self.right[second]
        return zlib.crc32(self.key.encode()) / 2**32 < share


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Cheap-first beside always-strong.

    Attributes:
        quality: Right answers, as a ratio to the strong model's.
        cost: Likewise.
        tried: The share of prompts that the cheap model was asked.
    """

    quality: float
    cost: float
    tried: float


def read_prompts(path: Path) -> list[Prompt]:
    """The recorded outcomes.

    Args:
        path: `zeroeval_claude.csv.gz`.
    """
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(_prompts(csv.DictReader(file)))


def _prompts(rows: csv.DictReader[str]) -> Iterator[Prompt]:
    scorer = ComplexityScorer()
    for row in rows:
        tokens = estimate_tokens(row["question"])
        known = [model for model in MODELS if row[model] and row[f"{model}|out_chars"]]
        yield Prompt(
            key=row["id"],
            score=scorer.score(row["question"]).value,
            right={model: float(row[model]) >= 1 for model in known},
            usage={
                model: TokenUsage(input=tokens, output=round(float(row[f"{model}|out_chars"]) / 4))
                for model in known
            },
        )


def replay(
    prompts: Sequence[Prompt],
    models: tuple[str, str, str],
    *,
    order: int = 0,
    agreeing_wrong: float = AGREEING_WRONG,
    guard: BreakEven | None = None,
) -> Outcome:
    """Send the prompts through a cascade and count.

    Args:
        prompts: The prompts; those that one of the models has no outcome for are left out.
        models: Cheap, checking and strong model.
        order: The order of the prompts.
        agreeing_wrong: The share of pairs of wrong answers that are the same.
        guard: The break-even guard; a new one by default.
    """
    cheap, check, strong = models
    pair = Pair(cheap=MODELS[cheap], check=MODELS[check], strong=MODELS[strong])
    guard = guard or BreakEven()
    known = [prompt for prompt in prompts if all(model in prompt.right for model in models)]
    random.Random(order).shuffle(known)
    right = spent = tried = strong_right = strong_spent = 0
    for prompt in known:
        cost = {model: _price(model).cost(prompt.usage[model]) or 0 for model in models}
        strong_right += prompt.right[strong]
        strong_spent += cost[strong]
        if not guard.pays(pair, prompt.score):
            right, spent = right + prompt.right[strong], spent + cost[strong]
            continue
        tried += 1
        escalates = not prompt.agree(cheap, check, agreeing_wrong)
        right += prompt.right[strong if escalates else cheap]
        spent += cost[cheap] + cost[check] + (cost[strong] if escalates else 0)
        trial = Trial(
            cheap=prompt.usage[cheap],
            check_pico_usd=cost[check],
            strong=prompt.usage[strong] if escalates else None,
        )
        guard.observe(pair, trial, prompt.score)
    return Outcome(
        quality=right / strong_right, cost=spent / strong_spent, tried=tried / len(known)
    )


def _price(model: str) -> ModelPrice:
    price = price_of(MODELS[model])
    if price is None:
        raise LookupError(f"the catalog has no price of {MODELS[model]}")
    return price


def run() -> Result:
    """Replay every triple of models, in several orders; the worst cost of any counts."""
    root = Path(__file__).resolve().parents[2] / "shared"
    data = Path(os.environ.get("BEDROCK_OPT_SHARED", root)) / "data" / "routing"
    prompts = read_prompts(data / "zeroeval_claude.csv.gz")
    orders = range(ORDERS)
    headline = [replay(prompts, HEADLINE, order=order) for order in orders]
    none = [replay(prompts, HEADLINE, order=order, agreeing_wrong=0) for order in orders]
    every = [replay(prompts, HEADLINE, order=order, agreeing_wrong=1) for order in orders]
    figures = {
        "Haiku 3 + Haiku 3.5 -> Opus 3: quality / Opus 3": min(o.quality for o in headline),
        "Haiku 3 + Haiku 3.5 -> Opus 3: cost / Opus 3": max(o.cost for o in headline),
        "its cost if no two wrong answers are the same": max(o.cost for o in none),
        "its quality if all wrong answers are the same": min(o.quality for o in every),
    }
    worst, unguarded = 0.0, 0.0
    for models in itertools.permutations(MODELS, 3):
        outcomes = [
            replay(prompts, models, order=order, agreeing_wrong=share)
            for order in orders
            for share in (0, AGREEING_WRONG)
        ]
        dearest = max(outcome.cost for outcome in outcomes)
        worst = max(worst, dearest)
        if any(outcome.tried for outcome in outcomes):
            cost, quality = _pair(models) + "highest cost", _pair(models) + "lowest quality"
            lowest = min(outcome.quality for outcome in outcomes)
            figures[cost] = max(figures.get(cost, 0.0), dearest)
            figures[quality] = min(figures.get(quality, lowest), lowest)
            never = BreakEven(minimum=10**6, window=10**6, strata=1)
            unguarded = max(unguarded, replay(prompts, models, guard=never).cost)
    figures["the dearest of all triples: cost"] = worst
    return Result(
        benchmark="escalation",
        figures=figures,
        baselines={"the dearest of those tried, without the guard: cost": unguarded},
        goals={
            "Haiku 3 + Haiku 3.5 -> Opus 3: quality / Opus 3": (">=", 0.99),
            "Haiku 3 + Haiku 3.5 -> Opus 3: cost / Opus 3": ("<=", 0.6),
            "its cost if no two wrong answers are the same": ("<=", 0.6),
            "the dearest of all triples: cost": ("<=", 1.0),
        },
    )


def _pair(models: tuple[str, str, str]) -> str:
    """The cheap and the strong model; the figures are over all models that may check."""
    cheap, _, strong = (model.removeprefix("claude-") for model in models)
    return f"{cheap} -> {strong}: "
