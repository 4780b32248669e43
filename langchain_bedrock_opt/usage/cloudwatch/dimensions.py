"""What a metric can be split by: an allow-list, and values that CloudWatch takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias
from urllib.parse import quote

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.cloudwatch.limits import (
    MAX_DIMENSION_VALUE,
    MAX_DIMENSIONS,
    dimension_problem,
)

DimensionSet: TypeAlias = tuple[str, ...]
"""Names of dimensions: `Service`, `Model`, `Tier`, `Route`, `Status`, `ErrorType`, `tag:NAME`
or `metadata:KEY`, of a key that the handler's `metadata_keys` names."""

NONE: Final = "(none)"
"""Value of a dimension that a record does not have."""

OTHER: Final = "__other__"
"""Value that stands for all those that got no series of their own."""

# AWS's codes and the names of exception classes, each in one of ten kinds: a metric for every
# exception that a program may raise would have no bound.
_KINDS_OF_ERROR: Final = {
    "Throttled": ("throttl", "toomanyrequests"),
    "Timeout": ("timeout", "timedout"),
    "Quota": ("quota", "toolarge"),
    "AccessDenied": ("accessdenied", "unrecognizedclient", "token", "signature", "credentials"),
    "NotFound": ("notfound", "unknownmodel"),
    "Unavailable": ("unavailable", "notready", "internal"),
    "ModelError": ("modelerror", "modelstreamerror"),
    "Invalid": ("validation", "invalidrequest", "valueerror", "conflict"),
    "Connection": ("connect", "ssl", "proxy"),
}

# Printable ASCII save the percent sign, which starts an escape.
_PLAIN: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_DIGEST: Final = 16


def error_type(error: str | None) -> str:
    """The kind of an error, one of ten.

    Args:
        error: AWS's error code or the name of an exception class.

    Example:
        >>> error_type("ThrottlingException"), error_type("KeyError")
        ('Throttled', 'Other')
    """
    if error is None:
        return NONE
    lowered = error.lower()
    for kind, parts in _KINDS_OF_ERROR.items():
        if any(part in lowered for part in parts):
            return kind
    return "Other"


def ascii_value(value: str) -> str:
    """A dimension's value as CloudWatch takes it: plain ASCII, not empty, not too long.

    Other characters are percent-encoded, so that different values stay different and
    `urllib.parse.unquote` gives them back. What is then too long ends in a digest instead.

    Example:
        >>> ascii_value("東京")
        '%E6%9D%B1%E4%BA%AC'
        >>> ascii_value(" ")
        '(none)'
    """
    if not value.strip():
        return NONE
    if value.isascii() and value.isprintable() and "%" not in value:
        encoded = value
    else:
        encoded = quote(value, safe=_PLAIN, errors="surrogatepass")
    if len(encoded) > MAX_DIMENSION_VALUE:
        digest = hashlib.blake2b(encoded.encode(), digest_size=_DIGEST // 2).hexdigest()
        encoded = encoded[: MAX_DIMENSION_VALUE - _DIGEST - 1] + "~" + digest
    return encoded


def _model(record: UsageRecord) -> str:
    return record.model_id


def _tier(record: UsageRecord) -> str:
    if record.price_tier != "default":
        return record.price_tier
    return record.service_tier or "default"


def _route(record: UsageRecord) -> str:
    return NONE if record.route is None else record.route.tier


def _status(record: UsageRecord) -> str:
    return record.status


def _error_type(record: UsageRecord) -> str:
    return error_type(record.error)


_READERS: Final[dict[str, Callable[[UsageRecord], str]]] = {
    "Model": _model,
    "Tier": _tier,
    "Route": _route,
    "Status": _status,
    "ErrorType": _error_type,
}


def reader_of(dimension: str) -> Callable[[UsageRecord], str]:
    """The function that reads a dimension from a record.

    Args:
        dimension: One of the allow-list, save `Service`, which no record has.

    Raises:
        ConfigurationError: It is not in the allow-list.
    """
    if dimension in _READERS:
        return _READERS[dimension]
    kind, _, name = dimension.partition(":")
    if name and kind == "tag":
        prefix = f"{name}:"
        return lambda record: next(
            (tag[len(prefix) :] for tag in record.tags if tag.startswith(prefix)), NONE
        )
    if name and kind == "metadata":
        return lambda record: str(record.metadata.get(name, NONE))
    raise ConfigurationError(
        f"dimension {dimension!r} is not known: use 'Service', {', '.join(map(repr, _READERS))}, "
        "'tag:NAME' or 'metadata:KEY'."
    )


def is_free(dimension: str) -> bool:
    """Whether anything can be its value: only what comes from a caller."""
    return ":" in dimension


def label_of(dimension: str) -> str:
    """What CloudWatch calls a dimension: `metadata:tenant` is `tenant` there."""
    return dimension.partition(":")[2] or dimension


def check_sets(sets: Sequence[Iterable[str]]) -> tuple[DimensionSet, ...]:
    """Check dimension sets.

    Raises:
        ConfigurationError: There is none, a name is not in the allow-list, CloudWatch would
            refuse one, or a set has one twice.
    """
    if isinstance(sets, str) or any(isinstance(names, str) for names in sets) or not sets:
        raise ConfigurationError(
            f"dimensions={sets!r} is no list of sets: pass one or more, such as "
            '[("Service", "Model"), ("Service",)].'
        )
    checked = tuple(tuple(names) for names in sets)
    for names in checked:
        labels = [label_of(name) for name in names]
        for name, label in zip(names, labels, strict=True):
            if name != "Service":
                reader_of(name)
            if (problem := dimension_problem(label, NONE)) is not None:
                raise ConfigurationError(f"CloudWatch does not take this: {problem}.")
        if len(set(labels)) < len(labels) or len(labels) > MAX_DIMENSIONS:
            raise ConfigurationError(
                f"dimensions {names!r}: a set has at most {MAX_DIMENSIONS} names, each once."
            )
    return checked
