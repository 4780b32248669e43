"""Whole chains as invocation jobs: one job for each time that a chain asks a model.

Lives here: taking chains apart (`anatomy`, `fingerprint`), chains that are a line of steps, one
stage for each model (`stages`, `traces`), and all the others, whose single calls are collected
(`desk`, `questions`, `rounds`, `coalescing`). `chain` is the door: `as_batch`. Does not live
here: the chat model (`batching.chat_model`), records and runs.
Start at `chain.as_batch`. Tests: `tests/unit_tests/batching/test_chains_*`,
`tests/integration_tests/batching/test_chains_*`.
"""

from langchain_bedrock_opt.batching.chains.calls import services_for
from langchain_bedrock_opt.batching.chains.chain import BatchChain, as_batch
from langchain_bedrock_opt.batching.chains.coalescing import coalesced
from langchain_bedrock_opt.batching.chains.stages import program_of

__all__ = ["BatchChain", "as_batch", "coalesced", "program_of", "services_for"]
