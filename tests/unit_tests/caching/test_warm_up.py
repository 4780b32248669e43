"""Filling a cache before anybody asks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.prompts import ChatPromptTemplate

from langchain_bedrock_opt.caching.cache import BedrockSemanticCache
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

ROWS: list[dict[str, Any]] = [
    {"prompt": "営業時間は?", "answer": "9時から17時です。", "tags": ["hours"]},
    {"prompt": [["system", "Be brief."], ["user", "Where?"]], "answer": "Kyoto.", "ttl": 600},
    {"prompt": "Who?"},
]


@pytest.fixture
def fake(bedrock: Any, make_response: Callable[..., Any]) -> Any:
    return bedrock(make_response({"text": "The model's own."}))


@pytest.fixture
def model(fake: Any, cache: BedrockSemanticCache, make_model: Callable[..., Any]) -> Any:
    return make_model(fake, cache)


def test_answers_are_there_before_anybody_asks(
    cache: BedrockSemanticCache, fake: Any, model: Any, tmp_path: Path
) -> None:
    """What a file answers costs nothing, then or later; only what it leaves open is asked."""
    file = tmp_path / "faq.jsonl"
    lines = (json.dumps(row, ensure_ascii=False) for row in ROWS)
    file.write_text("\n\n".join(lines), encoding="utf-8")

    done = cache.warm_up(file, model)

    assert (done.rows, done.known, done.stored, done.failed) == (3, 0, 3, {})
    assert len(fake.requests) == 1
    hits = [
        model.invoke("営業時間は？"),
        model.invoke([("system", "Be brief."), ("user", "Where?")]),
        model.invoke("Who?"),
    ]
    assert [hit.text for hit in hits] == ["9時から17時です。", "Kyoto.", "The model's own."]
    assert "".join(chunk.text for chunk in model.stream("営業時間は?")) == "9時から17時です。"
    assert len(fake.requests) == 1


def test_a_second_time_changes_nothing(cache: BedrockSemanticCache, fake: Any, model: Any) -> None:
    """What is known already is left as it is."""
    cache.warm_up(ROWS, model)

    done = cache.warm_up([{"prompt": "Where?", "answer": "Osaka."}, *ROWS], model)

    assert (done.known, done.stored) == (3, 1)
    assert len(fake.requests) == 1


def test_tags_hold_for_what_was_warmed_up(
    cache: BedrockSemanticCache, fake: Any, model: Any
) -> None:
    """An answer from a file can be made invalid by its tag."""
    cache.warm_up(ROWS, model)

    cache.invalidate(tags=["hours"])

    assert model.invoke("営業時間は?").text == "The model's own."


def test_a_chain_makes_the_prompt(cache: BedrockSemanticCache, fake: Any, model: Any) -> None:
    """The request is the one that the chain will make, templates and all."""
    chain = ChatPromptTemplate.from_template("Answer in one word: {question}") | model
    row = {"prompt": {"question": "Where?"}, "answer": "Kyoto"}

    cache.warm_up([row], chain)

    assert chain.invoke({"question": "Where?"}).text == "Kyoto"
    assert fake.requests == []


def test_one_question_does_not_keep_others_out(
    bedrock: Any, cache: BedrockSemanticCache, make_model: Callable[..., Any]
) -> None:
    """A question that the model fails on is named, and the rest is stored."""
    model = make_model(bedrock(ConnectionError("away")), cache)

    done = cache.warm_up([{"prompt": "Who?"}, *ROWS[:2]], model)

    assert done.failed == {1: "ConnectionError: away"}
    assert done.stored == 2


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"prompt": "a", "answer": "b"}\n{"prompt"', "line 2"),
        ('{"question": "a"}', "row 1"),
        ('{"prompt": "a", "answer": " "}', "row 1"),
        ('{"prompt": "a", "reply": "b"}', "row 1"),
        ('["a"]', "row 1"),
        ("\udcff", "UTF-8"),
    ],
)
def test_a_file_that_is_none_is_refused_whole(
    content: str, named: str, tmp_path: Path, cache: BedrockSemanticCache, model: Any
) -> None:
    """A broken row is named, and nothing of the file is stored."""
    file = tmp_path / "faq.jsonl"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))

    with pytest.raises(ConfigurationError, match=named):
        cache.warm_up(file, model)

    assert cache.stats().stores == 0


def test_a_file_that_is_not_there(cache: BedrockSemanticCache, model: Any) -> None:
    """A path that leads nowhere is named."""
    with pytest.raises(ConfigurationError, match=r"nowhere\.jsonl"):
        cache.warm_up("nowhere.jsonl", model)


QUESTIONS: list[dict[str, Any]] = [{"prompt": f"Question {number}"} for number in range(10)]


class Failing(InMemoryCacheStore):
    """A store that takes so many entries and then fails, for good."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    def put(self, key: str, value: bytes, ttl: float | None, *, lease: str | None = None) -> bool:
        """Keep an entry while there is room."""
        self._room -= 1
        if self._room < 0:
            raise OSError("disk full")
        return super().put(key, value, ttl, lease=lease)


class Forgetful(InMemoryCacheStore):
    """A store that says it has kept an entry, and has not."""

    def get(self, key: str) -> bytes | None:
        """Nothing."""
        return None


@pytest.mark.parametrize(
    ("store", "words"),
    [(Failing(0), "OSError: disk full"), (Forgetful(), "does not keep what is put into it")],
)
def test_a_store_that_keeps_nothing_costs_nothing(
    store: InMemoryCacheStore, words: str, fake: Any, make_model: Callable[..., Any]
) -> None:
    """A store that does not work is found out before the first answer is paid for."""
    cache = BedrockSemanticCache(store)

    with pytest.raises(CacheStoreError, match=words):
        cache.warm_up(QUESTIONS, make_model(fake, cache))

    assert fake.requests == []


def test_a_store_that_fails_ends_it(fake: Any, make_model: Callable[..., Any]) -> None:
    """Once the store fails no further answer is paid for."""
    cache = BedrockSemanticCache(Failing(5))

    with pytest.raises(CacheStoreError, match="the rows after it were not asked"):
        cache.warm_up(QUESTIONS, make_model(fake, cache))

    assert len(fake.requests) == cache.stats().stores + 1 < len(QUESTIONS)


def test_a_model_that_samples_is_asked_once(
    cache: BedrockSemanticCache, fake: Any, make_model: Callable[..., Any]
) -> None:
    """A model whose answers the cache does not keep is found out by its first answer."""
    with pytest.raises(ConfigurationError, match="row 1 was answered and is not kept"):
        cache.warm_up(QUESTIONS, make_model(fake, cache, temperature=1))

    assert len(fake.requests) == 1


def test_an_answer_that_is_cut_is_told(
    bedrock: Any, make_response: Callable[..., Any], make_model: Callable[..., Any]
) -> None:
    """An answer that was cut, and is not kept, is told by its row."""
    replies = (make_response({"text": "Whole."}), make_response(stop="max_tokens"))
    cache = BedrockSemanticCache()

    done = cache.warm_up(QUESTIONS[:2], make_model(bedrock(*replies), cache))

    assert (done.stored, done.unkept) == (1, (2,))
