"""JSON Schemas with what is a set by its meaning put in order.

The order of `required`, of an `enum`, of a list of types and of the tools themselves says nothing.
Titles, descriptions, defaults, examples and the order of alternatives do: a model reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

_MAPS: Final = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
)
"""Keywords whose values are schemas by name."""

_LISTS: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_ONES: Final = frozenset(
    {
        "items",
        "additionalItems",
        "unevaluatedItems",
        "contains",
        "additionalProperties",
        "unevaluatedProperties",
        "propertyNames",
        "not",
        "if",
        "then",
        "else",
    }
)
_SETS: Final = frozenset({"required", "enum", "type"})


def canonical_schema(schema: Any) -> Any:
    """A JSON Schema in its canonical form.

    Args:
        schema: A schema; `true`, `false` and what is none come back as they are.

    Example:
        >>> canonical_schema({"type": ["string", "null"], "enum": ["b", "a", None]})
        {'type': ['null', 'string'], 'enum': ['a', 'b', None]}
    """
    if not isinstance(schema, Mapping):
        return schema
    return {name: _part(name, value) for name, value in schema.items()}


def _part(name: str, value: Any) -> Any:
    if isinstance(value, list):
        if name in _SETS:
            return sorted(value, key=_as_json)
        # A list of schemas under `items` is how older drafts write `prefixItems`.
        is_schemas = name in _LISTS or name == "items"
        return [canonical_schema(schema) for schema in value] if is_schemas else value
    if isinstance(value, Mapping):
        if name in _ONES:
            return canonical_schema(value)
        if name in _MAPS:
            return {key: canonical_schema(schema) for key, schema in value.items()}
        if name == "dependentRequired":
            return {key: sorted(names) for key, names in value.items()}
    return value


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
