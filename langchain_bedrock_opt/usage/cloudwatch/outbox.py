"""Parcels that wait to be sent: first in, first out, within a bound of memory."""

from __future__ import annotations

import sys
from collections import deque

from langchain_bedrock_opt.usage.cloudwatch.datums import Parcel


class Outbox:
    """A queue of parcels that drops its oldest ones when it grows too large. Not thread-safe.

    Args:
        max_bytes: The most memory its parcels may take.

    Example:
        >>> outbox = Outbox(1000)
        >>> outbox.put(Parcel.pack([])), len(outbox)
        (0, 1)
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._parcels: deque[Parcel] = deque()

    def __len__(self) -> int:
        """How many parcels wait."""
        return len(self._parcels)

    def put(self, parcel: Parcel) -> int:
        """Add a parcel at the end.

        Returns:
            How many metrics were dropped with the oldest parcels to make room for it.
        """
        self._parcels.append(parcel)
        self._bytes += sys.getsizeof(parcel.packed)
        dropped = 0
        while self._bytes > self._max_bytes and len(self._parcels) > 1:
            dropped += self.pop().size
        return dropped

    def put_first(self, parcel: Parcel) -> None:
        """Add a parcel at the front: a part of the one that was taken from there."""
        self._parcels.appendleft(parcel)
        self._bytes += sys.getsizeof(parcel.packed)

    def pop(self) -> Parcel:
        """Take the parcel whose turn it is."""
        parcel = self._parcels.popleft()
        self._bytes -= sys.getsizeof(parcel.packed)
        return parcel
