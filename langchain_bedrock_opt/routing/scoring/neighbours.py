"""Labelled examples as vectors, and what the nearest of them say.

numpy is imported on first use.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from langchain_bedrock_opt.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_DISTANCE_FLOOR: Final = 0.05
"""Added to each distance, so that one example that is all but equal does not outweigh the rest by
more than twenty to one against a quite different one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """What the examples nearest to a text say.

    Attributes:
        count: How many there are.
        gain: The mean of their gains, weighted.
        similarity: The cosine between the text and the nearest of them.
    """

    count: int
    gain: float
    similarity: float


class LabelledVectors:
    """Examples: a vector and a gain each. The prompts themselves are not kept.

    Args:
        vectors: One embedding for each example; any length, as they are normalised.
        gains: For each, from 0 to 1, what the strong model gains over the weak one.

    Raises:
        ConfigurationError: There is no example, the numbers differ, a vector is not finite or
            zero, or a gain is not from 0 to 1.

    Example:
        >>> examples = LabelledVectors([[1.0, 0.0], [0.0, 2.0]], [0.0, 1.0])
        >>> examples.nearest([0.1, 3.0], k=1).gain
        1.0
    """

    def __init__(self, vectors: Sequence[Sequence[float]] | Floats, gains: Sequence[float]) -> None:
        import numpy as np

        try:
            matrix, labels = np.asarray(vectors, np.float32), np.asarray(gains, np.float32)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                "The examples' vectors are not of one length, or hold something else than numbers."
            ) from error
        if matrix.ndim != 2 or not matrix.size or labels.shape != matrix.shape[:1]:  # noqa: PLR2004 - a matrix
            raise ConfigurationError(
                f"Vectors of shape {matrix.shape} and gains of shape {labels.shape}: give one or "
                "more examples, with a vector and a gain each."
            )
        if not ((labels >= 0) & (labels <= 1)).all():
            raise ConfigurationError("Each gain must be a number from 0 to 1.")
        self._matrix = _normalised(matrix)
        self._gains = labels

    def __len__(self) -> int:
        """How many examples there are."""
        return len(self._gains)

    @property
    def dimensions(self) -> int:
        """How many numbers a vector has."""
        return int(self._matrix.shape[1])

    @property
    def mean_gain(self) -> float:
        """The mean of all gains."""
        return float(self._gains.mean())

    def nearest(
        self, vector: Sequence[float] | Floats, k: int, *, by_distance: bool = True
    ) -> Nearest:
        """What the `k` nearest examples say of a text.

        Args:
            vector: The text's embedding.
            k: How many examples are asked.
            by_distance: Let nearer ones count for more.

        Raises:
            ConfigurationError: The vector is not like the examples': another length, not finite,
                or zero.
        """
        import numpy as np

        query = np.asarray(vector, np.float32)
        if query.shape != (self.dimensions,):
            raise ConfigurationError(
                f"An embedding of shape {query.shape} for examples of {self.dimensions} "
                "dimensions: use the embedding model that the examples were embedded with."
            )
        similarities = self._matrix @ _normalised(query[None, :])[0]
        k = min(k, len(self))
        found = np.argpartition(-similarities, k - 1)[:k]
        near = similarities[found]
        weights = 1 / (_DISTANCE_FLOOR + np.maximum(1 - near, 0)) if by_distance else None
        gain = float(np.average(self._gains[found], weights=weights))
        return Nearest(count=k, gain=min(1.0, max(0.0, gain)), similarity=float(near.max()))

    def as_dict(self) -> dict[str, Any]:
        """The examples as a JSON-ready dict; numbers are little-endian float32 in base64."""
        return {
            "dimensions": self.dimensions,
            "vectors": base64.b64encode(self._matrix.astype("<f4").tobytes()).decode(),
            "gains": base64.b64encode(self._gains.astype("<f4").tobytes()).decode(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelledVectors:
        """Read examples back from `as_dict`'s form.

        Raises:
            ConfigurationError: They are damaged.
        """
        import numpy as np

        try:
            vectors, gains = (
                np.frombuffer(base64.b64decode(values[name], validate=True), "<f4")
                for name in ("vectors", "gains")
            )
            matrix = vectors.reshape(len(gains), int(values["dimensions"]))
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise ConfigurationError(
                f"These examples are damaged ({type(error).__name__}): fit and save them again."
            ) from error
        return cls(matrix, gains.tolist())


def _normalised(vectors: Floats) -> Floats:
    import numpy as np

    # In double precision: the squares of large float32 numbers are beyond float32.
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise ConfigurationError("An embedding is zero or holds a number that is not finite.")
    return np.asarray(vectors / lengths, np.float32)
