"""By what usage records are grouped: properties by name, each giving a record's groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timezone
from itertools import product
from types import MappingProxyType
from typing import Final, TypeAlias

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError

UNGROUPED: Final = "(none)"
"""Group of the records that do not have the property they are grouped by."""

PATH_SEPARATOR: Final = " > "
"""Between the names of a path."""

Several: TypeAlias = "list[str] | tuple[str, ...]"
"""Several properties at once. Not any sequence: a text is one too, and means one property."""

Group: TypeAlias = "str | tuple[str, ...]"
"""What a group is called: a text, or a text a property where there are several."""

Property: TypeAlias = Callable[[UsageRecord], "str | None"]


def groups_of(
    by: str | Several,
) -> Callable[[UsageRecord], Iterable[Group]]:
    """The function that names a record's groups.

    Args:
        by: One of these, or a list of several, whose groups are tuples:

            * `model`, `region`, `status`, `price_tier`, `service_tier`, `cache_tier`
            * `tier` (the router's), `route` (the tier, and which one it stood in for)
            * `node` (the innermost run around the call), `path` (all of them)
            * `day`, `hour` (in UTC)
            * `tag` (each tag), `tag:NAME` (what follows in tags such as `NAME:search`),
              `metadata:KEY` (of the keys that the handler's `metadata_keys` names)

    Raises:
        ConfigurationError: `by` is none of these.

    Example:
        >>> from datetime import datetime
        >>> at = datetime(2026, 11, 22, 9, tzinfo=timezone.utc)
        >>> record = UsageRecord(run_id="r", started_at=at, model_id="m", status="ok")
        >>> list(groups_of(["model", "day"])(record)), list(groups_of("node")(record))
        ([('m', '2026-11-22')], ['(none)'])
    """
    if isinstance(by, str):
        return _grouping(by)
    if not by:
        raise ConfigurationError(f"totals(by={by!r}) names nothing to group by: {_KNOWN}.")
    groupings = [_grouping(name) for name in by]
    return lambda record: product(*(grouping(record) for grouping in groupings))


def _grouping(by: str) -> Callable[[UsageRecord], tuple[str, ...]]:
    if by in PROPERTIES:
        one = PROPERTIES[by]
        return lambda record: (one(record) or UNGROUPED,)
    if by == "tag":
        return lambda record: tuple(dict.fromkeys(record.tags)) or (UNGROUPED,)
    kind, _, name = by.partition(":")
    if name and kind == "tag":
        return lambda record: _tag_values(record, f"{name}:") or (UNGROUPED,)
    if name and kind == "metadata":
        return lambda record: (
            str(record.metadata[name]) if name in record.metadata else UNGROUPED,
        )
    raise ConfigurationError(f"totals(by={by!r}) is not known: {_KNOWN}.")


def _tag_values(record: UsageRecord, prefix: str) -> tuple[str, ...]:
    found = (tag[len(prefix) :] for tag in record.tags if tag.startswith(prefix))
    return tuple(dict.fromkeys(found))


def _route(record: UsageRecord) -> str | None:
    route = record.route
    if route is None:
        return None
    if route.escalated_from is not None:
        return f"{route.tier} (escalated from {route.escalated_from})"
    if route.fallback_from is not None:
        return f"{route.tier} (for {route.fallback_from})"
    return route.tier


def timestamp(record: UsageRecord) -> str:
    """When a run started, in UTC, in a form whose order as text is the order in time."""
    return record.started_at.astimezone(timezone.utc).isoformat(timespec="microseconds")


PROPERTIES: Final[Mapping[str, Property]] = MappingProxyType(
    {
        "model": lambda record: record.model_id,
        "tier": lambda record: record.route.tier if record.route else None,
        "route": _route,
        "service_tier": lambda record: record.service_tier,
        "price_tier": lambda record: record.price_tier,
        "cache_tier": lambda record: record.cache_tier,
        "region": lambda record: record.region,
        "status": lambda record: record.status,
        "node": lambda record: record.path[-1] if record.path else None,
        "path": lambda record: PATH_SEPARATOR.join(record.path),
        "day": lambda record: timestamp(record)[:10],
        "hour": lambda record: f"{timestamp(record)[:13]}:00Z",
    }
)
"""Properties of which a record has one value at most, by name."""

_KNOWN: Final = (
    f"use {', '.join(map(repr, PROPERTIES))}, 'tag', 'tag:NAME' or 'metadata:KEY', "
    "or a list of several"
)
