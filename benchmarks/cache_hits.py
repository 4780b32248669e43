"""What a hit and an update cost, beside diskcache itself and LangChain's own caches.

The answer is a message with 2 KB of text, a tool call and what Bedrock tells of a response. Ours
go through `BedrockSemanticCache.lookup` and `update`, key and all, over a folder; the process's
own copies are off, so that each look-up reads the folder, and on in a row of its own. diskcache's
`get` and `set` move the same bytes. `SQLiteCache` is LangChain's (`pip install
langchain-community`; its row is left out without it). The long history is a conversation of 77
messages with tools; both models answer it from memory.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diskcache
from langchain_aws import ChatBedrockConverse
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration

from benchmarks.cache_codec import LLM_STRING, META, answer
from benchmarks.harness import Comparison, Result, compare
from langchain_bedrock_opt import (
    BedrockEmulator,
    BedrockSemanticCache,
    ChatBedrockOptimized,
    DiskCacheStore,
)
from langchain_bedrock_opt.caching.codec import EntryCodec
from langchain_bedrock_opt.caching.generations import encode_generations

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
ENTRIES = 200
ROUNDS = 31
HISTORY = 77


def run() -> Result:
    """Compare times of look-ups, updates and hits on a long history."""
    with tempfile.TemporaryDirectory() as folder:
        return _run(Path(folder))


def _run(folder: Path) -> Result:
    prompts = [_prompt(number) for number in range(ENTRIES)]
    generations = [ChatGeneration(message=answer())]
    data = encode_generations(EntryCodec(), "key", generations, meta=META)
    floor = diskcache.Cache(str(folder / "floor"))
    ours = BedrockSemanticCache(DiskCacheStore(folder / "ours"), local_entries=0)
    local = BedrockSemanticCache(DiskCacheStore(folder / "local"))
    for number, prompt in enumerate(prompts):
        floor.set(str(number), data)
        ours.update(prompt, LLM_STRING, generations)
        local.update(prompt, LLM_STRING, generations)

    def raw_get() -> float:
        return _cpu(lambda n: floor.get(str(n)))

    def raw_set() -> float:
        return _cpu(lambda n: floor.set(str(n), data))

    hits = compare(lambda: _lookups(ours, prompts), raw_get, rounds=ROUNDS)
    local_hits = compare(lambda: _lookups(local, prompts), raw_get, rounds=ROUNDS)
    updates = compare(
        lambda: _cpu(lambda n: ours.update(prompts[n], LLM_STRING, generations)),
        raw_set,
        rounds=ROUNDS,
    )
    history = _history()
    figures = {
        "lookup on disk / diskcache get": hits.ratio,
        "lookup in the process / diskcache get": local_hits.ratio,
        "update / diskcache set": updates.ratio,
        f"hit on {HISTORY} messages / InMemoryCache": history.ratio,
        "lookup on disk, CPU µs": hits.ours,
        "update, CPU µs": updates.ours,
        f"hit on {HISTORY} messages, CPU µs": history.ours,
    }
    baselines = {
        "diskcache get, CPU µs": hits.baseline,
        "diskcache set, CPU µs": updates.baseline,
        f"InMemoryCache hit on {HISTORY} messages, CPU µs": history.baseline,
    }
    sqlite = _sqlite(folder, prompts, generations, ours)
    if sqlite is not None:
        figures["SQLiteCache lookup / ours on disk"] = 1 / sqlite.ratio
        baselines["SQLiteCache lookup, CPU µs"] = sqlite.baseline
    ours.close()
    local.close()
    floor.close()
    return Result(
        benchmark="cache_hits",
        figures=figures,
        baselines=baselines,
        goals={
            "lookup on disk / diskcache get": ("<=", 3.0),
            "update / diskcache set": ("<=", 1.5),
            "SQLiteCache lookup / ours on disk": (">=", 20),
            f"hit on {HISTORY} messages / InMemoryCache": ("<=", 0.25),
        },
    )


def _prompt(number: int) -> str:
    """A prompt of two messages, as LangChain hands it to a cache."""
    text = f"Order {number}: where is my parcel, and when will it be here? " * 3
    return dumps([SystemMessage("You help with orders. Be brief."), HumanMessage(text)])


def _cpu(work: Callable[[int], object]) -> float:
    """Microseconds of CPU for each of the entries."""
    start = time.process_time()
    for number in range(ENTRIES):
        work(number)
    return (time.process_time() - start) / ENTRIES * 1e6


def _lookups(cache: BaseCache, prompts: list[str]) -> float:
    def look(number: int) -> None:
        if cache.lookup(prompts[number], LLM_STRING) is None:
            raise RuntimeError("the benchmark's own entry is not there")

    return _cpu(look)


def _sqlite(
    folder: Path, prompts: list[str], generations: list[ChatGeneration], ours: BaseCache
) -> Comparison | None:
    """Our look-up beside that of LangChain's SQLiteCache, if it is installed."""
    try:
        from langchain_community.cache import SQLiteCache
    except ImportError:
        return None
    cache = SQLiteCache(str(folder / "langchain.db"))
    for prompt in prompts:
        cache.update(prompt, LLM_STRING, generations)
    return compare(
        lambda: _lookups(ours, prompts), lambda: _lookups(cache, prompts), rounds=ROUNDS // 4
    )


def _history() -> Comparison:
    """A hit on a long conversation beside LangChain's quickest cache."""
    client = BedrockEmulator().client()
    arguments: dict[str, Any] = {
        "model": MODEL,
        "client": client,
        "bedrock_client": client,
        "max_tokens": 100,
    }
    tools = [find_order]
    ours = ChatBedrockOptimized(**arguments, cache=BedrockSemanticCache()).bind_tools(tools)
    theirs = ChatBedrockConverse(**arguments, cache=InMemoryCache()).bind_tools(tools)
    messages = conversation(HISTORY)

    def cpu(model: Any) -> float:
        start = time.process_time()
        for _ in range(10):
            model.invoke(messages)
        return (time.process_time() - start) / 10 * 1e6

    cpu(ours), cpu(theirs)
    return compare(lambda: cpu(ours), lambda: cpu(theirs), rounds=ROUNDS)


def find_order(number: int) -> str:
    """Find an order."""
    return f"{number}: shipped"


def conversation(length: int) -> list[BaseMessage]:
    """A conversation about orders with calls of a tool, of so many messages."""
    messages: list[BaseMessage] = [SystemMessage("You help with orders. Be brief.")]
    metadata = {"ResponseMetadata": {"RequestId": "0" * 36, "RetryAttempts": 0}}
    usage: Any = {"input_tokens": 900, "output_tokens": 40, "total_tokens": 940}
    for number in range(length // 4):
        call: Any = {"name": "find_order", "args": {"number": number}, "id": f"tooluse_{number}"}
        messages += [
            HumanMessage(f"Where is order {number}? " + "Please tell me what you can find. " * 4),
            AIMessage(
                [{"type": "text", "text": f"I look for order {number}."}],
                tool_calls=[call],
                response_metadata=metadata,
                usage_metadata=usage,
            ),
            ToolMessage(f"{number}: shipped " * 10, tool_call_id=f"tooluse_{number}"),
            AIMessage(
                f"Order {number} has been shipped. " * 5,
                response_metadata=metadata,
                usage_metadata=usage,
            ),
        ]
    return [*messages[: length - 1], HumanMessage("And in one sentence?")]
