"""Embeddings as few bytes: a byte, half a byte or a bit per dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from langchain_bedrock_opt.errors import CacheStoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BYTE: Final = 127
_NIBBLE: Final = 7
_ZERO_NIBBLE: Final = 8
_TINY: Final = 1e-9


def unit_vector(vector: Sequence[float] | NDArray[np.float32]) -> NDArray[np.float32]:
    """A vector with its length made 1.

    Raises:
        CacheStoreError: It has no length or no direction: empty, all zeros, or not finite.

    Example:
        >>> unit_vector([3.0, 4.0]).round(2).tolist()
        [0.6000000238418579, 0.800000011920929]
    """
    import numpy as np

    values = np.asarray(vector, dtype=np.float32)
    length = float(np.linalg.norm(values)) if values.ndim == 1 and values.size else 0.0
    if not np.isfinite(length) or length == 0.0:
        raise CacheStoreError(f"an embedding of {values.size} numbers has no direction")
    unit: NDArray[np.float32] = values / np.float32(length)
    return unit


def to_int8(vector: NDArray[np.float32]) -> bytes:
    """A vector with a byte for each dimension. Its length is lost, its direction is kept."""
    import numpy as np

    codes: NDArray[np.int8] = np.rint(vector * (_BYTE / np.abs(vector).max())).astype(np.int8)
    return codes.tobytes()


def cosines(query: NDArray[np.float32], codes: Sequence[bytes]) -> NDArray[np.float32]:
    """The cosines between a unit vector and vectors from `to_int8`, at least one.

    Example:
        >>> query = unit_vector([1.0, 1.0])
        >>> cosines(query, [to_int8(query), to_int8(-query)]).tolist()
        [1.0, -1.0]
    """
    import numpy as np

    rows = np.frombuffer(b"".join(codes), dtype=np.int8).reshape(len(codes), -1)
    rows = rows.astype(np.float32)
    scores: NDArray[np.float32] = rows @ query / np.linalg.norm(rows, axis=1)
    return scores.clip(-1.0, 1.0)


def signature(vector: NDArray[np.float32]) -> bytes:
    """The signs of a vector, a bit for each dimension."""
    import numpy as np

    return np.packbits(vector > 0).tobytes()


def signs(signatures: NDArray[np.uint8], dims: int) -> NDArray[np.float32]:
    """Signatures, one a row, as rows of 1 and -1."""
    import numpy as np

    bits = np.unpackbits(signatures, axis=1, count=dims)
    rows: NDArray[np.float32] = bits.astype(np.float32) * np.float32(2) - np.float32(1)
    return rows


def to_nibbles(vectors: NDArray[np.float32]) -> bytes:
    """Vectors, one a row, with half a byte for each dimension."""
    import numpy as np

    scale = _NIBBLE / np.maximum(np.abs(vectors).max(axis=1, keepdims=True), _TINY)
    values = (np.rint(vectors * scale) + _ZERO_NIBBLE).astype(np.uint8)
    if values.shape[1] % 2:
        values = np.pad(values, ((0, 0), (0, 1)))
    pairs: NDArray[np.uint8] = values[:, ::2] << 4 | values[:, 1::2]
    return pairs.tobytes()


def from_nibbles(data: bytes, dims: int) -> NDArray[np.float32]:
    """The directions of vectors from `to_nibbles`, as unit vectors, one a row."""
    import numpy as np

    pairs = np.frombuffer(data, dtype=np.uint8).reshape(-1, (dims + 1) // 2)
    values = np.stack([pairs >> 4, pairs & 15], axis=2).reshape(len(pairs), -1)[:, :dims]
    rows = values.astype(np.float32) - np.float32(_ZERO_NIBBLE)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = rows / np.maximum(lengths, np.float32(1))
    return unit
