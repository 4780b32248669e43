"""Hits by name, so that somebody who sees an answer can say later whether it was right.

An exact hit is named by its entry's key. What a similar hit went by is kept in the store for a
week, because the feedback may come another day and to another process.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from secrets import token_hex
from typing import Final

from langchain_bedrock_opt.caching.codec import EntryCodec
from langchain_bedrock_opt.caching.epochs import epoch_name
from langchain_bedrock_opt.caching.similarity.bound import Match
from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.errors import CacheStoreError

KEPT_FOR: Final = 7 * 24 * 3600.0
"""Seconds for which feedback on a similar hit is taken."""

_TAG: Final = b"BRh1"
_SIMILAR: Final = "s:"
_EXACT = re.compile(r"e:(?P<namespace>[0-9a-f]{24}):(?P<key>v\d+g?:[0-9a-f]{64})")


def exact_hit_id(namespace: str, key: str) -> str:
    """The name of a hit on an entry of a namespace."""
    return f"e:{epoch_name('hit', namespace)}:{key}"


def entry_key_of(namespace: str, hit_id: str) -> str | None:
    """The entry that an exact hit of this namespace was on; None for any other text."""
    match = _EXACT.fullmatch(hit_id)
    if match is None or match["namespace"] != epoch_name("hit", namespace):
        return None
    return match["key"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarHit:
    """A similar hit that was labelled.

    Attributes:
        tenant: Whose it was.
        match: What it went by.
        is_new: Whether it had no label before.
    """

    tenant: str
    match: Match
    is_new: bool


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
        document = {"tenant": tenant, "match": asdict(match), "label": None}
        self._store.put(hit_id, self._codec.encode(hit_id, _TAG, document), KEPT_FOR)
        return hit_id

    def label(self, hit_id: str, *, correct: bool) -> SimilarHit | None:
        """Mark a hit as right or wrong.

        A wrong one stays wrong; otherwise the first label counts, however often it is repeated.

        Returns:
            The hit; None if it is not known, or no more, or nothing new was said of it.

        Raises:
            CacheStoreError: The store failed, or what it has is broken.
        """
        data = self._store.get(hit_id) if hit_id.startswith(_SIMILAR) else None
        if data is None:
            return None
        document = self._codec.decode(hit_id, _TAG, data)
        try:
            before = document["label"]
            match = document["match"]
            match["features"] = tuple(match["features"])
            hit = SimilarHit(tenant=document["tenant"], match=Match(**match), is_new=before is None)
        except (KeyError, TypeError) as error:
            raise CacheStoreError("a hit in the store is broken") from error
        if before is not None and (correct or not before):
            return None
        labelled = self._codec.encode(hit_id, _TAG, {**document, "label": correct})
        # Of two that say something at once, one is heard.
        return hit if self._store.swap(hit_id, data, labelled, KEPT_FOR) else None
