"""Answers that a cache has before anybody has asked: from a file of questions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from langchain_core.runnables import Runnable

from langchain_bedrock_opt.caching.stats import CacheStats
from langchain_bedrock_opt.errors import ConfigurationError

_NAMES = {"prompt", "answer", "tags", "ttl"}


class _Cache(Protocol):
    """What warming up needs of a cache."""

    def options(
        self,
        *,
        tags: Iterable[str] | None = None,
        ttl: float | None = None,
        answer: str | None = None,
    ) -> AbstractContextManager[None]:
        """Calls made inside the block are made so."""

    def stats(self) -> CacheStats:
        """What the cache has done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """What warming up has done. Other calls of the same cache meanwhile count in, too.

    Attributes:
        rows: Questions there were.
        known: Questions that the cache could answer already.
        stored: Answers that it keeps now and did not before.
        failed: The rows that failed, by their number from 1, and why.
    """

    rows: int
    known: int
    stored: int
    failed: Mapping[int, str]


def warm_up(
    cache: _Cache, rows: str | Path | Iterable[Mapping[str, Any]], model: Runnable[Any, Any]
) -> WarmUp:
    """Have a model that uses the cache answer questions, with the answers that are given.

    See `BedrockSemanticCache.warm_up`.
    """
    questions = list(_read(rows) if isinstance(rows, (str, Path)) else rows)
    for number, row in enumerate(questions, start=1):
        _check(number, row)
    before, failed = cache.stats(), {}
    for number, row in enumerate(questions, start=1):
        options = cache.options(tags=row.get("tags"), ttl=row.get("ttl"), answer=row.get("answer"))
        try:
            with options:
                model.invoke(_prompt(row["prompt"]))
        except Exception as error:  # noqa: BLE001 - one question must not keep the others out
            failed[number] = f"{type(error).__name__}: {error}"
    after = cache.stats()
    return WarmUp(
        rows=len(questions),
        known=after.hits - before.hits,
        stored=after.stores - before.stores,
        failed=failed,
    )


def _read(path: str | Path) -> Iterator[Any]:
    """The rows of a file of JSON lines."""
    path = Path(path).expanduser()
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{str(path)!r} can't be read as UTF-8 text: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise ConfigurationError(f"line {number} of {str(path)!r} is no JSON") from error


def _check(number: int, row: Any) -> None:
    if not isinstance(row, Mapping) or "prompt" not in row or not _NAMES.issuperset(row):
        raise ConfigurationError(
            f"row {number} can't warm a cache up: give a dict with 'prompt' and, as you like, "
            "'answer', 'tags' and 'ttl'"
        )
    answer = row.get("answer")
    if answer is not None and not (isinstance(answer, str) and answer.strip()):
        raise ConfigurationError(f"row {number}: 'answer' must be a text that says something")


def _prompt(prompt: Any) -> Any:
    """A prompt as a model takes it: JSON has no tuples, of which LangChain's messages are made."""
    if not isinstance(prompt, list):
        return prompt
    return [tuple(message) if isinstance(message, list) else message for message in prompt]
