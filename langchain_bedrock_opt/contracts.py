"""What crosses from one room to another: plain records, and the two keys they travel under.

Rooms never import each other; they speak through these records.

* A response says what was done to it under `REPORT_KEY`, and LangChain carries that into
  `AIMessage.response_metadata`.
* A router tells callbacks of its decision through the run's metadata, under
  `ROUTE_METADATA_KEY`, so that a run that fails still says where it went.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Protocol, TypedDict, runtime_checkable
from uuid import UUID

REPORT_KEY: Final = "bedrock_opt"
"""Key of the `CallReport` in a Converse response and in `AIMessage.response_metadata`."""

ROUTE_METADATA_KEY: Final = "bedrock_opt_route"
"""Key of the route decision, as a dict, in the metadata of a LangChain run."""

BATCH_METADATA_KEY: Final = "bedrock_opt_batch"
"""Key in the metadata of a run that waits for an invocation job: for hours or days, beside many
thousands of others. Who opens such a run ends it."""


class TokenCounts(TypedDict):
    """`TokenUsage` as a dict, for reports that travel as JSON."""

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    reasoning: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens of one call, split the way Bedrock bills them.

    The five billed kinds are disjoint: `input` holds only tokens that were neither read from nor
    written to the prompt cache. `reasoning` is a part of `output`, not an addition to it.

    Example:
        >>> (TokenUsage(input=10, output=5) + TokenUsage(cache_read=90)).total
        105
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        """All billed tokens."""
        return (
            self.input + self.output + self.cache_read + self.cache_write_5m + self.cache_write_1h
        )

    def __add__(self, other: TokenUsage) -> TokenUsage:
        """The sum, kind by kind."""
        return TokenUsage(
            input=self.input + other.input,
            output=self.output + other.output,
            cache_read=self.cache_read + other.cache_read,
            cache_write_5m=self.cache_write_5m + other.cache_write_5m,
            cache_write_1h=self.cache_write_1h + other.cache_write_1h,
            reasoning=self.reasoning + other.reasoning,
        )

    def as_dict(self) -> TokenCounts:
        """The counts as a JSON-ready dict."""
        return {
            "input": self.input,
            "output": self.output,
            "cache_read": self.cache_read,
            "cache_write_5m": self.cache_write_5m,
            "cache_write_1h": self.cache_write_1h,
            "reasoning": self.reasoning,
        }

    @classmethod
    def from_dict(cls, counts: Mapping[str, Any]) -> TokenUsage:
        """Read counts back; kinds that are missing count as zero, unknown ones are ignored."""
        return cls(**{name: int(counts.get(name, 0)) for name in cls.__dataclass_fields__})


class CacheReport(TypedDict, total=False):
    """What our response cache did with a call."""

    status: Literal["hit", "miss", "bypass", "refresh", "error"]
    tier: str
    """Where a hit came from: `local` (this process's copy), `exact` (the store), `flight` (an
    equal call that was under way), `similar` (another question) or `migrated` (an older cache)."""
    hit_id: str
    """What `BedrockSemanticCache.feedback` takes, to say whether this hit was right."""
    age_seconds: float
    is_stale: bool
    """True if the answer is past its time and a new one is being fetched."""
    similarity: float
    """How near the question was that was asked first, of a `similar` hit: a cosine, up to 1."""
    saved: TokenCounts
    """Tokens a hit did not spend. The response's own usage is zero then."""


class LaneReport(TypedDict, total=False):
    """Which capacity a call asked for, and which one served it."""

    service_tier: str
    """The service tier the request was sent with; absent if it named none."""
    performance: str
    """`optimized` if latency-optimized inference was asked for."""
    left_out: list[str]
    """What the lane would have asked for and the model does not offer, such as
    `service_tier`."""
    capacity: Literal["provisioned", "on_demand"]
    """Who served a call of a provisioned throughput with overflow."""
    overflow: str
    """Why it overflowed: `throttled` (this call was), `cooling` (an earlier one was), or
    `unavailable`; absent if it did not."""
    waited_seconds: float
    """How long admission control held the call back."""


class PromptReport(TypedDict, total=False):
    """What was taken out of a request's prompt on its way."""

    removed_chars: int
    saved_tokens: int
    """An estimate."""


class CallReport(TypedDict, total=False):
    """What was done to one call, in `response_metadata["bedrock_opt"]`."""

    model_id: str
    """The model id or ARN that the request named: the one a price depends on."""
    resolved_id: str
    """The model id, with its profile's scope, that an ARN stands for; absent if `model_id` says
    it."""
    region: str
    """The region that was called."""
    retries: int
    """Attempts beyond the first that botocore made."""
    throttles: int
    """How many of the attempts were throttled."""
    batch: str
    """The ARN of the invocation job that answered, at batch prices."""
    cache: CacheReport
    route: dict[str, Any]
    """A `RouteDecision` as a dict."""
    lane: LaneReport
    prompt: PromptReport


class Reason(NamedTuple):
    """One signal behind a complexity score. A tuple: each decision makes some ten of them.

    Attributes:
        signal: Its name, such as `length` or `multi_step`.
        weight: What it added to the score; negative if it took away.
        detail: What was seen, in a few words, without prompt text.
    """

    signal: str
    weight: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDecision:
    """Which tier answers a prompt, and why.

    Attributes:
        tier: The tier's name, such as `simple`.
        model_id: The model id or ARN of that tier.
        score: The prompt's complexity, from 0 to 1.
        reasons: The signals behind the score, strongest first; then, with a weight of 0, what else
            had a say, such as `sticky` or `constraint`.
        alternatives: The other tiers that could have answered, in the router's order.
        forced: True if the caller named the tier or the model.
        effort: The reasoning effort the model was told to make; None leaves it as it is set up.
        escalated_from: The tier whose answer failed a check, if this tier answers in its stead.
        escalation_reason: Which check failed and what it saw, without prompt text. Without
            `escalated_from` the answer failed the check, and no other could take its place.
        fallback_from: The tier that was meant to answer and could not be reached.
        replaces: The run whose answer or error this run's stands in for: a model's run, or with
            structured output the run around it.
        propensity: The probability with which the policy takes its tier for such a request, from
            above 0 to 1: what judging another policy by the log rests on. Where another tier
            stands in, that of the tier that was asked first.
        shadow: In shadow mode the tier that the policy would have taken; `tier` is the one that
            answers. None outside of it.
    """

    tier: str
    model_id: str
    score: float
    reasons: tuple[Reason, ...] = ()
    alternatives: tuple[str, ...] = ()
    forced: bool = False
    effort: str | None = None
    escalated_from: str | None = None
    escalation_reason: str | None = None
    fallback_from: str | None = None
    replaces: str | None = None
    propensity: float = 1.0
    shadow: str | None = None

    @property
    def notes(self) -> dict[str, Reason]:
        """What had a say besides the score, by its signal: such reasons have a weight of 0."""
        # The reasons of a score may have any name, so the name alone does not tell.
        return {reason.signal: reason for reason in self.reasons if not reason.weight}

    def as_dict(self) -> dict[str, Any]:
        """The decision as a JSON-ready dict; what did not happen to the call is left out."""
        # Written out: `dataclasses.asdict` copies deeply and takes ten times as long, at each call.
        values: dict[str, Any] = {
            "tier": self.tier,
            "model_id": self.model_id,
            "score": self.score,
            "reasons": [
                {"signal": reason.signal, "weight": reason.weight, "detail": reason.detail}
                for reason in self.reasons
            ],
            "alternatives": list(self.alternatives),
            "forced": self.forced,
        }
        if self.effort is not None:
            values["effort"] = self.effort
        if self.escalated_from is not None:
            values["escalated_from"] = self.escalated_from
        if self.escalation_reason is not None:
            values["escalation_reason"] = self.escalation_reason
        if self.fallback_from is not None:
            values["fallback_from"] = self.fallback_from
        if self.replaces is not None:
            values["replaces"] = self.replaces
        if self.propensity != 1.0:
            values["propensity"] = self.propensity
        if self.shadow is not None:
            values["shadow"] = self.shadow
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RouteDecision:
        """Read a decision back from `as_dict`'s form."""
        return cls(
            tier=values["tier"],
            model_id=values["model_id"],
            score=values["score"],
            reasons=tuple(Reason(**reason) for reason in values.get("reasons", ())),
            alternatives=tuple(values.get("alternatives", ())),
            forced=values.get("forced", False),
            effort=values.get("effort"),
            escalated_from=values.get("escalated_from"),
            escalation_reason=values.get("escalation_reason"),
            fallback_from=values.get("fallback_from"),
            replaces=values.get("replaces"),
            propensity=values.get("propensity", 1.0),
            shadow=values.get("shadow"),
        )


CallStatus = Literal["ok", "error", "aborted"]
"""How a run ended; `aborted` is a stream that its consumer broke off."""

PriceTier = Literal[
    "default", "flex", "priority", "reserved", "batch", "latency-optimized", "provisioned"
]
"""By what a call is billed: a service tier, an invocation job, latency-optimized inference, or
capacity that is paid by the hour whether it is used or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """One finished or failed model run, as the usage room saw it. It holds no prompt text.

    Money is in 10⁻¹² US dollars. What is None was not said, or has no known price: it is not 0.

    Attributes:
        run_id: LangChain's run id.
        parent_run_id: The run it was part of, if any.
        started_at: When it started, in UTC.
        model_id: The model id or ARN that was called, with its profile scope.
        resolved_id: The model id with its scope that an ARN stands for, where it is known.
        region: The region that was called.
        status: How it ended.
        stop_reason: Why the model stopped, as Bedrock says it: `end_turn`, `max_tokens`, ….
        usage: Tokens that were spent; None if nothing said so (an error, a broken-off stream).
        unmetered: True if Bedrock may have billed the call and nobody said for how many tokens.
        estimate: Tokens that an unmetered run is likely to be billed for. They are in no total of
            tokens or cost.
        saved: Tokens that our cache saved; zero unless `cache_hit`.
        cache_hit: True if a response cache answered.
        cache_tier: Where the hit came from, as in `CacheReport.tier`; `langchain` for a cache of
            LangChain's own. None if it was no hit.
        cache_status: What our response cache did, as in `CacheReport.status`; None if it was not
            asked.
        cost_pico_usd: The cost; 0 for a cache hit on a model that has a price.
        estimate_pico_usd: What `estimate` costs.
        list_pico_usd: What the same tokens cost at the default service tier.
        uncached_pico_usd: What they cost there with every prompt token as plain input, without
            the prompt cache.
        saved_pico_usd: What a cache hit saved.
        price_tier: By what it was billed, from the response.
        price_source: The layer its price came from: `override`, `refreshed`, `shipped`,
            `genai-prices`, `hourly` (provisioned throughput, which no token costs more of); None
            if it has no price.
        price_checked: The date at which that price was checked, ISO 8601.
        service_tier: The service tier that served the call, from the response.
        performance: `optimized` if latency-optimized inference served it, else as the response
            says; None if it does not.
        latency_ms: From the run's start to its end, in milliseconds.
        model_latency_ms: What Bedrock itself measured, in milliseconds.
        ttft_ms: From the run's start to the first text, reasoning or tool delta; None if not
            streamed.
        retries: Attempts beyond the first.
        throttles: How many attempts were throttled.
        error: The error's code or class name if it failed.
        route: The router's decision, if a router made one.
        path: Names of the runs around it, from the outermost, such as `("agent", "model")`: which
            node of a chain spent it. Its own name is the last if it was given one (`run_name`).
        tags: The run's tags, without those that LangChain gives the steps of a chain.
        metadata: Metadata of the run whose keys the user allowed.
    """

    run_id: str
    started_at: datetime
    model_id: str
    status: CallStatus
    parent_run_id: str | None = None
    resolved_id: str | None = None
    region: str | None = None
    stop_reason: str | None = None
    usage: TokenUsage | None = None
    unmetered: bool = False
    estimate: TokenUsage | None = None
    saved: TokenUsage = field(default_factory=TokenUsage)
    cache_hit: bool = False
    cache_tier: str | None = None
    cache_status: str | None = None
    cost_pico_usd: int | None = None
    estimate_pico_usd: int | None = None
    list_pico_usd: int | None = None
    uncached_pico_usd: int | None = None
    saved_pico_usd: int | None = None
    price_tier: str = "default"
    price_source: str | None = None
    price_checked: str | None = None
    service_tier: str | None = None
    performance: str | None = None
    latency_ms: float = 0.0
    model_latency_ms: float | None = None
    ttft_ms: float | None = None
    retries: int = 0
    throttles: int = 0
    error: str | None = None
    route: RouteDecision | None = None
    path: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class UsageSink(Protocol):
    """Where usage records go: a ledger, CloudWatch, a list in a test.

    `add` is called in the thread of the model run, so it must be quick, thread-safe and must
    not raise; I/O belongs into `flush` or a thread of the sink's own. Two handlers may give it the
    same run, which it counts once.
    """

    def add(self, record: UsageRecord) -> None:
        """Take one record."""

    def flush(self) -> None:
        """Send what is held, if this sink holds anything."""


UNSENT: Final = "bedrock_opt_unsent"
"""Attribute of the error of a call that was given up before anything was sent."""


@runtime_checkable
class HearsOfCancels(Protocol):
    """A callback handler that wants to know of each call that was given up.

    LangChain tells handlers of no call that is cancelled below an `ainvoke`, such as those of an
    agent whose consumer leaves. Chat models of this package tell those that have this method.
    """

    def on_cancel(self, error: BaseException, *, run_id: UUID) -> None:
        """Note that a run was given up; that it ends may be told again.

        Args:
            error: Why; it has the attribute `UNSENT` if nothing was sent.
            run_id: The run.
        """


@runtime_checkable
class UsageObserver(Protocol):
    """Who counts calls to models that no LangChain run tells of, such as a cache's renewals."""

    def observe(
        self,
        model_id: str,
        usage: TokenUsage,
        *,
        region: str | None = None,
        price_tier: str = "default",
        tags: Sequence[str] = (),
    ) -> None:
        """Count one call that has ended well.

        Args:
            model_id: The model id or ARN that was called.
            usage: What it spent.
            region: The region that was called.
            price_tier: By what it is billed; a `PriceTier`.
            tags: What tells it from other calls.
        """


@runtime_checkable
class SupportsLayer(Protocol):
    """Something that can stand in a chat model's request path, such as our response cache."""

    def as_layer(self) -> Any:
        """A `langchain_bedrock_opt.aws.layers.Layer` over the same state."""
