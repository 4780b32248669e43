"""A router under many callers at once: stickiness, escalation and fallback keep their counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.config import Config
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockRouter
from langchain_bedrock_opt.contracts import REPORT_KEY
from langchain_bedrock_opt.emulator.faults import Fault
from langchain_bedrock_opt.emulator.types import Reply
from langchain_bedrock_opt.routing import BreakEven, ComplexityScore, Escalation, RoutingPolicy
from langchain_bedrock_opt.usage import BedrockUsageCallbackHandler

SIMPLE, MODERATE = "us.amazon.nova-lite-v1:0", "us.anthropic.claude-haiku-4-5-20251001-v1:0"
COMPLEX = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
REFUSAL = "I'm sorry, but I can't help with that."
LATENCY = 0.02
THREADS, CALLS_A_THREAD, TASKS = 50, 6, 500


class Refusing:
    """Every third question is refused by the first tier; all else is answered."""

    def reply(self, request: Mapping[str, Any]) -> Reply:
        question = request["messages"][-1]["content"][0]["text"]
        is_refused = "nova" in request["modelId"] and number_of(question) % 3 == 0
        text = REFUSAL if is_refused else f"the answer to {question}"
        return Reply(content=({"text": text},), input_tokens=10, output_tokens=5)


class Easy:
    """Finds everything easy, so that stickiness alone keeps a conversation up."""

    def score(self, messages: Any, tools: Any = None) -> ComplexityScore:
        return ComplexityScore(value=0.0)


def number_of(question: str) -> int:
    return int(question.rsplit(" ", 1)[-1])


def conversation(number: int) -> list[BaseMessage]:
    """A second turn, so that the router looks up where the first one went."""
    first = [HumanMessage(f"opening {number}"), AIMessage("Go on.")]
    return [*first, HumanMessage(f"question {number}")]


@pytest.fixture
def emulator() -> BedrockEmulator:
    emulator = BedrockEmulator(responder=Refusing(), pace=LATENCY)
    # Every seventh call to the first tier is throttled: which one it is depends on the crowd.
    throttling = Fault(code="ThrottlingException", model_id=SIMPLE, times=None, every=7)
    emulator.faults.add(throttling)
    return emulator


@pytest.fixture
def usage() -> BedrockUsageCallbackHandler:
    return BedrockUsageCallbackHandler()


@pytest.fixture
def router(emulator: BedrockEmulator, usage: BedrockUsageCallbackHandler) -> ChatBedrockRouter:
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=THREADS)
    client = emulator.client(config=config)
    return ChatBedrockRouter(
        tiers={"simple": SIMPLE, "moderate": MODERATE, "complex": COMPLEX},
        scorer=Easy(),
        policy=RoutingPolicy({"moderate": 0.5, "complex": 0.9}),
        escalate=Escalation(break_even=BreakEven(minimum=10_000, window=10_000)),
        fallback="next",
        callbacks=[usage],
        client=client,
        bedrock_client=client,
    )


def check(
    answers: list[tuple[int, BaseMessage]],
    router: ChatBedrockRouter,
    emulator: BedrockEmulator,
    usage: BedrockUsageCallbackHandler,
) -> None:
    """Everybody has the answer to the question asked, and all the sums are right."""
    routes = [message.response_metadata[REPORT_KEY]["route"] for _, message in answers]
    went = Counter(
        "fallback" if "fallback_from" in route else "escalated" if "escalated_from" in route else ""
        for route in routes
    )
    for (number, message), route in zip(answers, routes, strict=True):
        assert message.text == f"the answer to question {number}"
        assert route["tier"] == (
            "moderate" if set(route) & {"fallback_from", "escalated_from"} else "simple"
        )
        assert ("escalated_from" in route) <= (number % 3 == 0)
    stats, total = router.escalation_stats(), len(answers)
    assert stats.checked == total
    assert stats.escalated == went["escalated"] == stats.failed["refusal"]
    assert went["fallback"] == total // 7
    assert sum(balance.trials for balance in stats.pairs.values()) == total
    records = usage.ledger.records()
    assert (
        len(records)
        == len(emulator.journal.calls())
        == total + went["fallback"] + went["escalated"]
    )
    assert sum(record.status == "error" for record in records) == went["fallback"]
    spent = [record.usage.input for record in records if record.usage is not None]
    assert sum(spent) == 10 * (total + went["escalated"])
    assert usage.open_runs == 0


def test_fifty_threads(
    router: ChatBedrockRouter, emulator: BedrockEmulator, usage: BedrockUsageCallbackHandler
) -> None:
    """Threads that call at once get their own answers, and none is lost or counted twice."""
    numbers = range(THREADS * CALLS_A_THREAD)

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda each: (each, router.invoke(conversation(each))), numbers))

    check(answers, router, emulator, usage)  # type: ignore[arg-type]


async def test_five_hundred_tasks(
    router: ChatBedrockRouter, emulator: BedrockEmulator, usage: BedrockUsageCallbackHandler
) -> None:
    """So do tasks."""
    messages = await asyncio.gather(*(router.ainvoke(conversation(each)) for each in range(TASKS)))

    check(list(enumerate(messages)), router, emulator, usage)


def test_conversations_of_a_crowd_stay_up(
    router: ChatBedrockRouter, emulator: BedrockEmulator
) -> None:
    """Each thread's conversation that was sent up stays up, whatever the others do meanwhile."""
    emulator.faults.clear()

    def talk(number: int) -> list[str]:
        opening: list[BaseMessage] = [HumanMessage(f"opening {number}")]
        force = "complex" if number % 2 else "simple"
        first = router.invoke(opening, force=force)
        second = router.invoke([*opening, first, HumanMessage(f"question {number * 3 + 1}")])
        return [each.response_metadata[REPORT_KEY]["route"]["tier"] for each in (first, second)]

    with ThreadPoolExecutor(THREADS) as pool:
        tiers = list(pool.map(talk, range(THREADS * 2)))

    assert tiers == [["simple"] * 2, ["complex"] * 2] * THREADS
