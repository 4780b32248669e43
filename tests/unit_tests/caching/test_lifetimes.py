"""How long answers are served: stale ones, invalid ones, those of this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_bedrock_opt.caching.cache import BedrockSemanticCache
from langchain_bedrock_opt.caching.stores.disk import DiskCacheStore
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore

MakeModel = Callable[..., Any]


def report(message: Any) -> Any:
    return message.response_metadata["bedrock_opt"]["cache"]


@pytest.fixture
def replies(make_response: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    return (make_response({"text": f"Answer {n}."}) for n in range(100))


@pytest.fixture
def fake(bedrock: Any, replies: Iterator[Any]) -> Any:
    """A model that never says the same twice."""
    return bedrock(lambda _: next(replies))


class TestStale:
    """Answers past their time, served while a new one is fetched."""

    @pytest.fixture
    def cache(self, clock: Any) -> BedrockSemanticCache:
        store = InMemoryCacheStore(clock=clock)
        return BedrockSemanticCache(
            store, ttl=60, ttl_jitter=0, stale_while_revalidate=30, clock=clock
        )

    @pytest.mark.parametrize("way", ["invoke", "stream"])
    def test_it_is_served_once_more(
        self, way: str, cache: BedrockSemanticCache, clock: Any, fake: Any, make_model: MakeModel
    ) -> None:
        """The caller gets the old answer at once, and the next one a new answer."""
        model = make_model(fake, cache)
        model.invoke("Where?")
        clock.now += 70
        if way == "stream":
            fake.replies = [
                [
                    {"messageStart": {"role": "assistant"}},
                    {"contentBlockDelta": {"delta": {"text": "New."}, "contentBlockIndex": 0}},
                    {"contentBlockStop": {"contentBlockIndex": 0}},
                    {"messageStop": {"stopReason": "end_turn"}},
                    {"metadata": {"usage": {}, "metrics": {}}},
                ]
            ]

        chunks = list(model.stream("Where?")) if way == "stream" else [model.invoke("Where?")]

        assert "".join(chunk.text for chunk in chunks) == "Answer 0."
        assert cache._background.join(10)
        assert len(fake.requests) == 2
        fresh = model.invoke("Where?")
        assert fresh.text == ("New." if way == "stream" else "Answer 1.")
        assert "is_stale" not in report(fresh)
        assert cache.stats().stale == 1

    def test_the_report_says_so(
        self, cache: BedrockSemanticCache, clock: Any, fake: Any, make_model: MakeModel
    ) -> None:
        """A stale hit is told from a fresh one."""
        model = make_model(fake, cache)
        model.invoke("Where?")
        clock.now += 70

        assert report(model.invoke("Where?"))["is_stale"] is True
        cache.close()

    def test_past_both_times_it_is_gone(
        self, cache: BedrockSemanticCache, clock: Any, fake: Any, make_model: MakeModel
    ) -> None:
        """After the extra time the caller waits for a new answer."""
        model = make_model(fake, cache)
        model.invoke("Where?")
        clock.now += 90

        assert model.invoke("Where?").text == "Answer 1."

    def test_a_new_answer_that_does_not_come_changes_nothing(
        self, cache: BedrockSemanticCache, clock: Any, fake: Any, make_model: MakeModel
    ) -> None:
        """If the model fails in the background, the stale answer stays, and nobody insists."""
        model = make_model(fake, cache)
        model.invoke("Where?")
        clock.now += 70
        fake.replies = [ConnectionError("away")]

        assert model.invoke("Where?").text == "Answer 0."
        assert cache._background.join(10)
        assert model.invoke("Where?").text == "Answer 0."
        assert cache._background.join(10)
        assert cache.stats().errors == 1
        assert len(fake.requests) == 2

    def test_langchain_s_interface_sends_one_caller(
        self, cache: BedrockSemanticCache, clock: Any
    ) -> None:
        """There one caller gets a miss, and brings the new answer; the others get the old one."""
        old, new = ([ChatGeneration(message=AIMessage(text))] for text in ("old", "new"))
        cache.update("p", "m", old)
        clock.now += 70

        assert cache.lookup("p", "m") is None
        stale = cache.lookup("p", "m")
        assert stale is not None
        assert stale[0].text == "old"
        cache.update("p", "m", new)
        found = cache.lookup("p", "m")
        assert found is not None
        assert found[0].text == "new"


class TestInvalid:
    """Answers that somebody has made invalid."""

    def test_a_namespace(
        self, cache: BedrockSemanticCache, fake: Any, make_model: MakeModel
    ) -> None:
        """One write makes all answers of a namespace invalid, and none of another one."""
        other = BedrockSemanticCache(cache._entries.store.store, namespace="other")
        model, other_model = make_model(fake, cache), make_model(fake, other)
        for prompt in ("a", "b"):
            model.invoke(prompt)
        other_model.invoke("a")

        cache.invalidate()

        assert [report(model.invoke(prompt))["status"] for prompt in ("a", "b")] == ["miss"] * 2
        assert report(other_model.invoke("a"))["status"] == "hit"
        assert report(model.invoke("a"))["status"] == "hit"

    def test_a_tag(self, cache: BedrockSemanticCache, fake: Any, make_model: MakeModel) -> None:
        """Only answers with the tag are asked for anew, however they were tagged."""
        model = make_model(fake, cache)
        with cache.options(tags=["prices"]):
            model.invoke("How much?")
        model.invoke("Where?")

        cache.invalidate(tags=["prices", "unheard of"])

        assert report(model.invoke("How much?"))["status"] == "miss"
        assert report(model.invoke("Where?"))["status"] == "hit"

    def test_a_tenant(self, cache: BedrockSemanticCache, fake: Any, make_model: MakeModel) -> None:
        """One tenant's answers go, and nobody else's."""
        model = make_model(fake, cache)

        def ask(tenant: str) -> str:
            with cache.options(tenant=tenant):
                status: str = report(model.invoke("Where?"))["status"]
                return status

        assert [ask("acme"), ask("zeta"), ask("acme")] == ["miss", "miss", "hit"]
        cache.invalidate(tenant="acme")
        assert [ask("acme"), ask("zeta")] == ["miss", "hit"]

    def test_an_answer_under_way(
        self, cache: BedrockSemanticCache, fake: Any, make_model: MakeModel
    ) -> None:
        """An answer that was asked for before and came after is invalid, too."""

        def answer_late(request: Any) -> Any:
            cache.invalidate()
            return reply

        reply = fake.replies[0]({})
        fake.replies = [answer_late]
        model = make_model(fake, cache)
        model.invoke("Where?")
        fake.replies = [reply]

        assert report(model.invoke("Where?"))["status"] == "miss"

    def test_through_langchain_s_interface(self, cache: BedrockSemanticCache) -> None:
        """The same holds there, also for an answer that was under way."""
        generations = [ChatGeneration(message=AIMessage("Kyoto."))]
        assert cache.lookup("p", "m") is None
        cache.invalidate()
        cache.update("p", "m", generations)

        assert cache.lookup("p", "m") is None
        cache.update("p", "m", generations)
        assert cache.lookup("p", "m") is not None


class TestLocal:
    """What a process keeps of a store that it shares."""

    @pytest.fixture
    def caches(self, tmp_path: Path, clock: Any) -> Iterator[list[BedrockSemanticCache]]:
        """Two processes' caches over one folder."""
        clock.now = time.time()  # by which a folder's entries expire
        caches = [
            BedrockSemanticCache(
                DiskCacheStore(tmp_path / "cache", clock=clock), local_ttl=10, clock=clock
            )
            for _ in range(2)
        ]
        yield caches
        for cache in caches:
            cache.close()

    def test_a_second_hit_asks_no_store(
        self, caches: list[BedrockSemanticCache], clock: Any, fake: Any, make_model: MakeModel
    ) -> None:
        """The store is read once; then the process has the entry, for some seconds."""
        model = make_model(fake, caches[0])
        model.invoke("Where?")
        tiers = [report(model.invoke("Where?"))["tier"] for _ in range(3)]
        clock.now += 10

        assert tiers == ["exact", "local", "local"]
        assert report(model.invoke("Where?"))["tier"] == "exact"
        assert caches[0].stats().hits_by_tier == {"exact": 2, "local": 2}

    def test_the_ages_are_right(
        self, caches: list[BedrockSemanticCache], clock: Any, fake: Any, make_model: MakeModel
    ) -> None:
        """An entry's age is from when it was stored, wherever it is read."""
        model = make_model(fake, caches[0])
        model.invoke("Where?")
        clock.now += 3
        assert report(model.invoke("Where?"))["age_seconds"] == 3
        clock.now += 2
        assert report(model.invoke("Where?"))["age_seconds"] == 5

    def test_no_entry_outlives_itself(
        self, caches: list[BedrockSemanticCache], clock: Any, fake: Any, make_model: MakeModel
    ) -> None:
        """A local copy is gone when the entry's own time is over."""
        model = make_model(fake, caches[0])
        with caches[0].options(ttl=5):
            model.invoke("Where?")
        assert report(model.invoke("Where?"))["status"] == "hit"
        clock.now += 8

        assert report(model.invoke("Where?"))["status"] == "miss"

    def test_an_invalidation_reaches_other_processes(
        self, caches: list[BedrockSemanticCache], clock: Any, fake: Any, make_model: MakeModel
    ) -> None:
        """Within a second another process goes by it, local copies included."""
        models = [make_model(fake, cache) for cache in caches]
        for model in models:
            model.invoke("Where?")
            model.invoke("Where?")

        caches[0].invalidate()
        clock.now += 1

        assert report(models[1].invoke("Where?"))["status"] == "miss"


class TestFeedback:
    """Hits that somebody says were wrong."""

    def test_a_wrong_answer_is_not_served_again(
        self, cache: BedrockSemanticCache, fake: Any, make_model: MakeModel
    ) -> None:
        """After feedback the model is asked anew; right answers stay."""
        model = make_model(fake, cache)
        model.invoke("Where?")
        hit_id = report(model.invoke("Where?"))["hit_id"]

        assert cache.feedback(hit_id, correct=True)
        assert report(model.invoke("Where?"))["status"] == "hit"
        assert cache.feedback(hit_id, correct=False)
        assert report(model.invoke("Where?"))["status"] == "miss"

    @pytest.mark.parametrize("hit_id", ["", "s:unknown", "x"])
    def test_an_unknown_hit(self, hit_id: str, cache: BedrockSemanticCache) -> None:
        """A hit that nobody knows is answered with False."""
        assert cache.feedback(hit_id, correct=False) is False


class TestConfig:
    """What a run's config asks of the cache."""

    @pytest.mark.parametrize(
        ("told", "statuses"),
        [
            ("bypass", ["bypass", "bypass", "miss"]),
            ({"mode": "refresh"}, ["refresh", "refresh", "hit"]),
            ({"tenant": "acme"}, ["miss", "hit", "miss"]),
        ],
    )
    def test_metadata_reaches_the_cache(
        self, told: Any, statuses: list[str], make_response: Any, bedrock: Any
    ) -> None:
        """A call's metadata says how the cache is used, in invoke and in stream."""
        from langchain_bedrock_opt import ChatBedrockOptimized

        fake = bedrock(make_response({"text": "Kyoto."}))
        model = ChatBedrockOptimized(
            model="anthropic.claude-3-haiku-20240307-v1:0",
            client=fake,
            bedrock_client=fake,
            cache=BedrockSemanticCache(),
        )
        config: Any = {"metadata": {"bedrock_opt_cache": told}}

        got = [report(model.invoke("Where?", config))["status"] for _ in range(2)]
        got.append(report(model.invoke("Where?"))["status"])

        assert got == statuses
