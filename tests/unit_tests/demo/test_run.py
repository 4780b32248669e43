"""The demo's run: caps are kept, failures are counted, figures add up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from botocore.config import Config

from langchain_bedrock_opt import (
    BedrockEmulator,
    BedrockSemanticCache,
    BedrockUsageCallbackHandler,
    ChatBedrockRouter,
    UsageLedger,
)
from langchain_bedrock_opt.demo.run import DEFAULT_TIERS, Outcome, Parts, SpendingCap, run
from langchain_bedrock_opt.demo.summary import as_text, summarize
from langchain_bedrock_opt.emulator import Fault
from langchain_bedrock_opt.errors import ConfigurationError


class Stage:
    """A router over an emulator, with a ledger."""

    def __init__(self, tiers: dict[str, str] = DEFAULT_TIERS) -> None:
        self.emulator = BedrockEmulator()
        client = self.emulator.client(config=Config(retries={"total_max_attempts": 1}))
        self.tiers = tiers
        self.ledger = UsageLedger()
        self.router = ChatBedrockRouter(
            tiers=tiers,
            cache=BedrockSemanticCache(),
            client=client,
            bedrock_client=client,
            max_tokens=200,
        )

    def run(self, prompts: list[str], cap: str | None = None, **options: Any) -> Outcome:
        parts = Parts(
            router=self.router,
            ledger=self.ledger,
            handler=BedrockUsageCallbackHandler(sinks=[self.ledger]),
            cap=SpendingCap(None if cap is None else Decimal(cap), max_tokens=200),
        )
        return run(prompts, parts, **options)


def test_a_run_answers_every_prompt() -> None:
    """Progress is told after each prompt, and one answer is streamed in pieces."""
    stage = Stage()
    done: list[int] = []
    pieces: list[str] = []

    outcome = stage.run(
        ["one?", "two?", "one?"], stream=1, on_progress=done.append, on_text=pieces.append
    )

    assert outcome.prompts == 3
    assert done == [1, 2, 3]
    assert outcome.streamed == sum(bool(piece) for piece in pieces) > 1
    assert stage.emulator.journal.count() == 2


def test_the_cap_stops_before_the_call_that_could_exceed_it() -> None:
    """Spending never passes the cap, and what was answered before it counts."""
    stage = Stage()

    outcome = stage.run([f"question {n}?" for n in range(50)], cap="0.004")

    assert outcome.stopped is not None
    assert "Raise it with --cap" in outcome.stopped
    assert 0 < outcome.prompts < 50
    assert stage.ledger.totals().cost_usd <= Decimal("0.004")


def test_a_cap_needs_a_price() -> None:
    """A model whose price nobody knows is not called under a cap."""
    stage = Stage({"only": "us.anthropic.claude-future-9-v1:0"})

    outcome = stage.run(["hello"], cap="1")

    assert outcome.stopped is not None
    assert "No price is known" in outcome.stopped
    assert stage.emulator.journal.count() == 0


def test_a_failed_prompt_does_not_end_the_run() -> None:
    """A throttled prompt is counted by its error, and the next one is answered."""
    stage = Stage()
    stage.emulator.faults.add(Fault(code="ThrottlingException", times=1))

    outcome = stage.run(["one?", "two?"])

    assert outcome.failures == {"ThrottledError": 1}
    assert outcome.prompts == 1


def test_a_prompt_that_fits_no_tier_does_not_end_the_run() -> None:
    """A prompt beyond every context window is counted, said once, and the next one answered."""
    stage = Stage()

    outcome = stage.run(["one?", "too long " * 700_000, "two?"])

    assert outcome.prompts == 2
    assert outcome.failures == {"ConfigurationError": 1}
    assert "No tier can take this request" in outcome.first_messages["ConfigurationError"]


def test_a_refusal_that_all_prompts_would_get_ends_the_run() -> None:
    """Missing access is not tried again with every other prompt."""
    stage = Stage()
    stage.emulator.faults.add(Fault(code="AccessDeniedException", times=None))

    outcome = stage.run(["one?", "two?", "three?"])

    assert outcome.stopped is not None
    assert "bedrock:InvokeModel" in outcome.stopped
    assert stage.emulator.journal.count() == 1


def test_an_interrupted_run_keeps_its_figures() -> None:
    """Ctrl-C ends the run with what was answered until then."""
    stage = Stage()

    def interrupt(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    outcome = stage.run(["one?", "two?", "three?"], on_progress=interrupt)

    assert outcome.prompts == 2
    assert outcome.stopped is not None
    assert stage.ledger.totals().calls == 2


def test_nothing_to_run_is_an_error() -> None:
    """A run without prompts is refused."""
    with pytest.raises(ConfigurationError, match="no prompt"):
        Stage().run([])


def test_the_figures_add_up() -> None:
    """Tiers add up to the whole, and the whole is less than everything on the largest model."""
    stage = Stage()
    outcome = stage.run(["hi", "hi", "次の2つの案を、費用・納期・品質の観点で比較してください。"])

    summary = summarize(stage.ledger.records(), outcome, stage.tiers)

    tiers = summary["tiers"].values()
    assert sum(tier["calls"] for tier in tiers) == summary["calls"] == 3
    assert sum(Decimal(tier["cost_usd"]) for tier in tiers) == Decimal(summary["cost_usd"])
    assert Decimal(summary["cost_usd"]) < Decimal(summary["everything_on_largest"]["cost_usd"])
    assert "1 of 3 answers came from the cache" in as_text(summary)


def test_an_unpriced_tier_is_not_free() -> None:
    """Calls without a price are counted as such and no saving is claimed."""
    stage = Stage({"only": "us.anthropic.claude-future-9-v1:0"})
    outcome = stage.run(["hello"])

    summary = summarize(stage.ledger.records(), outcome, stage.tiers)

    assert summary["unpriced_calls"] == 1
    assert summary["saved_percent"] is None
    assert "1 calls have no known price" in as_text(summary)
