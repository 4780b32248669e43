"""From a day of calls over the local Bedrock to a calibrated router, as a user goes about it."""

from __future__ import annotations

from pathlib import Path

from langchain_bedrock_opt import (
    BedrockEmulator,
    BedrockUsageCallbackHandler,
    ChatBedrockRouter,
    UsageLedger,
)
from langchain_bedrock_opt.routing import Calibration, Example

TIERS = {
    "simple": "us.amazon.nova-lite-v1:0",
    "complex": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
}
TOPICS = ("zorble", "quimpet")


def make(emulator: BedrockEmulator, ledger: UsageLedger, **arguments: object) -> ChatBedrockRouter:
    client = emulator.client()
    return ChatBedrockRouter(
        tiers=TIERS,
        client=client,
        bedrock_client=client,
        callbacks=[BedrockUsageCallbackHandler(sinks=[ledger])],
        max_tokens=50,
        **arguments,  # type: ignore[arg-type]
    )


def test_a_day_of_calls_becomes_a_calibrated_router(
    in_process: BedrockEmulator, tmp_path: Path
) -> None:
    """Thumbs for the calls in the ledger set thresholds; labelled prompts teach the weights too."""
    ledger = UsageLedger(tmp_path / "usage.jsonl")
    router = make(in_process, ledger)
    prompts = [f"Tell the {TOPICS[n % 2]} of number {n} hello." for n in range(120)]
    router.batch([*prompts], {"configurable": {"force": "simple"}})

    # Somebody looks at the answers: those on the long numbers are no good.
    records = ledger.records()
    ranks = sorted(record.route.score for record in records if record.route)
    labels = {
        record.run_id: "👍" if record.route and record.route.score < ranks[80] else "👎"
        for record in records
    }
    by_ledger = router.calibrate(ledger, labels=labels, quality=0.9)
    report = router.report(ledger, labels=labels)

    assert (by_ledger.prompts, by_ledger.scorer) == (120, None)
    assert report.observed_good == sum(each == "👍" for each in labels.values()) / 120
    assert report.expected_good is not None
    assert abs(report.expected_good - report.observed_good) < 0.01

    examples = [Example(prompt, label="zorble" in prompt) for prompt in prompts]
    router.calibrate(examples, quality=1.0).save(tmp_path / "calibration.json")
    again = make(in_process, ledger, calibration=tmp_path / "calibration.json")
    for topic, tier in zip(TOPICS, TIERS, strict=True):
        answer = again.invoke(f"Tell the {topic} of number 999 hello.")
        assert answer.response_metadata["bedrock_opt"]["route"]["tier"] == tier
    assert again.calibration.as_dict() == Calibration.load(tmp_path / "calibration.json").as_dict()
