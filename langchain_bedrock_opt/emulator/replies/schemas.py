"""Values that a JSON schema accepts, taken from a prompt where the prompt offers them.

Covered: types and lists of types, `enum`, `const`, `default`, `examples`, `anyOf`, `oneOf`,
`allOf`, local `$ref`, bounds and `multipleOf` of numbers, lengths and common formats of strings,
items, `prefixItems` and sizes of arrays, required and optional properties. A `pattern` is met
only by an example, a default or the prompt itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from langchain_bedrock_opt.emulator.replies import clues
from langchain_bedrock_opt.emulator.replies.numeric import fit_number
from langchain_bedrock_opt.emulator.replies.strings import StringSource

_DEEP: Final = 6
"""From this depth on only what the schema demands is filled, so that recursive schemas end."""

_BOTTOM: Final = 40
"""Here even that ends: such a schema has no finite value."""


def fill(schema: Any, prompt: str = "", *, subject: str | None = None) -> Any:
    """Make a value for a JSON schema.

    Args:
        schema: The schema, a dict or a bool; its `$ref`s point into itself.
        prompt: Where values are looked for: numbers, quoted texts, names, enum values.
        subject: What this value is about, if the prompt is about several things.

    Returns:
        A value that JSON can carry.

    Example:
        >>> adder = {
        ...     "type": "object",
        ...     "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        ...     "required": ["a", "b"],
        ... }
        >>> fill(adder, "What is 3 + 4?")
        {'a': 3, 'b': 4}
        >>> fill({"enum": ["celsius", "fahrenheit"]}, "In Fahrenheit, please")
        'fahrenheit'
    """
    return _Filler(schema, prompt, subject).value(schema, "", 0)


class _Filler:
    """One run over a schema; it uses up the prompt's numbers and quotes as it goes."""

    def __init__(self, root: Any, prompt: str, subject: str | None) -> None:
        self._root = root
        self._prompt = prompt
        self._numbers = clues.numbers(prompt)
        self._strings = StringSource(prompt, subject)

    def value(self, schema: Any, name: str, depth: int) -> Any:
        schema = self._resolved(schema)
        if depth > _BOTTOM:
            return None
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._choice(schema["enum"])
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self.value(self._branch(schema, keyword, depth), name, depth + 1)
        return self._typed(schema, name, depth)

    def _typed(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        kind = _kind(schema)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind in ("integer", "number"):
            return self._number(schema, name, integer=kind == "integer")
        if kind == "boolean":
            return self._boolean(schema, name)
        if kind == "null":
            return None
        return self._strings.value(schema, name)

    def _resolved(self, schema: Any) -> dict[str, Any]:
        """The schema with its `$ref` followed and its `allOf` merged in."""
        if not isinstance(schema, Mapping):  # `true` takes anything, and nothing satisfies `false`
            return {}
        merged = dict(schema)
        for _ in range(_BOTTOM):
            if "$ref" in merged:
                target = self._target(merged.pop("$ref"))
                merged = {**target, **merged}
            elif "allOf" in merged:
                for part in merged.pop("allOf"):
                    merged = _merge(merged, self._resolved(part))
            else:
                break
        return merged

    def _target(self, reference: str) -> Mapping[str, Any]:
        target: Any = self._root
        for step in reference.lstrip("#").strip("/").split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            if key:
                target = target.get(key, {}) if isinstance(target, Mapping) else {}
        return target if isinstance(target, Mapping) else {}

    def _branch(self, schema: dict[str, Any], keyword: str, depth: int) -> dict[str, Any]:
        """The first branch that is not null; deep down the simplest there is."""
        rest = {key: value for key, value in schema.items() if key not in (keyword, "default")}
        branches = [_merge(rest, self._resolved(branch)) for branch in schema[keyword]]
        if depth >= _DEEP:
            return min(branches, key=lambda branch: _SIMPLICITY.get(_kind(branch), 1))
        return next((branch for branch in branches if _kind(branch) != "null"), branches[0])

    def _choice(self, options: list[Any]) -> Any:
        prompt = self._prompt.lower()
        fitting = [o for o in options if o not in (None, "") and _occurs(str(o).lower(), prompt)]
        return max(fitting, key=lambda option: len(str(option))) if fitting else options[0]

    def _number(self, schema: Mapping[str, Any], name: str, *, integer: bool) -> int | float | None:
        clue = self._number_clue(name, integer=integer, keep="default" in schema)
        if clue is None and "default" in schema:
            default: int | float | None = schema["default"]
            return default
        return fit_number(schema, clue, integer=integer)

    def _number_clue(self, name: str, *, integer: bool, keep: bool) -> int | float | None:
        """The number the prompt gives this name, or else the next one that is not used up."""
        for number in clues.numbers(clues.named(self._prompt, name) or ""):
            return number
        if keep:
            return None
        for number in self._numbers:
            if not integer or isinstance(number, int):
                self._numbers.remove(number)
                return number
        return None

    def _boolean(self, schema: Mapping[str, Any], name: str) -> bool:
        if self._denied(name):
            return False
        return self._mentioned(name) or schema.get("default") is True

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        items = schema.get("items", True)
        heads = list(schema.get("prefixItems", ()))
        least = schema.get("minItems", 0)
        most = schema.get("maxItems", float("inf"))
        if items is False:
            most = min(most, len(heads))
        wanted = least if depth >= _DEEP else max(least, len(heads), self._supply(items), 1)
        values: list[Any] = []
        for index in range(min(wanted, most)):
            value = self.value(heads[index] if index < len(heads) else items, name, depth + 1)
            if schema.get("uniqueItems") and value in values:
                value = self._another(items, value, values)
                if value in values:
                    break
            values.append(value)
        return values

    def _supply(self, items: Any) -> int:
        """How many items the prompt offers."""
        schema = self._resolved(items)
        if "enum" in schema:
            prompt = self._prompt.lower()
            return sum(_occurs(str(option).lower(), prompt) for option in schema["enum"])
        kind = _kind(schema)
        if kind in ("integer", "number"):
            return len(self._numbers)
        return self._strings.supply() if kind == "string" else 1

    def _another(self, items: Any, value: Any, taken: list[Any]) -> Any:
        """A value like this one that is not taken yet; the same one if there is none."""
        schema = self._resolved(items)
        candidates: list[Any] = list(schema.get("enum", ()))
        if isinstance(value, bool):
            candidates += [not value]
        elif isinstance(value, (int, float)):
            step = schema.get("multipleOf", 1)
            candidates += [value + step * n for n in range(1, len(taken) + 2)]
            candidates += [value - step * n for n in range(1, len(taken) + 2)]
            candidates = [c for c in candidates if fit_number(schema, c, integer=False) == c]
        elif isinstance(value, str) and "enum" not in schema:
            candidates += self._strings.variants(schema, value, len(taken) + 1)
        return next((candidate for candidate in candidates if candidate not in taken), value)

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties", {})
        required: list[str] = list(schema.get("required", ()))
        chosen = [
            name
            for name, inner in properties.items()
            if name in required or (depth < _DEEP and self._wanted(name, inner))
        ]
        if not chosen and properties and not required and depth < _DEEP:
            chosen = [next(iter(properties))]
        missing = [name for name in required if name not in properties]
        spare = [name for name in properties if name not in chosen]
        chosen += spare[: max(0, schema.get("minProperties", 0) - len(chosen) - len(missing))]
        # What is required takes the prompt's values first; the order of the answer is the schema's.
        values = {
            name: self.value(properties[name], name, depth + 1)
            for name in sorted(chosen, key=lambda name: name not in required)
        }
        filled = {name: values[name] for name in properties if name in values}
        extra = schema.get("additionalProperties", True)
        return {**filled, **{name: self.value(extra, name, depth + 1) for name in missing}}

    def _wanted(self, name: str, inner: Any) -> bool:
        """Whether the prompt asks for an optional property."""
        if self._denied(name):
            return False
        if clues.named(self._prompt, name) or self._mentioned(name):
            return True
        schema = self._resolved(inner)
        options = [str(option).lower() for option in schema.get("enum", ()) if option]
        return any(_occurs(option, self._prompt.lower()) for option in options)

    def _mentioned(self, name: str) -> bool:
        return any(
            len(word) > 2 and _occurs(word, self._prompt.lower())  # noqa: PLR2004 - "is", "of", …
            for word in clues.words(name)
        )

    def _denied(self, name: str) -> bool:
        """Whether the prompt says to leave this out, as in "no punchline"."""
        prompt = self._prompt.lower()
        return any(
            re.search(rf"\b(?:no|not|without)\s+(?:\w+\s+)?{re.escape(word)}", prompt)
            for word in clues.words(name)
        )


_SIMPLICITY: Final = {"null": 0, "array": 2, "object": 3}


def _kind(schema: Mapping[str, Any]) -> str:
    """The type of value to make; a list of types gives its first that is not null."""
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return next((kind for kind in kinds if kind != "null"), "null")
    if isinstance(kinds, str):
        return kinds
    if "properties" in schema or "required" in schema:
        return "object"
    return "array" if "items" in schema or "prefixItems" in schema else "string"


def _occurs(option: str, prompt: str) -> bool:
    """Whether a lower-case word stands in a lower-case prompt, as a word if it is Latin."""
    if not option:
        return False
    if option.isascii():
        return re.search(rf"(?<![a-z0-9]){re.escape(option)}(?![a-z0-9])", prompt) is not None
    return option in prompt


def _merge(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two schemas that hold at the same time, as one."""
    merged = {**one, **other}
    if "properties" in one and "properties" in other:
        merged["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        merged["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    for keyword, tighter in _TIGHTER.items():
        if keyword in one and keyword in other:
            merged[keyword] = tighter(one[keyword], other[keyword])
    return merged


_TIGHTER: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems"), min),
}
