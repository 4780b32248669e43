"""What once went wrong, from the user's point of view."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_bedrock_opt.caching.cache import BedrockSemanticCache
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
from langchain_bedrock_opt.errors import CacheStoreError, ConfigurationError

MakeModel = Callable[..., Any]


def status(message: Any) -> str:
    told: str = message.response_metadata["bedrock_opt"]["cache"]["status"]
    return told


@pytest.fixture
def fake(bedrock: Any, make_response: Callable[..., Any]) -> Any:
    answers = (make_response({"text": f"Answer {n}."}) for n in range(100))
    return bedrock(lambda _: next(answers))


@pytest.fixture
def model(fake: Any, cache: BedrockSemanticCache, make_model: MakeModel) -> Any:
    return make_model(fake, cache)


def test_an_inner_block_keeps_the_tenant(cache: BedrockSemanticCache, model: Any) -> None:
    """Tags inside of a tenant's block belong to that tenant, and to no other."""
    told = []
    for tenant in ("acme", "evil"):
        with cache.options(tenant=tenant), cache.options(tags=["balance"]):
            told.append(model.invoke("My balance?").text)

    assert told == ["Answer 0.", "Answer 1."]


def test_what_a_call_wants_holds_for_hits_too(
    cache: BedrockSemanticCache, model: Any, clock: Any
) -> None:
    """A call with a tag or a time gets no answer without that tag, or older than that time."""
    model.invoke("How much?")
    clock.now += 30

    with cache.options(ttl=60):
        assert status(model.invoke("How much?")) == "hit"
    with cache.options(ttl=20):
        assert status(model.invoke("How much?")) == "miss"
    with cache.options(tags=["prices"]):
        assert status(model.invoke("How much?")) == "miss"
        assert status(model.invoke("How much?")) == "hit"


@pytest.mark.parametrize("arguments", [{"tags": "prices"}, {"tags": ["a"], "tenant": "acme"}])
def test_an_invalidation_that_can_t_be_meant(
    arguments: Any, cache: BedrockSemanticCache, model: Any
) -> None:
    """A text where a list is due is refused, and so is what could mean two things."""
    model.invoke("How much?")

    with pytest.raises(ConfigurationError):
        cache.invalidate(**arguments)

    assert status(model.invoke("How much?")) == "hit"


def test_an_empty_list_of_tags(cache: BedrockSemanticCache, model: Any) -> None:
    """No tags make nothing invalid; the tenant without a name is a tenant, too."""
    model.invoke("How much?")
    cache.invalidate(tags=[])
    assert status(model.invoke("How much?")) == "hit"

    cache.invalidate(tenant="")
    assert status(model.invoke("How much?")) == "miss"


def test_of_calls_at_once_the_oldest_question_counts(cache: BedrockSemanticCache) -> None:
    """LangChain's interface: who asked before an invalidation brings an answer of before it."""
    answer = [ChatGeneration(message=AIMessage("old"))]
    assert cache.lookup("p", "m") is None
    assert cache.lookup("p", "m") is None
    cache.update("p", "m", answer)
    cache.invalidate()

    cache.update("p", "m", answer)

    assert cache.lookup("p", "m") is None


class Table:
    """An older cache's table that has the same answer for everything."""

    def entry(self, request: Any) -> tuple[str, float | None]:
        return "An old answer.", 30.0


@pytest.fixture
def migrating(clock: Any) -> BedrockSemanticCache:
    table: Any = Table()
    store = InMemoryCacheStore(clock=clock)
    return BedrockSemanticCache(store, migrate_from=table, clock=clock, ttl_jitter=0)


def test_an_old_answer_is_taken_over_once(
    migrating: BedrockSemanticCache, fake: Any, make_model: MakeModel, clock: Any
) -> None:
    """It lives no longer than in its table, and does not come back once it was called wrong."""
    model = make_model(fake, migrating)
    first, second = model.invoke("a"), model.invoke("a")
    told = [m.response_metadata["bedrock_opt"]["cache"] for m in (first, second)]
    assert [report["tier"] for report in told] == ["migrated", "exact"]
    assert migrating.feedback(told[1]["hit_id"], correct=False)
    assert model.invoke("a").text == "Answer 0."

    assert model.invoke("b").text == "An old answer."
    clock.now += 31
    assert model.invoke("b").text == "Answer 1."


def test_no_old_answer_after_an_invalidation_or_for_a_tenant(
    migrating: BedrockSemanticCache, fake: Any, make_model: MakeModel
) -> None:
    """The older table knows no tenants, and what is invalid as a whole is not brought back."""
    model = make_model(fake, migrating)
    with migrating.options(tenant="acme"):
        assert model.invoke("a").text == "Answer 0."
    with migrating.options(tags=["x"]):
        assert model.invoke("a").text == "Answer 1."
    assert model.invoke("b").text == "An old answer."
    migrating.invalidate()

    assert model.invoke("b").text == "Answer 2."
    assert model.invoke("c").text == "Answer 3."


@pytest.mark.parametrize("hit_id", ["e:nonsense", "e:epoch:0", "e:v2:" + "0" * 64])
def test_feedback_touches_nothing_but_hits(
    hit_id: str, cache: BedrockSemanticCache, model: Any
) -> None:
    """A made-up hit is not known, and deletes nothing."""
    model.invoke("a")

    assert cache.feedback(hit_id, correct=False) is False
    assert status(model.invoke("a")) == "hit"


def test_feedback_stays_in_its_namespace(
    cache: BedrockSemanticCache, model: Any, fake: Any, make_model: MakeModel
) -> None:
    """Another cache's hit is not known here, and stays."""
    other = BedrockSemanticCache(cache._entries.store.store, namespace="other")
    model.invoke("a")
    hit_id = model.invoke("a").response_metadata["bedrock_opt"]["cache"]["hit_id"]

    assert other.feedback(hit_id, correct=False) is False
    assert status(model.invoke("a")) == "hit"


def test_a_given_answer_costs_nothing_even_if_it_can_t_be_kept(
    cache: BedrockSemanticCache, fake: Any, make_model: MakeModel
) -> None:
    """Warming a model up that samples keeps nothing, says so, and asks nobody."""
    model = make_model(fake, cache, temperature=1)

    done = cache.warm_up([{"prompt": "a", "answer": "b"}], model)

    assert (done.rows, done.stored, fake.requests) == (1, 0, [])


def test_a_renewal_that_brings_nothing_is_not_repeated(
    bedrock: Any, make_response: Callable[..., Any], make_model: MakeModel, clock: Any
) -> None:
    """If the new answer can't be kept, the stale one is served without asking again and again."""
    store = InMemoryCacheStore(clock=clock)
    cache = BedrockSemanticCache(
        store, ttl=60, ttl_jitter=0, stale_while_revalidate=900, clock=clock
    )
    fake = bedrock(make_response({"text": "Kept."}), make_response(stop="max_tokens"))
    model = make_model(fake, cache)
    model.invoke("a")
    clock.now += 61

    for _ in range(5):
        assert model.invoke("a").text == "Kept."
        assert cache._background.join(10)

    assert len(fake.requests) == 2
    assert cache.stats().renewals == 1
    assert cache.stats().spent_renewing.total == 18


def test_a_copy_is_not_brought_back_by_a_slow_reader(tmp_path: Any) -> None:
    """What was deleted while somebody read it does not live on in the process."""
    from langchain_bedrock_opt import DiskCacheStore

    read, go = threading.Event(), threading.Event()

    class Slow(DiskCacheStore):
        slow = False

        def get(self, key: str) -> bytes | None:
            data = super().get(key)
            if self.slow and key.startswith("v2"):
                read.set()
                go.wait(10)
            return data

    store = Slow(tmp_path / "cache")
    cache = BedrockSemanticCache(store)
    cache.update("p", "m", [ChatGeneration(message=AIMessage("wrong"))])
    found = cache.lookup("p", "m")
    assert isinstance(found, list)
    hit_id = found[0].message.response_metadata["bedrock_opt"]["cache"]["hit_id"]  # type: ignore[attr-defined]
    cache._entries.forget_local()
    store.slow = True
    reader = threading.Thread(target=cache.lookup, args=("p", "m"))
    reader.start()
    assert read.wait(10)
    store.slow = False

    cache.feedback(hit_id, correct=False)
    go.set()
    reader.join(10)

    assert cache.lookup("p", "m") is None
    cache.close()


def test_a_cipher_that_can_t_decrypt_loses_no_answer(fake: Any, make_model: MakeModel) -> None:
    """An answer that was paid for is returned, whatever the key service says afterwards."""

    class OneWay:
        def encrypt(self, data: bytes, bound_to: bytes) -> bytes:
            return data

        def decrypt(self, data: bytes, bound_to: bytes) -> bytes:
            raise CacheStoreError("no key just now")

    model = make_model(fake, BedrockSemanticCache(encryption=OneWay()))

    assert [model.invoke("a").text for _ in range(2)] == ["Answer 0.", "Answer 1."]


def test_a_call_that_failed_spoils_one_answer_at_most(cache: BedrockSemanticCache) -> None:
    """LangChain's interface: epochs of a call that never told are not kept for ever."""
    answer = [ChatGeneration(message=AIMessage("Kyoto."))]
    assert cache.lookup("p", "m") is None  # the model fails, and nobody tells
    cache.invalidate()

    served = []
    for _ in range(3):
        found = cache.lookup("p", "m")
        served.append(found is not None)
        if found is None:
            cache.update("p", "m", answer)

    assert served[-1]
