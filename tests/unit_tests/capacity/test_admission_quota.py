"""Calls held back until there is room for them, on the local Bedrock in virtual time."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.virtual_time import VirtualTime
from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.aws.layers import LayeredClient
from langchain_bedrock_opt.aws.replay import ReplayClient
from langchain_bedrock_opt.capacity.admission import TokenQuota
from langchain_bedrock_opt.contracts import UNSENT
from langchain_bedrock_opt.emulator import Fault, Quota
from langchain_bedrock_opt.errors import (
    ConfigurationError,
    InvalidRequestError,
    RequestTooLargeOrOverQuotaError,
    ThrottledError,
)
from tests.admission import HAIKU, NOVA, ONCE, ask, bedrock, layer


def crowd(client: Any, calls: int, threads: int, time: VirtualTime) -> tuple[int, int]:
    """Make calls from several threads; how many were answered, and how many throttled."""
    left = iter(range(calls))
    lock, ends = threading.Lock(), [0, 0]

    def work() -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
            try:
                client.converse(**ask("The quick brown fox jumps. " * 40))
            except ThrottledError:
                ends[1] += 1
            else:
                ends[0] += 1

    time.run([work] * threads)
    return ends[0], ends[1]


def test_a_crowd_is_answered_without_being_throttled() -> None:
    """Where most calls were throttled all are answered now, near the quota's own pace."""
    without, with_it = VirtualTime(), VirtualTime()
    bare = LayeredClient(bedrock(without, 60_000).client(config=ONCE))
    assert crowd(bare, 150, 8, without)[1] > 60

    emulator, quota = bedrock(with_it, 60_000), layer(with_it, 60_000, max_wait=1000)
    ends = crowd(LayeredClient(emulator.client(config=ONCE), [quota]), 150, 8, with_it)

    spent = [call.usage for call in emulator.journal.calls("Converse") if call.usage]
    ideal = sum(usage.input + 5 * usage.output for usage in spent) / 60_000 * 60
    throttled = sum(call.status == 429 for call in emulator.journal.calls("Converse"))
    assert ends == (150, 0)
    assert throttled <= 2
    assert with_it.clock() < ideal * 1.15
    assert quota.reserved_tokens == quota.waiting == 0


def test_requests_a_minute_are_kept_to() -> None:
    """A quota of requests alone holds calls back, too."""
    time = VirtualTime()
    emulator = bedrock(time)
    client = LayeredClient(emulator.client(), [layer(time, None, 30, max_wait=1000)])

    assert crowd(client, 45, 6, time) == (45, 0)

    starts = [call.started_at for call in emulator.journal.calls("Converse")]
    assert len(starts) == 45
    assert 55 < time.clock() < 100


def test_first_come_first_served() -> None:
    """Calls are let in in the order in which they came, small ones no sooner."""
    time, order = VirtualTime(), list[int]()
    quota = layer(time, 6000, max_wait=1000, share=1.0)
    client = LayeredClient(ReplayClient({"output": {}, "usage": {}}), [quota])

    def one(number: int) -> Callable[[], None]:
        def work() -> None:
            time.sleep(number / 100)
            client.converse(**ask(most=3000 if number % 2 else 100))
            order.append(number)

        return work

    time.run([one(number) for number in range(8)])

    assert order == list(range(8))
    assert time.clock() > 0.07


def test_how_long_a_call_was_held_back_is_reported() -> None:
    """The answer's report says the seconds of waiting, 0 for none."""
    time = VirtualTime()
    client = LayeredClient(bedrock(time).client(), [layer(time, 6000, share=1.0)])
    waits: list[float] = []

    def work() -> None:
        answers = (client.converse(**ask(most=900)) for _ in range(3))
        waits.extend(answer["bedrock_opt"]["lane"]["waited_seconds"] for answer in answers)

    time.run([work])

    assert waits[0] == 0
    assert waits[2] > 0


def test_answers_teach_what_the_next_will_take() -> None:
    """Once answers were seen, what output really costs is held, not `maxTokens` alone."""
    time = VirtualTime()
    quota = layer(time)
    held = []

    class Watched(ReplayClient):
        def converse(self, **request: Any) -> dict[str, Any]:
            held.append(quota.reserved_tokens)
            usage = {"inputTokens": 10, "cacheReadInputTokens": 90, "outputTokens": 200}
            return {"output": {}, "usage": usage}

    client = LayeredClient(Watched({}), [quota])
    for most in (300, 300, 5000, 100):
        client.converse(**ask("one two three " * 20, most=most))

    prompt = held[0] - 300
    assert held[1] >= 5 * 200 + prompt  # more than maxTokens
    assert held[2] >= 5000 + prompt  # which Bedrock holds at the start
    assert held[3] < 5 * 100 + 2 * prompt  # an answer can't be longer than its limit
    assert quota.reserved_tokens == 0


def test_what_is_throttled_all_the_same_waits_its_turn_again() -> None:
    """A 429 is not the caller's: after a pause the call is sent again, and reported."""
    time = VirtualTime()
    emulator, quota = bedrock(time), layer(time)
    emulator.faults.add(Fault(code="ThrottlingException", times=2))
    client = LayeredClient(emulator.client(config=ONCE), [quota])
    answers: list[dict[str, Any]] = []

    time.run([lambda: answers.append(client.converse(**ask()))])

    told = answers[0]["bedrock_opt"]
    assert told["retries"] == 2
    assert told["lane"]["waited_seconds"] >= 10
    assert quota.reserved_tokens == 0


def test_a_call_waits_no_longer_than_it_may() -> None:
    """When `max_wait` is over the call fails as throttled, unsent, and holds nothing."""
    time = VirtualTime()
    emulator, quota = bedrock(time), layer(time, 1000, max_wait=20)
    client = LayeredClient(emulator.client(config=ONCE), [quota])
    errors: list[ThrottledError] = []

    def work() -> None:
        client.converse(**ask(most=900))
        try:
            client.converse(**ask(most=900))
        except ThrottledError as error:
            errors.append(error)

    time.run([work])

    assert "max_wait=20" in str(errors[0])
    assert errors[0].retry_safe
    assert errors[0].model_id == HAIKU
    assert getattr(errors[0], UNSENT)
    assert emulator.journal.count("Converse") == 1
    assert quota.reserved_tokens == quota.waiting == 0


def test_bedrocks_own_refusal_is_told_when_time_is_up() -> None:
    """A call that Bedrock throttles to the end says so as the cause."""
    time = VirtualTime()
    emulator, quota = bedrock(time, 0), layer(time, max_wait=30)
    client = LayeredClient(emulator.client(config=ONCE), [quota])
    errors: list[ThrottledError] = []

    def work() -> None:
        try:
            client.converse(**ask())
        except ThrottledError as error:
            errors.append(error)

    time.run([work])

    assert isinstance(errors[0].__cause__, ThrottledError)
    assert 4 <= emulator.journal.count("Converse") <= 6
    assert quota.reserved_tokens == 0


def test_a_days_quota_is_not_waited_for() -> None:
    """A call that the quota of a day refuses fails at once."""
    time = VirtualTime()
    emulator = BedrockEmulator(quotas={HAIKU: Quota(tokens_per_minute=10**6, tokens_per_day=1)})
    client = LayeredClient(emulator.client(config=ONCE), [layer(time)])

    with pytest.raises(ThrottledError, match="per day"):
        client.converse(**ask())

    assert emulator.journal.count("Converse") == 1


def test_what_no_minute_has_room_for_is_refused_at_once() -> None:
    """A call that reserves more than the quota is not sent, and the message names max_tokens."""
    time = VirtualTime()
    emulator, quota = bedrock(time), layer(time, 10_000)
    client = LayeredClient(emulator.client(), [quota])
    request = ask()
    del request["inferenceConfig"]  # Bedrock then holds the model's maximum

    with pytest.raises(RequestTooLargeOrOverQuotaError, match=r"64,000 of them .* max_tokens"):
        client.converse(**request)

    assert emulator.journal.count() == 0


def test_prompts_that_are_badly_estimated_keep_no_others_out() -> None:
    """After calls that were far longer than estimated, a call that fits the quota is still sent."""
    time = VirtualTime()
    sizes = iter([17_000, 17_000, 17_000, 9000])

    class Sized(ReplayClient):
        def converse(self, **_request: Any) -> dict[str, Any]:
            return {"output": {}, "usage": {"inputTokens": next(sizes), "outputTokens": 5}}

    estimates = {"video": 3000, "text": 9000}
    quota = layer(time, 20_000, count=lambda request: estimates[request["messages"][0]["content"]])
    client = LayeredClient(Sized({}), [quota])

    def say(what: str, most: int) -> None:
        messages = [{"role": "user", "content": what}]
        client.converse(modelId=NOVA, messages=messages, inferenceConfig={"maxTokens": most})

    def work() -> None:
        for _ in range(3):
            say("video", 200)
            time.sleep(120)
        say("text", 5000)

    time.run([work])

    assert next(sizes, None) is None
    assert quota.reserved_tokens == 0


def test_what_seems_too_large_and_is_throttled_is_not_tried_again() -> None:
    """A call that an estimate alone says is too large is sent once: Bedrock knows better."""
    time = VirtualTime()
    emulator, quota = bedrock(time, 0), layer(time, 1000, count=lambda _request: 1200)
    client = LayeredClient(emulator.client(config=ONCE), [quota])

    def work() -> None:
        with pytest.raises(ThrottledError):
            client.converse(**ask())

    time.run([work])

    assert emulator.journal.count("Converse") == 1
    assert quota.reserved_tokens == 0


@pytest.mark.parametrize("estimate", [ValueError("secret prompt"), math.nan, "many", -5])
def test_an_estimate_that_fails_stops_no_call(
    estimate: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A call whose prompt can't be estimated is answered, and no log repeats its content."""

    def count(_request: Any) -> int:
        if isinstance(estimate, Exception):
            raise estimate
        return estimate  # type: ignore[no-any-return]

    quota = layer(VirtualTime(), count=count)
    client = LayeredClient(BedrockEmulator().client(), [quota])

    assert client.converse(**ask())["usage"]["outputTokens"]
    assert "secret" not in caplog.text
    assert quota.reserved_tokens == 0


def test_bedrocks_own_tools_are_let_through() -> None:
    """A tool that the estimate knows nothing of does not keep its call from Bedrock."""
    client = BedrockEmulator().client()
    model = ChatBedrockOptimized(
        model="us.amazon.nova-2-lite-v1:0",
        layers=[TokenQuota(10**6)],
        client=client,
        bedrock_client=client,
        max_tokens=100,
    )
    tools = {"tools": [{"systemTool": {"name": "nova_grounding"}}]}

    assert model.bind(toolConfig=tools).invoke("Hello!").content


def test_throttles_that_botocore_got_over_are_heeded() -> None:
    """Where botocore's own retries hid a 429, calls pause all the same."""
    time = VirtualTime()
    emulator = BedrockEmulator()
    emulator.faults.add(Fault(code="ThrottlingException", times=1))
    client = emulator.client()
    quota = layer(time)
    model = ChatBedrockOptimized(
        model=HAIKU, client=client, bedrock_client=client, max_tokens=100, layers=[quota]
    )
    from langchain_bedrock_opt.aws.attempts import watch_attempts

    watch_attempts(client)
    waits: list[float] = []

    def work() -> None:
        for _ in range(2):
            answer = model.invoke("Hello!")
            waits.append(answer.response_metadata["bedrock_opt"]["lane"]["waited_seconds"])

    time.run([work])

    assert waits[0] == 0
    assert waits[1] >= 5


def test_streams_hold_until_they_say_what_they_spent() -> None:
    """A stream's tokens are held while it runs, and settled with its metadata."""
    time = VirtualTime()
    quota = layer(time)
    client = LayeredClient(BedrockEmulator().client(), [quota])

    events = iter(client.converse_stream(**ask())["stream"])
    next(events)
    assert quota.reserved_tokens > 300
    last = list(events)[-1]

    assert last["metadata"]["bedrock_opt"]["lane"] == {"waited_seconds": 0.0}
    assert quota.reserved_tokens == 0


async def test_tasks_and_threads_share_it() -> None:
    """`ainvoke`, `astream` and `invoke` of several models go through one quota."""
    quota = TokenQuota(10**6, max_wait=5)
    client = BedrockEmulator().client()
    models = [
        ChatBedrockOptimized(
            model=model, client=client, bedrock_client=client, max_tokens=100, layers=[quota]
        )
        for model in (HAIKU, NOVA)
    ]

    answers = await asyncio.gather(*(model.ainvoke("Hello!") for model in models * 5))
    chunks = [chunk async for chunk in models[0].astream("こんにちは")]

    assert all("lane" in answer.response_metadata["bedrock_opt"] for answer in answers)
    assert chunks
    assert quota.reserved_tokens == 0


def test_limits_by_model_hold_for_theirs_alone() -> None:
    """Each model has its own quota, by the id it is called with; others are not held back."""
    time = VirtualTime()
    quota = layer(time, {HAIKU: 1000}, max_wait=0)
    client = LayeredClient(BedrockEmulator().client(), [quota])
    arn = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{HAIKU}"

    client.converse(**ask(most=900))
    with pytest.raises(ThrottledError):
        client.converse(**ask(most=900, model=arn))
    client.converse(**ask(most=900, model=HAIKU.replace("us.", "global.", 1)))
    client.converse(**ask(most=900, model=NOVA))
    with pytest.raises(InvalidRequestError):
        client.converse(**ask(model="no model at all"))


@pytest.mark.parametrize(
    ("tokens", "more", "message"),
    [
        (None, {}, "needs tokens_per_minute"),
        (0, {}, "tokens_per_minute is 0"),
        (1.5, {}, "tokens_per_minute is 1.5"),
        ({HAIKU: -1}, {}, f"tokens_per_minute of {HAIKU} is -1"),
        ({HAIKU: 1}, {"requests_per_minute": 5}, "both be numbers"),
        (1, {"requests_per_minute": True}, "requests_per_minute is True"),
        (1, {"max_wait": -1}, "max_wait=-1"),
        (1, {"max_wait": math.nan}, "max_wait=nan"),
        (1, {"burst_seconds": 0}, "burst_seconds=0"),
        (1, {"share": 1.1}, "share=1.1"),
    ],
)
def test_a_limit_that_is_none_is_refused(tokens: Any, more: dict[str, Any], message: str) -> None:
    """Wrong numbers are refused when the quota is made, with their value."""
    with pytest.raises(ConfigurationError, match=message):
        TokenQuota(tokens, **more)
