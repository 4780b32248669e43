"""Answers that a cache has before anybody has asked: from a file of questions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import uuid4

from langchain_core.runnables import Runnable

from langchain_bedrock_opt.caching.stats import CacheStats
from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError
from langchain_bedrock_opt.lines import numbered_lines, read_text

_NAMES: Final = {"prompt", "answer", "tags", "ttl"}
_PROBE_TTL: Final = 60.0


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
        unkept: The numbers of the rows whose answer the cache does not keep: it was cut short or
            stopped by a guardrail, or the request has a temperature above 0.
    """

    rows: int
    known: int
    stored: int
    failed: Mapping[int, str]
    unkept: tuple[int, ...] = ()


def warm_up(
    cache: _Cache,
    rows: str | Path | Iterable[Mapping[str, Any]],
    model: Runnable[Any, Any],
    store: CacheStore,
) -> WarmUp:
    """Have a model that uses the cache answer questions, with the answers that are given.

    See `BedrockSemanticCache.warm_up`.
    """
    questions = _read(rows) if isinstance(rows, (str, Path)) else list(rows)
    for number, row in enumerate(questions, start=1):
        _check(number, row)
    _probe(store)
    start, failed, unkept = cache.stats(), {}, []
    for number, row in enumerate(questions, start=1):
        options = cache.options(tags=row.get("tags"), ttl=row.get("ttl"), answer=row.get("answer"))
        before = cache.stats()
        try:
            with options:
                model.invoke(_prompt(row["prompt"]))
        except Exception as error:  # noqa: BLE001 - one question must not keep the others out
            failed[number] = f"{type(error).__name__}: {error}"
        else:
            if not _is_kept(number, row, before, cache.stats()):
                unkept.append(number)
    end = cache.stats()
    return WarmUp(
        rows=len(questions),
        known=end.hits - start.hits,
        stored=end.stores - start.stores,
        failed=failed,
        unkept=tuple(unkept),
    )


def _probe(store: CacheStore) -> None:
    """Write to the store and read it, since a call would pass its failure over and be paid for.

    Raises:
        CacheStoreError: It does not work.
    """
    key, value = f"probe:{uuid4().hex}", b"probe"
    try:
        store.put(key, value, _PROBE_TTL)
        found = store.get(key)
        store.delete(key)
    except CacheStoreError:
        raise
    except Exception as error:
        raise CacheStoreError(f"the store failed: {type(error).__name__}: {error}") from error
    if found != value:
        raise CacheStoreError(
            f"{store!r} does not keep what is put into it, so no answer was paid for: look at its "
            "size limit and its eviction policy"
        )


def _is_kept(number: int, row: Mapping[str, Any], before: CacheStats, after: CacheStats) -> bool:
    """Whether a row is in the cache now.

    Raises:
        CacheStoreError: The store has failed meanwhile.
        ConfigurationError: The row was paid for, and its request is one that is not kept.
    """
    if after.hits > before.hits or after.stores > before.stores:
        return True
    if after.errors > before.errors:
        raise CacheStoreError(
            f"the store failed at row {number}, and the rows after it were not asked: once it "
            "works, warm up again (what is stored is not paid for again)"
        )
    if after.bypassed > before.bypassed and row.get("answer") is None:
        raise ConfigurationError(
            f"row {number} was answered and is not kept, and the rows after it were not asked: a "
            "cache keeps no answers to requests with a temperature above 0"
        )
    return False


def _read(path: str | Path) -> list[Any]:
    """The rows of a file of JSON lines."""
    lines = numbered_lines(read_text(path))
    if not lines:
        raise ConfigurationError(
            f"{str(path)!r} holds no question: write JSON lines such as "
            '{"prompt": "When do you open?", "answer": "At 9."}'
        )
    return [_row(number, line, path) for number, line in lines]


def _row(number: int, line: str, path: str | Path) -> Any:
    try:
        return json.loads(line)
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
