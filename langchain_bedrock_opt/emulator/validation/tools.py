"""Rules on tools: what the model takes, and that every call of one has its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_bedrock_opt.emulator.validation.answers import (
    Block,
    Request,
    messages_of,
    refused,
    unsupported_field,
)
from langchain_bedrock_opt.emulator.validation.features import Features


def tools_are_supported(request: Request, features: Features) -> None:
    """The model takes tools, if there are any."""
    if request.get("toolConfig") and not features.tools:
        # langchain-ai/langchain-aws#447 (DeepSeek R1)
        raise refused("This model doesn't support tool use.")


def tools_may_stream(request: Request, features: Features) -> None:
    """The model takes tools in a stream, too."""
    if request.get("toolConfig") and not features.streaming_tools:
        # earendil-works/pi#3739 (Llama 4)
        raise refused("This model doesn't support tool use in streaming mode.")


def choice_is_supported(request: Request, features: Features) -> None:
    """The model knows the way in which a tool is asked for."""
    for choice in request.get("toolConfig", {}).get("toolChoice", {}):
        if choice not in features.tool_choices:
            raise unsupported_field(f"toolConfig.toolChoice.{choice}")


def schemas_are_objects(request: Request, _features: Features) -> None:
    """A tool's input is described as an object."""
    for index, tool in enumerate(request.get("toolConfig", {}).get("tools", ())):
        schema = tool.get("toolSpec", {}).get("inputSchema", {}).get("json")
        if schema is not None and schema.get("type") != "object":
            # cognitect-labs/aws-api#272, earendil-works/pi#8279 (no type at all)
            raise refused(
                f"The value at toolConfig.tools.{index}.toolSpec.inputSchema.json.type must be "
                "one of the following: object."
            )


def config_is_there(request: Request, _features: Features) -> None:
    """Who speaks of tools shows them."""
    if request.get("toolConfig"):
        return
    for message in messages_of(request):
        for block in message["content"]:
            if "toolUse" in block or "toolResult" in block:
                # langgenius/dify#17545, timothy-agent/timothy#282 (Nova)
                raise refused(
                    "The toolConfig field must be defined when using toolUse and toolResult "
                    "content blocks."
                )


def results_answer_calls(request: Request, _features: Features) -> None:
    """Every tool call is answered in the next turn, once, and nothing else is answered."""
    called: list[str] = []
    for index, message in enumerate(messages_of(request)):
        content: Sequence[Block] = message["content"]
        if message["role"] == "user":
            _check_results(index, content, called)
            called = []
        elif message["role"] == "assistant":
            called = _calls(index, content)
    if called:
        # Nobody has published this one: the answers are missing where they had to come.
        raise _unanswered(len(messages_of(request)), called)


def _calls(index: int, content: Sequence[Block]) -> list[str]:
    """The ids of calls that the caller has to answer.

    A call of one of Bedrock's own tools has its result beside it, in the same turn.
    """
    answered = {block["toolResult"]["toolUseId"] for block in content if "toolResult" in block}
    calls = [
        block["toolUse"]["toolUseId"]
        for block in content
        if "toolUse" in block and "type" not in block["toolUse"]
    ]
    _refuse_duplicates("toolUse", index, calls)
    return [call for call in calls if call not in answered]


def _check_results(index: int, content: Sequence[Block], called: Sequence[str]) -> None:
    results = [block["toolResult"]["toolUseId"] for block in content if "toolResult" in block]
    _refuse_duplicates("toolResult", index, results)
    if len(results) > len(called):
        # Just-Curieous/Curie#16, OpenHands/OpenHands#4912
        raise refused(
            f"The number of toolResult blocks at messages.{index}.content exceeds the number of "
            "toolUse blocks of previous turn."
        )
    missing = [call for call in called if call not in results]
    if missing:
        raise _unanswered(index, missing)


def _unanswered(index: int, ids: Sequence[str]) -> Exception:
    # zeroclaw-labs/zeroclaw#1476
    return refused(
        f"Expected toolResult blocks at messages.{index}.content for the following Ids: "
        f"{', '.join(ids)}"
    )


def _refuse_duplicates(kind: str, index: int, ids: Sequence[str]) -> None:
    if len(set(ids)) == len(ids):
        return
    twice = sorted({identifier for identifier in ids if ids.count(identifier) > 1})
    # BerriAI/litellm#20047 for results; for calls the text is unverified against AWS
    raise refused(
        f"The {kind} blocks at messages.{index}.content contain duplicate Ids: {', '.join(twice)}"
    )


def turns_are_not_mixed(request: Request, features: Features) -> None:
    """Llama and the first large Mistral models want tool blocks in turns of their own."""
    if features.mixed_turns:
        return
    for index, message in enumerate(messages_of(request)):
        kinds = _kinds(message["content"])
        for kind, spoken in (("toolResult", "tool result"), ("toolUse", "tool use")):
            if kind in kinds and len(kinds) > 1:
                # strands-agents/harness-sdk#1223; tool use: quarkiverse/quarkus-langchain4j#1983
                raise refused(
                    f"messages.{index}.content: Conversation blocks and {spoken} blocks cannot be "
                    "provided in the same turn."
                )


def _kinds(content: Sequence[Mapping[str, Any]]) -> set[str]:
    return {kind for block in content for kind in block} - {"cachePoint"}
