"""What the verifier has learned, shared by restarts and processes through the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final

from langchain_bedrock_opt.caching.similarity.packing import Packer
from langchain_bedrock_opt.caching.similarity.verifier import Verifier
from langchain_bedrock_opt.caching.stores.base import CacheStore
from langchain_bedrock_opt.errors import CacheStoreError

STATE_TAG: Final = b"BXl1"

_READ_SECONDS: Final = 60.0
_WRITE_SECONDS: Final = 5.0
_WRITE_LABELS: Final = 10
_TRIES: Final = 20


class SharedVerifier:
    """A verifier whose labels live in one document of the store.

    The document is read when it was not for a minute, and written after ten labels, or after one
    when the last write was five seconds ago. Labels of several processes are merged, so none
    replaces another's. Of labels that were not written yet, a crash loses at most nine.

    Args:
        verifier: The verifier, without labels.
        store: Where the document is.
        packer: Seals it.
        key: Its key.
        clock: Seconds.
    """

    def __init__(
        self,
        verifier: Verifier,
        store: CacheStore,
        packer: Packer,
        *,
        key: str,
        clock: Callable[[], float],
    ) -> None:
        self._verifier = verifier
        self._store = store
        self._packer = packer
        self._key = key
        self._clock = clock
        self._lock = Lock()
        self._merged: bytes | None = None
        self._read_at: float | None = None
        self._written_at = clock()
        self._unwritten = 0

    def judge(self, features: Sequence[float]) -> tuple[float, bool]:
        """The score of a candidate, and whether it may be served.

        Raises:
            CacheStoreError: What other processes have learned was due and could not be read.
        """
        with self._lock:
            self._read_if_due()
            return self._verifier.score(features), self._verifier.serves(features)

    def learn(self, features: Sequence[float], *, correct: bool, weight: float) -> None:
        """Take in one label; it counts here at once.

        Raises:
            CacheStoreError: The labels were due and could not be written; they are still held.
        """
        with self._lock:
            self._verifier.learn(features, correct=correct, weight=weight)
            self._unwritten += 1
            waited = self._clock() - self._written_at
            if self._unwritten >= _WRITE_LABELS or waited >= _WRITE_SECONDS:
                self._write()

    def flush(self) -> None:
        """Write labels that are not in the store yet.

        Raises:
            CacheStoreError: They could not be written.
        """
        with self._lock:
            if self._unwritten:
                self._write()

    def state(self) -> tuple[float | None, float | None, int]:
        """The threshold, the bound on its errors, and how many labels there are."""
        with self._lock:
            verifier = self._verifier
            return verifier.threshold, verifier.error_bound, verifier.label_count

    def _read_if_due(self) -> None:
        now = self._clock()
        if self._read_at is None or now - self._read_at >= _READ_SECONDS:
            # Noted first, so that a store that fails is asked once a minute and no more.
            self._read_at = now
            self._merge(self._store.get(self._key))

    def _write(self) -> None:
        self._written_at = self._clock()
        for _ in range(_TRIES):
            data = self._store.get(self._key)
            self._merge(data)
            new = self._packer.pack(self._key, STATE_TAG, self._verifier.to_dict())
            if self._store.swap(self._key, data, new, None):
                self._merged = new
                self._unwritten = 0
                return
        raise CacheStoreError(f"labels could not be written: others were faster {_TRIES} times")

    def _merge(self, data: bytes | None) -> None:
        """Take in the labels of others. Broken bytes count as none, and are replaced."""
        if data is None or data == self._merged:
            return
        self._merged = data
        try:
            state = self._packer.unpack(self._key, STATE_TAG, data)
            self._verifier.merge(state)
        except CacheStoreError:
            return
