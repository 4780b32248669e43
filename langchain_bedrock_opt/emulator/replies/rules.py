"""The default brain of the emulator: rules, no model. The same request gets the same reply.

It does what a test or a demo needs to see: it obeys tools, JSON schemas, stop sequences and
limits, answers in the prompt's language, writes more for a harder question or on a larger model,
and knows nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langchain_bedrock_opt.emulator.replies import phrasing
from langchain_bedrock_opt.emulator.replies.conversation import Conversation
from langchain_bedrock_opt.emulator.replies.counting import counted
from langchain_bedrock_opt.emulator.replies.digests import dice, digest
from langchain_bedrock_opt.emulator.replies.limits import cut_at, stop_at
from langchain_bedrock_opt.emulator.replies.profiles import profile_of
from langchain_bedrock_opt.emulator.replies.prompt_cache import PromptCache, has_cache_points
from langchain_bedrock_opt.emulator.replies.schemas import fill
from langchain_bedrock_opt.emulator.replies.toolcalls import tool_calls
from langchain_bedrock_opt.emulator.types import Reply


class RuleResponder:
    """Answers by rules, as a `Responder`. Thread-safe.

    Token counts are estimates (`counting`); input tokens are split by an emulated prompt cache,
    which is all the state there is.

    Args:
        seed: Another seed words its answers differently.
        cache: The prompt cache; by default one of its own.

    Example:
        >>> ask = {
        ...     "modelId": "amazon.nova-lite-v1:0",
        ...     "messages": [{"role": "user", "content": [{"text": "What is DNS?"}]}],
        ... }
        >>> reply = RuleResponder().reply(ask)
        >>> reply.content[0]["text"][:20], reply == RuleResponder().reply(ask)
        ('In short, on “DNS”: ', True)
    """

    def __init__(self, *, seed: int = 0, cache: PromptCache | None = None) -> None:
        self._seed = seed
        self._cache = PromptCache() if cache is None else cache

    def reply(self, request: Mapping[str, Any]) -> Reply:
        """Answer a Converse request."""
        conversation = Conversation.of(request)
        content: list[Mapping[str, Any]] = [*_thinking(request, conversation)]
        content += self._said(request, conversation)
        return self._with_cache(request, limited(request, content))

    def _said(self, request: Mapping[str, Any], conversation: Conversation) -> list[dict[str, Any]]:
        if calls := tool_calls(request, conversation):
            return calls
        schema = _json_schema(request)
        if schema is not None:
            value = fill(schema, conversation.material)
            return [{"text": json.dumps(value, ensure_ascii=False)}]
        profile = profile_of(request.get("modelId", ""))
        if conversation.results:
            return [{"text": phrasing.answer_from_results(conversation, profile)}]
        # Of the conversation alone: a limit cuts an answer and does not word another one.
        asked = [request.get(key) for key in ("modelId", "system", "messages")]
        draw = dice(self._seed, asked)
        return [{"text": phrasing.answer(conversation, profile, draw)}]

    def _with_cache(self, request: Mapping[str, Any], reply: Reply) -> Reply:
        if not has_cache_points(request):
            return reply
        counts = self._cache.count(request)
        return replace(
            reply,
            input_tokens=counts.input,
            cache_read_tokens=counts.read,
            cache_write_tokens=counts.write,
        )


def limited(request: Mapping[str, Any], content: list[Mapping[str, Any]]) -> Reply:
    """A reply with this content, cut by the request's stop sequences and `maxTokens`.

    Args:
        request: The Converse request; its `inferenceConfig` counts.
        content: The whole answer.
    """
    config = request.get("inferenceConfig") or {}
    kept, stopped = stop_at(content, config.get("stopSequences") or ())
    reason = "stop_sequence" if stopped else None
    most = config.get("maxTokens")
    if most is None:
        return counted(request, kept, reason)
    kept, cut = cut_at(kept, most)
    if not cut:
        return counted(request, kept, reason)
    # A model that is cut off has written exactly as much as it was allowed to.
    return replace(counted(request, kept, "max_tokens"), output_tokens=most)


def _json_schema(request: Mapping[str, Any]) -> Any:
    """The schema in `outputConfig`, which carries it as a JSON string; None if there is none."""
    text_format = (request.get("outputConfig") or {}).get("textFormat") or {}
    schema = text_format.get("structure", {}).get("jsonSchema", {}).get("schema")
    return json.loads(schema) if isinstance(schema, str) else schema


def _thinking(request: Mapping[str, Any], conversation: Conversation) -> list[dict[str, Any]]:
    """A reasoning block if the request turns thinking on, in Claude's or in Nova's way."""
    fields = request.get("additionalModelRequestFields") or {}
    config = fields.get("thinking") or fields.get("reasoningConfig") or {}
    if config.get("type") not in ("enabled", "adaptive"):
        return []
    text = phrasing.reasoning(conversation)
    signature = base64.b64encode(digest("signature", request) * 4).decode()
    return [{"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}]
