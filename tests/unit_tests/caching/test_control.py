"""What a caller asks of a cache for one call."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_bedrock_opt.aws.call_context import call_context
from langchain_bedrock_opt.caching.control import (
    CallOptions,
    current_options,
    current_options_by_config,
    options_block,
    options_of,
)
from langchain_bedrock_opt.errors import ConfigurationError

CACHE = object()


def test_by_default_a_cache_is_used() -> None:
    """Where nothing was said, nothing is different."""
    assert current_options(CACHE) == CallOptions()


def test_blocks_speak_to_one_cache_and_end() -> None:
    """A block holds for its cache and its length, and an inner one adds to an outer one."""
    with options_block(CACHE, tags=("a",), ttl=5):
        with options_block(CACHE, mode="refresh"):
            assert current_options(CACHE) == CallOptions(mode="refresh", tags=("a",), ttl=5)
            assert current_options("another") == CallOptions()
        assert current_options(CACHE) == CallOptions(tags=("a",), ttl=5)
    assert current_options(CACHE) == CallOptions()


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("bypass", CallOptions(mode="bypass")),
        ({"mode": "refresh", "tags": ["a", "b"]}, CallOptions(mode="refresh", tags=("a", "b"))),
        ({"ttl": 60, "tenant": "acme"}, CallOptions(ttl=60, tenant="acme")),
    ],
)
def test_the_run_s_metadata_speaks_to_every_cache(told: Any, meant: CallOptions) -> None:
    """A mode or a dict in the run's metadata is what was asked for."""
    assert options_of(told) == meant
    with call_context({"bedrock_opt_cache": told, "other": 1}):
        assert current_options(CACHE) == meant


def test_a_block_wins_over_metadata() -> None:
    """What stands nearer to the call counts, field by field."""
    told = {"bedrock_opt_cache": {"mode": "bypass", "tenant": "acme"}}
    with call_context(told), options_block(CACHE, mode="refresh"):
        assert current_options(CACHE) == CallOptions(mode="refresh", tenant="acme")


def test_a_chain_s_config_reaches_langchain_s_interface() -> None:
    """Where a chain was told something, a cache inside it knows."""
    chain: RunnableLambda[str, CallOptions] = RunnableLambda(
        lambda _: current_options_by_config(CACHE)
    )

    assert chain.invoke("", {"metadata": {"bedrock_opt_cache": "bypass"}}).mode == "bypass"
    assert chain.invoke("").mode == "use"


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ("bypas", "bypas"),
        ({"mod": "bypass"}, "mod"),
        (7, "7"),
        ({"answer": "x"}, "answer"),
        ({"ttl": 0}, "ttl=0"),
        ({"tags": "prices"}, "prices"),
        ({"tags": [1]}, "tags"),
        ({"tenant": 3}, "tenant=3"),
    ],
)
def test_mistakes_are_named(told: Any, named: str) -> None:
    """What can't be meant is refused by its name, and not passed over."""
    with pytest.raises(ConfigurationError, match=named):
        options_of(told)
