"""A learned part of the score: a linear model over hashed character n-grams.

Every run of 2, 3 and 4 characters has a bucket, every bucket a weight; a text's score is the sum of
its weights. No tokenizer, no list of words, any language. Hashing is arithmetic on code points,
so it is the same in every process and on every platform. numpy is imported on first use.
"""

from __future__ import annotations

import binascii
import json
import math
import unicodedata
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from langchain_bedrock_opt.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FORMAT: Final = "hashed-ngrams-1"
"""Names the hash, the normalization and the layout; other files are refused."""

BUCKETS: Final = 1 << 16
_SHORTEST, _LONGEST = 2, 4
# Pairs of characters are words in Japanese; beyond four no figure moved in cross-validation.

_SHIFT: Final = 16  # of 32 bits of hash, the upper 16 name the bucket

_HEAD: Final = 1000
_TAIL: Final = 600
# At most this much of a text is read. More moved no figure in cross-validation.

_SEED: Final = 0x9E3779B1
_FACTOR: Final = 0x85EBCA6B
# Odd numbers without pattern in their bits, as multiplicative hashing wants them.

_ONE_IN: Final = 16
"""Of the texts that weights were learned from, as many leave a mark with them."""

_MAX_STEPS: Final = 50
_TOLERANCE: Final = 1e-3


class HashedNgramScorer:
    """Scores texts by their wording; higher where a stronger model is more likely to help.

    Args:
        weights: One weight for each of the 65,536 buckets.
        center: What is taken off the sum, so that a usual text scores 0.
        scale: What the rest is divided by, so that usual texts differ by about 1.
        about: What is told of the model: sources, date, settings. Must be JSON.

    Raises:
        ConfigurationError: The weights are not 65,536 finite numbers.

    Example:
        >>> texts = ["prove that x is prime", "hello there", "prove the lemma", "hello you"]
        >>> scorer = HashedNgramScorer.fit(texts, [1, 0, 1, 0], l2=0.1)
        >>> scorer.score("prove it") > scorer.score("hello")
        True
        >>> HashedNgramScorer.from_bytes(scorer.to_bytes()).about == scorer.about
        True
    """

    def __init__(
        self,
        weights: NDArray[Any] | Sequence[float],
        *,
        center: float = 0.0,
        scale: float = 1.0,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        import numpy as np

        self._weights: NDArray[np.float32] = np.asarray(weights, np.float32)
        if self._weights.shape != (BUCKETS,) or not np.isfinite(self._weights).all():
            raise ConfigurationError(
                f"An n-gram scorer needs {BUCKETS} finite weights, these are of shape "
                f"{self._weights.shape}. Fit it again, or load the file it was saved to."
            )
        self.center = center
        self.scale = scale
        self.about = dict(about or {})

    def __repr__(self) -> str:
        """What is told of the model, save for the marks."""
        said = {name: value for name, value in self.about.items() if name != "marks"}
        return f"HashedNgramScorer({said!r})"

    def score(self, text: str) -> float:
        """Score a text. Takes tens of microseconds; no longer for long texts.

        Args:
            text: Any text; beyond 1,600 characters its head and tail are read.

        Returns:
            About -3 to 3; 0 for the empty text.
        """
        buckets = _buckets(text)
        if not len(buckets):
            return 0.0
        total = float(self._weights.take(buckets).sum())
        return (total / math.sqrt(len(buckets)) - self.center) / self.scale

    def knows(self, texts: Iterable[str]) -> bool:
        """Whether some of the texts were learned from, so that their scores flatter the weights.

        Args:
            texts: A hundred or more: one in sixteen of those that were learned from can be told.
        """
        marks = frozenset(self.about.get("marks") or ())
        return not marks.isdisjoint(marks_of(texts) if marks else ())

    @classmethod
    def load(cls) -> HashedNgramScorer:
        """The weights that come with the package, read once."""
        return _shipped()

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        targets: Sequence[float],
        *,
        sample_weight: Sequence[float] | None = None,
        sources: Sequence[Hashable] | None = None,
        l2: float = 3.0,
        about: Mapping[str, Any] | None = None,
    ) -> HashedNgramScorer:
        """Fit weights by ridge regression. No other library than numpy; the same result each time.

        Args:
            texts: Prompts.
            targets: For each, what a stronger model gains over a weaker one, in any unit.
            sample_weight: How much each counts; equal by default.
            sources: Where each comes from. Means of sources are not explained, only the
                differences within each. None: one source.
            l2: Penalty on the squared weights, beside sample weights that average 1,000 over the
                number of prompts: more is more cautious.
            about: What to tell of the model; JSON.

        Raises:
            ConfigurationError: The lengths differ, a number is not finite, or targets are all
                equal.
        """
        import numpy as np

        y = np.asarray(targets, float)
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, float)
        labels = [0] * len(y) if sources is None else list(sources)
        _check_examples(len(texts), y, weight, len(labels))
        design = _Design(texts, weight * 1000 / weight.sum(), labels)
        weights = design.ridge(y, l2)
        sums = design.times(weights)
        weight = weight / weight.sum()
        center = float(weight @ sums)
        spread = float(weight @ (sums - center) ** 2) ** 0.5
        return cls(weights, center=center, scale=spread or 1.0, about=about)

    def to_bytes(self) -> bytes:
        """As a file: one line of JSON, then the weights as little-endian float16."""
        import numpy as np

        # Scaled to the range in which float16 is most exact.
        top = float(np.abs(self._weights).max()) or 1.0
        payload = (self._weights / top).astype("<f2").tobytes()
        header = {
            "format": FORMAT,
            "center": self.center / top,
            "scale": self.scale / top,
            "crc32": binascii.crc32(payload),
            "about": self.about,
        }
        return json.dumps(header, sort_keys=True).encode() + b"\n" + payload

    @classmethod
    def from_bytes(cls, data: bytes) -> HashedNgramScorer:
        """Read what `to_bytes` wrote.

        Raises:
            ConfigurationError: It is something else, or damaged.
        """
        import numpy as np

        line, _, payload = data.partition(b"\n")
        try:
            header = json.loads(line)
            if header["format"] != FORMAT or header["crc32"] != binascii.crc32(payload):
                raise ValueError("another format, or damaged")  # noqa: TRY301 - one message below
            center, scale = float(header["center"]), float(header["scale"])
            weights = np.frombuffer(payload, "<f2")
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(
                f"These are no weights of an n-gram scorer ({type(error).__name__}): save them "
                "again with to_bytes()."
            ) from error
        return cls(weights, center=center, scale=scale, about=header.get("about"))


@cache
def _shipped() -> HashedNgramScorer:
    package = resources.files("langchain_bedrock_opt.routing.scoring")
    return HashedNgramScorer.from_bytes((package / "data" / "ngrams.bin").read_bytes())


def marks_of(texts: Iterable[str]) -> list[int]:
    """Hashes of one in sixteen texts, by which these are known again whatever their white space.

    Args:
        texts: Any texts.
    """
    joined = (" ".join(text.split()).encode("utf-8", "surrogatepass") for text in texts)
    hashes = {int.from_bytes(blake2b(text, digest_size=4).digest(), "big") for text in joined}
    return sorted(mark for mark in hashes if mark % _ONE_IN == 0)


def _buckets(text: str) -> NDArray[np.uint32]:
    """The bucket of each run of 2 to 4 characters, one length after the other."""
    import numpy as np

    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]}\n{text[-_TAIL:]}"
    text = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).lower()
    points = np.frombuffer(f" {text} ".encode("utf-32-le", "surrogatepass"), "<u4")
    # A polynomial in the code points for each run, modulo 2 ** 32. Few calls on arrays: with
    # texts of this size each costs by the call.
    points = points * _SEED
    size = len(points)
    lengths = range(_SHORTEST, min(_LONGEST, size) + 1)
    found = np.empty(sum([size - length + 1 for length in lengths]), np.uint32)
    hashes, filled = points, 0
    for length in lengths:
        hashes = hashes[:-1] * _FACTOR
        hashes += points[length - 1 :]
        end = filled + len(hashes)
        np.right_shift(hashes, _SHIFT, out=found[filled:end])
        filled = end
    return found


class _Design:
    """The texts as a sparse matrix, a row for each, centered within each source."""

    def __init__(self, texts: Sequence[str], weight: Floats, sources: Sequence[Hashable]) -> None:
        import numpy as np

        rows = [_buckets(text) for text in texts]
        self._lengths = np.array([len(row) for row in rows])
        self._columns = np.concatenate(rows) if rows else np.array([], np.uint32)
        self._starts = np.concatenate([[0], np.cumsum(self._lengths)[:-1]])
        self._root = np.sqrt(np.maximum(self._lengths, 1))
        self._weight = weight
        names = {name: number for number, name in enumerate(dict.fromkeys(sources))}
        self._source = np.array([names[name] for name in sources])
        self._mass = np.maximum(np.bincount(self._source, weight), 1e-12)

    def times(self, weights: Floats) -> Floats:
        """Each text's sum."""
        import numpy as np

        # The zero is there for texts without any n-gram at the end; theirs elsewhere are masked.
        values = np.append(weights[self._columns], 0.0)
        sums = np.add.reduceat(values, self._starts)
        return np.asarray(np.where(self._lengths > 0, sums, 0.0) / self._root)

    def ridge(self, targets: Floats, l2: float) -> Floats:
        """Solve the normal equations by conjugate gradients."""
        import numpy as np

        weights = np.zeros(BUCKETS)
        rest = self._back(self._centered(targets))
        step, norm = rest.copy(), float(rest @ rest)
        enough = norm * _TOLERANCE**2
        for _ in range(_MAX_STEPS):
            if norm <= enough:
                break
            image = self._back(self._centered(self.times(step))) + l2 * step
            size = norm / float(step @ image)
            weights += size * step
            rest -= size * image
            norm, before = float(rest @ rest), norm
            step = rest + norm / before * step
        return weights

    def _back(self, values: Floats) -> Floats:
        import numpy as np

        each = np.repeat(values * self._weight / self._root, self._lengths)
        return np.asarray(np.bincount(self._columns, each, minlength=BUCKETS), float)

    def _centered(self, values: Floats) -> Floats:
        import numpy as np

        means = np.bincount(self._source, values * self._weight) / self._mass
        return np.asarray(values - means[self._source])


def _check_examples(texts: int, targets: Floats, weight: Floats, sources: int) -> None:
    import numpy as np

    if not texts == len(targets) == len(weight) == sources:
        raise ConfigurationError(
            f"{texts} texts, {len(targets)} targets, {len(weight)} weights and {sources} sources: "
            "give one of each for every prompt."
        )
    if not np.isfinite(targets).all() or not np.isfinite(weight).all() or (weight < 0).any():
        raise ConfigurationError("Targets and weights must be finite, and weights not negative.")
    if not texts or not weight.sum() or np.ptp(targets) == 0:
        raise ConfigurationError("Nothing can be learned from targets that are all equal.")
