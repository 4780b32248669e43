"""Similar questions through both doors of the cache.

The tier here finds questions by their words, so that the tests decide what is similar; the real
one has tests of its own in `similarity/`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration

from langchain_bedrock_opt.caching.cache import BedrockSemanticCache
from langchain_bedrock_opt.caching.similarity.bound import Match, Question, SimilarityStats
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
from langchain_bedrock_opt.errors import CacheStoreError

MakeModel = Callable[..., Any]


@dataclass
class WordTier:
    """A similarity tier of one tenant: the same words in any order are similar."""

    serves: bool = True
    error: Exception | None = None
    known: dict[tuple[str, frozenset[str]], str] = field(default_factory=dict)
    labels: list[bool] = field(default_factory=list)
    judged: list[tuple[str, str, str]] = field(default_factory=list)

    def find(self, question: Question) -> Match | None:
        if self.error is not None:
            raise self.error
        key = self.known.get((question.scope, words(question.text)))
        if key is None:
            return None
        return Match(
            scope=question.scope,
            entry_key=key,
            similarity=0.97,
            score=0.9,
            served=self.serves,
            audited=not self.serves,
            features=(0.5,),
        )

    def add(self, question: Question, entry_key: str, ttl: float | None, **_: Any) -> None:
        self.known[question.scope, words(question.text)] = entry_key

    def remove(self, question_scope: str, entry_key: str) -> None:
        self.known = {
            place: key
            for place, key in self.known.items()
            if place[0] != question_scope or key != entry_key
        }

    def needs_label(self, match: Match) -> bool:
        return not match.served

    def judge(self, question: Question, match: Match, known: str, new: str) -> bool | None:
        self.judged.append((question.text, known, new))
        return known == new

    def learn(self, match: Match, *, correct: bool) -> None:
        assert match.features == (0.5,)
        self.labels.append(correct)

    def stats(self) -> SimilarityStats:
        return SimilarityStats(lookups=len(self.known))

    def close(self) -> None:
        pass


def words(text: str) -> frozenset[str]:
    return frozenset(text.lower().strip("?").split())


@dataclass
class WordTiers:
    """Stands for the user's `SimilarityTier`."""

    bound: dict[str, WordTier] = field(default_factory=dict)
    serves: bool = True

    def bind(self, store: Any, *, name: str, secret: bytes = b"") -> WordTier:
        return self.bound.setdefault(name, WordTier(serves=self.serves))


@pytest.fixture
def tiers() -> WordTiers:
    return WordTiers()


@pytest.fixture
def cache(tiers: WordTiers, clock: Any) -> BedrockSemanticCache:
    similarity: Any = tiers
    store = InMemoryCacheStore(clock=clock)
    return BedrockSemanticCache(store, similarity=similarity, clock=clock, ttl_jitter=0)


@pytest.fixture
def fake(bedrock: Any, make_response: Callable[..., Any]) -> Any:
    answers = (make_response({"text": f"Answer {n}."}) for n in range(100))
    return bedrock(lambda _: next(answers))


def report(message: Any) -> Any:
    return message.response_metadata["bedrock_opt"]["cache"]


def test_a_similar_question_is_answered(
    cache: BedrockSemanticCache, fake: Any, make_model: MakeModel
) -> None:
    """The answer to the same words is served, and says how near and which it was."""
    model = make_model(fake, cache)
    model.invoke("Where is Kyoto?")

    hit = model.invoke("Kyoto is where?")
    streamed = list(model.stream("kyoto where is?"))

    assert hit.text == "Answer 0."
    assert "".join(chunk.text for chunk in streamed) == "Answer 0."
    assert hit.usage_metadata["total_tokens"] == 0
    told = report(hit)
    assert (told["tier"], told["similarity"]) == ("similar", 0.97)
    assert told["hit_id"].startswith("s:")
    assert len(fake.requests) == 1
    assert cache.stats().hits_by_tier == {"similar": 2}


def test_everything_else_must_be_equal(
    cache: BedrockSemanticCache, fake: Any, make_model: MakeModel
) -> None:
    """Another system prompt, history, parameter or tenant is another scope."""
    model = make_model(fake, cache)
    model.invoke("Where is Kyoto?")
    question = HumanMessage("Kyoto is where?")
    others: list[Callable[[], Any]] = [
        lambda: model.invoke([SystemMessage("Be brief."), question]),
        lambda: model.invoke([HumanMessage("Hi"), AIMessage("Hello"), question]),
        lambda: make_model(fake, cache, max_tokens=5).invoke([question]),
        lambda: model.bind(stop=["x"]).invoke([question]),
    ]

    statuses = [report(ask())["status"] for ask in others]
    with cache.options(tenant="acme"):
        statuses.append(report(model.invoke([question]))["status"])

    assert statuses == ["miss"] * 5


def test_feedback_ends_a_wrong_reuse(
    cache: BedrockSemanticCache, fake: Any, make_model: MakeModel, tiers: WordTiers
) -> None:
    """After a wrong similar hit its answer serves its own question, and no other."""
    model = make_model(fake, cache)
    model.invoke("Where is Kyoto?")
    hit_id = report(model.invoke("Kyoto is where?"))["hit_id"]

    assert cache.feedback(hit_id, correct=True)
    assert report(model.invoke("Kyoto is where?"))["tier"] == "similar"
    assert cache.feedback(hit_id, correct=False)
    assert not cache.feedback(hit_id, correct=False)

    (tier,) = tiers.bound.values()
    assert tier.labels == [True]  # one hit is one label, whoever says what of it how often
    assert report(model.invoke("Kyoto is where?"))["status"] == "miss"
    assert report(model.invoke("Where is Kyoto?"))["tier"] == "exact"


def test_feedback_finds_its_tenant(
    cache: BedrockSemanticCache, fake: Any, make_model: MakeModel, tiers: WordTiers
) -> None:
    """A tenant's tier learns from that tenant's hits, whoever passes the feedback on."""
    model = make_model(fake, cache)
    with cache.options(tenant="acme"):
        model.invoke("Where is Kyoto?")
        hit_id = report(model.invoke("Kyoto is where?"))["hit_id"]

    cache.feedback(hit_id, correct=False)

    assert [tier.labels for tier in tiers.bound.values()] == [[False]]
    stats = cache.similarity_stats("acme")
    assert stats is not None
    assert stats.lookups == 0


def test_what_is_not_served_is_judged(
    cache: BedrockSemanticCache, fake: Any, make_model: MakeModel, tiers: WordTiers
) -> None:
    """Where the model is asked although something similar is known, the judge compares."""
    tiers.serves = False
    model = make_model(fake, cache)
    model.invoke("Where is Kyoto?")

    assert model.invoke("Kyoto is where?").text == "Answer 1."

    assert cache._background.join(10)
    (tier,) = tiers.bound.values()
    assert tier.judged == [("Kyoto is where?", "Answer 0.", "Answer 1.")]


@pytest.mark.parametrize(
    "answer",
    [
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}},
        {"image": {"format": "png", "source": {"bytes": b"x"}}},
    ],
    ids=lambda block: next(iter(block)),
)
def test_only_texts_are_reused(
    answer: Any,
    cache: BedrockSemanticCache,
    make_response: Any,
    tiers: WordTiers,
) -> None:
    """An answer that calls a tool or shows a picture serves its own question only."""
    layer = cache.as_layer()
    request = {
        "modelId": "m",
        "messages": [{"role": "user", "content": [{"text": "Where is Kyoto?"}]}],
    }
    layer.converse(request, lambda _: make_response({"text": "So:"}, answer))

    assert all(not tier.known for tier in tiers.bound.values())


def test_an_answer_that_is_gone_is_forgotten(
    cache: BedrockSemanticCache, fake: Any, clock: Any, make_model: MakeModel, tiers: WordTiers
) -> None:
    """A similar question whose answer has expired or become invalid leads to the model."""
    model = make_model(fake, cache)
    model.invoke("Where is Kyoto?")
    cache.invalidate()

    assert report(model.invoke("Kyoto is where?"))["status"] == "miss"
    clock.now += 4000
    assert report(model.invoke("where kyoto is?"))["status"] == "miss"


@pytest.mark.parametrize("error", [CacheStoreError("down"), ValueError("dimensions")])
def test_a_tier_that_fails_fails_no_call(
    error: Exception,
    cache: BedrockSemanticCache,
    fake: Any,
    make_model: MakeModel,
    tiers: WordTiers,
) -> None:
    """Its errors are counted, and the model is asked."""
    model = make_model(fake, cache)
    model.invoke("Where is Kyoto?")
    (tier,) = tiers.bound.values()
    tier.error = error

    assert report(model.invoke("Kyoto is where?"))["status"] == "miss"
    assert cache.stats().errors == 1


class TestLangChainsInterface:
    """The same through `BaseCache`."""

    MODEL = "[('_type', 'any'), ('stop', None)]"

    def ask(self, cache: BedrockSemanticCache, text: str, answer: str = "Kyoto.") -> Any:
        from langchain_core.load import dumps

        prompt = dumps([SystemMessage("Be brief."), HumanMessage(text)])
        found = cache.lookup(prompt, self.MODEL)
        if found is None:
            generation = ChatGeneration(message=AIMessage(answer))
            cache.update(prompt, self.MODEL, [generation])
            return None
        (hit,) = found
        assert isinstance(hit, ChatGeneration)
        return hit.message

    def test_a_similar_question_is_answered(self, cache: BedrockSemanticCache) -> None:
        """The last message counts by its text, the rest as it is."""
        assert self.ask(cache, "Where is Kyoto?") is None

        hit = self.ask(cache, "Kyoto is where?")

        assert hit.text == "Kyoto."
        assert report(hit)["tier"] == "similar"

    def test_what_is_not_served_is_judged(
        self, cache: BedrockSemanticCache, tiers: WordTiers
    ) -> None:
        """What the look-up found is remembered until the answer comes."""
        tiers.serves = False
        self.ask(cache, "Where is Kyoto?", "In Japan.")
        self.ask(cache, "Kyoto is where?", "Japan.")

        assert cache._background.join(10)
        (tier,) = tiers.bound.values()
        assert tier.judged == [("Kyoto is where?", "In Japan.", "Japan.")]
