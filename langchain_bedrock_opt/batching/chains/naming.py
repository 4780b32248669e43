"""The name of a durable run of a chain."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.messages import BaseMessage
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs
from pydantic import BaseModel

from langchain_bedrock_opt.batching.calls import RUN_ID_KEY
from langchain_bedrock_opt.batching.chains.anatomy import opened, steps_of
from langchain_bedrock_opt.batching.chains.fingerprint import fingerprint_of, path_of

_PLACES: Final = ("seq:step:", "map:key:", "retry:attempt:", "graph:step:", "branch", "condition:")
"""How LangChain's tags begin that say which part of a chain a run is, or which attempt."""

_TOLD: Final = ("type", "name", "content", "tool_calls", "tool_call_id")
"""What tells one message from another. Ids are others each time."""


def run_id_of(
    chain: Runnable[Any, Any], inputs: Sequence[Any], config: RunnableConfig
) -> str | None:
    """The name of a batch's run, if the user has given one.

    A batch that a user makes has the very name. One that is made by a chain around it has more to
    it: the chain may hold two of them, and a retry asks for what has failed. Each has a run of its
    own, which the same call finds again.

    Args:
        chain: The chain.
        inputs: The inputs.
        config: The first input's config.

    Example:
        >>> from langchain_core.runnables import RunnableLambda
        >>> run_id_of(RunnableLambda(abs), [1], {"metadata": {"bedrock_opt_run_id": "nightly"}})
        'nightly'
    """
    merged = merge_configs(opened(chain).config, config)
    name = (merged.get("metadata") or {}).get(RUN_ID_KEY)
    if name is None:
        return None
    callbacks: Any = merged.get("callbacks")
    if not isinstance(callbacks, BaseCallbackManager):
        return str(name)
    digest = hashlib.blake2b(fingerprint_of(steps_of(chain)).encode(), digest_size=6)
    told = [tag for tag in callbacks.tags if tag.startswith(_PLACES)]
    digest.update(repr((told, _said(inputs))).encode("utf-8", "surrogatepass"))
    return f"{name}-{digest.hexdigest()}"


def _said(value: Any) -> Any:
    """What tells one input from another, equal in every process."""
    if value is None or isinstance(value, (str, bytes, int, float, bool)):
        return value
    value = _opened(value)
    if isinstance(value, Mapping):
        return {str(key): _said(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, Sequence):
        return [_said(inner) for inner in value]
    return path_of(value)


def _opened(value: Any) -> Any:
    """An object's fields, if it is known what they are; else the object."""
    if isinstance(value, BaseMessage):
        return [getattr(value, name, None) for name in _TOLD]
    if isinstance(value, PromptValue):
        return value.to_messages()
    if isinstance(value, BaseModel):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return value
