"""The response cache: an answer that was paid for is not paid for again.

Lives here: the cache that users make, `BedrockSemanticCache` (`cache`), with its two doors, the
request layer (`layer`, `recording`, `flight`) and LangChain's cache interface (`prompts`,
`messages`, `generations`); what makes two requests equal (`keys`, `canonical`, `schemas`, `text`);
what may be kept (`policy`); how it is kept (`codec`, `packing`, `responses`, `events`, `cuts`) and
kept secret (`encryption`, `kms`), and where (`stores`); what a caller may ask for around a call
(`control`); and what happens when a store fails (`entries`).

Does not live here: Bedrock's own prompt cache, whose cache points are the prompting room's, prices
of what was saved, and the chat model that takes the layer.

Start at `cache.BedrockSemanticCache`, then `layer.CacheLayer`. Tests: `tests/unit_tests/caching`,
and `tests/conformance/test_stores.py` for every store.
"""

from __future__ import annotations

from langchain_bedrock_opt.caching.cache import BedrockSemanticCache
from langchain_bedrock_opt.caching.stores.disk import DiskCacheStore
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore

__all__ = ["BedrockSemanticCache", "DiskCacheStore", "InMemoryCacheStore"]
