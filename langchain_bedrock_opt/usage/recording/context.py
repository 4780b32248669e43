"""`get_bedrock_usage_callback`: count every model run inside a `with` block."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from langchain_core.tracers.context import register_configure_hook

from langchain_bedrock_opt.contracts import UsageSink
from langchain_bedrock_opt.usage.recording.callback import BedrockUsageCallbackHandler

# One variable and one hook for all uses: LangChain asks every hook at every run and never drops
# one, so a hook a use would make each later call slower.
_current: ContextVar[BedrockUsageCallbackHandler | None] = ContextVar(
    "langchain_bedrock_opt_usage", default=None
)
_hook_lock: Final = threading.Lock()
_hook_registered = False


@contextmanager
def get_bedrock_usage_callback(*sinks: UsageSink) -> Iterator[BedrockUsageCallbackHandler]:
    """Count every model run that starts inside the block, without passing callbacks around.

    Blocks nest: a run counts in all blocks around it. It reaches tasks and LangChain's own
    threads, which copy the context. A plain `threading.Thread` does not, before Python 3.14:
    pass the handler to the model there.

    Args:
        sinks: Where records go; with none, to the in-memory ledger of the handler.

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
    outer = _current.get()
    handler = BedrockUsageCallbackHandler(sinks) if outer is None else _Nested(sinks, outer)
    token = _current.set(handler)
    try:
        yield handler
    finally:
        _current.reset(token)


class _Nested(BedrockUsageCallbackHandler):
    """The handler of a block inside a block: the one LangChain sees, so it tells the outer one.

    The outer handler may hear of the same run from LangChain too, if a chain inherited it. It
    knows runs by their id, so each counts once all the same.
    """

    def __init__(self, sinks: Sequence[UsageSink], outer: BedrockUsageCallbackHandler) -> None:
        super().__init__(sinks)
        self._outer = outer

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        super().on_chat_model_start(*args, **kwargs)
        self._outer.on_chat_model_start(*args, **kwargs)

    def on_llm_start(self, *args: Any, **kwargs: Any) -> None:
        super().on_llm_start(*args, **kwargs)
        self._outer.on_llm_start(*args, **kwargs)

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        super().on_llm_new_token(*args, **kwargs)
        self._outer.on_llm_new_token(*args, **kwargs)

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        super().on_llm_end(*args, **kwargs)
        self._outer.on_llm_end(*args, **kwargs)

    def on_llm_error(self, *args: Any, **kwargs: Any) -> None:
        super().on_llm_error(*args, **kwargs)
        self._outer.on_llm_error(*args, **kwargs)


def _register_hook_once() -> None:
    global _hook_registered  # noqa: PLW0603 - the registry it mirrors is LangChain's global
    with _hook_lock:
        if not _hook_registered:
            register_configure_hook(_current, inheritable=True)
            _hook_registered = True
