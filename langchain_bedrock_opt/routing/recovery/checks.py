"""Checks on an answer: is it one that a stronger model should give again? Pure functions.

What a guardrail has said is never checked: it is what the account's owner wants to be said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from langchain_core.messages import AIMessage
from pydantic import BaseModel

_STOP_KEYS: Final = ("stopReason", "stop_reason", "finish_reason")
_BY_GUARDRAIL: Final = frozenset({"guardrail_intervened", "content_filtered", "content_filter"})
_CUT: Final = frozenset({"max_tokens", "length", "model_context_window_exceeded"})
_MALFORMED: Final = frozenset({"malformed_model_output", "malformed_tool_use"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What a request lets one expect of its answer.

    Attributes:
        tools: The tools that are bound, in OpenAI's form where they have one.
        schema: The class or JSON schema of a structured output that comes as a tool call.
        unparsed: Why the tier's own parser could not make the form of this answer.
    """

    tools: Sequence[Any] = field(default=())
    schema: Any = None
    unparsed: str | None = None


@runtime_checkable
class Check(Protocol):
    """Something that looks at an answer. It is called by many threads at once.

    Attributes:
        name: What it is called in metadata and statistics.
    """

    @property
    def name(self) -> str:
        """What it is called in metadata and statistics."""

    def find(self, answer: AIMessage, expected: Expectations) -> str | None:
        """What is wrong with an answer, without prompt text; None if nothing is.

        Args:
            answer: The answer, whole.
            expected: What the request lets one expect.
        """


@dataclass(frozen=True, slots=True)
class Empty:
    """The answer has neither text nor tool calls; reasoning alone is no answer."""

    name: str = "empty"

    def find(self, answer: AIMessage, expected: Expectations) -> str | None:  # noqa: ARG002 - a check
        """Whether the answer is empty."""
        has_calls = answer.tool_calls or answer.invalid_tool_calls
        if has_calls or str(answer.text).strip() or _has_other_content(answer):
            return None
        return "no text and no tool call"


@dataclass(frozen=True, slots=True)
class Cut:
    """The answer ends where its room did, by `max_tokens` or at the context window's end."""

    name: str = "cut"

    def find(self, answer: AIMessage, expected: Expectations) -> str | None:  # noqa: ARG002 - a check
        """Whether the answer was cut off."""
        reason = stop_reason(answer)
        return f"stopped by {reason}" if reason in _CUT else None


@dataclass(frozen=True, slots=True)
class MalformedToolCall:
    """A tool call can't be read, names no tool there is, or lacks an argument."""

    name: str = "malformed_tool_call"

    def find(self, answer: AIMessage, expected: Expectations) -> str | None:
        """Whether a tool call can't be carried out."""
        reason = stop_reason(answer)
        if reason in _MALFORMED:
            return f"stopped by {reason}"
        if answer.invalid_tool_calls:
            return "arguments that are not JSON"
        required = dict(_required_arguments(expected.tools))
        # A tool that is not in OpenAI's form, such as a built-in one, has a name nobody told us.
        all_named = bool(required) and len(required) == len(expected.tools)
        for call in answer.tool_calls:
            if call["name"] not in required:
                if all_named:
                    return "a tool that is not bound"
                continue
            if missing := [name for name in required[call["name"]] if name not in call["args"]]:
                return f"{len(missing)} required arguments missing"
        return None


@dataclass(frozen=True, slots=True)
class FailedSchema:
    """The answer does not follow the schema that `with_structured_output` was given."""

    name: str = "schema"

    def find(self, answer: AIMessage, expected: Expectations) -> str | None:
        """Whether the structured output can't be made of the answer."""
        if expected.schema is None or expected.unparsed is not None:
            return expected.unparsed
        if not answer.tool_calls:
            return "no structured answer"
        arguments = answer.tool_calls[0]["args"]
        if isinstance(expected.schema, type) and issubclass(expected.schema, BaseModel):
            try:
                expected.schema.model_validate(arguments)
            except ValueError as error:  # pydantic's; its text quotes the answer
                return f"{type(error).__name__} of {expected.schema.__name__}"
        return missing_properties(expected.schema, arguments)


def missing_properties(schema: Any, values: Mapping[str, Any]) -> str | None:
    """How many properties that a JSON schema requires are missing; None if none are.

    Args:
        schema: The schema; a class requires nothing here, as its parser does.
        values: The properties.

    Example:
        >>> missing_properties({"required": ["name", "people"]}, {"name": "Tokyo"})
        '1 required properties missing'
    """
    required = (schema.get("required") or ()) if isinstance(schema, Mapping) else ()
    missing = [name for name in required if name not in values]
    return f"{len(missing)} required properties missing" if missing else None


@dataclass(frozen=True, slots=True)
class Doubt:
    """The answer says itself that it is not sure, by a mark that its prompt asks for.

    Args:
        marker: The mark, such as `[UNSURE]`; the prompt has to say when to write it.
    """

    marker: str
    name: str = "doubt"

    def find(self, answer: AIMessage, expected: Expectations) -> str | None:  # noqa: ARG002 - a check
        """Whether the mark is in the answer."""
        return "the answer marks itself as unsure" if self.marker in str(answer.text) else None


@dataclass(frozen=True, slots=True)
class Validator:
    """A function of one's own: an answer it returns False for, or raises on, fails.

    Args:
        accepts: Gets the answer. What it returns counts only if it is False.
        name: What it is called in metadata and statistics.

    Example:
        >>> import json
        >>> is_json = Validator(lambda answer: json.loads(answer.text), name="json")
        >>> is_json.find(AIMessage("{}"), Expectations()) is None
        True
        >>> is_json.find(AIMessage("Sure!"), Expectations())
        'JSONDecodeError'
    """

    accepts: Callable[[AIMessage], object]
    name: str = "validator"

    def find(self, answer: AIMessage, expected: Expectations) -> str | None:  # noqa: ARG002 - a check
        """Whether the function turns the answer down."""
        try:
            verdict = self.accepts(answer)
        except Exception as error:  # noqa: BLE001 - each parser has errors of its own
            return type(error).__name__  # its text may quote the answer
        return "turned down" if verdict is False else None


def stop_reason(answer: AIMessage) -> str | None:
    """Why the model stopped, in lower case; None if the answer does not say."""
    for key in _STOP_KEYS:
        if isinstance(reason := answer.response_metadata.get(key), str):
            return reason.lower()
    return None


def by_guardrail(answer: AIMessage) -> bool:
    """Whether a guardrail or a content filter wrote or cut the answer.

    Example:
        >>> by_guardrail(AIMessage("No.", response_metadata={"stopReason": "guardrail_intervened"}))
        True
    """
    return stop_reason(answer) in _BY_GUARDRAIL


def first_failure(
    checks: Sequence[Check], answer: AIMessage, expected: Expectations
) -> tuple[str, str] | None:
    """The first check that an answer fails, by name, and what it saw.

    Args:
        checks: The checks, in their order.
        answer: The answer, whole.
        expected: What the request lets one expect.
    """
    if by_guardrail(answer):
        return None
    for check in checks:
        if (seen := check.find(answer, expected)) is not None:
            return check.name, seen
    return None


def _has_other_content(answer: AIMessage) -> bool:
    """Whether the content has something besides text and reasoning, such as a picture."""
    if isinstance(answer.content, str):
        return False
    return any(
        isinstance(block, dict) and not re.search("text|reasoning|thinking", str(block.get("type")))
        for block in answer.content
    )


def _required_arguments(tools: Sequence[Any]) -> Iterator[tuple[str, Sequence[str]]]:
    for tool in tools:
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if isinstance(function, Mapping) and "name" in function:
            parameters = function.get("parameters") or {}
            yield str(function["name"]), tuple(parameters.get("required") or ())
