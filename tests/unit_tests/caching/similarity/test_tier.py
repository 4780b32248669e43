"""The similarity tier as a cache uses it, from a question to a match and back to what it learns."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from langchain_bedrock_opt import InMemoryCacheStore
from langchain_bedrock_opt.caching.similarity.bound import BoundTier, Match, Question
from langchain_bedrock_opt.caching.similarity.cell_index import CellIndex
from langchain_bedrock_opt.caching.similarity.embedding import embedder_name
from langchain_bedrock_opt.caching.similarity.judges import same_answer
from langchain_bedrock_opt.caching.similarity.tier import SimilarityTier
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

SCOPE = "scope"


class WordEmbeddings(Embeddings):
    """Texts with common words are near: each word is a direction of its own."""

    def __init__(self, dims: int = 128, *, model_id: str = "words") -> None:
        self.dims = dims
        self.model_id = model_id
        self.asked: list[str] = []

    def embed_query(self, text: str) -> list[float]:
        self.asked.append(text)
        vector = np.zeros(self.dims)
        for word in re.findall(r"\w+", text.lower()):
            seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
            vector += np.random.default_rng(seed).normal(size=self.dims)
        return [float(value) for value in vector]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


class FakeClock:
    """A time that passes only when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class KeepingStore(InMemoryCacheStore):
    """A store that shows all that was ever written to it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_entries=100_000, **kwargs)
        self.written: list[tuple[str, bytes]] = []

    def put(self, key: str, value: bytes, ttl: float | None, *, lease: str | None = None) -> bool:
        self.written.append((key, value))
        return super().put(key, value, ttl, lease=lease)

    def swap(self, key: str, old: bytes | None, new: bytes, ttl: float | None) -> bool:
        self.written.append((key, new))
        return super().swap(key, old, new, ttl)


def bind(store: Any = None, *, name: str = "cache", **kwargs: Any) -> BoundTier:
    kwargs.setdefault("random", random.Random(7).random)
    tier = SimilarityTier(kwargs.pop("embeddings", WordEmbeddings()), **kwargs)
    if store is None:
        store = InMemoryCacheStore(max_entries=100_000)
    return tier.bind(store, name=name)


def ask(text: str, scope: str = SCOPE) -> Question:
    return Question(scope, text)


def known(tier: BoundTier, *texts: str, scope: str = SCOPE) -> None:
    for text in texts:
        key = f"key of {hashlib.sha256(text.encode()).hexdigest()}"
        tier.add(ask(text, scope), key, 600, answer=f"answer to {text}")


def trained(tier: BoundTier, count: int = 400, *, slips_each: int | None = None) -> Match:
    """A tier that has learned from labels that polite requests are right and others wrong.

    Of the right ones, each `slips_each`th is called wrong.
    """
    text = "how can somebody reset the password of a work account from home"
    known(tier, text)
    right = tier.find(ask(f"please {text}"))
    wrong = tier.find(ask("how can somebody reset the password of a colleague and an account"))
    assert right is not None
    assert wrong is not None
    for number in range(count):
        tier.learn(right, correct=slips_each is None or number % slips_each != 0)
        tier.learn(wrong, correct=False)
    return right


TEXT = "how can somebody reset the password of a work account from home"


def test_nothing_known() -> None:
    """Where nothing was asked before there is no match, and no embedding is paid for."""
    embeddings = WordEmbeddings()
    tier = bind(embeddings=embeddings)

    assert tier.find(ask(TEXT)) is None
    assert embeddings.asked == []


def test_a_near_question_is_matched_and_not_served() -> None:
    """The nearest question is found, and its answer is not served before anything is proven."""
    tier = bind()
    known(tier, TEXT, "what does the cantine offer for lunch")

    match = tier.find(ask(f"please {TEXT}"))

    assert match is not None
    assert match.entry_key.endswith(hashlib.sha256(TEXT.encode()).hexdigest())
    assert 0.9 < match.similarity < 1
    assert (match.served, match.audited) == (False, False)
    assert tier.find(ask("what is the weather in Kyoto like")) is None


def test_vetoes_come_first() -> None:
    """A near question that differs in a number is passed over, and the veto is counted."""
    tier = bind()
    known(tier, "what does it cost to send 20 letters to Japan by air")

    assert tier.find(ask("what does it cost to send 30 letters to Japan by air")) is None
    assert sum(tier.stats().vetoed.values()) == 1


def test_served_once_proven() -> None:
    """After enough labels an answer is served, and the promise is told."""
    tier = bind(max_error_rate=0.05, audit_rate=0.0)
    trained(tier)

    match = tier.find(ask(f"please {TEXT}"))

    assert match is not None
    assert match.served
    stats = tier.stats()
    assert stats.hits == 1
    assert stats.error_bound is not None
    assert stats.error_bound <= 0.05
    assert (stats.labels_ok, stats.labels_wrong, stats.known_labels) == (400, 400, 800)


@pytest.mark.parametrize(("judge_error", "opens"), [(0.0, False), (0.03, True)])
def test_a_judge_that_slips(judge_error: float, *, opens: bool) -> None:
    """What a judge is known to get wrong is not held against the tier; what is not known is."""
    tier = bind(max_error_rate=0.02, audit_rate=0.0, judge_error=judge_error)
    trained(tier, 1000, slips_each=33)

    assert (tier.stats().threshold is not None) is opens


def test_a_share_of_hits_is_audited() -> None:
    """Of would-be hits the given share is not served but checked, whatever the question."""
    tier = bind(max_error_rate=0.05, audit_rate=0.2)
    trained(tier)

    matches = [tier.find(ask(f"please {TEXT}")) for _ in range(500)]

    audited = [match for match in matches if match is not None and match.audited]
    assert all(match is not None and match.served is not match.audited for match in matches)
    assert 70 < len(audited) < 130
    assert tier.stats().audits == len(audited)
    assert not any(match.served for match in audited)


def test_scopes_and_names_are_apart() -> None:
    """A question of another scope, or of another cache in the same store, is never matched."""
    store = InMemoryCacheStore()
    tier = bind(store)
    known(tier, TEXT)

    assert tier.find(ask(TEXT, "other scope")) is None
    assert bind(store, name="other tenant").find(ask(TEXT)) is None
    assert bind(store).find(ask(TEXT)) is not None


def test_two_embedding_models_never_meet() -> None:
    """Vectors of one model are not compared with those of another, of any size."""
    store = InMemoryCacheStore()
    known(bind(store), TEXT)

    for embeddings in (WordEmbeddings(model_id="other"), WordEmbeddings(64, model_id="small")):
        assert bind(store, embeddings=embeddings).find(ask(TEXT)) is None
    renamed = bind(store, embeddings=WordEmbeddings(64), embedder="words of 64")
    assert renamed.find(ask(TEXT)) is None


def test_a_model_that_changes_its_size_is_told_so() -> None:
    """Vectors of another length under the same name are an error that says what to do."""
    store = InMemoryCacheStore()
    known(bind(store), TEXT)

    with pytest.raises(CacheStoreError, match="embedder="):
        bind(store, embeddings=WordEmbeddings(64)).find(ask(f"please {TEXT}"))


def test_a_text_is_embedded_once() -> None:
    """A text is embedded once by a process, and once by all that share the store."""
    store = InMemoryCacheStore()
    first, second = WordEmbeddings(), WordEmbeddings()
    tier = bind(store, embeddings=first)
    known(tier, TEXT)

    for _ in range(3):
        tier.find(ask(TEXT))
    match = bind(store, embeddings=second).find(ask(TEXT))

    assert (len(first.asked), len(second.asked)) == (1, 0)
    assert tier.stats().embedded == 1
    assert match is not None
    assert match.similarity == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    "answer", [[], [0.0, 0.0], [float("nan"), 1.0], ValueError("TEXT is too long")]
)
def test_embeddings_that_fail(answer: Any) -> None:
    """Embeddings that fail or give no vector are a store's error, which does not quote the text."""

    class Failing(WordEmbeddings):
        def embed_query(self, text: str) -> list[float]:
            if isinstance(answer, Exception):
                raise answer
            return list(answer)

    with pytest.raises(CacheStoreError) as caught:
        known(bind(embeddings=Failing()), TEXT)

    assert "TEXT" not in str(caught.value)


def test_removed_questions_are_not_matched() -> None:
    """A question whose answer was wrong can be forgotten."""
    tier = bind()
    known(tier, TEXT)
    match = tier.find(ask(TEXT))
    assert match is not None

    tier.remove(match.scope, match.entry_key)

    assert tier.find(ask(TEXT)) is None


def test_the_judge_is_asked_and_learned_from() -> None:
    """The judge gets question and answers; what it says becomes a label of that entry."""
    asked: list[tuple[str, str, str]] = []

    def judge(question: str, known_answer: str, new_answer: str) -> bool | None:
        asked.append((question, known_answer, new_answer))
        return same_answer(question, known_answer, new_answer)

    tier = bind(judge=judge)
    known(tier, TEXT)
    question = ask(f"please {TEXT}")
    match = tier.find(question)
    assert match is not None
    assert tier.needs_label(match)

    assert tier.judge(question, match, "Here.", " Here. ") is True
    assert tier.judge(question, match, "Here.", "There.") is False

    assert asked[0] == (question.text, "Here.", " Here. ")
    stats = tier.stats()
    assert (stats.judged, stats.labels_ok, stats.labels_wrong) == (2, 1, 1)
    again = tier.find(question)
    assert again is not None
    assert again.features != match.features  # the entry's record counts


@pytest.mark.parametrize("failure", [None, RuntimeError("no text in the log")])
def test_a_judge_that_can_not_say(
    failure: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A judge that fails or is in doubt gives no label, and fails no call."""

    def judge(question: str, known_answer: str, new_answer: str) -> bool | None:
        if failure:
            raise failure
        return None

    tier = bind(judge=judge)
    known(tier, TEXT)
    match = tier.find(ask(TEXT))
    assert match is not None

    assert tier.judge(ask(TEXT), match, "a", "b") is None

    stats = tier.stats()
    assert (stats.judge_failures, stats.judged, stats.known_labels) == (1, 0, 0)
    assert "no text" not in caplog.text


def test_who_needs_no_label() -> None:
    """Without a judge no label is asked for, and never for an answer that is served."""
    tier = bind(max_error_rate=0.05, audit_rate=0.0)
    match = trained(tier)
    assert not tier.needs_label(match)
    assert tier.judge(ask(TEXT), match, "a", "a") is None

    judged = bind(max_error_rate=0.05, audit_rate=0.0, judge=same_answer)
    trained(judged)
    served = judged.find(ask(f"please {TEXT}"))
    assert served is not None
    assert served.served
    assert not judged.needs_label(served)


def test_judgements_are_rationed() -> None:
    """The judge is asked at most so often a minute; the ration grows back with time."""
    clock = FakeClock()
    tier = bind(judge=same_answer, judgements_per_minute=6, clock=clock)
    known(tier, TEXT)
    match = tier.find(ask(TEXT))
    assert match is not None

    assert [tier.needs_label(match) for _ in range(8)] == [True] * 6 + [False] * 2
    clock.now += 20
    assert [tier.needs_label(match) for _ in range(4)] == [True] * 2 + [False] * 2


def test_an_audit_weighs_as_much_as_the_hits_it_stands_for() -> None:
    """A few wrong audits outweigh many labels of candidates that were not served."""
    tier = bind(max_error_rate=0.05, audit_rate=0.03)
    trained(tier)
    matches = [tier.find(ask(f"please {TEXT}")) for _ in range(300)]
    audit = next(match for match in matches if match is not None and match.audited)

    for _ in range(60):
        tier.learn(audit, correct=False)

    after = tier.find(ask(f"please {TEXT}"))
    assert after is not None
    assert not after.served
    assert not after.audited


def test_what_was_learned_survives_and_is_shared() -> None:
    """A restart, and other processes within a minute, know what was learned; nobody's is lost."""
    clock = FakeClock()
    store = InMemoryCacheStore(max_entries=100_000, clock=clock)
    options: dict[str, Any] = {"max_error_rate": 0.05, "audit_rate": 0.0, "clock": clock}
    mine, other = bind(store, **options), bind(store, **options)
    known(mine, TEXT)
    assert other.find(ask(TEXT)) is not None
    trained(mine, 203)
    mine.close()

    restarted = bind(store, **options).find(ask(f"please {TEXT}"))
    assert restarted is not None
    assert restarted.served
    clock.now += 61
    shared = other.find(ask(f"please {TEXT}"))
    assert shared is not None
    assert shared.served
    other.learn(shared, correct=True)
    other.close()
    clock.now += 61
    mine.find(ask(TEXT))
    assert mine.stats().known_labels == 407


def test_labels_are_written_now_and_then() -> None:
    """Labels are written after ten of them or five seconds, and the last ones on closing."""
    clock = FakeClock()
    store = KeepingStore()
    tier = bind(store, clock=clock)
    known(tier, TEXT)
    match = tier.find(ask(TEXT))
    assert match is not None

    def writes(act: Callable[[], object]) -> int:
        before = len(store.written)
        act()
        return sum(key.startswith("sim:l:") for key, _ in store.written[before:])

    learn = lambda: tier.learn(match, correct=True)  # noqa: E731
    assert [writes(learn) for _ in range(11)] == [0] * 9 + [1, 0]
    clock.now += 6
    assert writes(learn) == 1
    assert writes(learn) == 0
    assert writes(tier.close) == 1
    assert writes(tier.close) == 0


def test_broken_labels_are_begun_anew() -> None:
    """A state that can't be read counts as none, and is replaced by the next labels."""
    store = KeepingStore()
    tier = bind(store)
    trained(tier, 10)
    (key,) = {key for key, _ in store.written if key.startswith("sim:l:")}
    store.put(key, b"nonsense", None)

    fresh = bind(store)
    match = fresh.find(ask(TEXT))
    assert match is not None
    assert fresh.stats().known_labels == 0
    for _ in range(10):
        fresh.learn(match, correct=True)

    reader = bind(store)
    reader.find(ask(TEXT))
    assert reader.stats().known_labels == 10


def test_facts_that_can_not_be_read() -> None:
    """A stored question whose facts are nonsense is passed over and counted."""
    store = InMemoryCacheStore()

    class Forgetful(CellIndex):
        def search(self, *args: Any, **kwargs: Any) -> Any:
            from dataclasses import replace

            return [replace(each, facts=b"?") for each in super().search(*args, **kwargs)]

    tier = bind(store, index=Forgetful(store))
    known(tier, TEXT)

    assert tier.find(ask(TEXT)) is None
    assert tier.stats().broken == 1


def test_no_text_is_stored() -> None:
    """No word of a question or an answer is in any key or value that is written."""
    store = KeepingStore()
    tier = bind(store, judge=same_answer)
    secret = "Xylophonkonzert in Wakkanai 稚内市役所"
    tier.add(ask(secret), "v1:0123", 600, answer="Zwanzig Uhr, Nordtor")
    question = ask(f"{secret} heute")
    match = tier.find(question)
    assert match is not None
    for _ in range(12):
        tier.judge(question, match, "Zwanzig Uhr", "Zwanzig Uhr")
    tier.close()

    everything = b"\0".join(key.encode() + value for key, value in store.written)
    for word in (
        "Xylophon",
        "konzert",
        "Wakkanai",
        "稚内",
        "市役所",
        "Zwanzig",
        "heute",
        "Nordtor",
        SCOPE,
    ):
        assert word.encode() not in everything
        assert word.lower().encode() not in everything
    assert b"v1:0123" in everything  # so that the search would have found a text


def test_names_of_embeddings() -> None:
    """Class, model and settings make the name, and nothing that differs between processes."""
    small = WordEmbeddings(model_id="words")
    small.model_kwargs = {"dimensions": 256, "what": object()}  # type: ignore[attr-defined]

    assert embedder_name(small) != embedder_name(WordEmbeddings(model_id="words"))
    assert "256" in embedder_name(small)
    assert "0x" not in embedder_name(small)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"embeddings": "titan"}, "give LangChain embeddings"),
        ({"judge": "strict"}, "AnswerJudge"),
        ({"index": "redis"}, "'auto', 'cells'"),
        ({"max_error_rate": 0.0}, "max_error_rate=0.0: must be above 0"),
        ({"max_error_rate": 1.0}, "below 1"),
        ({"judge_error": 0.5}, "judge_error=0.5: must be below 0.5"),
        ({"judge_error": -0.1}, "judge_error=-0.1: must be 0 or more"),
        ({"audit_rate": 1.0}, "audit_rate=1.0"),
        ({"audit_rate": -0.1}, "0 or more"),
        ({"min_similarity": 1.5}, "1 or less"),
        ({"neighbours": 0}, "neighbours=0"),
        ({"judgements_per_minute": 0}, "judgements_per_minute=0"),
        ({"embedding_cache_size": 0}, "embedding_cache_size=0"),
        ({"embedding_ttl": 0}, "embedding_ttl=0"),
    ],
)
def test_mistakes_of_setup(wrong: dict[str, Any], says: str) -> None:
    """An argument that can't work is refused when the tier is made, with the way out."""
    with pytest.raises(ConfigurationError, match=says):
        SimilarityTier(**{"embeddings": WordEmbeddings(), **wrong})
