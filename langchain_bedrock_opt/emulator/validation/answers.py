"""The forms in which Bedrock refuses a request, and the type of a rule that does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from langchain_bedrock_opt.emulator.types import ServiceFailure
from langchain_bedrock_opt.emulator.validation.features import Features

Request: TypeAlias = Mapping[str, Any]
"""Converse's parameters by their names in botocore's model."""

Block: TypeAlias = Mapping[str, Any]
"""One content block."""

Rule: TypeAlias = Callable[[Request, Features], None]
"""Raises `ServiceFailure` for a request that Bedrock would refuse."""


def refused(message: str) -> ServiceFailure:
    """A refusal by Bedrock itself."""
    return ServiceFailure("ValidationException", message)


def constraint(value: object, member: str, wanted: str) -> ServiceFailure:
    """A value outside the limits of the service's own API model.

    The form was seen in stdapi-ai/stdapi.ai#224 (without the count in front) and in
    aws-samples/amazon-bedrock-client-for-mac#11 (with it).
    """
    return refused(
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy "
        f"constraint: {wanted}"
    )


def unsupported_field(field: str) -> ServiceFailure:
    """A field that the model does not take.

    Seen for stopSequences in crewAIInc/crewAI#3317, for toolConfig.toolChoice.any in
    strands-agents/harness-sdk#1241; recorded for s3Uri.
    """
    return refused(f"This model doesn't support the {field} field. Remove {field} and try again.")


def returned(message: str) -> ServiceFailure:
    """A refusal by the model, which Bedrock passes on (recorded)."""
    return refused(f"The model returned the following errors: {message}")


def blocks_of(request: Request, kind: str) -> Iterator[tuple[int, int, Any]]:
    """All content blocks of a kind in the messages, each with the places of message and block."""
    for index, message in enumerate(messages_of(request)):
        for place, block in enumerate(message["content"]):
            if kind in block:
                yield index, place, block[kind]


def messages_of(request: Request) -> Sequence[Mapping[str, Any]]:
    """The messages of a request, none if it has none."""
    messages: Sequence[Mapping[str, Any]] = request.get("messages") or ()
    return messages
