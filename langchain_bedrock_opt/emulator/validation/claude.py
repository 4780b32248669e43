"""What Claude models refuse themselves, in the words that Bedrock passes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_bedrock_opt.emulator.validation.answers import (
    Request,
    blocks_of,
    messages_of,
    returned,
)
from langchain_bedrock_opt.emulator.validation.features import Features

_MIN_BUDGET: Final = 1024
_ONE_OF_TWO_SINCE: Final = (4, 1)
_DOCUMENTATION: Final = (
    "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
    "#important-considerations-when-using-extended-thinking"
)


def temperature_is_taken(request: Request, features: Features) -> None:
    """The newest models take no temperature."""
    if features.temperature:
        return
    if request.get("inferenceConfig", {}).get("temperature") is not None:
        # logancyang/obsidian-copilot#2600, DayuanJiang/next-ai-draw-io#861
        raise returned("`temperature` is deprecated for this model.")


def temperature_or_top_p(request: Request, features: Features) -> None:
    """From Opus 4.1 on, temperature and top_p exclude each other."""
    config = request.get("inferenceConfig", {})
    if features.version < _ONE_OF_TWO_SINCE:
        return
    if config.get("temperature") is not None and config.get("topP") is not None:
        # aws-samples/bedrock-access-gateway#191, BoltAI/BoltAI#399
        raise returned(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only "
            "one."
        )


def stop_sequences_say_something(request: Request, _features: Features) -> None:
    """A stop sequence is not only white space; the text is unverified against AWS."""
    for sequence in request.get("inferenceConfig", {}).get("stopSequences", ()):
        if not sequence.strip():
            raise returned("stop_sequences: each stop sequence must contain non-whitespace")


def tool_names_are_unique(request: Request, _features: Features) -> None:
    """Tools have different names."""
    names = _tool_names(request)
    if len(set(names)) < len(names):
        # tailcallhq/forgecode#892 (Claude elsewhere)
        raise returned("tools: Tool names must be unique.")


def chosen_tool_exists(request: Request, _features: Features) -> None:
    """The tool that the model shall call is there; the text is unverified against AWS."""
    name = request.get("toolConfig", {}).get("toolChoice", {}).get("tool", {}).get("name")
    if name is not None and name not in _tool_names(request):
        raise returned(f"tool_choice.tool.name: Tool '{name}' not found in provided tools")


def _tool_names(request: Request) -> list[str]:
    return [
        tool["toolSpec"]["name"]
        for tool in request.get("toolConfig", {}).get("tools", ())
        if "toolSpec" in tool
    ]


def thinking_is_possible(request: Request, _features: Features) -> None:
    """Thinking with a budget has its conditions. Without `maxTokens` any budget was accepted."""
    thinking = _thinking(request)
    if thinking.get("type") != "enabled":
        return
    budget = thinking.get("budget_tokens", 0)
    if budget < _MIN_BUDGET:
        # danny-avila/LibreChat#8346
        raise returned(
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
        )
    config = request.get("inferenceConfig", {})
    if config.get("maxTokens") is not None and config["maxTokens"] <= budget:
        # The text is unverified against AWS.
        raise returned("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if config.get("temperature", 1) != 1:
        # BerriAI/litellm#9524, MartialBE/one-hub#529
        raise returned(
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our "
            f"documentation at {_DOCUMENTATION}"
        )
    if {"any", "tool"} & set(request.get("toolConfig", {}).get("toolChoice", ())):
        # vercel/ai#11227, langchain-ai/langchain-aws#925
        raise returned("Thinking may not be enabled when tool_choice forces tool use.")


def _thinking(request: Request) -> Mapping[str, Any]:
    fields = request.get("additionalModelRequestFields")
    thinking = fields.get("thinking") if isinstance(fields, Mapping) else None
    return thinking if isinstance(thinking, Mapping) else {}


def last_turn_is_possible(request: Request, features: Features) -> None:
    """What the assistant's last turn may look like, if it begins the answer."""
    messages = messages_of(request)
    if not messages or messages[-1]["role"] != "assistant":
        return
    if not features.prefill:
        # anomalyco/opencode#29760, NousResearch/hermes-agent#101401
        raise returned(
            "This model does not support assistant message prefill. The conversation must end "
            "with a user message."
        )
    text = messages[-1]["content"][-1].get("text", "")
    if text != text.rstrip():
        # The text is unverified against AWS.
        raise returned("messages: final assistant content cannot end with trailing whitespace")


def tool_results_say_something(request: Request, _features: Features) -> None:
    """A text in a tool result is not empty."""
    for _, _, result in blocks_of(request, "toolResult"):
        if any(part.get("text") == "" for part in result["content"]):
            # NousResearch/hermes-agent#55093, aws-samples/generative-ai-use-cases#1685
            raise returned("messages: text content blocks must be non-empty")
