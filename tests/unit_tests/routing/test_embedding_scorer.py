"""The embedding scorer: what labelled neighbours say of a prompt."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing import (
    AsyncScorer,
    ChatBedrockRouter,
    ComplexityScorer,
    EmbeddingScorer,
    LabelledVectors,
    RoutingPolicy,
    ScoreSample,
)

EASY = ["what is the capital of France", "what is the capital of Peru", "日本の首都は何ですか"]
HARD = ["prove the lemma by induction", "prove the theorem by induction", "補題を帰納法で証明して"]
GAINS = [0.0] * 3 + [1.0] * 3


class Letters(Embeddings):
    """Embeds a text by how often it has each character, of 64 kinds."""

    def __init__(self, dimensions: int = 64) -> None:
        self.dimensions = dimensions
        self.queries: list[str] = []
        self.batches: list[int] = []
        self.doors: list[str] = []
        self.error: Exception | None = None
        self.answer: Any = None

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.batches.append(len(texts))
        return [self._vector(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        self.doors.append("sync")
        return self._query(text)

    async def aembed_query(self, text: str) -> list[float]:
        self.doors.append("async")
        await asyncio.sleep(0)
        return self._query(text)

    def _query(self, text: str) -> list[float]:
        self.queries.append(text)
        if self.error is not None:
            raise self.error
        return self.answer or self._vector(text)

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self.dimensions
        for letter in text:
            vector[ord(letter) % self.dimensions] += 1.0
        return vector


@pytest.fixture
def embeddings() -> Letters:
    return Letters()


@pytest.fixture
def scorer(embeddings: Letters) -> EmbeddingScorer:
    return EmbeddingScorer.fit(embeddings, EASY + HARD, GAINS, k=2)


# --- Neighbours ---


@pytest.mark.parametrize(
    ("easy", "hard"),
    [
        ("what is the capital of Chad", "prove the claim by induction"),
        ("中国の首都は何ですか", "定理を帰納法で証明して"),
    ],
)
def test_prompts_are_as_hard_as_their_neighbours(
    scorer: EmbeddingScorer, easy: str, hard: str
) -> None:
    """A prompt like the easy examples scores low, one like the hard ones high."""
    low, high = scorer.score(easy), scorer.score(hard)

    assert low.value < 0.4
    assert high.value > 0.6
    assert [reason.signal for reason in high.reasons] == ["neighbours"]
    assert high.reasons[0].detail.startswith("2 nearest examples, mean gain ")
    assert high.reasons[0].weight == pytest.approx(high.value, abs=1e-4)


def test_the_prior_is_worth_its_neighbours(embeddings: Letters) -> None:
    """The gain of k neighbours and a prior worth m of them is their mean."""
    options: dict[str, Any] = {"k": 3, "weighting": "uniform"}
    plain = EmbeddingScorer.fit(embeddings, EASY + HARD, GAINS, **options, prior_weight=0)
    drawn = EmbeddingScorer.fit(
        embeddings, EASY + HARD, GAINS, **options, prior=0.2, prior_weight=2
    )

    gain = plain.score(HARD[0]).value
    assert drawn.score(HARD[0]).value == pytest.approx((3 * gain + 2 * 0.2) / 5)


@pytest.mark.parametrize(("count", "k"), [(3, 3), (20, 5), (200, 20), (800, 50)])
def test_a_tenth_of_the_examples_is_asked(embeddings: Letters, count: int, k: int) -> None:
    """By default a tenth of the examples are neighbours, from 5 to 50, and never more than all."""
    prompts = [f"prompt {number}" for number in range(count)]
    scorer = EmbeddingScorer.fit(embeddings, prompts, [0.5] * count)

    assert scorer.score("Hi").reasons[0].detail.startswith(f"{k} nearest")


def test_nearer_examples_count_for_more() -> None:
    """By distance the nearest example outweighs a farther one; uniformly it does not."""
    examples = LabelledVectors([[1, 0], [0, 1]], [1.0, 0.0])

    assert examples.nearest([10, 1], k=2).gain > 0.9
    assert examples.nearest([10, 1], k=2, by_distance=False).gain == 0.5


vectors = st.lists(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3).filter(
        lambda vector: sum(map(abs, vector)) > 1e-3
    ),
    min_size=1,
    max_size=8,
)


@given(vectors, st.integers(1, 20), st.booleans(), st.data())
def test_a_gain_lies_where_the_gains_lie(
    rows: list[list[float]],
    k: int,
    by_distance: bool,  # noqa: FBT001
    data: st.DataObject,
) -> None:
    """Whatever the vectors, the neighbours' gain is between the least and the greatest."""
    gains = data.draw(st.lists(st.floats(0, 1), min_size=len(rows), max_size=len(rows)))
    examples = LabelledVectors(rows, gains)

    nearest = examples.nearest(rows[0], k, by_distance=by_distance)

    assert min(gains) - 1e-6 <= nearest.gain <= max(gains) + 1e-6
    assert nearest.similarity == pytest.approx(1, abs=1e-4)
    assert nearest.count == min(k, len(rows))


@given(vectors)
def test_saved_vectors_are_the_same(rows: list[list[float]]) -> None:
    """Examples read back from JSON give the same answers."""
    examples = LabelledVectors(rows, [0.25] * len(rows))

    back = LabelledVectors.from_dict(json.loads(json.dumps(examples.as_dict())))

    assert back.as_dict()["gains"] == examples.as_dict()["gains"]
    assert back.nearest(rows[-1], 3).gain == examples.nearest(rows[-1], 3).gain
    assert back.dimensions == 3


# --- What is embedded, and how often ---


def test_examples_are_embedded_in_batches(embeddings: Letters) -> None:
    """Many prompts are embedded by few calls, none larger than providers take."""
    EmbeddingScorer.fit(embeddings, [f"prompt {n}" for n in range(200)], [0.5] * 200)

    assert embeddings.batches == [96, 96, 8]


def test_the_question_is_what_is_embedded(scorer: EmbeddingScorer, embeddings: Letters) -> None:
    """Of a conversation the last human turn is embedded, once, however the request is put."""
    scorer.score("prove the lemma at once, please")
    scorer.score(
        [
            SystemMessage("You are terse."),
            HumanMessage("Hello there, who are you and what can you do?"),
            AIMessage("A machine."),
            HumanMessage("prove the lemma at once, please and by induction alone"),
        ]
    )
    scorer.score([("human", "prove the lemma at once, please")])

    assert embeddings.queries == [
        "prove the lemma at once, please",
        "prove the lemma at once, please and by induction alone",
    ]


async def test_equal_prompts_share_one_embedding(
    scorer: EmbeddingScorer, embeddings: Letters
) -> None:
    """Fifty equal prompts at once are embedded once, by the asynchronous method."""
    scores = await asyncio.gather(*(scorer.ascore("prove it") for _ in range(50)))

    assert {score.value for score in scores} == {scorer.score("prove it").value}
    assert embeddings.doors == ["async"]
    assert isinstance(scorer, AsyncScorer)


def test_the_memory_is_limited(embeddings: Letters) -> None:
    """Beyond `cache_size` the prompt that was used longest ago is embedded anew."""
    scorer = EmbeddingScorer.fit(embeddings, EASY + HARD, GAINS, cache_size=2)

    for prompt in ("one", "two", "three", "two", "one"):
        scorer.score(prompt)

    assert embeddings.queries == ["one", "two", "three", "one"]


async def test_a_router_goes_by_its_neighbours(make_router: Any, scorer: EmbeddingScorer) -> None:
    """A router with this scorer and shares by a sample of it routes invoke, stream and batch."""
    sample = ScoreSample.of(EASY + HARD, scorer)
    policy = RoutingPolicy(shares=[0.5, 0.25, 0.25], sample=sample)
    router: ChatBedrockRouter = make_router(scorer=scorer, policy=policy)

    first, second = await router.abatch(["what is the capital of Chad", HARD[1]])
    streamed = [chunk async for chunk in router.astream("what is the capital of Laos")]

    tiers = [
        message.response_metadata["bedrock_opt"]["route"]["tier"]
        for message in (first, second, streamed[0])
    ]
    assert tiers[0] == tiers[2] == "simple"
    assert tiers[1] != "simple"


# --- With another scorer ---


def test_a_blend_is_between_both_scores(embeddings: Letters) -> None:
    """With `blend` the other scorer has its share, and the reasons add up to the score."""
    plain = EmbeddingScorer.fit(embeddings, EASY + HARD, GAINS)
    blended = EmbeddingScorer.fit(embeddings, EASY + HARD, GAINS, blend=0.25)
    quick = ComplexityScorer().score(HARD[0]).value

    score = blended.score(HARD[0])

    assert score.value == pytest.approx(0.75 * plain.score(HARD[0]).value + 0.25 * quick)
    assert sum(reason.weight for reason in score.reasons) == pytest.approx(score.value, abs=1e-3)
    assert [reason.signal for reason in score.reasons] == ["neighbours", "blend"]


def test_a_blend_of_all_is_the_other_scorer(embeddings: Letters) -> None:
    """With `blend=1` the score is the other scorer's."""
    scorer = EmbeddingScorer.fit(embeddings, EASY + HARD, GAINS, blend=1)

    assert scorer.score(HARD[0]).value == ComplexityScorer().score(HARD[0]).value


@pytest.mark.parametrize(
    ("vector", "named"),
    [
        ([1.0] * 63, "ConfigurationError"),
        ([0.0] * 64, "ConfigurationError"),
        ([float("nan")] * 64, "ConfigurationError"),
        (["x"] * 64, "ValueError"),
    ],
)
def test_an_embedding_that_does_not_fit_breaks_nothing(
    scorer: EmbeddingScorer,
    embeddings: Letters,
    caplog: pytest.LogCaptureFixture,
    vector: Any,
    named: str,
) -> None:
    """A vector of another model, zero or not finite is a failure; the log says what to do."""
    embeddings.answer = vector
    caplog.set_level(logging.WARNING)

    score = scorer.score("Hi")

    assert score.value == ComplexityScorer().score("Hi").value
    assert score.reasons[-1].detail == named
    assert scorer.failures == 1
    assert ("embedding" in caplog.text) == (named == "ConfigurationError")


async def test_embeddings_that_are_down_break_nothing(
    scorer: EmbeddingScorer, embeddings: Letters
) -> None:
    """While the embeddings can't be reached the other scorer scores; afterwards they are asked."""
    embeddings.error = ConnectionError("no network")
    failed = await scorer.ascore("Hi")
    embeddings.error = None

    assert failed.reasons[-1].signal == "scorer_failed"
    assert (await scorer.ascore("Hi")).reasons[0].signal == "neighbours"


# --- Files ---


def test_a_saved_scorer_scores_the_same(
    tmp_path: Path, scorer: EmbeddingScorer, embeddings: Letters
) -> None:
    """A scorer read from its file gives the same scores, and settings can be changed."""
    path = tmp_path / "scorer.json"
    scorer.save(path)

    assert EmbeddingScorer.load(path, embeddings).score("prove it") == scorer.score("prove it")
    wider = EmbeddingScorer.load(path, embeddings, k=4).score("prove it")
    assert wider.reasons[0].detail.startswith("4 nearest")


def test_a_file_holds_no_prompt(tmp_path: Path, scorer: EmbeddingScorer) -> None:
    """What is saved is JSON of numbers and settings, without a word of the examples."""
    path = tmp_path / "scorer.json"
    scorer.save(path)

    saved = json.loads(path.read_text("utf-8"))
    assert saved["format"] == "embedding-scorer-1"
    assert set(saved) == {"format", "k", "weighting", "prior", "prior_weight", "blend", "examples"}
    assert set(saved["examples"]) == {"dimensions", "vectors", "gains"}
    assert "capital" not in path.read_text("utf-8")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "embedding-scorer-9"},
        {"k": "many"},
        {"blend": None},
        {"prior_weight": "x"},
        {"examples": {"dimensions": 64, "vectors": "!", "gains": ""}},
        {"examples": {"dimensions": 63}},
        {"examples": None},
        None,
        [],
    ],
)
def test_a_damaged_file_is_refused(
    tmp_path: Path, scorer: EmbeddingScorer, embeddings: Letters, change: Any
) -> None:
    """Another version, or numbers that don't fit, are a configuration error of one line."""
    path = tmp_path / "scorer.json"
    scorer.save(path)
    saved = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**saved, **change} if isinstance(change, dict) else change))

    with pytest.raises(ConfigurationError) as caught:
        EmbeddingScorer.load(path, embeddings)
    assert "\n" not in str(caught.value)


# --- Mistakes ---


@pytest.mark.parametrize(
    ("rows", "gains", "said"),
    [
        ([], [], "one or more examples"),
        ([[1.0, 2.0]], [0.5, 0.5], "one or more examples"),
        ([[1.0], [1.0, 2.0]], [0.5, 0.5], "not of one length"),
        ([[1.0, float("nan")]], [0.5], "not finite"),
        ([[0.0, 0.0]], [0.5], "zero"),
        ([[1.0, 2.0]], [1.5], "from 0 to 1"),
        ([[1.0, 2.0]], [float("nan")], "from 0 to 1"),
    ],
)
def test_examples_are_checked(rows: Any, gains: Any, said: str) -> None:
    """Examples that can't be are a configuration error at construction."""
    with pytest.raises(ConfigurationError, match=said):
        LabelledVectors(rows, gains)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"k": 0}, "k=0"),
        ({"k": 2.5}, "k=2.5"),
        ({"weighting": "near"}, "weighting='near'"),
        ({"prior": 2}, "prior=2"),
        ({"prior_weight": -1}, "prior_weight=-1"),
        ({"prior_weight": float("nan")}, "prior_weight=nan"),
        ({"blend": 1.5}, "blend=1.5"),
        ({"cache_size": 0}, "cache_size=0"),
    ],
)
def test_settings_are_checked(options: Any, said: str) -> None:
    """A setting that can't be is a configuration error that names it."""
    with pytest.raises(ConfigurationError, match=said):
        EmbeddingScorer(Letters(), LabelledVectors([[1.0]], [1.0]), **options)


@pytest.mark.parametrize(
    ("prompts", "gains", "said"),
    [
        ("one text", [1.0], "one text"),
        (["a", "b"], [1.0], "2 prompts and 1 gains"),
        (["a", "  "], [1.0, 0.0], r"Prompts \[1\] have no text"),
        ([], [], "one or more examples"),
    ],
)
def test_prompts_are_checked(prompts: Any, gains: Any, said: str) -> None:
    """Prompts that can't be learned from are a configuration error."""
    with pytest.raises(ConfigurationError, match=said):
        EmbeddingScorer.fit(Letters(), prompts, gains)


def test_embeddings_and_examples_are_asked_for() -> None:
    """What is neither embeddings nor examples is refused, with what to give."""
    examples: Any = LabelledVectors([[1.0]], [1.0])
    with pytest.raises(ConfigurationError, match="give LangChain Embeddings"):
        EmbeddingScorer(object(), examples)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"EmbeddingScorer\.fit"):
        EmbeddingScorer(DeterministicFakeEmbedding(size=3), np.ones(3))  # type: ignore[arg-type]
