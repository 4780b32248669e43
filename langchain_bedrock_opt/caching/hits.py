"""Hits by name, so that somebody who sees an answer can say later whether it was right.

An exact hit is named by its entry's key. What a similar hit went by is kept in the store for a
week, because the feedback may come another day and to another process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from secrets import token_hex
from typing import Final

from langchain_bedrock_opt.caching.codec import EntryCodec
from langchain_bedrock_opt.caching.similarity.bound import Match
from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.errors import CacheStoreError

KEPT_FOR: Final = 7 * 24 * 3600.0
"""Seconds for which feedback on a similar hit is taken."""

_TAG: Final = b"BRh1"
_EXACT, _SIMILAR = "e:", "s:"


def exact_hit_id(key: str) -> str:
    """The name of a hit on an entry."""
    return _EXACT + key


def entry_key_of(hit_id: str) -> str | None:
    """The entry that an exact hit was on; None for a hit of another kind."""
    return hit_id.removeprefix(_EXACT) if hit_id.startswith(_EXACT) else None


class SimilarHits:
    """What similar hits went by.

    Args:
        store: Where it is kept.
        codec: Makes it bytes.
        draw: A new name.
    """

    def __init__(
        self,
        store: CacheStore,
        codec: EntryCodec,
        *,
        draw: Callable[[], str] = lambda: token_hex(12),
    ) -> None:
        self._store = store
        self._codec = codec
        self._draw = draw

    def note(self, tenant: str, match: Match) -> str:
        """Keep what a hit went by, and return its name.

        Args:
            tenant: Whose answers they are.
            match: What was found.

        Raises:
            CacheStoreError: The store failed.
        """
        hit_id = _SIMILAR + self._draw()
        document = {"tenant": tenant, "match": asdict(match)}
        self._store.put(hit_id, self._codec.encode(hit_id, _TAG, document), KEPT_FOR)
        return hit_id

    def find(self, hit_id: str) -> tuple[str, Match] | None:
        """The tenant and the match of a hit; None if it is not known, or no more.

        Raises:
            CacheStoreError: The store failed, or what it has is broken.
        """
        data = self._store.get(hit_id) if hit_id.startswith(_SIMILAR) else None
        if data is None:
            return None
        document = self._codec.decode(hit_id, _TAG, data)
        try:
            match = document["match"]
            match["features"] = tuple(match["features"])
            return document["tenant"], Match(**match)
        except (KeyError, TypeError) as error:
            raise CacheStoreError("a hit in the store is broken") from error
