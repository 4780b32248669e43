"""Which `with` block a run belongs to that starts in a thread without the block's context.

A plain thread starts with an empty context (before Python 3.14), so a block's variable is not
set there. What is known is when the thread started and which blocks were open then.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Final

from langchain_core.callbacks import BaseCallbackHandler

from langchain_bedrock_opt.usage.recording.callback import BedrockUsageCallbackHandler


class Block:
    """One `with` block that is open.

    Args:
        handler: Its handler.
        around: The block that it is nested in, if any.
    """

    __slots__ = ("_older_threads", "_thread", "around", "handler", "is_open")

    def __init__(self, handler: BedrockUsageCallbackHandler, around: Block | None) -> None:
        self.handler = handler
        self.around = around
        self.is_open = True
        self._thread = threading.current_thread()
        self._older_threads = frozenset(threading.enumerate())

    def is_of(self, thread: threading.Thread) -> bool:
        """Whether the block was opened in a thread: there its context variable tells all."""
        return thread is self._thread

    def may_own(self, thread: threading.Thread) -> bool:
        """Whether a thread may have been started inside the block: it is younger."""
        return thread not in self._older_threads

    def nearest_open(self) -> Block | None:
        """The block itself, or the nearest one around it that is still open."""
        block: Block | None = self
        while block is not None and not block.is_open:
            block = block.around
        return block

    def outer_blocks(self) -> Iterator[Block]:
        """The blocks around it."""
        block = self.around
        while block is not None:
            yield block
            block = block.around


class OpenBlocks:
    """All blocks that are open in this process. Thread-safe."""

    def __init__(self) -> None:
        self._blocks: tuple[Block, ...] = ()
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Block]:
        """The blocks, in the order in which they were opened."""
        return iter(self._blocks)

    def __len__(self) -> int:
        """How many are open."""
        return len(self._blocks)

    def add(self, block: Block) -> None:
        """Remember an open block."""
        with self._lock:
            self._blocks = (*self._blocks, block)

    def remove(self, block: Block) -> None:
        """Forget a block that is closed."""
        with self._lock:
            self._blocks = tuple(other for other in self._blocks if other is not block)

    def owner(self) -> Block | None:
        """The block that this thread was started in, if only one can be it.

        Of blocks that nest the innermost is taken, since its handler tells the outer ones.
        """
        thread = threading.current_thread()
        possible = [block for block in self._blocks if block.may_own(thread)]
        outer = {other for block in possible for other in block.outer_blocks()}
        innermost = [block for block in possible if block not in outer]
        return innermost[0] if len(innermost) == 1 else None

    def after_fork(self) -> None:
        """In a forked process: its blocks are those of its context, and no thread's."""
        self._blocks = ()
        self._lock = threading.Lock()


class StrayHandler(BaseCallbackHandler):
    """Counts the runs that may belong to one of several blocks, in each of them.

    Args:
        blocks: The open blocks.
    """

    run_inline = True

    def __init__(self, blocks: OpenBlocks) -> None:
        self._blocks: Final = blocks

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002 - only that it starts
        """Count a chat model's run."""
        self._count()

    def on_llm_start(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002 - only that it starts
        """Count a text model's run."""
        self._count()

    def _count(self) -> None:
        if self._blocks.owner() is None:
            for block in self._blocks:
                if not block.is_of(threading.current_thread()):
                    block.handler.count_unattributed()
