"""Bedrock's prompt cache, emulated: what a cache point writes, and what the next call reads.

Unverified against AWS where the recordings are silent: the minimum sizes below are those of the
vendors' documentation, and a prefix is looked for up to 20 blocks before each cache point.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from langchain_bedrock_opt.catalog.specs import spec_of
from langchain_bedrock_opt.emulator.replies.counting import prompt_parts
from langchain_bedrock_opt.emulator.replies.digests import digest

# A part of the model id → tokens below which a prefix is silently not cached. First match wins.
# Sources disagree about some models; checked 2026-11-22.
_MINIMUMS: Final = (
    ("claude-haiku-4-5", 4_096),
    ("claude-opus-4-5", 4_096),
    ("claude-opus-4-6", 4_096),
    ("claude-opus-4-7", 2_048),
    ("claude-3-5-haiku", 2_048),
    ("claude-opus-5", 512),
    ("nova-lite", 1_536),
    ("nova-micro", 1_536),
)
_MINIMUM: Final = 1_024
_LOOK_BACK: Final = 20
_SECONDS: Final[Mapping[str, float]] = {"5m": 300.0, "1h": 3_600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCounts:
    """The tokens of one prompt, each counted once.

    Attributes:
        input: Neither read from nor written to the cache.
        read: Read from it.
        write: Written to it.
    """

    input: int
    read: int = 0
    write: int = 0


@dataclass(frozen=True, slots=True)
class _Point:
    """A place in a prompt: a digest of all before it, and the tokens of that."""

    key: bytes
    tokens: int
    block: int
    ttl: str | None = None


class PromptCache:
    """Remembers prefixes of prompts, per model.

    Args:
        max_prefixes: How many are remembered; the one that was used longest ago goes first.
        clock: Seconds, for the five minutes or the hour that a prefix lives.

    Example:
        >>> cache = PromptCache()
        >>> system = [{"text": "Long rules. " * 600}, {"cachePoint": {"type": "default"}}]
        >>> ask = {"modelId": "amazon.nova-pro-v1:0", "system": system, "messages": []}
        >>> cache.count(ask).write > 1_024
        True
        >>> cache.count(ask).read > 1_024
        True
    """

    def __init__(
        self, *, max_prefixes: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max = max_prefixes
        self._clock = clock
        self._expiry: OrderedDict[bytes, tuple[float, str]] = OrderedDict()
        self._lock = threading.Lock()

    def count(self, request: Mapping[str, Any]) -> CacheCounts:
        """Split a prompt's tokens into read, written and other, and remember what it wrote.

        A model without prompt caching ignores cache points, as far as the catalog knows.
        """
        spec = spec_of(request.get("modelId", ""))
        points, total = _points(request)
        marked = [point for point in points if point.ttl is not None]
        least = _minimum(request.get("modelId", ""))
        marked = [point for point in marked if point.tokens >= least]
        if not marked or (spec is not None and not spec.prompt_caching):
            return CacheCounts(input=total)
        with self._lock:
            read = self._read(points, marked, least)
            self._write(marked)
        # Several cache points nest: only what lies between the last read and the last one is new.
        write = max(0, marked[-1].tokens - read)
        return CacheCounts(input=total - read - write, read=read, write=write)

    def _read(self, points: list[_Point], marked: list[_Point], least: int) -> int:
        """The tokens of the longest living prefix at, or shortly before, a cache point."""
        now = self._clock()
        for point in sorted(points, key=lambda point: -point.tokens):
            if point.tokens < least or not any(
                0 <= mark.block - point.block <= _LOOK_BACK for mark in marked
            ):
                continue
            expiry, ttl = self._expiry.get(point.key, (0.0, ""))
            if expiry > now:
                self._remember(point.key, ttl)
                return point.tokens
        return 0

    def _write(self, marked: list[_Point]) -> None:
        for point in marked:
            self._remember(point.key, point.ttl or "5m")

    def _remember(self, key: bytes, ttl: str) -> None:
        self._expiry[key] = (self._clock() + _SECONDS.get(ttl, _SECONDS["5m"]), ttl)
        self._expiry.move_to_end(key)
        while len(self._expiry) > self._max:
            self._expiry.popitem(last=False)


def has_cache_points(request: Mapping[str, Any]) -> bool:
    """Whether a request marks any prefix; most do not, and then there is nothing to split."""
    parts = [request.get("system") or (), (request.get("toolConfig") or {}).get("tools") or ()]
    parts += [message["content"] for message in request.get("messages") or ()]
    return any("cachePoint" in block for blocks in parts for block in blocks)


def _points(request: Mapping[str, Any]) -> tuple[list[_Point], int]:
    """The places in a prompt where a prefix may end, and the tokens of the whole prompt."""
    points: list[_Point] = []
    key = digest(request.get("modelId"))
    total = block = 0
    for part, tokens in prompt_parts(request):
        if "cachePoint" in part:
            ttl = str(part["cachePoint"].get("ttl", "5m"))
            points.append(_Point(key, total, block, ttl))
            continue
        key = digest(key, part)
        total += tokens
        block += 1
        points.append(_Point(key, total, block))
    return points, total


def _minimum(model_id: str) -> int:
    return next((least for part, least in _MINIMUMS if part in model_id), _MINIMUM)
