"""`EmbeddingScorer`: prompts are as hard as the labelled prompts that mean about the same."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import LanguageModelInput
from typing_extensions import Self

from langchain_bedrock_opt.contracts import Reason
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.json_values import load_json, named, save_json
from langchain_bedrock_opt.routing.scoring.neighbours import LabelledVectors, Nearest
from langchain_bedrock_opt.routing.scoring.reading import read_conversation
from langchain_bedrock_opt.routing.scoring.remote import (
    DEFAULT_CACHE_SIZE,
    RemoteScorer,
    checked_fraction,
)
from langchain_bedrock_opt.routing.scoring.scorer import ComplexityScore, Scorer

FORMAT: Final = "embedding-scorer-1"
"""Names the layout of a saved scorer; other files are refused."""

_FEWEST: Final = 5
_MOST: Final = 50
_ONE_IN: Final = 10
# On problems with known outcomes of Claude models, 50 neighbours of some 1,400 examples were
# better than 5 and 20, and 100 no better.

_BATCH: Final = 96
"""Texts that are embedded by one call: what Cohere's models on Bedrock take at most."""

_SAVED: Final = ("k", "weighting", "prior", "prior_weight", "blend")
"""The arguments that are saved with the examples; all are numbers or texts."""

Weighting = Literal["distance", "uniform"]


class EmbeddingScorer(RemoteScorer[Nearest]):
    """Scores a prompt by the examples nearest to it: any LangChain embeddings, labels of your own.

    The score is the mean gain of the `k` nearest examples, drawn towards `prior` as if `prior`
    were the gain of `prior_weight` more of them, and blended with the other scorer's score if
    `blend` is above 0. It lies where your gains do, so set thresholds by a sample:
    `RoutingPolicy(shares=[0.7, 0.3], sample=ScoreSample.of(prompts, scorer))`.

    Embedding a prompt takes a network call, or tens of milliseconds on a processor, where
    `ComplexityScorer` takes tens of microseconds. Equal prompts are embedded once.

    Args:
        embeddings: Embeds prompts; the model that embedded the examples.
        examples: The labelled examples. `EmbeddingScorer.fit` makes them from prompts.
        k: How many neighbours are asked; by default a tenth of the examples, from 5 to 50.
        weighting: Let nearer neighbours count for more (`"distance"`), or all alike
            (`"uniform"`).
        prior: The gain that is taken for granted, from 0 to 1; the examples' mean by default.
        prior_weight: How many neighbours that is worth.
        blend: The other scorer's share of the score, from 0 to 1.
        cache_size: How many prompts' neighbours are kept, the last used longest.
        only_between: Ask only where the other scorer's score is in this band, ends included.
        otherwise: The other scorer; `ComplexityScorer()` by default.

    Raises:
        ConfigurationError: An argument is not what it can be.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> embeddings = DeterministicFakeEmbedding(size=8)
        >>> scorer = EmbeddingScorer.fit(embeddings, ["Hi", "Prove it."], [0.0, 1.0], k=1)
        >>> scorer.score("Prove it.").value
        0.75
        >>> scorer.score("Prove it.").reasons[0].detail
        '1 nearest examples, mean gain 1.00, nearest similarity 1.00'
    """

    def __init__(
        self,
        embeddings: Embeddings,
        examples: LabelledVectors,
        *,
        k: int | None = None,
        weighting: Weighting = "distance",
        prior: float | None = None,
        prior_weight: float = 1.0,
        blend: float = 0.0,
        cache_size: int = DEFAULT_CACHE_SIZE,
        only_between: tuple[float, float] | None = None,
        otherwise: Scorer | None = None,
    ) -> None:
        super().__init__(
            cache_size=cache_size, only_between=only_between, otherwise=otherwise, blend=blend
        )
        if not isinstance(embeddings, Embeddings):
            raise ConfigurationError(f"embeddings={embeddings!r}: give LangChain Embeddings.")
        if not isinstance(examples, LabelledVectors):
            raise ConfigurationError(
                f"examples={type(examples).__name__}: give LabelledVectors(vectors, gains), or "
                "EmbeddingScorer.fit(embeddings, prompts, gains)."
            )
        k = min(max(len(examples) // _ONE_IN, _FEWEST), _MOST) if k is None else k
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ConfigurationError(f"k={k!r}: give a whole number above zero.")
        if weighting not in ("distance", "uniform"):
            raise ConfigurationError(f"weighting={weighting!r}: give 'distance' or 'uniform'.")
        if not isinstance(prior_weight, (int, float)) or not 0 <= prior_weight < float("inf"):
            raise ConfigurationError(f"prior_weight={prior_weight!r}: give a number, 0 or more.")
        prior = examples.mean_gain if prior is None else prior
        self._embeddings = embeddings
        self._examples = examples
        self._k, self._weighting = k, weighting
        self._prior, self._prior_weight = checked_fraction("prior", prior), prior_weight

    @classmethod
    def fit(
        cls,
        embeddings: Embeddings,
        prompts: Sequence[LanguageModelInput],
        gains: Sequence[float],
        **options: Any,
    ) -> Self:
        """Make a scorer from labelled prompts: some hundreds of your own traffic.

        Args:
            embeddings: Embeds the prompts, some at a time.
            prompts: What `invoke` takes, each; its question is embedded.
            gains: For each, from 0 to 1, what the strong model gains over the weak one: 1 where
                only the strong one is right, 0 where the weak one will do.
            **options: More arguments of the scorer.

        Raises:
            ConfigurationError: There is no prompt, one has no text, or the numbers don't fit.
        """
        if isinstance(prompts, str):
            raise ConfigurationError("prompts is one text: give a list of them.")
        texts = [read_conversation(prompt).ask for prompt in prompts]
        if len(texts) != len(gains):
            raise ConfigurationError(
                f"{len(texts)} prompts and {len(gains)} gains: give one for each prompt."
            )
        if empty := [number for number, text in enumerate(texts) if not text.strip()]:
            raise ConfigurationError(f"Prompts {empty[:5]} have no text to embed: leave them out.")
        batches = [texts[start : start + _BATCH] for start in range(0, len(texts), _BATCH)]
        vectors = [vector for batch in batches for vector in embeddings.embed_documents(batch)]
        return cls(embeddings, LabelledVectors(vectors, gains), **options)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the examples and the settings to a file, as JSON without any prompt text.

        Args:
            path: The file; another one there is replaced.

        Raises:
            ConfigurationError: It can't be written.
        """
        settings = {name: getattr(self, f"_{name}") for name in _SAVED}
        saved = {"format": FORMAT, **settings, "examples": self._examples.as_dict()}
        save_json(Path(path), saved)

    @classmethod
    def load(cls, path: str | PathLike[str], embeddings: Embeddings, **options: Any) -> Self:
        """Read a scorer that `save` wrote.

        Args:
            path: The file.
            embeddings: The model that the examples were embedded with; it is not in the file.
            **options: Arguments of the scorer, in the place of those that were saved.

        Raises:
            ConfigurationError: The file is missing, damaged, or something else.
        """
        examples, settings = load_json(Path(path), _read, "saved scorer")
        return cls(embeddings, examples, **{**settings, **options})

    @property
    def reader(self) -> Embeddings:
        """What embeds the prompts."""
        return self._embeddings

    def _ask(self, text: str) -> Nearest:
        return self._nearest(self._embeddings.embed_query(text))

    async def _aask(self, text: str) -> Nearest:
        return self._nearest(await self._embeddings.aembed_query(text))

    def _nearest(self, vector: Sequence[float]) -> Nearest:
        by_distance = self._weighting == "distance"
        return self._examples.nearest(vector, self._k, by_distance=by_distance)

    def _score_of(self, answer: Nearest) -> ComplexityScore:
        mass = answer.count + self._prior_weight
        value = (answer.count * answer.gain + self._prior_weight * self._prior) / mass
        detail = (
            f"{answer.count} nearest examples, mean gain {answer.gain:.2f}, nearest similarity "
            f"{answer.similarity:.2f}"
        )
        reason = Reason(signal="neighbours", weight=round(value, 4), detail=detail)
        return ComplexityScore(value=min(1.0, value), reasons=(reason,))


def _read(saved: Any) -> tuple[LabelledVectors, dict[str, Any]]:
    """The examples and the settings in a saved scorer."""
    saved = named(saved, "the file")
    if saved.get("format") != FORMAT:
        raise ConfigurationError(
            f"format is {saved.get('format')!r}, this version reads {FORMAT!r}: fit a scorer and "
            "save it again."
        )
    if missing := [name for name in (*_SAVED, "examples") if name not in saved]:
        raise ConfigurationError(
            f"{', '.join(missing)} is missing: fit a scorer and save it again."
        )
    settings = {name: saved[name] for name in _SAVED}
    return LabelledVectors.from_dict(named(saved["examples"], "examples")), settings
