"""Embeddings without a model: unit vectors of hashed character n-grams.

Similar texts get similar vectors, equal ones equal vectors, on every machine. They know spelling
and no meaning: "car" and "automobile" are strangers here, so nothing can be learned from them
about the quality of a real embedding model.
"""

from __future__ import annotations

import math
import unicodedata
from typing import Final
from zlib import crc32

_LONGEST: Final = 4


def embed(text: str, dimensions: int) -> list[float]:
    """Embed a text.

    Args:
        text: Any text. Case and Unicode's composed and decomposed forms make no difference.
        dimensions: The vector's length.

    Returns:
        A vector of length 1 in the Euclidean norm.

    Example:
        >>> rain, raining, far = (embed(t, 256) for t in ("It rains", "It's raining", "Tax law"))
        >>> dot = lambda a, b: sum(x * y for x, y in zip(a, b))
        >>> dot(rain, raining) > 2 * dot(rain, far)
        True
    """
    plain = f" {unicodedata.normalize('NFC', text).casefold().strip()} "
    data = plain.encode("utf-32-le", "surrogatepass")
    vector = [0.0] * dimensions
    for size in range(1, _LONGEST + 1):
        # Longer runs say more about a text than single letters, which all texts share.
        weight = float(size - 0.5)
        for start in range(0, len(data) - 4 * size + 1, 4):
            mark = crc32(data[start : start + 4 * size], size)
            # The lowest bit is the sign, so that chance collisions cancel out.
            vector[(mark >> 1) % dimensions] += weight if mark & 1 else -weight
    length = math.sqrt(sum(x * x for x in vector))
    if not length:
        vector[0] = length = 1.0
    return [x / length for x in vector]
