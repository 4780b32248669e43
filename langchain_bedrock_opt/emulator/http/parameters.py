"""From a request's path, query, headers and body to an operation's parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from botocore.model import OperationModel, Shape, StructureShape

from langchain_bedrock_opt.emulator.http.jsontext import parse_json
from langchain_bedrock_opt.emulator.http.problems import (
    NOT_NULL,
    Problem,
    Refused,
    validation_failure,
)
from langchain_bedrock_opt.emulator.http.shapes import (
    Converter,
    ShapeConverters,
    structure_converter,
)
from langchain_bedrock_opt.emulator.types import HttpRequest, ServiceFailure

MAX_BODY_BYTES: Final = 25_000_000
"""What botocore's model allows the body of `InvokeModel`; used for every operation."""

_INTEGER: Final = re.compile("-?[0-9]{1,18}")

_TextMember = tuple[str, str, Shape, Converter]
"""A member's name, its name on the wire, its shape and converter."""


class ParameterReader:
    """Reads the parameters of one operation.

    Args:
        operation: The operation's model. Where the body as a whole is one parameter, as in
            `InvokeModel`, it is passed on as raw bytes.
    """

    def __init__(self, operation: OperationModel) -> None:
        shape = operation.input_shape or StructureShape("NoInput", {"members": {}})
        converters = ShapeConverters()
        self._payload: str | None = shape.serialization.get("payload")
        self._in_path = tuple(_members_at(shape, "uri", converters))
        self._in_headers = tuple(_members_at(shape, "header", converters))
        self._in_query = tuple(_members_at(shape, "querystring", converters))
        elsewhere = {
            name
            for name, member in shape.members.items()
            if "location" in member.serialization or name == self._payload
        }
        in_body = {
            name: converters.converter(member)
            for name, member in shape.members.items()
            if name not in elsewhere
        }
        required = tuple(name for name in shape.required_members if name not in elsewhere)
        self._has_json_body = bool(in_body)
        self._convert_body = structure_converter(in_body, required)
        self._required_elsewhere = tuple(
            name for name in shape.required_members if name in elsewhere and name != self._payload
        )

    def read(self, request: HttpRequest, labels: Mapping[str, str]) -> dict[str, Any]:
        """Read and check all parameters.

        Args:
            request: The request.
            labels: The decoded labels of its path.

        Raises:
            ServiceFailure: `SerializationException` or `ValidationException`.
        """
        if len(request.body) > MAX_BODY_BYTES:
            raise ServiceFailure(
                "ValidationException", f"The request body is larger than {MAX_BODY_BYTES} bytes."
            )
        document = _json_object(request.body) if self._has_json_body else {}
        params: dict[str, Any] = {}
        problems: list[Problem] = []
        missing = set(self._required_elsewhere)
        for name, value, convert in self._outside_the_body(request, labels):
            missing.discard(name)
            try:
                params[name] = convert(value)
            except Refused as refused:
                problems.extend(refused.below(name))
        problems.extend(
            Problem(path=(n,), shown=" null", constraint=NOT_NULL) for n in sorted(missing)
        )
        try:
            params.update(self._convert_body(document))
        except Refused as refused:
            problems.extend(refused.problems)
        if problems:
            raise validation_failure(problems)
        if self._payload is not None:
            params[self._payload] = request.body
        return params

    def read_document(self, document: Any) -> dict[str, Any]:
        """Read and check the parameters that travel in the body, and nothing else.

        Args:
            document: The body's JSON.

        Raises:
            ServiceFailure: `ValidationException`.
        """
        try:
            return self._convert_body(document)  # type: ignore[no-any-return]
        except Refused as refused:
            raise validation_failure(refused.problems) from None

    def _outside_the_body(
        self, request: HttpRequest, labels: Mapping[str, str]
    ) -> Iterator[tuple[str, Any, Converter]]:
        for name, label, shape, convert in self._in_path:
            yield name, _typed(shape, labels[label]), convert
        for name, header, shape, convert in self._in_headers:
            if header in request.headers:
                yield name, _typed(shape, request.headers[header]), convert
        if self._in_query and request.query:
            query = parse_qs(request.query, keep_blank_values=True)
            for name, key, shape, convert in self._in_query:
                if key in query:
                    yield name, _typed(shape, query[key][-1]), convert


def _members_at(
    shape: StructureShape, location: str, converters: ShapeConverters
) -> Iterator[_TextMember]:
    for name, member in shape.members.items():
        if member.serialization.get("location") == location:
            on_the_wire = str(member.serialization["name"])
            if location == "header":
                on_the_wire = on_the_wire.lower()
            yield name, on_the_wire, member, converters.converter(member)


def _typed(shape: Shape, text: str) -> Any:
    """A text of a path, query or header as JSON would have it; as it is where it can't be."""
    if shape.type_name == "integer":
        return int(text) if _INTEGER.fullmatch(text) else text
    if shape.type_name == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text


def _json_object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}  # as an empty object: what is missing is then named
    try:
        document = parse_json(body)
    except ValueError as error:
        raise ServiceFailure(
            "SerializationException", f"The request body is not valid JSON: {error}."
        ) from None
    if not isinstance(document, dict):
        raise ServiceFailure("SerializationException", "The request body must be a JSON object.")
    return document
