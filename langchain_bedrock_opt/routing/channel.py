"""How a decision travels: into the run's metadata, and into the message that comes back.

The run's metadata is there before the model is called, so callbacks see the decision of a call
that fails, too. The message carries it to whoever called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from langchain_bedrock_opt.contracts import REPORT_KEY, ROUTE_METADATA_KEY, RouteDecision

FORCE_KEY: Final = "force"
"""The key in `config["configurable"]` that names the tier or model to take."""

EFFORT_KEY: Final = "reasoning_effort"
"""The argument by which langchain-aws takes an effort for one call."""

_Message = TypeVar("_Message", bound=BaseMessage)


def pop_force(kwargs: dict[str, Any], config: Mapping[str, Any]) -> str | None:
    """Take the tier or model the caller has named out of a call's arguments.

    Args:
        kwargs: The call's arguments; `force` and `model` are removed.
        config: The call's config; `config["configurable"]["force"]` holds where neither is given.
    """
    named = force_of(kwargs, config)
    kwargs.pop("force", None)
    kwargs.pop("model", None)
    return named


def force_of(kwargs: Mapping[str, Any], config: Mapping[str, Any] | None) -> str | None:
    """The tier or model the caller has named, as `pop_force` finds it.

    Args:
        kwargs: The call's arguments.
        config: The call's config.
    """
    configurable = (config or {}).get("configurable") or {}
    named = kwargs.get("force") or kwargs.get("model") or configurable.get(FORCE_KEY)
    return None if named is None else str(named)


def thread_of(config: Mapping[str, Any]) -> object:
    """The conversation's id in a config, as LangGraph puts it there; None if there is none."""
    return (config.get("configurable") or {}).get("thread_id")


def with_effort(decision: RouteDecision, kwargs: dict[str, Any]) -> RouteDecision:
    """Put the effort of a decision into a call's arguments, where nothing speaks against it.

    Claude refuses to think where a tool is forced on it, and the caller's own effort holds.

    Args:
        decision: The decision.
        kwargs: The call's arguments; `reasoning_effort` is added.

    Returns:
        The decision, with the effort that is made.
    """
    if decision.effort is None:
        return decision
    is_free = kwargs.get("tool_choice") in (None, "auto", {"auto": {}})
    if is_free and EFFORT_KEY not in kwargs:
        kwargs[EFFORT_KEY] = decision.effort
        return decision
    return replace(decision, effort=None)


def with_route(config: RunnableConfig, route: Mapping[str, Any]) -> RunnableConfig:
    """A config whose run says where it was routed.

    Args:
        config: The run's config.
        route: A `RouteDecision` as a dict.
    """
    return {**config, "metadata": {**(config.get("metadata") or {}), ROUTE_METADATA_KEY: route}}


def without_run_id(config: RunnableConfig | None) -> RunnableConfig:
    """A config for one more run: the id that the caller gave is the first run's."""
    own = RunnableConfig(**(config or {}))
    own.pop("run_id", None)
    return own


def mark_message(message: _Message, route: Mapping[str, Any]) -> _Message:
    """A copy of a message that says where it came from.

    The message itself is left alone: tracers and caches hold the same object. What a layer has
    reported is kept, and so is the route of a router behind this one.
    """
    report = {"route": dict(route), **message.response_metadata.get(REPORT_KEY, {})}
    metadata = {**message.response_metadata, REPORT_KEY: report}
    return message.model_copy(update={"response_metadata": metadata})
