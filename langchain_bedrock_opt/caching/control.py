"""What a caller asks of a cache for one call, or for the calls inside a block.

There are two ways to say it, and both reach as far as a run does, into threads and tasks:

* `with cache.options(…)`, `cache.bypass()`, `cache.refresh()`: for this cache, in this block;
* the run's config, `config={"metadata": {"bedrock_opt_cache": "bypass"}}`, or a dict of
  `CallOptions`: for every cache that the run meets. A block wins over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, TypeAlias, get_args

from langchain_core.runnables.config import var_child_runnable_config

from langchain_bedrock_opt.aws.call_context import run_metadata
from langchain_bedrock_opt.errors import ConfigurationError

METADATA_KEY: Final = "bedrock_opt_cache"
"""The key in a run's metadata that speaks to the cache."""

Mode: TypeAlias = Literal["use", "bypass", "refresh"]
"""`bypass`: neither look nor keep. `refresh`: do not look, but keep the new answer."""


def checked_tags(tags: Any) -> tuple[str, ...]:
    """Tags as they were given; a text is one that somebody forgot to put into a list.

    Raises:
        ConfigurationError: They are no list of texts.
    """
    if not isinstance(tags, str) and isinstance(tags, Iterable):
        given: tuple[Any, ...] = tuple(tags)
        if all(isinstance(tag, str) for tag in given):
            return given
    raise ConfigurationError(f"tags={tags!r}: must be a list of texts")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """What a cache is to do differently for some calls.

    Attributes:
        mode: `use`, `bypass` or `refresh`.
        tags: What their answers are about, for `invalidate(tags=…)`.
        ttl: Seconds that their answers live; None as the cache is set up.
        tenant: Whose answers these are; None as the cache is set up.
        answer: The answer that the model would give, so that it need not be asked; for warming
            a cache up. Streams ask all the same.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    mode: Mode = "use"
    tags: tuple[str, ...] = ()
    ttl: float | None = None
    tenant: str | None = None
    answer: str | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if self.mode not in get_args(Mode):
            raise ConfigurationError(f"mode={self.mode!r}: must be one of {get_args(Mode)}")
        checked_tags(self.tags)
        if self.ttl is not None and not self.ttl > 0:
            raise ConfigurationError(f"ttl={self.ttl!r}: must be above 0")
        if self.tenant is not None and not isinstance(self.tenant, str):
            raise ConfigurationError(f"tenant={self.tenant!r}: must be a text")


_DEFAULT: Final = CallOptions()
_NAMES: Final = {field.name for field in fields(CallOptions)} - {"answer"}

# Which cache (by its id, while the block that holds it is open) was told what. One variable for
# all caches: a ContextVar of each cache's own would never be freed.
_blocks: ContextVar[tuple[tuple[int, CallOptions], ...]] = ContextVar(
    "bedrock_opt_cache", default=()
)


@contextmanager
def options_block(cache: object, **changes: Any) -> Iterator[None]:
    """Change a cache's options for the calls made inside the block, and only for these.

    Args:
        cache: The cache.
        changes: Fields of `CallOptions`. What is None stays as an outer block has it; tags add
            to the outer ones.
    """
    outer = _block_of(cache) or _DEFAULT
    given = {name: value for name, value in changes.items() if value is not None}
    if "tags" in given:
        given["tags"] = (*outer.tags, *checked_tags(given["tags"]))
    changed = replace(outer, **given)
    token = _blocks.set((*_blocks.get(), (id(cache), changed)))
    try:
        yield
    finally:
        _blocks.reset(token)


def current_options(cache: object) -> CallOptions:
    """What was asked of a cache for the call at hand.

    Raises:
        ConfigurationError: The run's metadata asks for something that there is not.
    """
    told = run_metadata().get(METADATA_KEY)
    asked = _DEFAULT if told is None else options_of(told)
    block = _block_of(cache)
    if block is None:
        return asked
    return block if told is None else replace(asked, **_differences(block))


def current_options_by_config(cache: object) -> CallOptions:
    """The same for LangChain's own cache interface, which is told nothing of its run.

    What a chain around the model was given is known, what the model itself was given is not.
    """
    block = _block_of(cache)
    chain = var_child_runnable_config.get() or {}
    told = (chain.get("metadata") or {}).get(METADATA_KEY)
    asked = _DEFAULT if told is None else options_of(told)
    return asked if block is None else replace(asked, **_differences(block))


def options_of(told: str | Mapping[str, Any]) -> CallOptions:
    """The options that a run's metadata spells.

    Args:
        told: A mode, or a dict of `CallOptions`' fields.

    Raises:
        ConfigurationError: It is neither.

    Example:
        >>> options_of({"mode": "refresh", "tags": ["prices"]}).tags
        ('prices',)
    """
    if isinstance(told, str):
        told = {"mode": told}
    if not isinstance(told, Mapping) or not _NAMES.issuperset(told):
        raise ConfigurationError(
            f"metadata {METADATA_KEY}={told!r}: must be 'bypass', 'refresh' or a dict with some of "
            f"{sorted(_NAMES)}"
        )
    return CallOptions(**{**told, "tags": checked_tags(told.get("tags", ()))})


def _block_of(cache: object) -> CallOptions | None:
    blocks = _blocks.get()
    return dict(blocks).get(id(cache)) if blocks else None


def _differences(options: CallOptions) -> dict[str, Any]:
    return {
        name: value
        for name in (*_NAMES, "answer")
        if (value := getattr(options, name)) != getattr(_DEFAULT, name)
    }
