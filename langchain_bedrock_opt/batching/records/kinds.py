"""Which job takes a model's records: under what id, and in which format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from langchain_aws import ChatBedrockConverse

from langchain_bedrock_opt.aws.resolution import known_resolution
from langchain_bedrock_opt.batching.parts import JobKind
from langchain_bedrock_opt.batching.records.native.codec import Codec
from langchain_bedrock_opt.batching.records.native.families import codec_of
from langchain_bedrock_opt.catalog.model_ids import ModelIdKind, parse_model_id
from langchain_bedrock_opt.errors import ConfigurationError, ModelIdError

Invocation = Literal["auto", "Converse", "InvokeModel"]
"""The format of records as a user asks for it."""

# The pattern of `modelId` in botocore's CreateModelInvocationJob (1.44.5).
_TAKEN: Final = frozenset(
    {
        ModelIdKind.FOUNDATION_MODEL,
        ModelIdKind.INFERENCE_PROFILE,
        ModelIdKind.APPLICATION_INFERENCE_PROFILE,
        ModelIdKind.CUSTOM_MODEL,
    }
)


class Writing(NamedTuple):
    """How a recorder writes.

    Attributes:
        kind: What all its records have in common.
        codec: The model's own format; None for Converse's.
    """

    kind: JobKind
    codec: Codec | None


def base_of(model: ChatBedrockConverse, model_id: str) -> str | None:
    """The foundation model behind an id; nobody is asked.

    Args:
        model: The user's model, which may know what its ARN stands for.
        model_id: The id that requests name.

    Returns:
        A bare id; None if the id hides it.
    """
    if model.base_model_id and model_id == model.model_id:
        return parse_model_id(model.base_model_id).base
    base = _parsed_base(model_id)
    if base is None and (known := known_resolution(model_id)) is not None:
        return known.base
    return base


def _parsed_base(model_id: str) -> str | None:
    try:
        return parse_model_id(model_id).base
    except ModelIdError:  # an id of somebody's gateway, which only they can read
        return None


def writing_of(base: str | None, request: Mapping[str, Any], invocation: Invocation) -> Writing:
    """How requests like this one are written.

    Args:
        base: The foundation model behind it; None if nobody knows.
        request: A Converse request.
        invocation: What the user asks for.

    Raises:
        ConfigurationError: No job takes such requests. The message says what to do.
    """
    model_id = str(request["modelId"])
    _check_taken(model_id)
    has_tools = bool(request.get("toolConfig"))
    if has_tools and invocation == "Converse":
        raise ConfigurationError(
            'Converse jobs refuse tools (toolConfig): take invocation="auto" or "InvokeModel", or '
            'bind no tools (with_structured_output: method="json_schema").'
        )
    if invocation == "Converse" or (invocation == "auto" and not has_tools):
        return Writing(JobKind(model_id, "Converse"), None)
    codec = native_codec(base, model_id)
    if has_tools and not codec.takes_tools:
        raise ConfigurationError(
            f"Tools are bound to {model_id}, and the only jobs that take tools are InvokeModel "
            f"jobs, whose format for {codec.name} has none: bind no tools "
            '(with_structured_output: method="json_schema"), or take another model.'
        )
    return Writing(JobKind(model_id, "InvokeModel"), codec)


def native_codec(base: str | None, model_id: str) -> Codec:
    """The own format of the model behind an id.

    Raises:
        ConfigurationError: It is not known.
    """
    if base is None:
        raise ConfigurationError(
            f"Which model is behind {model_id}? InvokeModel jobs need to know its format: pass "
            'base_model="anthropic.claude-haiku-4-5-20251001-v1:0", or whichever it is.'
        )
    codec = codec_of(base)
    if codec is None:
        raise ConfigurationError(
            f"The format of {base} for InvokeModel jobs is not known here, and Converse jobs "
            "refuse tools: bind none, or take another model."
        )
    return codec


def _check_taken(model_id: str) -> None:
    """Refuse what CreateModelInvocationJob would refuse."""
    try:
        parsed = parse_model_id(model_id)
    except ModelIdError:
        return  # Bedrock, or whoever gave the id, knows better
    if parsed.kind not in _TAKEN:
        raise ConfigurationError(
            f"No invocation job takes {model_id} ({parsed.kind.value}): pass the model's own id or "
            "an inference profile, such as us.anthropic.claude-haiku-4-5-20251001-v1:0."
        )
