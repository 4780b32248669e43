"""What the cache's bytes and keys cost, beside LangChain's own.

The answer is a message with 2 KB of text, a tool call and what Bedrock tells of a response. Its
entry is compressed and sealed; LangChain's is plain JSON, made by `dumps` and read by `loads`,
once as LangChain's caches call it and once with the two classes named that it needs, which is
faster. The keys are those of conversations of 2 and of 77 messages, beside the `dumps` of the
messages that LangChain makes for each lookup.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration

from benchmarks.harness import Comparison, Result, compare
from langchain_bedrock_opt.caching.codec import EntryCodec
from langchain_bedrock_opt.caching.generations import (
    encode_generations,
    mark_hit,
    read_generations,
)
from langchain_bedrock_opt.caching.keys import semantic_key
from langchain_bedrock_opt.caching.prompts import prompt_key

ROUNDS = 41
LONG, SHORT = 77, 2
KEY = "v2g:" + "0" * 64
META = {"at": 1_800_000_000.0, "fresh": 1_800_003_600.0}
MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
LLM_STRING = (
    '{"id": ["langchain", "chat_models", "bedrock_converse", "ChatBedrockConverse"], "kwargs": '
    f'{{"model_id": "{MODEL}", "temperature": 0.0}}, "lc": 1, "type": "constructor"}}'
    "---[('stop', None)]"
)

# Some 2 KB in which no sentence comes twice, as in a real answer.
TEXT = """\
Kyoto lies in a basin, so its summers are humid and its winters colder than Osaka's. For the three
days you asked about I would plan around the rain that is expected on Tuesday afternoon.

**Monday.** Start at Fushimi Inari before eight, when the lower gates are still empty; the full
round to the summit takes two to three hours and needs good shoes. From there the Keihan line
brings you to Tofukuji, whose moss garden was laid out by Mirei Shigemori in 1939. Lunch near
Gojo is cheap: most set menus cost between 900 and 1,400 yen. In the afternoon walk north along
Higashiyama by way of Kiyomizu, Ninenzaka and Yasaka, and end at Maruyama park.

**Tuesday.** Since rain is likely after one o'clock, put the open-air part first. Arashiyama's
bamboo grove is at its best at seven; Tenryuji opens at 8:30 and charges 500 yen for the garden.
If you have time left, cross the Togetsukyo bridge and look at the monkeys. Spend the wet hours in
the Railway Museum (1,500 yen, closed on Wednesdays) or in Nishiki market, which is covered from
Teramachi to Takakura. Dinner: obanzaki in one of the alleys west of Pontocho; book it today.

**Wednesday.** Take bus 205 or the Karasuma line to Kitaoji and see Daitokuji, where four of the
twenty-two temples are open. Kinkakuji is a quarter of an hour further by foot. Those who prefer
gardens to gold leaf should choose Ryoanji instead, and sit a while. Return by Keifuku tram.

Two practical remarks. First, a one-day pass for subway and bus costs 1,100 yen and pays from the
fifth ride on. Second, luggage can be sent ahead from any convenience store; hand it in before noon
and it arrives the next day. I have not found the opening hours of Saihoji for that week, and it
admits only those who apply by post or online. Let me look up the forecast once more, hour by hour.
"""
ARGUMENTS = {"city": "Kyoto", "from": "2026-11-23", "to": "2026-11-25", "fields": ["rain", "wind"]}
CALL_ID = "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q"


def run() -> Result:
    """Compare times of encoding, decoding and keys, and sizes."""
    generation = ChatGeneration(message=answer())
    codec = EntryCodec(secret="a secret of the benchmark's own")
    theirs = dumps(generation)
    ours = encode_generations(codec, KEY, [generation], meta=META)

    def encode() -> object:
        return encode_generations(codec, KEY, [generation], meta=META)

    def decode() -> object:
        stored = read_generations(codec.open(KEY, ours))
        return mark_hit(stored, {"status": "hit", "tier": "exact", "saved": stored.saved.as_dict()})

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that `loads` is in beta, at each call
        encoded = _compare(encode, lambda: dumps(generation), 200)
        decoded = _compare(decode, lambda: loads(theirs), 200)
        named = _compare(
            decode, lambda: loads(theirs, allowed_objects=[ChatGeneration, AIMessage]), 200
        )
    keys = {messages: _keys(messages) for messages in (SHORT, LONG)}
    return Result(
        benchmark="cache_codec",
        figures={
            "encode, times as fast as dumps": 1 / encoded.ratio,
            "decode, times as fast as loads": 1 / decoded.ratio,
            "decode, times as fast as loads of named classes": 1 / named.ratio,
            "bytes / LangChain's": len(ours) / len(theirs),
            "encode, CPU µs": encoded.ours,
            "decode, CPU µs": decoded.ours,
            **{
                f"{door} key / dumps, {messages} messages": compared.ratio
                for messages, doors in keys.items()
                for door, compared in doors.items()
            },
            **{
                f"{door} key, {messages} messages, CPU µs": compared.ours
                for messages, doors in keys.items()
                for door, compared in doors.items()
            },
        },
        baselines={
            "dumps, CPU µs": encoded.baseline,
            "loads, CPU µs": decoded.baseline,
            "loads of named classes, CPU µs": named.baseline,
            "dumps of 77 messages, CPU µs": keys[LONG]["layer"].baseline,
        },
        goals={
            "encode, times as fast as dumps": (">=", 20),
            "decode, times as fast as loads": (">=", 6),
            "bytes / LangChain's": ("<=", 0.35),
        },
    )


def _keys(messages: int) -> dict[str, Comparison]:
    """The key of a conversation at either door, beside LangChain's `dumps` of it."""
    request, conversation = _request(messages), _conversation(messages)
    prompt = dumps(conversation)
    calls = 400 // messages
    return {
        "layer": _compare(lambda: semantic_key(request), lambda: dumps(conversation), calls),
        "BaseCache": _compare(
            lambda: prompt_key(prompt, LLM_STRING), lambda: dumps(conversation), calls
        ),
    }


def answer() -> AIMessage:
    """A message with 2 KB of text, a tool call, usage and what Bedrock tells of a response."""
    request_id = "0d6a4c1e-5d5a-4f2e-9d4b-1f4a8f6f3c11"
    return AIMessage(
        [
            {"type": "text", "text": TEXT},
            {"type": "tool_use", "name": "get_weather", "input": ARGUMENTS, "id": CALL_ID},
        ],
        tool_calls=[{"name": "get_weather", "args": ARGUMENTS, "id": CALL_ID}],
        usage_metadata={
            "input_tokens": 812,
            "output_tokens": 531,
            "total_tokens": 1343,
            "input_token_details": {"cache_creation": 0, "cache_read": 512},
        },
        response_metadata={
            "ResponseMetadata": {
                "RequestId": request_id,
                "HTTPStatusCode": 200,
                "HTTPHeaders": {
                    "date": "Sun, 22 Nov 2026 10:11:12 GMT",
                    "content-type": "application/json",
                    "content-length": "2914",
                    "connection": "keep-alive",
                    "x-amzn-requestid": request_id,
                },
                "RetryAttempts": 0,
            },
            "stopReason": "tool_use",
            "metrics": {"latencyMs": [4213]},
            "model_provider": "bedrock_converse",
            "model_name": MODEL,
        },
    )


def _texts(messages: int) -> list[str]:
    """Different texts of some 250 characters."""
    return [(TEXT + TEXT)[number * 23 :][:250] for number in range(messages)]


def _request(messages: int) -> dict[str, Any]:
    return {
        "modelId": MODEL,
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": ("user", "assistant")[number % 2], "content": [{"text": text}]}
            for number, text in enumerate(_texts(messages))
        ],
        "inferenceConfig": {"maxTokens": 500, "temperature": 0.0},
    }


def _conversation(messages: int) -> list[BaseMessage]:
    kinds = (HumanMessage, AIMessage)
    said = [kinds[number % 2](text) for number, text in enumerate(_texts(messages))]
    return [SystemMessage("Be brief."), *said]


def _compare(ours: Callable[[], object], baseline: Callable[[], object], calls: int) -> Comparison:
    return compare(lambda: _cpu(ours, calls), lambda: _cpu(baseline, calls), rounds=ROUNDS)


def _cpu(work: Callable[[], object], calls: int) -> float:
    """Microseconds of CPU that one call takes."""
    start = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - start) / calls * 1e6
