"""What tells one chain from another: a digest of its structure.

Equal in every process: it is made of class paths, names, bound arguments and templates, and holds
no memory address. It says nothing of what a function's body does: a step that reads answers can
be mended, and the paid answers of a run read once more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from langchain_core.load import dumpd
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_bedrock_opt.batching.chains.anatomy import Step

# What `dumpd` writes of objects that differ from process to process.
_VOLATILE: Final = frozenset({"repr", "graph"})


def fingerprint_of(steps: Iterable[Step]) -> str:
    """A digest of a chain's steps, in hex.

    Args:
        steps: The chain, taken apart.

    Example:
        >>> from langchain_core.runnables import RunnableLambda
        >>> fingerprint_of([Step(RunnableLambda(abs))])[:8]
        '436f8f30'
    """
    described = [[_described(step.runnable), _plain(step.kwargs)] for step in steps]
    text = json.dumps(described, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _described(runnable: Runnable[Any, Any]) -> Any:
    model = getattr(runnable, "model", None)
    model_id = getattr(model, "model_id", None)
    if isinstance(model_id, str):  # what a model is set to is in its records
        return [path_of(type(runnable)), path_of(type(model)), model_id]
    if isinstance(runnable, RunnableLambda):
        function = getattr(runnable, "func", None) or getattr(runnable, "afunc", None)
        return [path_of(type(runnable)), path_of(function)]
    return [path_of(type(runnable)), _plain(dumpd(runnable))]


def _plain(value: Any) -> Any:
    """A value as JSON: what is none becomes the path of its class."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, Mapping):
        items = value.items()
        return {str(key): _plain(inner) for key, inner in items if key not in _VOLATILE}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (set, frozenset)):
        return sorted(json.dumps(_plain(inner), sort_keys=True) for inner in value)
    return path_of(
        value if isinstance(value, type) or hasattr(value, "__qualname__") else type(value)
    )


def path_of(thing: Any) -> str:
    """The path of a class or function; of anything else that of its class.

    Example:
        >>> path_of(str.upper), path_of(b"")
        ('builtins.str.upper', 'builtins.bytes')
    """
    name = getattr(thing, "__qualname__", None)
    if not name:
        return path_of(type(thing))
    # Methods of built-in types know their class, and not all of them a module.
    owner = getattr(thing, "__objclass__", thing)
    return f"{getattr(owner, '__module__', None) or 'builtins'}.{name}"
