"""What a user sees while jobs are waited for: a bar if `rich` is there, else lines on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from langchain_bedrock_opt.batching.run.status import BatchStatus

OnProgress = Callable[[BatchStatus], object]
"""Is told how far a run is, after each look."""


Progress: TypeAlias = "bool | OnProgress"
"""True for a bar on stderr (with `rich`, else lines), False for nothing, or who is told."""


class Display(Protocol):
    """Shows how far a run is."""

    def show(self, status: BatchStatus) -> None:
        """Show it."""

    def close(self) -> None:
        """Show nothing more."""


def display_for(progress: Progress) -> Display:
    """What shows the progress that `wait` was asked for.

    Args:
        progress: True for a bar or lines, False for nothing, or a callable that is told.
    """
    if callable(progress):
        return _Told(progress)
    if not progress:
        return _Told(lambda _: None)
    try:
        import rich.progress as rich_progress
    except ImportError:
        return _Lines()
    return _Bar(rich_progress)


class _Told:
    """Tells a callable."""

    def __init__(self, tell: OnProgress) -> None:
        self._tell = tell

    def show(self, status: BatchStatus) -> None:
        self._tell(status)

    def close(self) -> None:
        """Nothing is open."""


class _Lines:
    """Writes a line whenever something has changed."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, status: BatchStatus) -> None:
        line = _line(status)
        if line != self._last:
            self._last = line
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - what the user asked for

    def close(self) -> None:
        """Nothing is open."""


class _Bar:
    """A bar of rich's, on stderr."""

    def __init__(self, rich_progress: Any) -> None:
        from rich.console import Console

        self._bar = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._task: Any = None

    def show(self, status: BatchStatus) -> None:
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task("", total=status.total)
        self._bar.update(
            self._task, description=_line(status), completed=status.done, total=status.total
        )

    def close(self) -> None:
        if self._task is not None:
            self._bar.stop()


def _line(status: BatchStatus) -> str:
    counts: dict[str, int] = {}
    for stage in status.stages:
        for shard in stage.shards:
            counts[shard.status] = counts.get(shard.status, 0) + 1
    shards = ", ".join(f"{count} {name}" for name, count in counts.items())
    eta = f", about {status.eta} left" if status.eta is not None else ""
    return f"{status.run_id}: {status.done:,}/{status.total:,} records, jobs: {shards}{eta}"
