"""The emulated prompt cache: what is written, what is read, and what that costs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from langchain_bedrock_opt.emulator.replies.prompt_cache import PromptCache
from langchain_bedrock_opt.emulator.replies.rules import RuleResponder

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-pro-v1:0"
POINT = {"cachePoint": {"type": "default"}}


def ask(text: str, model: str, **more: Any) -> dict[str, Any]:
    return {
        "modelId": model,
        "messages": [{"role": "user", "content": [{"text": text}]}],
        **more,
    }


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


LONG = "These are the rules of the house. " * 400


def cached(*turns: str, model: str = NOVA, ttl: str | None = None) -> dict[str, Any]:
    """A request whose system prompt and last turn are marked as cacheable."""
    point = {"cachePoint": {"type": "default", **({"ttl": ttl} if ttl else {})}}
    roles = ("user", "assistant")
    messages = [
        {"role": roles[index % 2], "content": [{"text": text}]} for index, text in enumerate(turns)
    ]
    messages[-1]["content"].append(point)  # type: ignore[attr-defined]
    return {"modelId": model, "system": [{"text": LONG}, point], "messages": messages}


def test_a_prefix_is_written_once_and_read_afterwards() -> None:
    """The first call pays for the cache, the next ones read it, and no token counts twice."""
    brain = RuleResponder()
    first, second = brain.reply(cached("Hello there")), brain.reply(cached("Hello there"))
    other = brain.reply(cached("Something else"))
    plain = brain.reply(ask("Hello there", NOVA, system=[{"text": LONG}]))

    assert first.cache_write_tokens > 1_024
    assert first.cache_read_tokens == 0
    assert second.cache_read_tokens == first.cache_write_tokens
    assert second.cache_write_tokens == 0
    # Only the system prompt is shared with the third call; its own turn is new.
    assert 1_024 < other.cache_read_tokens < second.cache_read_tokens
    for reply in (first, second):
        total = reply.input_tokens + reply.cache_read_tokens + reply.cache_write_tokens
        assert total == plain.input_tokens


def test_a_conversation_reads_what_its_last_turn_wrote() -> None:
    """A cache point that moves with the conversation finds the shorter prefix behind it."""
    brain = RuleResponder()
    first = brain.reply(cached("Hello there"))
    second = brain.reply(cached("Hello there", "Hi!", "Tell me more"))

    assert second.cache_read_tokens == first.cache_write_tokens
    assert second.cache_write_tokens > 0


def test_prefixes_expire_after_their_time_to_live() -> None:
    """Five minutes without a call empty the cache, or an hour if the request says so."""
    clock = Clock()
    brain = RuleResponder(cache=PromptCache(clock=clock))
    short, long = cached("Hello there"), cached("Hello there", ttl="1h", model=SONNET)
    brain.reply(short)
    brain.reply(long)
    clock.now += 301

    assert brain.reply(short).cache_read_tokens == 0
    assert brain.reply(long).cache_read_tokens > 0


def test_what_is_too_short_or_unmarked_is_not_cached() -> None:
    """A prefix under the model's minimum, or without a cache point, is plain input."""
    brain = RuleResponder()
    short = ask("Hi", NOVA, system=[{"text": "Be brief."}, POINT])
    unmarked = ask("Hi", NOVA, system=[{"text": LONG}])
    for request in (short, unmarked):
        brain.reply(request)
        reply = brain.reply(request)
        assert (reply.cache_read_tokens, reply.cache_write_tokens) == (0, 0)


def test_models_do_not_share_prefixes() -> None:
    """A prefix that one model wrote is new to another."""
    brain = RuleResponder()
    brain.reply(cached("Hello there", model=NOVA))

    assert brain.reply(cached("Hello there", model=SONNET)).cache_read_tokens == 0


def test_the_cache_is_bounded() -> None:
    """The oldest prefixes go first, so a long-lived emulator does not grow."""
    brain = RuleResponder(cache=PromptCache(max_prefixes=4))
    for name in ("a", "b", "c", "d", "e"):
        brain.reply(ask("Hi", NOVA, system=[{"text": f"{name} {LONG}"}, POINT]))

    old = brain.reply(ask("Hi", NOVA, system=[{"text": f"a {LONG}"}, POINT]))
    young = brain.reply(ask("Hi", NOVA, system=[{"text": f"e {LONG}"}, POINT]))

    assert old.cache_read_tokens == 0
    assert young.cache_read_tokens > 0


def test_concurrent_calls_write_a_prefix_once() -> None:
    """Of many equal calls at the same time one writes the cache and the others read it."""
    brain, request = RuleResponder(), cached("Hello there")
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: brain.reply(request), range(40)))

    assert sum(reply.cache_write_tokens > 0 for reply in replies) == 1
    assert sum(reply.cache_read_tokens > 0 for reply in replies) == 39
