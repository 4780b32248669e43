"""Escalation: when the next stronger tier gives an answer again, what that costs, and how often.

Each answer is a run of its own in traces and usage records, the one that is discarded too: it
has been paid for. The second run's route says which tier it stands in for and why. The first one
can't say it: it has ended before its answer is looked at.
"""

from __future__ import annotations

import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage

from langchain_bedrock_opt.catalog.prices import PICO_PER_USD, price_of
from langchain_bedrock_opt.contracts import REPORT_KEY, TokenUsage
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.recovery.break_even import Balance, BreakEven, Pair, Trial
from langchain_bedrock_opt.routing.recovery.checks import (
    Check,
    Cut,
    Empty,
    Expectations,
    FailedSchema,
    MalformedToolCall,
    Validator,
    first_failure,
)
from langchain_bedrock_opt.routing.recovery.refusals import Refusal

DEFAULT_CHECKS: Final[tuple[Check, ...]] = (
    Refusal(),
    Empty(),
    Cut(),
    MalformedToolCall(),
    FailedSchema(),
)
"""What `escalate=True` looks for. None of them costs a call."""


def same_answer(first: AIMessage, second: AIMessage) -> bool:
    """Whether two answers are the same: their tool calls, or else their texts.

    Case, white space and punctuation don't count. Two free texts are hardly ever the same by
    this; give `Agreement` a function that compares what matters, such as the last number.

    Example:
        >>> same_answer(AIMessage("Tokyo."), AIMessage("tokyo"))
        True
    """
    if first.tool_calls or second.tool_calls:
        return _calls(first) == _calls(second)
    return _plain(str(first.text)) == _plain(str(second.text))


def _calls(answer: AIMessage) -> list[tuple[str, Any]]:
    return [(call["name"], call["args"]) for call in answer.tool_calls]


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if letter.isalnum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Doubt by disagreement: a second cheap model answers too, and the two have to agree.

    It is the strongest signal there is, and the only check that costs a call. The second answer
    is a run of its own, tagged `agreement`, and reaches nobody.

    Attributes:
        model: A tier's name (the cheap tier's own for a second sample), a model id, or a chat
            model.
        same: Whether two answers agree.
        name: What the check is called in metadata and statistics.
    """

    model: str | BaseChatModel
    same: Callable[[AIMessage, AIMessage], bool] = same_answer
    name: str = "agreement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """When the next tier answers in the place of the one that was asked.

    At most once a request. Never for a tier that the caller has named, and never once a token has
    been streamed to somebody: that is so in `stream` and `astream_events`, and in an `invoke` whose
    tokens a callback sees as they come (the events of a chain, LangGraph's `messages` mode).
    `buffer_streams` lifts the second rule; such callbacks then see the tokens of both answers.

    Attributes:
        checks: What an answer is looked at for, in this order; a function is a `Validator`.
        agreement: A second model that has to agree.
        max_cost_usd: The most that a request may cost with its escalation, by list prices and
            the length of the first answer. What has no price is not escalated then.
        break_even: Ask the strong tier at once where cheap-first is seen to cost more; a
            `BreakEven` of one's own, or False to always ask the cheap tier first.
        buffer_streams: Collect a stream, check it, and only then pass it on. Without it a stream
            is not checked.

    Raises:
        ConfigurationError: A check is neither a check nor a function, or the cost is negative.

    Example:
        >>> Escalation(checks=[lambda answer: "42" in answer.text]).checks[0].name
        'validator'
    """

    checks: tuple[Check, ...] = DEFAULT_CHECKS
    agreement: Agreement | None = None
    max_cost_usd: float | Decimal | None = None
    break_even: bool | BreakEven = True
    buffer_streams: bool = False

    def __post_init__(self) -> None:
        """Take functions as checks, and refuse what can't be one."""
        object.__setattr__(self, "checks", tuple(map(_checked, self.checks)))
        if self.max_cost_usd is not None and self.max_cost_usd < 0:
            raise ConfigurationError(f"max_cost_usd={self.max_cost_usd!r} is negative.")


def _checked(check: Any) -> Check:
    if isinstance(check, Check) and not isinstance(check, type):
        return check
    if callable(check) and not isinstance(check, type):
        return Validator(check)
    raise ConfigurationError(
        f"checks holds {check!r}: give a check such as Refusal(), or a function of the answer."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationStats:
    """What escalation has done so far.

    Attributes:
        checked: Answers that were looked at, with a stronger tier above theirs.
        failed: Answers that failed a check, by the check's name.
        escalated: Answers that a stronger tier gave again.
        passed_over: Requests that the break-even guard sent to the stronger tier at once.
        discarded_pico_usd: What the discarded answers and the agreement checks cost.
        pairs: What cheap-first cost and saved, by pair of models, over the guard's window.
    """

    checked: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    escalated: int = 0
    passed_over: int = 0
    discarded_pico_usd: int = 0
    pairs: Mapping[Pair, Balance] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """The share of checked answers that were given again."""
        return self.escalated / self.checked if self.checked else 0.0


class EscalationHistory:
    """What a router's escalation has counted, and the break-even guard that learns by it.

    One router is made anew many times where `configurable_fields` sets something for a call, and
    all of them go on with one history. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self.guard = BreakEven()
        self._failed: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._pairs: dict[Pair, BreakEven] = {}
        self._lock = threading.Lock()

    def add(self, *, failed: str | None = None, **counts: int) -> None:
        """Count something, by name.

        Args:
            failed: The check that an answer failed.
            **counts: How much to add to each count.
        """
        with self._lock:
            self._counts.update(counts)
            if failed is not None:
                self._failed[failed] += 1

    def note(self, pair: Pair, guard: BreakEven) -> None:
        """Remember which guard judges a pair of models."""
        with self._lock:
            self._pairs[pair] = guard

    def stats(self) -> EscalationStats:
        """What escalation has done so far."""
        with self._lock:
            counts, failed, pairs = dict(self._counts), dict(self._failed), dict(self._pairs)
        return EscalationStats(
            checked=counts.get("checked", 0),
            failed=failed,
            escalated=counts.get("escalated", 0),
            passed_over=counts.get("passed_over", 0),
            discarded_pico_usd=counts.get("discarded", 0),
            pairs={pair: guard.balance(pair) for pair, guard in pairs.items()},
        )


class Escalator:
    """An escalation policy at work: it judges answers, and counts.

    Args:
        policy: The policy.
        history: Where it counts.
        check_model: The model that has to agree, if there is one.
        check_id: Its model id.
    """

    def __init__(
        self,
        policy: Escalation,
        history: EscalationHistory,
        *,
        check_model: BaseChatModel | None = None,
        check_id: str | None = None,
    ) -> None:
        self.policy = policy
        self.check_model = check_model
        self.check_id = check_id
        self._history = history
        self._guard = history.guard if policy.break_even is True else policy.break_even or None

    def is_worth_trying(self, cheap: str, strong: str, score: float) -> bool:
        """Whether a request shall go to the cheap model first.

        Args:
            cheap: The cheap tier's model id.
            strong: The model id of the tier behind it.
            score: The request's complexity.
        """
        if self._guard is None or self._guard.pays(self._pair(cheap, strong, self._guard), score):
            return True
        self._history.add(passed_over=1)
        return False

    def failure(self, answer: AIMessage, expected: Expectations) -> tuple[str, str] | None:
        """The first check that an answer fails, and what it saw."""
        return first_failure(self.policy.checks, answer, expected)

    def is_affordable(
        self, answer: AIMessage, spent_on_check: int, cheap: str, strong: str
    ) -> bool:
        """Whether the stronger tier's answer stays within the bound for a request."""
        if self.policy.max_cost_usd is None:
            return True
        usage, price = usage_of(answer), price_of(strong)
        spent = cost_of(answer, cheap)
        expected = price.cost(usage) if price is not None and usage is not None else None
        if spent is None or expected is None:
            return False
        bound = Decimal(str(self.policy.max_cost_usd)) * PICO_PER_USD
        return spent + spent_on_check + expected <= bound

    def count(
        self,
        *,
        cheap: str,
        strong: str,
        score: float,
        answer: AIMessage,
        spent_on_check: int = 0,
        failed: str | None = None,
        better: AIMessage | None = None,
    ) -> None:
        """Take note of an answer that was checked.

        Args:
            cheap: The model id that gave it.
            strong: The model id behind it.
            score: The request's complexity.
            answer: The answer.
            spent_on_check: What the agreement check cost, in pico-USD.
            failed: The check it failed.
            better: The answer that took its place.
        """
        discarded = 0 if better is None else cost_of(answer, cheap) or 0
        self._history.add(
            failed=failed,
            checked=1,
            escalated=int(better is not None),
            discarded=spent_on_check + discarded,
        )
        # A failed answer that was not given again says nothing about what giving it again costs.
        is_trial = (failed is None) == (better is None)
        usage, stronger = usage_of(answer), usage_of(better)
        has_usage = usage is not None and (better is None or stronger is not None)
        if self._guard is not None and is_trial and has_usage and usage is not None:
            trial = Trial(cheap=usage, check_pico_usd=spent_on_check, strong=stronger)
            self._guard.observe(self._pair(cheap, strong, self._guard), trial, score)

    def _pair(self, cheap: str, strong: str, guard: BreakEven) -> Pair:
        pair = Pair(cheap=cheap, strong=strong, check=self.check_id)
        self._history.note(pair, guard)
        return pair


def usage_of(answer: AIMessage | None) -> TokenUsage | None:
    """The tokens an answer spent as Bedrock bills them; None if it does not say, or is cached.

    A write to the prompt cache counts as one for five minutes, Bedrock's default.
    """
    if answer is None or answer.usage_metadata is None:
        return None
    report = answer.response_metadata.get(REPORT_KEY) or {}
    if (report.get("cache") or {}).get("status") == "hit":
        return None
    details: Mapping[str, Any] = answer.usage_metadata.get("input_token_details") or {}
    read, write = int(details.get("cache_read") or 0), int(details.get("cache_creation") or 0)
    return TokenUsage(
        input=max(0, answer.usage_metadata["input_tokens"] - read - write),
        output=answer.usage_metadata["output_tokens"],
        cache_read=read,
        cache_write_5m=write,
    )


def cost_of(answer: AIMessage, model_id: str) -> int | None:
    """What an answer cost by list price, in pico-USD; None if that is not known."""
    usage, price = usage_of(answer), price_of(model_id)
    return None if usage is None or price is None else price.cost(usage)
