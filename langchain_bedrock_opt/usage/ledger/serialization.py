"""Usage records as JSON: one compact object a record, versioned, without prompt text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import datetime, timezone
from typing import Any, Final

from langchain_bedrock_opt.contracts import RouteDecision, TokenUsage, UsageRecord

FORMAT_VERSION: Final = 1
"""Version of the form; it changes when a reader of the old one would misread the new."""

_SHAPED: Final = frozenset(
    {"started_at", "usage", "estimate", "saved", "route", "path", "tags", "metadata"}
)
"""Fields with a form of their own; all others stand in JSON as they are."""

_PLAIN: Final = tuple(
    (each.name, each.default) for each in fields(UsageRecord) if each.name not in _SHAPED
)
_REQUIRED: Final = tuple(name for name, default in _PLAIN if default is MISSING)


def record_to_dict(record: UsageRecord) -> dict[str, Any]:
    """A record as a JSON-ready dict. What is as it is by default is left out.

    Example:
        >>> at = datetime(2026, 11, 22, tzinfo=timezone.utc)
        >>> record = UsageRecord(run_id="r", started_at=at, model_id="m", status="ok")
        >>> record_to_dict(record)["started_at"]
        '2026-11-22T00:00:00+00:00'
        >>> record_from_dict(record_to_dict(record)) == record
        True
    """
    values: dict[str, Any] = {"v": FORMAT_VERSION, "started_at": record.started_at.isoformat()}
    for name, default in _PLAIN:
        value = getattr(record, name)
        if value != default:
            values[name] = value
    if record.usage is not None:
        values["usage"] = _counts(record.usage)
    if record.estimate is not None:
        values["estimate"] = _counts(record.estimate)
    if saved := _counts(record.saved):
        values["saved"] = saved
    if record.route is not None:
        values["route"] = record.route.as_dict()
    if record.path:
        values["path"] = list(record.path)
    if record.tags:
        values["tags"] = list(record.tags)
    if record.metadata:
        values["metadata"] = dict(record.metadata)
    return values


def _counts(usage: TokenUsage) -> dict[str, int]:
    counts: Mapping[str, Any] = usage.as_dict()
    return {kind: count for kind, count in counts.items() if count}


def record_from_dict(values: Mapping[str, Any]) -> UsageRecord:
    """Read a record back. Keys that this version does not know are ignored.

    Raises:
        ValueError: The values are not a usage record of a known version.
    """
    if values.get("v") != FORMAT_VERSION:
        raise ValueError(
            f"usage record has format version {values.get('v')!r}; "
            f"this release reads version {FORMAT_VERSION}"
        )
    if missing := [name for name in _REQUIRED if not isinstance(values.get(name), str)]:
        raise ValueError(f"usage record lacks {', '.join(missing)}")
    route = values.get("route")
    try:
        return UsageRecord(
            **{name: values[name] for name, _ in _PLAIN if name in values},
            started_at=_utc(values["started_at"]),
            usage=_usage(values.get("usage")),
            estimate=_usage(values.get("estimate")),
            saved=TokenUsage.from_dict(values.get("saved", {})),
            route=None if route is None else RouteDecision.from_dict(route),
            path=tuple(values.get("path", ())),
            tags=tuple(values.get("tags", ())),
            metadata=dict(values.get("metadata", {})),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"usage record can't be read: {error!r}") from error


def _usage(counts: Mapping[str, Any] | None) -> TokenUsage | None:
    return None if counts is None else TokenUsage.from_dict(counts)


def _utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"started_at={text!r} has no time zone")
    return moment.astimezone(timezone.utc)


def record_to_json(record: UsageRecord) -> str:
    """A record as one line of JSON, without a line break.

    Metadata that JSON has no type for is written as its text, and so are NaN and infinity.

    Raises:
        ValueError: The record has no JSON form.
        RecursionError: Its metadata contains itself, or is too deep for JSON.
    """
    values = record_to_dict(record)
    try:
        return _json(values)
    except ValueError:  # rare, so it is not looked for beforehand
        return _json({**values, "metadata": _finite(dict(record.metadata))})


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"), default=str, skipkeys=True, allow_nan=False)


def _finite(value: Any) -> Any:
    """The same with numbers that JSON does not have as their text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {_finite(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def record_from_json(line: str | bytes) -> UsageRecord:
    """Read one line of JSON back.

    Raises:
        ValueError: The line is not JSON, or not a usage record of a known version.
    """
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ValueError(f"usage record is a JSON {type(values).__name__}, not an object")  # noqa: TRY004 - one error for whatever is wrong with a line
    return record_from_dict(values)
