"""Whether `input_tokens` counts the tokens of the prompt cache: langchain-aws changed its mind.

LangChain's own definition is that it does. langchain-aws came to follow it in two patch and minor
releases, one for each of its APIs, found by reading their sources:

* `ChatBedrockConverse`: since 1.4.6 (langchain-aws#1023, merged 2026-05-04).
* `ChatBedrock` over InvokeModel: since 1.9.0; 1.8.2 still counts cached tokens apart.

This package needs a newer langchain-aws than either. The table is for what else arrives here: a
model in another environment whose runs are replayed, and the next change, which is one more row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

_INCLUSIVE_SINCE: Final[Mapping[str, tuple[int, ...]]] = {
    "bedrock_converse": (1, 4, 6),
    "bedrock": (1, 9, 0),
}
"""The first inclusive release of langchain-aws, by the `model_provider` of its answers."""

_PACKAGE: Final = "langchain-aws"


@lru_cache(maxsize=64)
def input_includes_cache(provider: str | None, release: str | None) -> bool:
    """Whether `input_tokens` includes the tokens read from and written to the prompt cache.

    Args:
        provider: `model_provider` of the answer's `response_metadata`; None if it has none.
        release: The langchain-aws that made the answer; None takes the installed one.

    Returns:
        True also for every answer that is not langchain-aws's: it is LangChain's definition.

    Example:
        >>> input_includes_cache("bedrock_converse", "1.4.5")
        False
        >>> input_includes_cache("bedrock_converse", "1.4.6")
        True
    """
    since = _INCLUSIVE_SINCE.get(provider or "")
    if since is None:
        return True
    release = release or _installed()
    numbers = tuple(map(int, re.findall(r"\d+", release or "")[: len(since)]))
    return not numbers or numbers >= since


def release_of(metadata: Mapping[str, Any]) -> str | None:
    """The langchain-aws release that a run's metadata names; None if it names none."""
    versions = metadata.get("lc_versions")
    found = versions.get(_PACKAGE) if isinstance(versions, dict) else None
    return found if isinstance(found, str) else None


@lru_cache(maxsize=1)
def _installed() -> str | None:
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        return None
