"""The main job: prompts through routing, cache and usage accounting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from langchain_core.messages import HumanMessage

from langchain_bedrock_opt.errors import (
    AccessDeniedError,
    BudgetExceededError,
    ConfigurationError,
    SpendingCapError,
    UnknownModelError,
)
from langchain_bedrock_opt.routing import ChatBedrockRouter
from langchain_bedrock_opt.usage import BedrockUsageCallbackHandler, UsageLedger
from langchain_bedrock_opt.usage.budget import Budget

DEFAULT_TIERS: Final = {
    "simple": "global.anthropic.claude-haiku-4-5-20251001-v1:0",
    "moderate": "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "complex": "global.anthropic.claude-opus-4-5-20251101-v1:0",
}
"""The tiers of a run that names none: three sizes of one family, callable from every region."""


class SpendingCap:
    """Stops a run before a call that could cost more than is left.

    Args:
        limit_usd: The cap in US dollars; None spends without one.
        max_tokens: The longest answer a call may give, where the model does not say.
    """

    def __init__(self, limit_usd: Decimal | None, max_tokens: int) -> None:
        self._limit = limit_usd
        self._budget = None
        if limit_usd is not None:
            # Twice the estimate: it is one, and the cap is a promise.
            self._budget = Budget(
                limit_usd, per=None, margin=2, max_tokens=max_tokens, thresholds=()
            )

    @property
    def callbacks(self) -> list[Budget]:
        """What a call under the cap must be given."""
        return [] if self._budget is None else [self._budget]

    def reached(self, refusal: BudgetExceededError) -> SpendingCapError:
        """What a refused call means for the run."""
        if refusal.reason != "limit":
            return SpendingCapError(
                f"No price is known for {refusal.model_id}, so a spending cap can't be kept: "
                "name another model, or lift the cap with --cap none."
            )
        spent = Decimal(0) if self._budget is None else self._budget.spent_usd
        return SpendingCapError(
            f"Stopped at ${spent:.4f}: the next call could exceed the cap of ${self._limit}. "
            "Raise it with --cap."
        )


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        prompts: How many prompts were answered.
        stopped: Why the run ended early, or None.
        streamed: The pieces in which the one streamed answer came.
        failures: Errors by class name; a failed prompt does not end the run.
        first_messages: What the first error of each class said.
    """

    prompts: int = 0
    stopped: str | None = None
    streamed: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    first_messages: dict[str, str] = field(default_factory=dict)

    def fail(self, error: Exception) -> None:
        """Count a prompt that failed."""
        name = type(error).__name__
        self.failures[name] = self.failures.get(name, 0) + 1
        self.first_messages.setdefault(name, str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a run is made of.

    Attributes:
        router: The model; its tiers carry the cache.
        ledger: Where `handler` writes.
        handler: The usage callback.
        cap: The spending cap.
    """

    router: ChatBedrockRouter
    ledger: UsageLedger
    handler: BedrockUsageCallbackHandler
    cap: SpendingCap


def run(
    prompts: Sequence[str],
    parts: Parts,
    *,
    stream: int | None = None,
    on_progress: Callable[[int], object] = lambda _done: None,
    on_text: Callable[[str], object] = lambda _text: None,
) -> Outcome:
    """Send prompts through a router, one after the other, as they arrived.

    It ends early at the spending cap, at Ctrl-C, and where credentials or a model are refused;
    what was spent until then is in the ledger all the same.

    Args:
        prompts: What to send.
        parts: What to send them through.
        stream: The index of the prompt whose answer is streamed; None streams none.
        on_progress: Called after each prompt with how many are done.
        on_text: Called with each piece of the streamed answer.

    Returns:
        What happened. The figures are in the ledger.

    Raises:
        ConfigurationError: There is no prompt.
    """
    if not prompts:
        raise ConfigurationError("There is no prompt to run.")
    outcome = Outcome()
    try:
        for index, prompt in enumerate(prompts):
            _answer(outcome, prompt, parts, on_text if index == stream else None)
            on_progress(index + 1)
    except SpendingCapError as error:
        outcome.stopped = str(error)
    except (AccessDeniedError, UnknownModelError) as error:
        outcome.stopped = f"Stopped, since no other prompt would fare better: {error}"
    except KeyboardInterrupt:
        outcome.stopped = "Interrupted. The figures are those of the prompts until then."
    return outcome


def _answer(
    outcome: Outcome, prompt: str, parts: Parts, on_text: Callable[[str], object] | None
) -> None:
    """Send one prompt, and count how it went."""
    messages = [HumanMessage(prompt)]
    config: Any = {"callbacks": [parts.handler, *parts.cap.callbacks]}
    try:
        if on_text is None:
            parts.router.invoke(messages, config=config)
        else:
            for chunk in parts.router.stream(messages, config=config):
                outcome.streamed += bool(chunk.text)
                on_text(chunk.text)
        outcome.prompts += 1
    except BudgetExceededError as refusal:
        raise parts.cap.reached(refusal) from refusal
    except (AccessDeniedError, UnknownModelError):
        raise
    except Exception as error:  # noqa: BLE001 - one prompt's failure; it is counted and shown
        outcome.fail(error)
