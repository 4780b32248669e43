"""What speaks for and against reusing an answer, as numbers."""

from __future__ import annotations

from langchain_bedrock_opt.caching.similarity.facts import TextFacts

FEATURES: tuple[str, ...] = ("similarity",)


def features(
    asked: TextFacts,
    known: TextFacts,
    similarity: float,
    *,
    agreement: float = 0.0,
    ok: int = 0,
    errors: int = 0,
) -> tuple[float, ...]:
    """The features of a pair, in the order of `FEATURES`.

    Args:
        asked: Facts of the new question.
        known: Facts of the question whose answer is stored.
        similarity: The cosine between their embeddings.
        agreement: How much of the nearest candidates agree with this one, 0 to 1: the share of
            the weight of the nearest five whose answers are equal to this one's; 0 if unknown.
        ok: How often this entry was found right before.
        errors: How often it was found wrong.
    """
    raise NotImplementedError
