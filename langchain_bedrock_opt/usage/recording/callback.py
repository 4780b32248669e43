"""The LangChain callback handler that turns each model run into one `UsageRecord`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal
from uuid import UUID, uuid4

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk, LLMResult

from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord, UsageSink
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.forks import when_forked
from langchain_bedrock_opt.usage.billing import may_be_billed
from langchain_bedrock_opt.usage.ledger.ledger import UsageLedger
from langchain_bedrock_opt.usage.recording.deltas import is_delta
from langchain_bedrock_opt.usage.recording.estimates import estimate_usage
from langchain_bedrock_opt.usage.recording.lifetime import when_process_ends
from langchain_bedrock_opt.usage.recording.paths import PlaceTable
from langchain_bedrock_opt.usage.recording.pricing import RateCard, Resolved, default_rates
from langchain_bedrock_opt.usage.recording.records import (
    Outcome,
    called_model,
    estimated,
    model_at_start,
    outcome_of,
    record_of,
)
from langchain_bedrock_opt.usage.recording.resolving import ArnDesk, Resolve, ask_aws
from langchain_bedrock_opt.usage.recording.runs import Run, RunTable
from langchain_bedrock_opt.usage.refusals import REFUSALS
from langchain_bedrock_opt.usage.reporting.totals import is_unpriced

logger = logging.getLogger(__name__)

_NEVER_ENDED: Final = GeneratorExit("the run never ended")
"""Why a run is recorded that was given up: as far as can be seen, its consumer left it."""

_NOTHING: Final[Mapping[str, Any]] = {}


class BedrockUsageCallbackHandler(BaseCallbackHandler):
    """Counts tokens, cost and latency of every model run, and hands them to sinks.

    Pass it as any LangChain callback, to a model's constructor or in a call's config; given in
    both, it still counts once. It stores no prompt text. Each run that ends gives exactly one
    record, whichever way it ends:

    * A response cache's hit, ours or LangChain's, counts zero new tokens; what it saved stands
      in `saved`.
    * A failed run counts as `error`, with no tokens unless the answer had already named them.
    * A stream that its consumer broke off counts as `aborted`. Bedrock bills it, but its token
      counts come last in the stream, so `usage` is None: it is unmetered, not free, and
      `estimate` says what it is likely to be billed for. So is an `ainvoke` that is cancelled.
      This package's chat models tell of that; of another model's LangChain tells nothing, and its
      run counts when it is given up.
    * A call on a model without a price has `cost_pico_usd` None, never 0.

    Args:
        sinks: Where records go. With none, they go to an in-memory `UsageLedger`.
        prices: What tokens cost; None takes the process's own book, `default_prices()`.
        resolver: Says what an ARN stands for that does not name its model, such as an application
            inference profile's: called with the ARN in a thread of its own, once an ARN. `aws`
            asks the control plane in the ARN's region, by boto3's usual credentials. Until there
            is an answer, records of that ARN wait; if there is none, they are unpriced. Models of
            this package resolve theirs themselves; None leaves others' unpriced.
        path: Whether records say which runs were around the model's. It takes some microseconds
            for each run of a chain.
        metadata_keys: Keys of the run's metadata that records keep, such as `tenant`. All other
            metadata is left out.
        run_ttl: Seconds after which a run that never ended is given up. It must be longer than
            the longest call.
        max_runs: How many unfinished runs are remembered; beyond it the oldest is given up.
        resolve_timeout: Seconds that `flush`, and the end of the process, wait for `resolver`.
        clock: Seconds since the epoch.
        perf_clock: Seconds on a clock that never goes back, for latencies.

    Attributes:
        sinks: The sinks.
        sink_errors: How often a sink raised. The model run never notices.
        unpriced_calls: Calls whose tokens are known and whose cost is not.
        given_up_runs: Runs that never ended, or that were too many to remember.
        unattributed_runs: Runs that started while a `with` block with this handler was open, in
            a thread that may or may not be the block's; see `get_bedrock_usage_callback`.

    Raises:
        ConfigurationError: `run_ttl` or `max_runs` is not positive, or a sink has no `add`.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> usage = BedrockUsageCallbackHandler()
        >>> _ = FakeListChatModel(responses=["4"]).invoke("2+2?", {"callbacks": [usage]})
        >>> usage.ledger.totals().calls
        1
    """

    # Inline, a sync handler costs an async call a dictionary lookup; else LangChain sends each
    # of its events through a thread pool.
    run_inline = True
    raise_error = False

    # What LangChain need not call this handler for. It asks at each event, and asks an attribute
    # faster than a property.
    ignore_llm = False
    ignore_chat_model = False
    ignore_retry = True  # a retried run is a run of its own
    ignore_custom_event = True  # custom events are not about models
    # Chains, agents, tools and retrievers hold no tokens of their own; they are listened to for
    # the path only.
    ignore_chain = False
    ignore_agent = False
    ignore_retriever = False

    def __init__(
        self,
        sinks: Sequence[UsageSink] = (),
        *,
        prices: PriceBook | None = None,
        resolver: Resolve | Literal["aws"] | None = None,
        path: bool = True,
        metadata_keys: Sequence[str] = (),
        run_ttl: float = 3 * 3600.0,
        max_runs: int = 10_000,
        resolve_timeout: float = 5.0,
        clock: Callable[[], float] = time.time,
        perf_clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        _check(sinks, metadata_keys)
        self.sinks: tuple[UsageSink, ...] = tuple(sinks) or (UsageLedger(),)
        self.sink_errors = 0
        self.unpriced_calls = 0
        self.given_up_runs = 0
        self.unattributed_runs = 0
        self._rates = default_rates() if prices is None else RateCard(prices)
        self._has_path = path
        self.ignore_chain = self.ignore_agent = self.ignore_retriever = not path
        self._metadata_keys = tuple(metadata_keys)
        self._resolve_timeout = resolve_timeout
        self._clock = clock
        self._perf_clock = perf_clock
        self._runs = RunTable(ttl=run_ttl, max_runs=max_runs)
        self._places = PlaceTable(ttl=run_ttl, max_runs=max_runs)
        # Taken again in one thread if the garbage collector closes an abandoned stream.
        self._lock = threading.RLock()
        self._reported: set[str] = set()
        self._desk: ArnDesk | None = None
        if resolver is not None:
            self._desk = ArnDesk(ask_aws if resolver == "aws" else resolver)
        when_process_ends(self)
        when_forked(self)

    @property
    def ledger(self) -> UsageLedger:
        """The first ledger among the sinks.

        Raises:
            ConfigurationError: The sinks hold no ledger.
        """
        for sink in self.sinks:
            if isinstance(sink, UsageLedger):
                return sink
        raise ConfigurationError(
            "None of this handler's sinks is a UsageLedger: add one to sinks=[…]."
        )

    @property
    def open_runs(self) -> int:
        """Runs that have started and not ended."""
        return len(self._runs)

    @property
    def waiting_records(self) -> int:
        """Records of ended runs that wait until it is known what their ARN stands for."""
        return 0 if self._desk is None else self._desk.waiting

    def flush(self) -> None:
        """Flush every sink; an error in one is logged, counted and does not stop the others.

        Records that wait for their ARN are waited for, for `resolve_timeout` seconds at most; what
        waits longer is not lost, and comes to the sinks later.
        """
        if self._desk is not None:
            self._desk.wait(self._resolve_timeout)
        for sink in self.sinks:
            try:
                sink.flush()
            except Exception as error:  # noqa: BLE001, PERF203 - one sink stops no other
                self._count_failure(sink, error)

    def on_chain_start(
        self,
        serialized: Mapping[str, Any] | None,
        *args: Any,  # noqa: ARG002 - its inputs, which are nobody's business
        run_id: UUID,
        parent_run_id: UUID | None = None,
        name: str | None = None,
        **kwargs: Any,  # noqa: ARG002 - tags and metadata
    ) -> None:
        """Remember a chain's run, by its name only, while it is open."""
        self._places.enter(run_id, parent_run_id, _name(serialized, name), self._perf_clock())

    def on_chain_end(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - LangChain passes them
        """Forget a chain's run."""
        self._places.leave(run_id)

    def on_chain_error(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - LangChain passes them
        """Forget a chain's run."""
        self._places.leave(run_id)

    # A tool may be an agent, and a retriever may ask a model: their runs are around it likewise.
    on_tool_start = on_retriever_start = on_chain_start
    on_tool_end = on_retriever_end = on_chain_end
    on_tool_error = on_retriever_error = on_chain_error

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        """Remember when a chat model's run started, and with which model."""
        self._start(serialized, messages, run_id, kwargs)

    def on_llm_start(
        self, serialized: dict[str, Any], prompts: list[str], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Remember when a text model's run started, and with which model."""
        self._start(serialized, prompts, run_id, kwargs)

    def on_llm_new_token(
        self,
        token: Any,
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002 - parent_run_id and tags
    ) -> None:
        """Note the time of a stream's first text, reasoning or tool delta."""
        run = self._runs.get(run_id)
        if run is not None:
            if chunk is not None and run.heard and run.heard[-1] is chunk:
                return  # a block inside another one told of it too
            run.heard.append(token if chunk is None else chunk)
            if run.first_delta is None and is_delta(token, chunk):
                run.first_delta = self._perf_clock()

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - parent_run_id and tags
        """Record a finished run."""
        self._finish(run_id, response)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Record a failed or broken-off run; `kwargs["response"]` is what came before."""
        if kwargs.get("signal"):
            return  # so ChatBedrock tells of a guardrail; the run ends with its answer after that
        self._finish(run_id, kwargs.get("response"), error)

    def on_cancel(self, error: BaseException, *, run_id: UUID) -> None:
        """Record a run that was given up below an `ainvoke`, of which LangChain says nothing."""
        self._finish(run_id, None, error)

    def observe(
        self,
        model_id: str,
        usage: TokenUsage,
        *,
        region: str | None = None,
        price_tier: str = "default",
        tags: Sequence[str] = (),
    ) -> None:
        """Record a call that no LangChain run tells of, such as a cache's renewal.

        Args:
            model_id: The model id or ARN that was called.
            usage: What it spent.
            region: The region that was called.
            price_tier: By what it is billed; a `PriceTier`.
            tags: Tags of the record.

        Example:
            >>> usage = BedrockUsageCallbackHandler()
            >>> usage.observe("us.amazon.nova-lite-v1:0", TokenUsage(input=1000, output=100))
            >>> usage.ledger.totals().cost_usd
            Decimal('0.000084')
        """
        outcome = Outcome(usage=usage, region=region, price_tier=price_tier)
        now = self._perf_clock()
        event = {"tags": list(tags), "invocation_params": {"model_id": model_id}}
        run = Run(
            run_id=uuid4(),
            started_at=self._clock(),
            started=now,
            serialized=None,
            prompt=(),
            event=event,
        )
        self._record(run, outcome, None, None, now)

    def _start(
        self,
        serialized: Mapping[str, Any] | None,
        prompt: Sequence[Any],
        run_id: UUID,
        event: dict[str, Any],
    ) -> None:
        run = Run(
            run_id=run_id,
            started_at=self._clock(),
            started=self._perf_clock(),
            serialized=serialized,
            prompt=prompt,
            event=event,
            place=self._places.find(event.get("parent_run_id")) if self._has_path else None,
        )
        self._give_up(self._runs.add(run))
        if REFUSALS.is_used:
            REFUSALS.joined(run_id, self._refused)
        if self._desk is not None:
            self._ask(self._desk, model_at_start(run))

    def _finish(
        self, run_id: UUID, response: LLMResult | None, error: BaseException | None = None
    ) -> None:
        ended = self._perf_clock()
        # Some models report a failure themselves, and LangChain does so again or ends the run
        # all the same: the first report counts.
        if (run := self._runs.pop(run_id)) is not None:
            self._record(run, outcome_of(response, run.event), response, error, ended)
        if REFUSALS.is_used:
            REFUSALS.ended(run_id)

    def _refused(self, run_id: UUID, error: BaseException) -> None:
        """Record a run that a budget has refused, of which LangChain says no more."""
        self._finish(run_id, None, error)

    def _give_up(self, runs: Sequence[Run]) -> None:
        """Record runs that never ended, as far as can be seen."""
        for run in runs:
            with self._lock:
                self.given_up_runs += 1
            self._record(run, Outcome(), None, _NEVER_ENDED, self._perf_clock())

    def _record(
        self,
        run: Run,
        outcome: Outcome,
        response: LLMResult | None,
        error: BaseException | None,
        ended: float,
    ) -> None:
        model_id = called_model(run, outcome, error)

        def deliver(resolved: Resolved | None = None) -> None:
            record = record_of(
                run,
                ended=ended,
                outcome=outcome,
                model_id=model_id,
                rates=self._rates,
                resolved=resolved,
                error=error,
                metadata_keys=self._metadata_keys,
            )
            if record.usage is None and may_be_billed(error, has_begun=bool(run.heard)):
                record = estimated(record, estimate_usage(run, response), self._rates)
            self._deliver(record)

        desk = self._desk
        if desk is not None and outcome.resolved_id is None and self._ask(desk, model_id):
            desk.when_known(model_id, deliver)
        else:
            deliver()

    def _ask(self, desk: ArnDesk, model_id: str) -> bool:
        """Have an ARN resolved that hides its model; whether it does."""
        hides_model = self._rates.identity(model_id).hides_model
        if hides_model:
            desk.ask(model_id)
        return hides_model

    def _deliver(self, record: UsageRecord) -> None:
        if record.cost_pico_usd is None and is_unpriced(record):
            self._count_unpriced(record.model_id)
        for sink in self.sinks:
            try:
                sink.add(record)
            except Exception as error:  # noqa: BLE001, PERF203 - the model run goes on, whatever a sink does
                self._count_failure(sink, error)

    def count_unattributed(self) -> None:
        """Count a run that may or may not belong to the block that this handler is for."""
        with self._lock:
            self.unattributed_runs += 1
            first = self._is_news("unattributed")
        if first:
            logger.warning(
                "A model ran in a thread that may not belong to the usage block: it is not counted "
                "in usage, only in unattributed_runs. Pass the block's handler as a callback, or "
                "start the thread with contextvars.copy_context().run"
            )

    def _count_unpriced(self, model_id: str) -> None:
        with self._lock:
            self.unpriced_calls += 1
            first = self._is_news(f"model {model_id}")
        if first:
            logger.warning(
                "No price is known for model=<%s>, or not for all the kinds of tokens that a call "
                "of it spent: such calls count as unpriced",
                model_id,
            )

    def _count_failure(self, sink: UsageSink, error: Exception) -> None:
        with self._lock:
            self.sink_errors += 1
            first = self._is_news(f"sink {id(sink)}")
        if first:
            logger.warning(
                "Usage sink=<%s> failed; its later failures are only counted",
                type(sink).__name__,
                exc_info=error,
            )

    def _is_news(self, what: str) -> bool:
        """Whether this is logged for the first time."""
        if what in self._reported:
            return False
        self._reported.add(what)
        return True

    def end_process(self) -> None:
        """At the end of the process: hand on runs that never ended, and what waits for its ARN."""
        left = self._runs.pop_all()
        is_waiting = self._desk is not None and self._desk.waiting > 0
        self._give_up(left)
        if self._desk is not None and is_waiting:
            self._desk.wait(self._resolve_timeout)
            self._desk.give_up()
        if left or is_waiting:
            self.flush()

    def after_fork(self) -> None:
        """In a forked process: leave the parent's runs to the parent, which records them."""
        self._lock = threading.RLock()
        self._runs.forget_parent()
        if self._desk is not None:
            self._desk.forget_parent()


def _check(sinks: Sequence[UsageSink], metadata_keys: Sequence[str]) -> None:
    """Refuse what would record nothing, or something else than was meant."""
    if isinstance(sinks, UsageSink):
        raise ConfigurationError(f"sinks is one {type(sinks).__name__}: pass a list, [sink].")
    for sink in sinks:
        if not isinstance(sink, UsageSink):
            raise ConfigurationError(
                f"sinks holds {sink!r}, which has no add() and flush(): pass a UsageLedger, "
                "a CloudWatchMetricsSink or an object with these two methods."
            )
    if isinstance(metadata_keys, str):
        raise ConfigurationError(
            f"metadata_keys is the text {metadata_keys!r}: pass a list, [{metadata_keys!r}]."
        )


def _name(serialized: Mapping[str, Any] | None, name: str | None) -> str:
    """The name of a chain's or tool's run."""
    if name:
        return name
    fields = serialized or _NOTHING
    return str(fields.get("name") or (fields.get("id") or ["chain"])[-1])
