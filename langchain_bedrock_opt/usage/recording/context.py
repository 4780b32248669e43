"""`get_bedrock_usage_callback`: count every model run inside a `with` block."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook

from langchain_bedrock_opt.catalog.price_book import PriceBook
from langchain_bedrock_opt.contracts import UsageSink
from langchain_bedrock_opt.forks import when_forked
from langchain_bedrock_opt.usage.recording.blocks import Block, OpenBlocks, StrayHandler
from langchain_bedrock_opt.usage.recording.callback import BedrockUsageCallbackHandler
from langchain_bedrock_opt.usage.recording.nested import NestedUsageCallbackHandler
from langchain_bedrock_opt.usage.recording.resolving import Resolve

_current: ContextVar[Block | None] = ContextVar("langchain_bedrock_opt_usage", default=None)
_open: Final = OpenBlocks()
_hook_lock: Final = threading.Lock()
_hook_registered = False


@contextmanager
def get_bedrock_usage_callback(
    *sinks: UsageSink,
    prices: PriceBook | None = None,
    resolver: Resolve | None = None,
    path: bool = True,
    metadata_keys: Sequence[str] = (),
) -> Iterator[BedrockUsageCallbackHandler]:
    """Count every model run that starts inside the block, without passing callbacks around.

    Blocks nest: a run counts in all blocks around it. A block reaches tasks and LangChain's own
    threads, which copy the context, and also plain threads that start while it is open. Nothing
    tells those from threads that somebody else starts at that moment: in a server that makes a
    thread for each request, open a block in each, or pass handlers as callbacks. If several
    blocks are open then, which do not nest, nobody can say whose a plain thread's run is; nor
    whose a run is in a thread that is older than the block. Such a run counts in no block's usage
    but in the handlers' `unattributed_runs`, and is logged once: pass the handler as a callback
    there, or start the thread with `contextvars.copy_context().run`. A task that outlives its
    block counts in the blocks around it that are still open.

    Args:
        sinks: Where records go; with none, to the in-memory ledger of the handler.
        prices: As `BedrockUsageCallbackHandler` takes it; so are the others.
        resolver: See there.
        path: See there.
        metadata_keys: See there.

    Yields:
        The handler. Sinks are not flushed at the end of the block.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> with get_bedrock_usage_callback() as usage:
        ...     _ = FakeListChatModel(responses=["4"]).invoke("2+2?")
        >>> usage.ledger.totals().calls
        1
    """
    _register_hook_once()
    inner = _current.get()
    around = None if inner is None else inner.nearest_open()
    make: Callable[..., BedrockUsageCallbackHandler] = BedrockUsageCallbackHandler
    if around is not None:
        make = partial(NestedUsageCallbackHandler, around)
    handler = make(sinks, prices=prices, resolver=resolver, path=path, metadata_keys=metadata_keys)
    block = Block(handler, around)
    _current.set(block)
    _open.add(block)
    try:
        yield handler
    finally:
        block.is_open = False
        _open.remove(block)
        # A generator with the block in it may be closed in another context than it was opened in,
        # or after another block was opened: what is closed is passed over there.
        if _current.get() is block:
            _current.set(around)


class _BlockVariable:
    """What LangChain asks at each run for a handler, in place of a context variable."""

    def __init__(self, blocks: OpenBlocks) -> None:
        self._blocks = blocks
        self._stray = StrayHandler(blocks)

    def get(self) -> BaseCallbackHandler | None:
        """The handler of the block that this run belongs to; None outside of all blocks."""
        inner = _current.get()
        if inner is not None:
            block = inner.nearest_open()
            return None if block is None else block.handler
        if not self._blocks:
            return None
        thread = threading.current_thread()
        if all(block.is_of(thread) for block in self._blocks):
            return None  # a task beside theirs
        block = self._blocks.owner()
        return self._stray if block is None else block.handler


def _register_hook_once() -> None:
    # One hook for all uses: LangChain asks every hook at every run and never drops one, so a hook
    # a use would make each later call slower.
    global _hook_registered  # noqa: PLW0603 - the registry it mirrors is LangChain's global
    with _hook_lock:
        if not _hook_registered:
            # LangChain only reads it, and a ContextVar can't be subclassed.
            variable = cast("ContextVar[Any]", _BlockVariable(_open))
            register_configure_hook(variable, inheritable=True)
            when_forked(_open)
            _hook_registered = True
