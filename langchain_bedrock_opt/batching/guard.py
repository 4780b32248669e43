"""The guard on single calls: a batch model that is asked one by one pays the full price.

LangChain breaks some compositions into single calls (a parallel step, a branch, the
`batch_as_completed` of a chain), and batches may be too small for a job. They work, on demand and
at twice the price, so somebody has to say so.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Literal, get_args
from uuid import UUID

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.runnables import RunnableConfig, ensure_config

from langchain_bedrock_opt.catalog.offers import offers_of
from langchain_bedrock_opt.errors import ConfigurationError

OnInvoke = Literal["warn", "error", "ignore"]
"""What becomes of single calls inside of chains, once there are too many of them."""

QUIET_SECONDS: Final = 60.0
"""Seconds without a call after which the next one begins a new burst."""

_MOST_RUNS: Final = 1000
"""Parent runs that are remembered."""


class FullPriceWarning(UserWarning):
    """A batch model is asked one call at a time: on demand, at twice the price of a job."""


def check_flex(below_minimum: str, model_id: str, region: str | None) -> None:
    """Refuse single calls at the flex tier for a model that is known not to be offered in it.

    Bedrock would refuse each of them, one by one.

    Args:
        below_minimum: What becomes of inputs that are too few for a job.
        model_id: The model.
        region: The region that is called, if it is known.

    Raises:
        ConfigurationError: It is not offered in the flex tier, as far as is known.
    """
    offers = offers_of(model_id, region) if below_minimum == "flex" else None
    if offers is not None and "flex" not in offers.service_tiers:
        raise ConfigurationError(
            f"below_minimum='flex': {model_id!r} is not offered in the flex tier, as far as is "
            "known: pass 'on_demand', or 'error'."
        )


class InvokeGuard:
    """Counts the single calls that come from inside of chains.

    Calls count for the run that they are a part of, and for the burst that they are a part of:
    where LangChain breaks a batch up, each of its inputs has a run of its own. A call that no
    chain has made is the user's own wish and does not count.

    Args:
        clock: Seconds on a clock that never goes back.

    Example:
        >>> InvokeGuard().called(None, limit=0, on_invoke="error")
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._by_run: OrderedDict[UUID, int] = OrderedDict()
        self._in_burst = 0
        self._last = float("-inf")

    def called(self, config: RunnableConfig | None, *, limit: int, on_invoke: OnInvoke) -> None:
        """A single call is about to be made.

        Args:
            config: Its config.
            limit: How many calls are nobody's business.
            on_invoke: What becomes of those beyond: a warning once for each run and burst, an
                error for each of them, or nothing.

        Raises:
            ConfigurationError: It is one too many, and `on_invoke` is `error`.
        """
        if on_invoke == "ignore":
            return
        given = ensure_config(config)
        parent = _parent_of(given)
        # `configurable_fields` makes a model anew for each input, and there is no run around it.
        if parent is None and not given.get("configurable"):
            return
        with self._lock:
            in_run, in_burst = self._count(parent)
        if max(in_run, in_burst) <= limit:
            return
        told = (
            f"A BedrockBatch was invoked {max(in_run, in_burst)} times by a chain, one call at a "
            "time: on demand, at twice the price of a job. Call .batch() on the model or on a "
            "sequence of steps, or wrap the chain, as_batch(chain), for parallel steps, branches, "
            "agents and batch_as_completed. on_invoke='ignore' if this is meant."
        )
        if on_invoke == "error":
            raise ConfigurationError(told)
        if limit + 1 in (in_run, in_burst):
            warnings.warn(told, FullPriceWarning, stacklevel=4)

    def _count(self, parent: UUID | None) -> tuple[int, int]:
        """Count a call, for its run and for its burst."""
        now = self._clock()
        if now - self._last > QUIET_SECONDS:
            self._in_burst = 0
        self._last = now
        self._in_burst += 1
        if parent is None:
            return 0, self._in_burst
        in_run = self._by_run.pop(parent, 0) + 1
        self._by_run[parent] = in_run
        if len(self._by_run) > _MOST_RUNS:
            self._by_run.popitem(last=False)
        return in_run, self._in_burst


class FewRecords:
    """Says once that records are too few for a job and so cost the full price.

    Args:
        least: The least that a job takes.

    Example:
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     told = FewRecords(100)
        ...     told(60)
        ...     told(60)
        >>> len(caught)
        1
    """

    def __init__(self, least: int) -> None:
        self._least = least
        self._lock = threading.Lock()
        self._is_told = False

    def __call__(self, records: int) -> None:
        """So many records are about to be answered by single calls."""
        with self._lock:
            if self._is_told:
                return
            self._is_told = True
        warnings.warn(
            f"{records} records are fewer than the {self._least} that a job takes: they are "
            "answered by single calls, on demand, at twice the price of a job. Send more at once; "
            "where calls are collected, start tasks by batch.start(...), or take a longer window. "
            "If this is meant, say below_minimum='on_demand'; 'error' refuses it.",
            FullPriceWarning,
            stacklevel=2,
        )


def check_guarding(limit: int, on_invoke: str) -> None:
    """Refuse settings of a guard that can't be.

    Args:
        limit: How many calls are nobody's business.
        on_invoke: What becomes of those beyond.

    Raises:
        ConfigurationError: A value is out of its range.
    """
    if limit < 0:
        raise ConfigurationError(f"warn_after={limit} is below 0.")
    if on_invoke not in get_args(OnInvoke):
        raise ConfigurationError(
            f"on_invoke={on_invoke!r} is none of {', '.join(get_args(OnInvoke))}."
        )


def _parent_of(config: RunnableConfig) -> UUID | None:
    """The run that a call is a part of, if there is one."""
    callbacks: Any = config.get("callbacks")
    return callbacks.parent_run_id if isinstance(callbacks, BaseCallbackManager) else None
