"""The size of an image, read from its first bytes: PNG, GIF, WebP and JPEG."""

from __future__ import annotations

import base64
import binascii
from typing import Final

Size = tuple[int, int]
"""Width and height, in pixels."""

_HEAD: Final = 1 << 18
"""Characters of base64 that are decoded: a photo's preview may stand before its size."""

_PNG: Final = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers of JPEG, which carry the size: all of 0xC0 to 0xCF but three.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length behind them."""


def image_size(data: bytes | bytearray | str) -> Size | None:
    """The width and height of an image.

    Args:
        data: Its bytes, or the base64 of them; the beginning is enough.

    Returns:
        Width and height in pixels; None if it is cut too short or of another format.

    Example:
        >>> image_size(b"GIF89a" + bytes([0x40, 0x01, 0xC8, 0x00]))
        (320, 200)
    """
    head = _decoded(data) if isinstance(data, str) else bytes(data[:_HEAD])
    if head.startswith(_PNG) and len(head) >= 24:  # noqa: PLR2004 - where its size ends
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if head[:6] in {b"GIF87a", b"GIF89a"} and len(head) >= 10:  # noqa: PLR2004
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp(head)
    if head[:2] == b"\xff\xd8":
        return _jpeg(head)
    return None


def _decoded(text: str) -> bytes:
    try:
        # Only the padding at the very end makes a length that is no multiple of four.
        return base64.b64decode(text[:_HEAD])
    except (binascii.Error, ValueError):
        return b""


def _webp(head: bytes) -> Size | None:
    kind = head[12:16]
    if len(head) < 30:  # noqa: PLR2004 - the longest of the three headers
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = head[26:28], head[28:30]
        return int.from_bytes(width, "little") & 0x3FFF, int.from_bytes(height, "little") & 0x3FFF
    return None


def _jpeg(head: bytes) -> Size | None:
    at = 2
    while at + 9 <= len(head):
        if head[at] != 0xFF:  # noqa: PLR2004 - every marker begins so
            return None
        marker = head[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(head[at + 7 : at + 9], "big"), int.from_bytes(
                head[at + 5 : at + 7], "big"
            )
        if marker == 0xFF:  # noqa: PLR2004 - a fill byte
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(head[at + 2 : at + 4], "big"))
    return None
