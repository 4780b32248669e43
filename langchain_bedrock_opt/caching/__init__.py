"""The response cache: an answer that was paid for is not paid for again.

Lives here:

* what users make, `BedrockSemanticCache` (`cache`), and what its doors share (`desk`): the request
  layer (`layer`, `recording`) and LangChain's cache interface (`door`, `prompts`, `messages`,
  `generations`);
* what makes two requests equal (`keys`, `canonical`, `schemas`, `text`), and what may be kept
  (`policy`);
* which answers are served: `entries`, valid by `epochs`, counted in `stats`, corrected by `hits`;
* who asks the model, of many: `flight` in this process, `leases` across processes, `background`
  for what nobody waits for;
* how answers are kept (`codec`, `packing`, `responses`, `events`, `cuts`), kept secret
  (`encryption`, `kms`), and where: `stores/`, behind a circuit breaker (`guard`); an older cache's
  table (`guide_table`), and answers from a file (`warm_up`);
* answers to questions that mean the same: `similarity/`, at work in `similar`;
* what a caller may ask for around a call (`control`).

Does not live here: Bedrock's own prompt cache, whose cache points are the prompting room's, prices
of what was saved, and the chat model that takes the layer.

Start at `cache.BedrockSemanticCache`, then `layer.CacheLayer`. Tests: `tests/unit_tests/caching`,
and `tests/conformance` for every store.
"""

from __future__ import annotations

from langchain_bedrock_opt.caching.cache import BedrockSemanticCache
from langchain_bedrock_opt.caching.encryption import AesGcmCipher
from langchain_bedrock_opt.caching.guide_table import GuideTable
from langchain_bedrock_opt.caching.kms import KmsCipher
from langchain_bedrock_opt.caching.similarity.judges import AnswerJudge, same_answer
from langchain_bedrock_opt.caching.similarity.tier import SimilarityTier
from langchain_bedrock_opt.caching.stores.disk import DiskCacheStore
from langchain_bedrock_opt.caching.stores.dynamodb import DynamoDBCacheStore
from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
from langchain_bedrock_opt.caching.stores.redis import RedisCacheStore

__all__ = [
    "AesGcmCipher",
    "AnswerJudge",
    "BedrockSemanticCache",
    "DiskCacheStore",
    "DynamoDBCacheStore",
    "GuideTable",
    "InMemoryCacheStore",
    "KmsCipher",
    "RedisCacheStore",
    "SimilarityTier",
    "same_answer",
]
