"""What is read of a chat model: its id, and what it sends with every prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

_DEPTH: Final = 8
"""Wrappers that are looked into: no chain has more, and no odd object holds this up."""

_INSIDE: Final = ("bound", "runnable", "first")
"""Where tools and retries, fallbacks, and structured output have the chat model."""


class Given(NamedTuple):
    """A chat model, or an id, taken out of its wrappers.

    Attributes:
        model: The chat model, or the id.
        system: Its own system prompt: a text, texts or blocks.
        tools: The tools that are bound to it.
    """

    model: Any
    system: Any
    tools: Sequence[Any]


def given_model(model: Any) -> Given:
    """Read a chat model, whatever LangChain has made of it: tools, retries, structured output.

    Args:
        model: A model id, a chat model, or what its `bind_tools`, `with_retry`,
            `with_fallbacks` or `with_structured_output` gave.

    Example:
        >>> given_model("us.amazon.nova-lite-v1:0").tools
        ()
    """
    tools: Sequence[Any] = ()
    for _ in range(_DEPTH):
        # A binding answers for its model's attributes, so what it holds is looked for first.
        inner = None if isinstance(model, str) else _inside(model)
        if inner is None:
            break
        bound = getattr(model, "kwargs", None)
        if not tools and isinstance(bound, Mapping):
            tools = bound.get("tools") or ()
        model = inner
    system = getattr(model, "system", None)
    return Given(model, system if isinstance(system, (str, list)) else (), tools)


def _inside(model: Any) -> Any:
    found = (getattr(model, name, None) for name in _INSIDE)
    return next((inner for inner in found if inner is not None), None)
