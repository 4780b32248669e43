"""Which records are equal: each is sent once, and its answer is given to all of them.

A run may have millions of records, so a record takes 16 bytes of digest, 4 of place and 6 to 12
of an open-addressed index: a set of Python's would take eight times as much.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b
from typing import Final

_EMPTY: Final = 0xFFFFFFFF
_FIRST_SLOTS: Final = 1024
_MASK_64: Final = 0xFFFFFFFFFFFFFFFF


def digest_of(body: bytes) -> str:
    """What a record's body is known by, without its text.

    Example:
        >>> digest_of(b"{}")
        '2afb9b83f9314e5d029766197f539792'
    """
    return blake2b(body, digest_size=16).hexdigest()


class FirstPlaces:
    """The place at which each distinct body was first seen.

    Bodies are told apart by 128 bits of BLAKE2: among a billion, the odds that two share them by
    chance are 1 in 10²⁰. Use one for each kind of job.

    Example:
        >>> seen = FirstPlaces()
        >>> seen.first(0, b"a"), seen.first(1, b"b"), seen.first(2, b"a")
        (None, None, 0)
    """

    def __init__(self) -> None:
        self._digests = array("Q")  # two items a body
        self._places = array("I")
        self._slots = array("I", [_EMPTY]) * _FIRST_SLOTS

    def __len__(self) -> int:
        """How many distinct bodies there are."""
        return len(self._places)

    @property
    def memory(self) -> int:
        """Bytes that it holds."""
        return sum(len(a) * a.itemsize for a in (self._digests, self._places, self._slots))

    def first(self, place: int, body: bytes) -> int | None:
        """The place of the equal record that came first; None if there is none before this.

        Args:
            place: The record's place.
            body: Its body.
        """
        digest = int.from_bytes(blake2b(body, digest_size=16).digest(), "little")
        high, low = digest >> 64, digest & _MASK_64
        digests, slots = self._digests, self._slots
        mask = len(slots) - 1
        slot = low & mask
        while (number := slots[slot]) != _EMPTY:
            if digests[2 * number] == low and digests[2 * number + 1] == high:
                return self._places[number]
            slot = (slot + 1) & mask
        slots[slot] = len(self._places)
        digests.append(low)
        digests.append(high)
        self._places.append(place)
        if 3 * len(self._places) > 2 * len(slots):
            self._grow()
        return None

    def _grow(self) -> None:
        size = 2 * len(self._slots)
        mask = size - 1
        # The old index goes first, and nothing is copied: this is where memory is at its peak.
        self._slots = array("I")
        slots = array("I", [_EMPTY]) * size
        digests = self._digests
        for number in range(len(self._places)):
            slot = digests[2 * number] & mask
            while slots[slot] != _EMPTY:
                slot = (slot + 1) & mask
            slots[slot] = number
        self._slots = slots
