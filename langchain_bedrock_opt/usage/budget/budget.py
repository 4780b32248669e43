"""`Budget`: the callback that reserves what a call can cost, and settles what it did cost."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.catalog.prices import usd
from langchain_bedrock_opt.errors import BudgetExceededError, ConfigurationError
from langchain_bedrock_opt.forks import when_forked
from langchain_bedrock_opt.usage.budget.account import Account, BudgetStatus, Place, pico_of
from langchain_bedrock_opt.usage.budget.costs import actual_cost, worst_case
from langchain_bedrock_opt.usage.budget.reading import Request, read_request
from langchain_bedrock_opt.usage.budget.runs import Held, OpenRuns
from langchain_bedrock_opt.usage.budget.stores.base import BudgetStore, Level
from langchain_bedrock_opt.usage.budget.stores.fallback import FallbackStore
from langchain_bedrock_opt.usage.budget.stores.late import RequiredStore
from langchain_bedrock_opt.usage.budget.stores.memory import InMemoryBudgetStore
from langchain_bedrock_opt.usage.budget.thresholds import Thresholds
from langchain_bedrock_opt.usage.budget.windows import Per
from langchain_bedrock_opt.usage.recording.pricing import RateCard, default_rates
from langchain_bedrock_opt.usage.refusals import REFUSALS
from langchain_bedrock_opt.usage.waiting import waits_for_job

logger = logging.getLogger(__name__)

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "on_exceeded": ("raise", "warn"),
    "unpriced": ("refuse", "allow"),
    "on_store_error": ("allow", "refuse"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetCounts:
    """What a budget has seen in this process.

    Attributes:
        refused: Calls that were not made.
        exceeded: Calls that were made beyond the limit, with `on_exceeded="warn"`.
        unpriced: Calls that were let through though nobody knows what they can cost.
        uncertain: Calls whose cost nobody knows: a stream that was broken off, a timeout, an
            unknown error, an answer at a tier without a price, a run that never ended. They count
            what was reserved for them.
        underestimated: Calls that cost more than was reserved for them.
        unsettled: Settlements that the store has not taken yet, because it failed: they are
            repeated with the calls that follow. Until then the calls stay reserved, so they count.
    """

    refused: int = 0
    exceeded: int = 0
    unpriced: int = 0
    uncertain: int = 0
    underestimated: int = 0
    unsettled: int = 0


class Budget(BaseCallbackHandler):
    """Keeps what calls cost within a limit: pass it as a callback of a model, chain or agent.

    Before a call it reserves the most that the call can cost; when the call has ended, it puts
    in what the call did cost. So calls that run at the same time can't spend the same dollar.
    A call that does not fit is not made: it raises `BudgetExceededError` before Bedrock is
    asked, in `invoke`, `ainvoke`, `stream`, `astream` and `batch` alike.

    The most a call can cost is its prompt, by an upper estimate, at the dearest price that it
    may get, and the longest answer that it may give: set `max_tokens` on the model, or all of
    the model's longest answer is reserved. A hit of a response cache costs nothing, nor does an
    error that Bedrock does not bill. Where nobody says what a call cost (a stream that was
    broken off, a timeout), all that was reserved counts as spent, and so it does if the process
    dies. A forked process begins without the runs of its parent, which settles them. A request
    that botocore repeats after a timeout may be billed twice; it counts once.

    Name it last, `callbacks=[usage, budget]`, behind every handler that may refuse a call: a
    budget does not hear that one behind it did, so what it reserved stays reserved for `run_ttl`
    seconds, and counts as spent from then on. Of handlers behind one that refuses an async call,
    Python also warns that they were never awaited. With a router, `RoutingPolicy(headroom=budget)`
    sends calls to cheaper tiers as the limit comes near.

    Args:
        limit_usd: The most to spend in a window, in US dollars; 0 refuses every call.
        per: The window, in UTC: `hour`, `day`, `month`, or None for one that never ends.
        by: One such budget for each `tag:NAME` (what follows in tags such as `NAME:search`) or
            `metadata:KEY`. Calls without it share the group `(none)`; a call with several such
            tags counts in each. None has one budget for all calls.
        on_exceeded: `raise` refuses a call that does not fit; `warn` lets every call through,
            and counts and logs.
        name: What the budget is called in the store: budgets of one name, window and store are
            one, in however many processes.
        store: Where it is counted; this process's memory if None. `RedisBudgetStore` and
            `DynamoDBBudgetStore` share it.
        on_store_error: Where the store fails, `allow` counts in this process alone, `refuse`
            raises `BudgetStoreError`.
        prices: Where prices come from; None takes the process's own book, `default_prices()`.
        max_tokens: The longest answer of a model of which neither the call, the model nor the
            catalog says.
        margin: By how much an estimate of tokens may be too low, at least 1.
        unpriced: Whether a call is made of which nobody knows what it can cost: `refuse` or
            `allow`.
        thresholds: Parts of the limit at which what is spent is logged, once a window.
        on_threshold: Called then, with the budget's key, the part, and what is spent in US
            dollars.
        run_ttl: Seconds after which a run that has not ended is given up: it may have been billed,
            so what was reserved for it counts as spent.
        clock: Seconds since the epoch.

    Raises:
        ConfigurationError: An argument is out of its range.

    Example:
        >>> budget = Budget(5, per="day", by="tag:team")
        >>> budget
        Budget(limit_usd=5, per='day', by='tag:team')
        >>> budget.status("search").remaining_usd
        Decimal('5')
    """

    # A handler that does not raise could not stop a call.
    raise_error = True

    def __init__(
        self,
        limit_usd: float | str | Decimal,
        *,
        per: Per | None = "day",
        by: str | None = None,
        on_exceeded: Literal["raise", "warn"] = "raise",
        name: str = "budget",
        store: BudgetStore | None = None,
        on_store_error: Literal["allow", "refuse"] = "allow",
        prices: PriceBook | None = None,
        max_tokens: int | None = None,
        margin: float = 1.25,
        unpriced: Literal["refuse", "allow"] = "refuse",
        thresholds: Sequence[float] = (0.5, 0.8, 1.0),
        on_threshold: Callable[[str, float, Decimal], object] | None = None,
        run_ttl: float = 3 * 3600.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        _check(on_exceeded=on_exceeded, unpriced=unpriced, on_store_error=on_store_error)
        if margin < 1 or (max_tokens is not None and max_tokens < 1):
            raise ConfigurationError(
                f"margin={margin!r}, max_tokens={max_tokens!r}: both must be at least 1."
            )
        self._text = f"limit_usd={limit_usd}, per={per!r}, by={by!r}"
        self._name = name
        store = InMemoryBudgetStore() if store is None else store
        # A store that waits for a server must not hold up an event loop: LangChain then calls
        # this handler in a thread.
        self.run_inline = not store.is_blocking
        may_fail = store.is_blocking and on_store_error == "allow"
        self._store = FallbackStore(store) if may_fail else RequiredStore(store)
        self._warns_only = on_exceeded == "warn"
        self._account = Account(
            pico_of(limit_usd),
            name=name,
            per=per,
            by=by,
            store=self._store,
            is_strict=not self._warns_only,
            clock=clock,
        )
        self._allows_unpriced = self._warns_only or unpriced == "allow"
        self._rates = default_rates() if prices is None else RateCard(prices)
        self._max_tokens = max_tokens
        self._margin = margin
        self._thresholds = Thresholds(thresholds, on_threshold)
        self._runs = OpenRuns(ttl=run_ttl)
        self._clock = clock
        self._has_warned = False
        self._seen = {field.name: 0 for field in fields(BudgetCounts)}
        # The garbage collector may end a run of the same thread in the middle.
        self._lock = threading.RLock()
        REFUSALS.use()
        when_forked(self)

    @property
    def counts(self) -> BudgetCounts:
        """What it has seen in this process until now."""
        with self._lock:
            seen = {**self._seen, "unsettled": self._store.unsettled}
        return BudgetCounts(**seen)

    def status(self, group: str | None = None) -> BudgetStatus:
        """How full the budget is in the current window.

        Args:
            group: Whose, of a budget by tag or metadata.

        Raises:
            ConfigurationError: A group is needed and not named, or the other way round.
        """
        return self._account.status(group)

    def headroom(self, group: str | None = None) -> float:
        """What is left, from 1 (all) to 0 (nothing); for `RoutingPolicy(headroom=budget)`.

        Of a shared store the last level seen is taken, if it is not older than a few seconds. Of
        a budget by tag or metadata, give the policy a function that knows whose call it is.

        Args:
            group: As in `status`.

        Raises:
            ConfigurationError: As in `status`.
        """
        return self._account.left(group)

    @property
    def spent_usd(self) -> Decimal:
        """What calls that have ended cost in this window; of a budget for all calls."""
        return self.status().spent_usd

    @property
    def reserved_usd(self) -> Decimal:
        """What calls under way can cost at most, likewise."""
        return self.status().reserved_usd

    @property
    def remaining_usd(self) -> Decimal:
        """What can still be reserved, likewise."""
        return self.status().remaining_usd

    def __repr__(self) -> str:
        """The budget in one line."""
        return f"Budget({self._text})"

    # What this handler does not listen to, so that LangChain does not call it.

    @property
    def ignore_chain(self) -> bool:
        """Chains cost nothing of their own."""
        return True

    @property
    def ignore_agent(self) -> bool:
        """Neither do agents and tools."""
        return True

    @property
    def ignore_retriever(self) -> bool:
        """Nor retrievers."""
        return True

    @property
    def ignore_retry(self) -> bool:
        """A retried run reserves on its own."""
        return True

    @property
    def ignore_custom_event(self) -> bool:
        """Custom events cost nothing."""
        return True

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        """Reserve what a chat model's call can cost."""
        self._start(serialized, messages[0], run_id, kwargs)

    def on_llm_start(
        self, serialized: dict[str, Any], prompts: list[str], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Reserve what a text model's call can cost."""
        self._start(serialized, prompts[0], run_id, kwargs)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002 - parent_run_id and tags
        """Settle a call that has finished."""
        self._finish(run_id, response, None)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Settle a call that failed or was broken off."""
        self._finish(run_id, kwargs.get("response"), error)

    def on_cancel(self, error: BaseException, *, run_id: UUID) -> None:
        """Settle a call that was given up, of which LangChain may tell nobody.

        It comes from inside an event loop, so a store that waits for a server is asked in a
        thread.
        """
        ended = self._end(run_id, None, error)
        if ended is None:
            return
        if self._store.is_blocking:
            try:
                asyncio.get_running_loop().run_in_executor(None, self._settle, *ended)
            except RuntimeError:
                pass  # there is no loop to hold up, or it is being closed
            else:
                return
        self._settle(*ended)

    def _start(
        self,
        serialized: Mapping[str, Any] | None,
        prompt: Sequence[BaseMessage] | str,
        run_id: UUID,
        event: Mapping[str, Any],
    ) -> None:
        now = self._clock()
        run = self._runs.enter(run_id, now, waits=waits_for_job(event))
        if run is None:
            return  # a start that is told twice is one start
        for held in self._runs.give_up(now):
            self._count("uncertain")
            self._settle(held, held.amount)
        try:
            request = read_request(
                serialized, prompt, event, margin=self._margin, max_tokens=self._max_tokens
            )
            run.held = self._reserve(request, run_id.hex)
        except BaseException as error:
            self._runs.leave(run_id)
            REFUSALS.refused(run_id, error)
            raise
        REFUSALS.joined(run_id, self._release)

    def _reserve(self, request: Request, reservation: str) -> Held:
        """Reserve what a call can cost.

        Raises:
            BudgetExceededError: It does not fit, or nobody knows what it can cost.
        """
        amount = worst_case(request, self._rates)
        if amount is None:
            if not self._allows_unpriced:
                self._count("refused")
                raise self._unknown(request)
            self._count("unpriced")
        places = self._account.places(request.tags, request.metadata)
        reserved = self._account.reserve(places, reservation, amount or 0)
        if reserved.refused is not None:
            self._count("refused")
            raise self._exceeded(request, reserved.refused, amount or 0, reserved.levels[0])
        if any(level.committed > self._account.limit for level in reserved.levels):
            self._count("exceeded")
        return Held(
            request=request,
            keys=tuple(place.key for place in places),
            reservation=reservation,
            amount=amount or 0,
            is_priced=amount is not None,
        )

    def _finish(
        self, run_id: UUID, response: LLMResult | None, error: BaseException | None
    ) -> None:
        ended = self._end(run_id, response, error)
        if ended is not None:
            self._settle(*ended)

    def _end(
        self, run_id: UUID, response: LLMResult | None, error: BaseException | None
    ) -> tuple[Held, int] | None:
        """What a run held that has ended, and what it cost; None if that was told before."""
        REFUSALS.ended(run_id)
        # Some models report a failure themselves, and LangChain does so again: the first counts.
        held = self._runs.leave(run_id)
        if held is None:
            return None
        cost = self._cost(held, response, error)
        if cost is None:
            self._count("uncertain")
            cost = held.amount
        elif cost > held.amount and held.is_priced:
            self._count("underestimated")
        return held, cost

    def _cost(
        self, held: Held, response: LLMResult | None, error: BaseException | None
    ) -> int | None:
        try:
            return actual_cost(held.request, response, error, self._rates)
        except Exception:  # the call was made and paid: its answer must go through
            logger.warning("Budget=<%s> could not read what a call cost", self._name, exc_info=True)
            return None

    def _release(self, run_id: UUID, _error: BaseException) -> None:
        """Give back what a run holds that another budget has refused."""
        held = self._runs.leave(run_id)
        if held is not None:
            self._settle(held, 0)

    def _settle(self, held: Held, cost: int) -> None:
        for key in held.keys:
            level = self._settled(key, held, cost)
            if level is not None:
                self._thresholds.check(key, level.spent, self._account.limit)

    def _settled(self, key: str, held: Held, cost: int) -> Level | None:
        try:
            return self._account.settle(key, held.reservation, held.amount, cost)
        except Exception as error:  # the call was made and paid: its answer must go through
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    "Budget=<%s> could not settle a call, which stays reserved until that is "
                    "repeated; later ones are only counted",
                    self._name,
                    exc_info=error,
                )
            return None

    def after_fork(self) -> None:
        """In a forked process: leave the parent's runs to the parent, which settles them."""
        self._lock = threading.RLock()
        self._runs.after_fork()
        self._store.after_fork()

    def _exceeded(
        self, request: Request, place: Place, amount: int, level: Level
    ) -> BudgetExceededError:
        left = usd(max(0, self._account.limit - level.committed))
        whose = "" if place.group is None else f" of {place.group!r}"
        resets_at = place.window.ends_at
        wait = "" if resets_at is None else f"wait until {resets_at:%Y-%m-%d %H:%M} UTC, "
        return BudgetExceededError(
            f"Budget {self._name!r}{whose} has ${left:.6f} of ${usd(self._account.limit)} left, "
            f"and this call could cost ${usd(amount):.6f}: {wait}lower the model's max_tokens, "
            "take a cheaper model, or raise limit_usd.",
            budget=self._name,
            model_id=request.model_ids[0],
            group=place.group,
            needed_usd=usd(amount),
            remaining_usd=left,
            resets_at=resets_at,
        )

    def _unknown(self, request: Request) -> BudgetExceededError:
        """Why a call's upper cost is not known, and what to do."""
        model_id = request.model_ids[0]
        if request.output_tokens is None:
            what = (
                f"The longest answer of {model_id!r} is not known: set max_tokens on the model "
                "or on the budget"
            )
        elif request.input_tokens is None:
            what = (
                f"A document in the prompt for {model_id!r} is only named, and the model's "
                "context window is not known: send its bytes"
            )
        else:
            what = (
                f"No price is known for {model_id!r} at tier {request.tier!r} with "
                f"{request.input_tokens} prompt tokens: give prices= one"
            )
        is_unbounded = request.output_tokens is None or request.input_tokens is None
        return BudgetExceededError(
            f"{what}, or let such calls through with unpriced='allow'.",
            reason="unbounded" if is_unbounded else "unpriced",
            budget=self._name,
            model_id=model_id,
        )

    def _count(self, what: str) -> None:
        with self._lock:
            self._seen[what] += 1


def _check(**given: str) -> None:
    for name, value in given.items():
        if value not in _CHOICES[name]:
            known = " or ".join(map(repr, _CHOICES[name]))
            raise ConfigurationError(f"{name}={value!r}: give {known}.")
