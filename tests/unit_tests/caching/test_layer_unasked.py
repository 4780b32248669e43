"""Requests that only ask whether a cache has the answer."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_bedrock_opt import BedrockSemanticCache
from langchain_bedrock_opt.aws.layers import LayeredClient, NotAsked
from langchain_bedrock_opt.aws.replay import ReplayClient

REQUEST: dict[str, Any] = {
    "modelId": "us.amazon.nova-lite-v1:0",
    "messages": [{"role": "user", "content": [{"text": "What is 2 + 2?"}]}],
    "inferenceConfig": {"temperature": 0.0},
}
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "4"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 9, "outputTokens": 1, "totalTokens": 10},
}


class Nobody:
    """A client that answers nothing."""

    def converse(self, **_: Any) -> Any:
        raise NotAsked


def test_a_question_that_nobody_answers_counts_when_it_comes_again() -> None:
    """Asked twice without an answer and then with one, it is one miss; and a hit from then on."""
    cache = BedrockSemanticCache()
    layers = [cache.as_layer()]
    asking, answering = LayeredClient(Nobody(), layers), LayeredClient(ReplayClient(ANSWER), layers)

    for _ in range(2):
        with pytest.raises(NotAsked):
            asking.converse(**REQUEST)
    assert cache.stats().misses == 0
    answering.converse(**REQUEST)
    found = asking.converse(**REQUEST)

    stats = cache.stats()
    assert found["output"] == ANSWER["output"]
    assert (stats.misses, stats.stores, stats.hits, stats.errors) == (1, 1, 1, 0)


@pytest.mark.parametrize("block", ["bypass", "refresh"])
def test_a_cache_that_stays_out_counts_nothing_either(block: str) -> None:
    """Where the cache is kept out, asking without an answer leaves its counters as they are."""
    cache = BedrockSemanticCache()
    asking = LayeredClient(Nobody(), [cache.as_layer()])

    with getattr(cache, block)(), pytest.raises(NotAsked):
        asking.converse(**REQUEST)

    assert (cache.stats().bypassed, cache.stats().misses) == (0, 0)


def test_who_asks_next_leads() -> None:
    """A question without an answer leaves no flight and no lease behind."""
    cache = BedrockSemanticCache()
    layers = [cache.as_layer()]
    with pytest.raises(NotAsked):
        LayeredClient(Nobody(), layers).converse(**REQUEST)

    answered = LayeredClient(ReplayClient(ANSWER), layers).converse(**REQUEST)

    assert answered["bedrock_opt"]["cache"]["status"] == "miss"
