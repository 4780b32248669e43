"""Rules of the service's own API model that botocore does not check before it sends."""

from __future__ import annotations

import re
from typing import Final

from langchain_bedrock_opt.emulator.validation.answers import Request, constraint, refused
from langchain_bedrock_opt.emulator.validation.features import Features

# botocore 1.44.5, service model of bedrock-runtime
_MAX_STOP_SEQUENCES: Final = 2500
_TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]+", re.ASCII)
_GUARDRAIL: Final = re.compile(
    r"[a-z0-9]*|arn:aws(?:-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:guardrail/[a-z0-9]+"
)


def temperature_is_in_range(request: Request, _features: Features) -> None:
    """The temperature is within 0 and 1."""
    _in_unit_interval(request, "temperature")


def top_p_is_in_range(request: Request, _features: Features) -> None:
    """`topP` is within 0 and 1."""
    _in_unit_interval(request, "topP")


def _in_unit_interval(request: Request, name: str) -> None:
    value = request.get("inferenceConfig", {}).get(name)
    if value is None or 0 <= value <= 1:
        return
    # stdapi-ai/stdapi.ai#224, for a temperature of 1.5
    bound = "less than or equal to 1" if value > 1 else "greater than or equal to 0"
    raise constraint(value, f"inferenceConfig.{name}", f"Member must have value {bound}")


def stop_sequences_are_few(request: Request, _features: Features) -> None:
    """There are not more stop sequences than the API takes."""
    sequences = request.get("inferenceConfig", {}).get("stopSequences", ())
    if len(sequences) > _MAX_STOP_SEQUENCES:
        # The form was seen in continuedev/continue#2554, when the limit was 4.
        raise constraint(
            f"[{', '.join(sequences)}]",
            "inferenceConfig.stopSequences",
            f"Member must have length less than or equal to {_MAX_STOP_SEQUENCES}",
        )


def tool_names_are_well_formed(request: Request, _features: Features) -> None:
    """Tool names are made of letters, digits, `_` and `-`; the text is unverified against AWS."""
    for number, tool in enumerate(request.get("toolConfig", {}).get("tools", ()), start=1):
        name = tool.get("toolSpec", {}).get("name")
        if name is None:
            continue
        member = f"toolConfig.tools.{number}.member.toolSpec.name"
        if not _TOOL_NAME.fullmatch(name):
            raise constraint(
                name,
                member,
                f"Member must satisfy regular expression pattern: {_TOOL_NAME.pattern}",
            )
        if len(name) > 64:  # noqa: PLR2004 - botocore's maximum
            raise constraint(name, member, "Member must have length less than or equal to 64")


def guardrail_is_well_formed(request: Request, _features: Features) -> None:
    """A guardrail's id has the form of one; whether it exists is not checked."""
    identifier = request.get("guardrailConfig", {}).get("guardrailIdentifier", "")
    if not _GUARDRAIL.fullmatch(identifier):
        # openclaw/openclaw#58588
        raise refused("The provided guardrail identifier is invalid.")
