"""Taking a chain apart: its steps, in a line, and the chat models within."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import (
    Runnable,
    RunnableBinding,
    RunnableConfig,
    RunnableLambda,
    RunnableSequence,
    RunnableWithFallbacks,
)
from langchain_core.runnables.config import merge_configs

# What a step has of a config around it: core hands these on to children, the rest is its own.
_INHERITED = ("tags", "metadata", "callbacks", "max_concurrency", "recursion_limit", "configurable")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a chain, with what is bound to it.

    Attributes:
        runnable: The step, without the bindings around it.
        config: What `with_config` gave it and what is around it.
        kwargs: What `bind` gave it.
    """

    runnable: Runnable[Any, Any]
    config: RunnableConfig | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def invoke(self, value: Any, config: RunnableConfig) -> Any:
        """Do the step, as the chain would.

        Raises:
            Exception: Whatever the step raises.
        """
        merged = merge_configs(self.config, config) if self.config else config
        return self.runnable.invoke(value, merged, **self.kwargs)


def steps_of(chain: Runnable[Any, Any]) -> list[Step]:
    """A chain's steps; sequences with a model in them are spread out.

    Args:
        chain: Any Runnable. What is no sequence is one step.

    Example:
        >>> from langchain_core.runnables import RunnableLambda
        >>> one, two = RunnableLambda(abs), RunnableLambda(round)
        >>> [step.runnable.name for step in steps_of(one | two)]
        ['abs', 'round']
    """
    return list(_spread(chain, None, {}))


def opened(chain: Runnable[Any, Any]) -> Step:
    """A chain without the bindings around it, and what they bind."""
    config: RunnableConfig | None = None
    kwargs: Mapping[str, Any] = {}
    while _is_plain_binding(chain):
        config = merge_configs(chain.config, config) if config else chain.config
        kwargs = {**chain.kwargs, **kwargs}
        chain = chain.bound
    return Step(chain, config or None, kwargs)


def _spread(
    chain: Runnable[Any, Any], config: RunnableConfig | None, kwargs: Mapping[str, Any]
) -> Iterator[Step]:
    if _is_line(chain):
        inherited = _inherited(config)
        for number, step in enumerate(chain.steps):
            yield from _spread(step, inherited, {} if number else kwargs)
    elif _is_plain_binding(chain) and _is_worth_opening(chain.bound):
        inner = merge_configs(chain.config, config) if config else chain.config
        yield from _spread(chain.bound, inner, {**chain.kwargs, **kwargs})
    else:
        yield Step(chain, config or None, kwargs)


# Not by type alone: a subclass may do something of its own when it is invoked.
def _is_line(chain: Runnable[Any, Any]) -> TypeGuard[RunnableSequence[Any, Any]]:
    return isinstance(chain, RunnableSequence) and type(chain).invoke is RunnableSequence.invoke


def _is_plain_binding(chain: Runnable[Any, Any]) -> TypeGuard[RunnableBinding[Any, Any]]:
    return (
        isinstance(chain, RunnableBinding)
        and type(chain).invoke is RunnableBinding.invoke
        and not chain.config_factories
    )


def _is_worth_opening(bound: Runnable[Any, Any]) -> bool:
    """Whether there is a model in it; what has none does its work as it is, with its own trace."""
    return bool(models_in(bound))


def _inherited(config: RunnableConfig | None) -> RunnableConfig | None:
    if not config:
        return None
    kept = {key: value for key, value in config.items() if key in _INHERITED}
    return cast("RunnableConfig", kept) or None


def models_in(runnable: Runnable[Any, Any], *, with_fallbacks: bool = True) -> list[BaseChatModel]:
    """The chat models that a Runnable is seen to call, each once; not those within a model.

    A model that only a function's object holds, as an agent's does, is not seen.

    Args:
        runnable: Any Runnable, or a graph.
        with_fallbacks: Also those that are asked only when another one has failed.

    Example:
        >>> from langchain_core.language_models import FakeListChatModel
        >>> from langchain_core.runnables import RunnableParallel
        >>> model = FakeListChatModel(responses=["a"])
        >>> models_in(RunnableParallel(a=model, b=model)) == [model]
        True
    """
    found: list[BaseChatModel] = []
    _collect(runnable, found, set(), with_fallbacks=with_fallbacks)
    return found


def _collect(
    part: Any, found: list[BaseChatModel], seen: set[int], *, with_fallbacks: bool
) -> None:
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, BaseChatModel):
        found.append(part)
        return
    for inner in _parts(part, with_fallbacks=with_fallbacks):
        _collect(inner, found, seen, with_fallbacks=with_fallbacks)


def _parts(part: Any, *, with_fallbacks: bool) -> Iterable[Any]:
    """What may hold a model, of something that may."""
    if isinstance(part, Mapping):
        return part.values()
    if isinstance(part, (list, tuple)):
        return part
    if isinstance(part, RunnableWithFallbacks) and not with_fallbacks:
        return [part.runnable]
    if isinstance(part, RunnableLambda):
        return part.deps
    if isinstance(part, Runnable) or _is_node(part):
        return list(getattr(part, "__dict__", {}).values())
    return ()


def _is_node(part: Any) -> bool:
    """Whether it is a graph's node: those hold Runnables and are none."""
    return isinstance(getattr(part, "bound", None), Runnable)


def is_async_only(runnable: Runnable[Any, Any]) -> bool:
    """Whether a step was made of async functions alone, so that it can't be invoked.

    Example:
        >>> async def fetch(key: str) -> str:
        ...     return key
        >>> is_async_only(RunnableLambda(fetch))
        True
    """
    if isinstance(runnable, RunnableLambda):
        return not hasattr(runnable, "func")
    inner = getattr(runnable, "bound", None)
    return isinstance(inner, Runnable) and is_async_only(inner)
