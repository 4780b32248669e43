"""How a figure is made: ours and the baseline in turn, and the median of their ratios.

Machines are noisy, so no figure here is a time that must be met; each is a ratio between two
things measured side by side in one run.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one benchmark found.

    Attributes:
        benchmark: Its name.
        figures: Our figures by name, with their unit in it.
        baselines: What they were measured beside.
        goals: The most a figure may be, by its name; `>=` goals are negative.
    """

    benchmark: str
    figures: dict[str, float]
    baselines: dict[str, float] = field(default_factory=dict)
    goals: dict[str, tuple[str, float]] = field(default_factory=dict)

    def as_json(self) -> str:
        """One line for machines."""
        rounded = {name: _round(value) for name, value in self.figures.items()}
        baselines = {name: _round(value) for name, value in self.baselines.items()}
        document = {"benchmark": self.benchmark, "figures": rounded, "baselines": baselines}
        return json.dumps(document, ensure_ascii=False)

    def as_table(self) -> str:
        """A table for people."""
        names = [*self.figures, *self.baselines]
        width = max(map(len, names))
        lines = [f"{self.benchmark}"]
        for name, value in self.figures.items():
            lines.append(f"  {name:<{width}}  {_round(value):>12}  {self._goal(name, value)}")
        for name, value in self.baselines.items():
            lines.append(f"  {name:<{width}}  {_round(value):>12}  (baseline)")
        return "\n".join(line.rstrip() for line in lines)

    def _goal(self, name: str, value: float) -> str:
        if name not in self.goals:
            return ""
        relation, bound = self.goals[name]
        is_met = value <= bound if relation == "<=" else value >= bound
        return f"goal {relation} {bound:g}: {'met' if is_met else 'MISSED'}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Ours beside a baseline: the medians of each, and of their ratio round by round."""

    ours: float
    baseline: float
    ratio: float


def compare(ours: Callable[[], float], baseline: Callable[[], float], *, rounds: int) -> Comparison:
    """Measure two things in turn, so that a busy moment of the machine hits both.

    Args:
        ours: Measures ours once and returns a number.
        baseline: Likewise; who goes first alternates.
        rounds: How often.
    """
    pairs: list[tuple[float, float]] = []
    for number in range(rounds):
        if number % 2:
            theirs, mine = baseline(), ours()
        else:
            mine, theirs = ours(), baseline()
        pairs.append((mine, theirs))
    return Comparison(
        ours=statistics.median(mine for mine, _ in pairs),
        baseline=statistics.median(theirs for _, theirs in pairs),
        ratio=statistics.median(mine / theirs for mine, theirs in pairs),
    )


def _round(value: float) -> float:
    return float(f"{value:.4g}")
