"""What Bedrock refuses in a Converse request, in its own words.

Requests that pass botocore's own validation are refused all the same: every 400 that has been
recorded and published is one of these. So the rules are written by hand, each a small function,
in the order in which Bedrock seems to check: the limits of its API first, then the conversation,
then what the model takes, and last what the model itself says.

Beside each text is where it was seen: "recorded" is a published recording of the wire, a name like
`langchain-ai/langchain-aws#130` a public issue with the text in it. What was not seen is marked
"unverified against AWS".

Lives here: `answers` (the forms of a refusal), `features` (what models take) and the rules.
Does not live here: the types of parameters, which botocore's model knows.
Start at `check_converse`. Tests: `tests/unit_tests/emulator/test_validation.py` and
`test_recorded_requests.py`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from langchain_bedrock_opt.emulator.validation import (
    blocks,
    caching,
    claude,
    conversation,
    fields,
    limits,
    tools,
)
from langchain_bedrock_opt.emulator.validation.answers import Request, Rule
from langchain_bedrock_opt.emulator.validation.features import features_of

RULES: Final[tuple[Rule, ...]] = (
    limits.temperature_is_in_range,
    limits.top_p_is_in_range,
    limits.stop_sequences_are_few,
    limits.tool_names_are_well_formed,
    limits.guardrail_is_well_formed,
    conversation.starts_with_user,
    conversation.roles_alternate,
    conversation.messages_have_content,
    conversation.ends_with_user,
    fields.system_is_supported,
    fields.stop_sequences_are_supported,
    fields.output_format_is_supported,
    fields.max_tokens_fit,
    fields.latency_is_supported,
    fields.tier_is_available,
    tools.tools_are_supported,
    tools.choice_is_supported,
    tools.schemas_are_objects,
    tools.config_is_there,
    tools.results_answer_calls,
    tools.turns_are_not_mixed,
    blocks.texts_are_not_blank,
    blocks.blocks_are_supported,
    blocks.documents_have_plain_names,
    blocks.documents_come_with_text,
    blocks.documents_are_few_and_distinct,
    caching.cache_points_are_supported,
    fields.prompt_fits,
)
"""The rules for every model, in the order of their checks."""

STREAM_RULES: Final[tuple[Rule, ...]] = (tools.tools_may_stream,)
"""Further rules for ConverseStream."""

CLAUDE_RULES: Final[tuple[Rule, ...]] = (
    claude.temperature_is_taken,
    claude.temperature_or_top_p,
    claude.stop_sequences_say_something,
    claude.tool_names_are_unique,
    claude.chosen_tool_exists,
    claude.thinking_is_possible,
    claude.last_turn_is_possible,
    claude.tool_results_say_something,
    caching.cache_points_are_few,
    caching.longer_lives_come_first,
)
"""Further rules for Claude models, which check much themselves."""


def rule_names() -> frozenset[str]:
    """The names of all rules, for an emulator that leaves some out."""
    return frozenset(rule.__name__ for rule in (*RULES, *STREAM_RULES, *CLAUDE_RULES))


def check_converse(
    request: Request,
    base_model_id: str | None,
    *,
    streaming: bool = False,
    without: Collection[str] = (),
) -> None:
    """Refuse a Converse request that Bedrock would refuse.

    Args:
        request: Converse's parameters by their names in botocore's model, blobs as bytes.
        base_model_id: The bare id of the model behind the request; None if it is not known, which
            leaves the rules that hold for every model.
        streaming: Whether the operation is ConverseStream.
        without: Names of rules that are left out.

    Raises:
        ServiceFailure: With Bedrock's message.

    Example:
        >>> request = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
        >>> check_converse(request, "amazon.nova-lite-v1:0")
        >>> check_converse({"messages": []}, "amazon.nova-lite-v1:0")
        Traceback (most recent call last):
        langchain_bedrock_opt.emulator.types.ServiceFailure: A conversation must start with a user \
message. Try again with a conversation that starts with a user message.
    """
    features = features_of(base_model_id)
    rules = RULES
    if streaming:
        rules += STREAM_RULES
    if features.family == "claude":
        rules += CLAUDE_RULES
    for rule in rules:
        if rule.__name__ not in without:
            rule(request, features)
