"""Progress on standard error: a bar on a terminal with `rich`, else a line for each change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from langchain_bedrock_opt.cli.output import is_terminal, note

Show: TypeAlias = "Callable[[int, int | None, str], object]"
"""Is told how much is done, of how much (None if that is not known), and what to say beside it."""


@contextmanager
def progress() -> Iterator[Show]:
    """Show how far something is, for as long as the block lasts."""
    if is_terminal(sys.stderr):
        try:
            import rich.progress as rich_progress
            from rich.console import Console
        except ImportError:
            pass
        else:
            with rich_progress.Progress(
                rich_progress.TextColumn("{task.description}"),
                rich_progress.BarColumn(),
                rich_progress.MofNCompleteColumn(),
                rich_progress.TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            ) as bar:
                task = bar.add_task("", total=None)
                yield lambda done, total, said: bar.update(
                    task, completed=done, total=total, description=said
                )
            return
    yield _lines()


def _lines() -> Show:
    last = ""

    def show(done: int, total: int | None, said: str) -> None:
        nonlocal last
        line = said if total is None else f"{said} {done:,}/{total:,}"
        if line != last:
            last = line
            note(line)

    return show
