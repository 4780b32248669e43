"""From a shape of botocore's models to a function that checks and converts a JSON value.

A request is checked on the way in, so the functions are made once per shape and nest as the
shapes do. Botocore's own `ParamValidator` walks the shapes anew for each request, and knows
neither patterns nor upper bounds.

The text for a value of the wrong type is unverified against AWS.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.utils import parse_timestamp

from langchain_bedrock_opt.emulator.http.problems import NOT_NULL, Problem, Refused

Converter = Callable[[Any], Any]
"""Gives back the value in the type boto3 users know; raises `Refused`."""


class ShapeConverters:
    """Makes converters, each shape's once.

    No structure of Bedrock's models gives its members other names on the wire than in boto3.
    """

    def __init__(self) -> None:
        self._made: dict[str, Converter] = {}

    def converter(self, shape: Shape) -> Converter:
        """The converter of a shape.

        Args:
            shape: Any shape of the model. Documents are passed on as they are.
        """
        made = self._made.get(shape.name)
        if made is not None:
            return made
        if isinstance(shape, StructureShape):
            return self._structure(shape)
        if isinstance(shape, ListShape):
            made = _list_converter(shape, self.converter(shape.member))
        elif isinstance(shape, MapShape):
            made = _map_converter(self.converter(shape.key), self.converter(shape.value))
        else:
            made = _SCALARS.get(shape.type_name, _anything)(shape)
        self._made[shape.name] = made
        return made

    def _structure(self, shape: StructureShape) -> Converter:
        if shape.is_document_type:
            return _same
        members: dict[str, Converter] = {}
        convert = structure_converter(members, tuple(shape.required_members))
        if shape.is_tagged_union:
            convert = _union_converter(shape, convert)
        # Registered before its members are made: a structure may contain itself.
        self._made[shape.name] = convert
        for name, member in shape.members.items():
            members[name] = self.converter(member)
        return convert


def structure_converter(members: Mapping[str, Converter], required: Sequence[str]) -> Converter:
    """The converter of a JSON object whose members have these converters.

    Args:
        members: Converters by member name. Members not among them are dropped, as the service
            ignores what it does not know, and so are nulls.
        required: Names that must be there.
    """

    def convert(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _wrong_type(value, "a structure")
        converted: dict[str, Any] = {}
        problems: list[Problem] = []
        for name, item in value.items():
            member = members.get(name)
            if member is None or item is None:
                continue
            try:
                converted[name] = member(item)
            except Refused as refused:
                problems.extend(refused.below(name))
        problems.extend(
            Problem(path=(name,), shown=" null", constraint=NOT_NULL)
            for name in required
            if value.get(name) is None
        )
        if problems:
            raise Refused(*problems)
        return converted

    return convert


def _union_converter(shape: StructureShape, convert_members: Converter) -> Converter:
    names = ", ".join(shape.members)

    def convert(value: Any) -> Any:
        converted = convert_members(value)
        if len(converted) == 1:
            return converted
        quantity = "only one" if converted else "one"
        raise Refused(
            Problem(union=shape.name, constraint=f"{quantity} of the following keys: {names}")
        )

    return convert


def _list_converter(shape: ListShape, member: Converter) -> Converter:
    check_size = _size_check(shape)

    def convert(value: Any) -> list[Any]:
        if type(value) is not list:
            raise _wrong_type(value, "a list")
        converted: list[Any] = []
        problems: list[Problem] = []
        for index, item in enumerate(value):
            try:
                converted.append(member(item))
            except Refused as refused:  # noqa: PERF203 - all problems are reported, not the first
                problems.extend(refused.below(index))
        problems.extend(check_size(value, ""))
        if problems:
            raise Refused(*problems)
        return converted

    return convert


def _map_converter(key_converter: Converter, value_converter: Converter) -> Converter:
    def convert(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _wrong_type(value, "a map")
        converted: dict[str, Any] = {}
        problems: list[Problem] = []
        for key, item in value.items():
            try:
                converted[key_converter(key)] = value_converter(item)
            except Refused as refused:  # noqa: PERF203 - all problems are reported, not the first
                problems.extend(refused.below(key))
        if problems:
            raise Refused(*problems)
        return converted

    return convert


def _string_converter(shape: Shape) -> Converter:
    enum = frozenset(shape.metadata.get("enum", ()))
    pattern = shape.metadata.get("pattern")
    check_size = _size_check(shape)
    allowed = f"Member must satisfy enum value set: [{', '.join(shape.metadata.get('enum', ()))}]"
    has_rules = bool(enum or pattern or "min" in shape.metadata or "max" in shape.metadata)

    def convert(value: Any) -> str:
        if type(value) is not str:
            raise _wrong_type(value, "a string")
        if not has_rules or value in enum:
            return value
        shown = "" if shape.metadata.get("sensitive") else f" '{value}'"
        problems = list(check_size(value, shown))
        if enum:
            problems.insert(0, Problem(shown=shown, constraint=allowed))
        if pattern and not _matches(pattern, value):
            rule = f"Member must satisfy regular expression pattern: {pattern}"
            problems.insert(0, Problem(shown=shown, constraint=rule))
        if problems:
            raise Refused(*problems)
        return value

    return convert


def _matches(pattern: str, value: str) -> bool:
    compiled = _compiled(pattern)
    return compiled is None or compiled.fullmatch(value) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """A pattern of the model; None if Python can't express it, and then nothing is refused."""
    # The control plane's model describes default prompt routers only; the runtime's, and IAM's
    # resource types, have the routers of an account, too.
    pattern = pattern.replace(":default-prompt-router/", ":(default-)?prompt-router/")
    try:
        # Jobs' names are described by this group, which takes time exponential in their hyphens.
        # The class has the hyphen in it, so the same names match without the group.
        return re.compile(pattern.replace(r"(-*[a-zA-Z0-9\+\-\.])", r"[a-zA-Z0-9\+\-\.]"))
    except re.error:  # Java's \p{L}, in three names of automated reasoning
        return None


def _integer_converter(shape: Shape) -> Converter:
    check_range = _range_check(shape)

    def convert(value: Any) -> int:
        if type(value) is not int:
            raise _wrong_type(value, "an integer")
        check_range(value)
        return value

    return convert


def _number_converter(shape: Shape) -> Converter:
    check_range = _range_check(shape)

    def convert(value: Any) -> float:
        if type(value) is not float and type(value) is not int:
            raise _wrong_type(value, "a number")
        check_range(value)
        return value

    return convert


def _boolean_converter(_shape: Shape) -> Converter:
    def convert(value: Any) -> bool:
        if type(value) is not bool:
            raise _wrong_type(value, "a boolean")
        return value

    return convert


def _blob_converter(shape: Shape) -> Converter:
    check_size = _size_check(shape)

    def convert(value: Any) -> bytes:
        if type(value) is not str:
            raise _wrong_type(value, "a base64 string")
        try:
            data = b64decode(value, validate=True)
        except ValueError:
            raise _wrong_type(value, "a base64 string") from None
        problems = list(check_size(data, ""))
        if problems:
            raise Refused(*problems)
        return data

    return convert


def _timestamp_converter(_shape: Shape) -> Converter:
    def convert(value: Any) -> Any:
        try:
            return parse_timestamp(value)
        except (ValueError, TypeError, OverflowError):
            raise _wrong_type(value, "a timestamp") from None

    return convert


def _anything(_shape: Shape) -> Converter:
    return _same


def _same(value: Any) -> Any:
    return value


_SCALARS: Final[Mapping[str, Callable[[Shape], Converter]]] = {
    "string": _string_converter,
    "integer": _integer_converter,
    "long": _integer_converter,
    "float": _number_converter,
    "double": _number_converter,
    "boolean": _boolean_converter,
    "blob": _blob_converter,
    "timestamp": _timestamp_converter,
}


def _size_check(shape: Shape) -> Callable[[Any, str], Iterator[Problem]]:
    shortest = shape.metadata.get("min", 0)
    longest = shape.metadata.get("max", float("inf"))

    def check(value: Any, shown: str) -> Iterator[Problem]:
        if len(value) > longest:
            rule = f"Member must have length less than or equal to {longest}"
            yield Problem(shown=shown, constraint=rule)
        if len(value) < shortest:
            rule = f"Member must have length greater than or equal to {shortest}"
            yield Problem(shown=shown, constraint=rule)

    return check


def _range_check(shape: Shape) -> Callable[[float], None]:
    least = shape.metadata.get("min", float("-inf"))
    most = shape.metadata.get("max", float("inf"))

    def check(value: float) -> None:
        if least <= value <= most:
            return
        bound = (
            f"greater than or equal to {least}"
            if value < least
            else f"less than or equal to {most}"
        )
        raise Refused(Problem(shown=f" '{value}'", constraint=f"Member must have value {bound}"))

    return check


_JSON_NAMES: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def _wrong_type(value: Any, wanted: str) -> Refused:
    found = _JSON_NAMES.get(type(value), type(value).__name__)
    return Refused(Problem(constraint=f"Member must be {wanted}, not {found}"))
