"""The benchmark of agents, with a few of them."""

from __future__ import annotations

from benchmarks import batch_agents


def test_agents_take_a_handful_of_jobs() -> None:
    """Agents that call a tool make one job for each of their steps, and no call on demand."""
    figures = batch_agents.run(120, window=0.1).figures
    assert figures["model calls of agents"] == 240
    assert figures["jobs"] == 2
    assert figures["on-demand calls"] == 0
    assert figures["other answers than on demand, of the sample"] == 0
