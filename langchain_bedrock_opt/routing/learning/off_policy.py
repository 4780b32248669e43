"""What another policy would have got, estimated from what this one logged.

Each call counts as much more as the other policy would have sent it there more often (inverse
propensity). That is right on average where the following holds; nobody can check it by the log:

* The log is of the same tiers and the same scorer. The score, the tiers that could have answered
  and the propensity are read from it.
* What the other policy would do, the log's policy sometimes did: it explores one tier up and
  down, so a policy that jumps further is out of reach. The mean weight shows it: it must be near 1.
* Labels are missing by chance, and not because of what the answer was like.
* Calls don't change each other, save that a repeated prompt has the same draw each time: the
  intervals and the warnings take calls of one prompt for one draw. A log holds no prompts, so calls
  of one score, the same tiers and as many tokens are taken for one; hits of the response cache
  have no tokens. Few different prompts tell little, however often they come.
* Calls whose tier something else than the score decided are left out, so nothing is said of them:
  forced calls, those of a conversation that is with a stronger tier than the first, short of
  budget, in shadow mode, or moved by escalation's break-even guard.
* What follows is part of what asking a tier leads to: an answer that was escalated or fell back
  stands for the tier that was asked first, by its label, and a hit of the response cache is an
  answer that cost nothing. The cost of an escalated answer lacks that of the one discarded, which
  is a run of its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

from langchain_bedrock_opt.catalog.prices import PICO_PER_USD
from langchain_bedrock_opt.contracts import RouteDecision, UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.learning.labels import (
    Scale,
    by_run,
    on_scale,
    read_label,
)
from langchain_bedrock_opt.routing.policy import RoutingPolicy
from langchain_bedrock_opt.routing.records import REFUSED, UNASKED, HasRecords, Tier, records_of
from langchain_bedrock_opt.routing.tables import html_table, text_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

_DECIDED_ELSEWHERE: Final = frozenset(
    {"sticky", "conversation", "budget", "break_even", UNASKED, REFUSED}
)
"""Signals of what chose a tier in place of the score."""

_RESAMPLES: Final = 1000
_INTERVAL: Final = (2.5, 97.5)

_LEAST_EFFECTIVE: Final = 30.0
"""Below so many calls' worth, an interval says little of itself."""

_ODD_WEIGHT: Final = 4.0
"""Standard errors by which a mean weight differs from 1 by chance once in 10,000 times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An estimated mean reward of a call.

    Attributes:
        value: The estimate.
        low: Where its 95 % interval begins, by bootstrap over prompts.
        high: Where it ends.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """The estimate with its interval."""
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyEstimate:
    """What a policy would have got. A notebook shows it as a table; `str()` gives it as text.

    The reward of a call is its label, less its cost in US dollars times the price weight.

    Attributes:
        calls: Labelled calls that are judged.
        left_out: Labelled calls that are not, as something else than the score decided, or the tier
            is not the router's.
        logged: The mean reward of what was done.
        ips: That of the policy by inverse propensity: unbiased, and wide.
        snips: The same with the weights made to add up to one: a little biased, and narrower. The
            one to read first.
        matched: The share of calls that the policy might have sent to the same tier.
        effective_calls: How many evenly weighted calls of different prompts these weights are
            worth.
        mean_weight: 1 on average, if the log's policy sometimes did all that this one would do.
        warnings: What speaks against trusting the estimates.
    """

    calls: int
    left_out: int
    logged: Estimate
    ips: Estimate
    snips: Estimate
    matched: float
    effective_calls: float
    mean_weight: float
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The estimates as a JSON-ready dict."""
        return {**asdict(self), "warnings": list(self.warnings)}

    def __str__(self) -> str:
        """The estimates as text."""
        return "\n".join([text_table([_HEAD, *self._rows()]), "", self._summary()])

    def _repr_html_(self) -> str:
        """The estimates as a notebook shows them: no script, no picture, everything escaped."""
        return f"<div>{html_table(_HEAD, self._rows())}<p>{escape(self._summary())}</p></div>"

    def _rows(self) -> list[tuple[str, str]]:
        return [
            ("as logged", str(self.logged)),
            ("policy, SNIPS", str(self.snips)),
            ("policy, IPS", str(self.ips)),
        ]

    def _summary(self) -> str:
        said = (
            f"{self.calls} labelled calls, {self.left_out} more left out; {self.matched:.1%} "
            f"matched, worth {self.effective_calls:.0f} calls; mean weight {self.mean_weight:.2f}."
        )
        return " ".join([said, *(f"Warning: {warning}." for warning in self.warnings)])


_HEAD = ("reward of a call", "mean [95 % interval]")


def judge(
    records: Iterable[UsageRecord] | HasRecords,
    policy: RoutingPolicy,
    *,
    tiers: Sequence[Tier],
    labels: Mapping[str, Any],
    scale: Scale | None = None,
    price_weight: float = 0.0,
    resamples: int = _RESAMPLES,
    rng: Generator | None = None,
) -> PolicyEstimate:
    """Estimate what a policy would have got, by logged calls of another one.

    Args:
        records: Usage records, or a ledger that has them.
        policy: The policy that is judged. Its thresholds, residency, exploration and bandit
            count; its budget and what a conversation would hold don't.
        tiers: The tiers of the router that logged, from the cheapest to the strongest.
        labels: How good answers were, by the run id of their call.
        scale: What the worst and the best answer get, where labels are not from 0 to 1.
        price_weight: What a US dollar is worth, in units of the label.
        resamples: How often the prompts are drawn anew for the intervals.
        rng: Draws them.

    Returns:
        The estimates. The module says what they assume.

    Raises:
        ConfigurationError: Nothing was explored, no labelled call can be judged, the policy would
            have sent none of them where it went, or an argument is not what it can be.
    """
    values = _read(labels, scale)
    _check(price_weight, resamples)
    import numpy as np

    labelled = [
        (record, record.route, values[record.run_id])
        for record in records_of(records)
        if record.route is not None and record.run_id in values
    ]
    judged = [each for each in labelled if _is_by_score(each[1], tiers)]
    if price_weight:
        _check_priced([record for record, _, _ in judged])
    _check_explored([route for _, route, _ in judged], len(labelled))
    fitted = policy.fitted_to(tiers)
    weights = np.array([_weight(fitted, route, tiers) for _, route, _ in judged])
    rewards = np.array(
        [
            label - price_weight * (record.cost_pico_usd or 0) / PICO_PER_USD
            for record, _, label in judged
        ]
    )
    if not weights.any():
        raise ConfigurationError(
            f"The policy would have sent none of {len(judged)} labelled calls where they went: "
            "explore more (RoutingPolicy(explore=0.1)), or judge one that is more alike."
        )
    clusters = _clusters([(record, route) for record, route, _ in judged])
    rng = rng or np.random.default_rng()
    return _estimated(
        weights, rewards, clusters, labelled=len(labelled), resamples=resamples, rng=rng
    )


def _estimated(
    weights: NDArray[np.float64],
    rewards: NDArray[np.float64],
    clusters: Sequence[int],
    *,
    labelled: int,
    resamples: int,
    rng: Generator,
) -> PolicyEstimate:
    import numpy as np

    calls = len(weights)
    parts = np.stack([rewards, weights * rewards, weights, np.ones(calls)])
    sums = np.stack([np.bincount(clusters, part) for part in parts])
    prompts = sums.shape[1]
    drawn = np.array(
        [sums[:, rng.integers(0, prompts, prompts)].sum(axis=1) for _ in range(resamples)]
    )
    drawn = drawn[:, :3] / drawn[:, 3:]
    logged, ips, mean_weight = (float(value) for value in parts[:3].mean(axis=1))
    has_match = drawn[:, 2] > 0
    effective = float(weights.sum() ** 2 / (sums[2] ** 2).sum())
    error = float(((sums[2] - mean_weight * sums[3]) ** 2).sum() ** 0.5 / calls)
    return PolicyEstimate(
        calls=calls,
        left_out=labelled - calls,
        logged=_interval(logged, drawn[:, 0]),
        ips=_interval(ips, drawn[:, 1]),
        snips=_interval(ips / mean_weight, drawn[has_match, 1] / drawn[has_match, 2]),
        matched=float((weights > 0).mean()),
        effective_calls=effective,
        mean_weight=mean_weight,
        warnings=tuple(_warnings(effective, mean_weight, error)),
    )


def _clusters(calls: Sequence[tuple[UsageRecord, RouteDecision]]) -> list[int]:
    """The number of each call's prompt, as far as a log tells prompts apart."""
    numbers: dict[Hashable, int] = {}
    found = []
    for record, route in calls:
        tokens = 0 if record.usage is None else record.usage.total - record.usage.output
        prompt = route.score, frozenset(_able(route)), tokens
        found.append(numbers.setdefault(prompt, len(numbers)))
    return found


def _interval(value: float, drawn: NDArray[np.float64]) -> Estimate:
    import numpy as np

    low, high = np.percentile(drawn, _INTERVAL)
    return Estimate(value=value, low=float(low), high=float(high))


def _warnings(effective: float, mean_weight: float, error: float) -> Iterable[str]:
    if effective < _LEAST_EFFECTIVE:
        yield f"the weights are worth {effective:.0f} calls only: label more, of other prompts"
    if abs(mean_weight - 1) > _ODD_WEIGHT * error + 1e-9:
        yield (
            f"the mean weight is {mean_weight:.2f} and not 1, so the policy does what was never "
            "tried: judge one that is more alike"
        )


def _is_by_score(route: RouteDecision, tiers: Sequence[Tier]) -> bool:
    """Whether it was the score that decided on a call, among these tiers."""
    moved_twice = route.escalated_from is not None and route.fallback_from is not None
    if route.forced or route.shadow is not None or moved_twice:
        return False
    if _first_asked(route) not in {tier.name for tier in tiers}:
        return False
    return _DECIDED_ELSEWHERE.isdisjoint(route.notes)


def _first_asked(route: RouteDecision) -> str:
    return route.escalated_from or route.fallback_from or route.tier


def _able(route: RouteDecision) -> set[str]:
    return {route.tier, _first_asked(route), *route.alternatives}


def _weight(policy: RoutingPolicy, route: RouteDecision, tiers: Sequence[Tier]) -> float:
    """How much more often the policy would have sent a call there."""
    chances = policy.probabilities(route.score, tiers, _able(route))
    return chances.get(_first_asked(route), 0.0) / route.propensity


def _read(labels: Mapping[str, Any], scale: Scale | None) -> dict[str, float]:
    items = by_run(labels).items()
    read = {run_id: read_label(label, f"Run {run_id}") for run_id, label in items}
    found = {run_id: label for run_id, label in read.items() if label is not None}
    return dict(zip(found, on_scale([*found.values()], scale), strict=True))


def _check(price_weight: float, resamples: int) -> None:
    if not price_weight >= 0:
        raise ConfigurationError(f"price_weight={price_weight!r}: give a number from 0 on.")
    if resamples < 1:
        raise ConfigurationError(f"resamples={resamples!r}: give a whole number from 1 on.")


def _check_priced(records: Sequence[UsageRecord]) -> None:
    # Left out they would bias the estimate: what has no price is a tier.
    unpriced = {
        record.model_id
        for record in records
        if record.cost_pico_usd is None and record.status == "ok"
    }
    if unpriced:
        raise ConfigurationError(
            f"No cost is known of labelled calls of {', '.join(sorted(unpriced))}: give "
            "price_weight=0, or take their tier out of the comparison."
        )


def _check_explored(routes: Sequence[RouteDecision], labelled: int) -> None:
    if not routes:
        raise ConfigurationError(
            f"None of {labelled} labelled calls can be judged: labels go by the run id of routed "
            "calls, and those that were forced, held up by their conversation or short of budget "
            "don't count."
        )
    if all(route.propensity == 1 for route in routes):
        raise ConfigurationError(
            f"Nothing was explored in {len(routes)} labelled calls, each propensity is 1: what "
            "another policy gets can't be told. Log calls of RoutingPolicy(explore=0.05) first."
        )
