"""Runs that stand in for others are one request, in the report as for the caller."""

from __future__ import annotations

from typing import Any

from langchain_bedrock_opt import (
    BedrockEmulator,
    BedrockUsageCallbackHandler,
    ChatBedrockRouter,
    UsageLedger,
)
from langchain_bedrock_opt.emulator import Fault, ScriptedResponder

TIERS = {"simple": "us.amazon.nova-lite-v1:0", "complex": "us.amazon.nova-pro-v1:0"}
REFUSAL = "I'm sorry, but I can't help with that."
PROMPT = "日本の首都は?"


def make(
    replies: list[str], **options: Any
) -> tuple[ChatBedrockRouter, UsageLedger, BedrockEmulator]:
    emulator = BedrockEmulator(responder=ScriptedResponder(replies))
    ledger = UsageLedger()
    router = ChatBedrockRouter(
        tiers=TIERS,
        client=emulator.client(),
        bedrock_client=emulator.client("bedrock"),
        callbacks=[BedrockUsageCallbackHandler(sinks=[ledger])],
        max_tokens=50,
        **options,
    )
    return router, ledger, emulator


def test_an_escalated_request_is_one_with_the_cost_of_both_answers() -> None:
    """The strong tier alone would have answered once: the refused answer is not priced there."""
    router, ledger, _ = make([REFUSAL, "Tokyo."], escalate=True)
    router.invoke(PROMPT)

    report = router.report(ledger)

    first, second = ledger.records()
    assert (report.calls, report.attempts, report.escalated) == (1, 1, 1)
    assert report.by_tier == {"simple": 0, "complex": 1}
    assert second.route is not None
    assert second.route.replaces == first.run_id
    assert report.single_tier_pico_usd["complex"] == second.cost_pico_usd
    assert first.cost_pico_usd is not None
    assert second.cost_pico_usd is not None
    assert report.compared_cost_pico_usd == first.cost_pico_usd + second.cost_pico_usd


def test_a_tier_that_is_throttled_is_an_attempt_and_no_failed_call() -> None:
    """What another tier answered in its stead has not failed."""
    router, ledger, emulator = make(["Tokyo."], fallback="next")
    emulator.faults.add(Fault(code="ThrottlingException", model_id=TIERS["simple"], times=None))

    router.invoke(PROMPT)
    report = router.report(ledger)

    assert (report.calls, report.attempts, report.fell_back, report.failed) == (1, 1, 1, 0)


def test_an_escalation_that_is_throttled_did_not_happen() -> None:
    """The first answer was given after all, so the request is with the first tier."""
    router, ledger, emulator = make([REFUSAL], escalate=True)
    emulator.faults.add(Fault(code="ThrottlingException", model_id=TIERS["complex"], times=None))

    assert router.invoke(PROMPT).content == REFUSAL
    report = router.report(ledger)

    assert (report.calls, report.attempts, report.escalated, report.failed) == (1, 1, 0, 0)
    assert report.by_tier["simple"] == 1
    assert router.escalation_stats().escalated == 0


def test_structured_output_is_put_together_by_the_run_around_it() -> None:
    """There the model's run is inside of another, which is the one that is replaced."""
    form = {"title": "City", "type": "object", "properties": {"name": {"type": "string"}}}
    form["required"] = ["name"]
    router, ledger, emulator = make(['{"name": "Tokyo"}'], fallback="next")
    emulator.faults.add(Fault(code="ThrottlingException", model_id=TIERS["simple"], times=None))

    structured = router.with_structured_output(form, method="prompt_prefill")
    structured.invoke(PROMPT)

    assert (router.report(ledger).calls, router.report(ledger).attempts) == (1, 1)
