"""What a model takes, from the catalog where it has a spec and from its family where not.

A feature that is not known counts as supported: an emulator that refuses what AWS accepts is
worse than one that accepts what AWS refuses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from langchain_bedrock_opt.catalog.offers import SERVICE_TIERS, offers_of
from langchain_bedrock_opt.catalog.specs import ModelSpec, spec_of

_ALL_CHOICES: Final = frozenset({"auto", "any", "tool"})
_ALL_TIERS: Final = frozenset(SERVICE_TIERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What a model takes in a Converse request.

    Attributes:
        family: `claude`, `nova`, …; empty if nothing is known.
        version: The generation of a Claude model, such as `(4, 5)`; `(0, 0)` for others.
        tools: Whether it takes a `toolConfig`.
        streaming_tools: Whether it does so in ConverseStream, too.
        tool_choices: The members of `toolChoice` that it knows.
        mixed_turns: Whether text may stand beside tool results and tool calls in one message.
        system: Whether it takes a system prompt.
        stop_sequences: Whether it takes stop sequences.
        prefill: Whether the last message may be the assistant's.
        modalities: What a message may hold, or None if not known.
        s3: Whether media may be in S3.
        caching: Whether it takes cache points.
        tool_cache_points: Whether it takes them among the tools.
        json_schema: Whether it takes `outputConfig.textFormat`.
        tiers: The service tiers it is offered in.
        latency_optimized: Whether it takes `performanceConfig.latency` `optimized`.
        temperature: Whether it takes a temperature at all.
        counts_overflow: Whether it says by how many tokens a prompt is too long.
        max_output_tokens: The most it writes, or None if not known.
        context_window: The tokens that fit in, or None if not known.
    """

    family: str = ""
    version: tuple[int, int] = (0, 0)
    tools: bool = True
    streaming_tools: bool = True
    tool_choices: frozenset[str] = _ALL_CHOICES
    mixed_turns: bool = True
    system: bool = True
    stop_sequences: bool = True
    prefill: bool = True
    modalities: frozenset[str] | None = None
    s3: bool = True
    caching: bool = True
    tool_cache_points: bool = True
    json_schema: bool = True
    tiers: frozenset[str] = _ALL_TIERS
    latency_optimized: bool = True
    temperature: bool = True
    counts_overflow: bool = False
    max_output_tokens: int | None = None
    context_window: int | None = None


_CLAUDE: Final = Features(
    family="claude",
    modalities=frozenset({"text", "image", "document"}),
    s3=False,
    # Price lists have no Claude model in the flex or priority tier.
    tiers=frozenset({"default", "reserved"}),
    latency_optimized=False,
)
_NOVA: Final = Features(
    family="nova",
    modalities=frozenset({"text", "image", "document", "video", "audio"}),
    # danny-avila/LibreChat#13838, LibreChat-AI/agents#253 (probed)
    tool_cache_points=False,
    # langchain4j/langchain4j#4552: Nova and Cohere answer 400
    json_schema=False,
    latency_optimized=False,
)
# User guide, "Supported models and model features" of Converse, for the older families.
_OLD: Final = Features(tools=False, system=False, caching=False, latency_optimized=False)
_TITAN: Final = replace(_OLD, family="titan", s3=False, prefill=False, json_schema=False)
_LLAMA: Final = Features(
    family="llama",
    # earendil-works/pi#3739
    streaming_tools=False,
    # strands-agents/harness-sdk#1241
    tool_choices=frozenset({"auto"}),
    # strands-agents/harness-sdk#1223, browser-use/browser-use#710
    mixed_turns=False,
    # i-am-bee/beeai-framework#753
    prefill=False,
    s3=False,
    caching=False,
    latency_optimized=False,
)
_MISTRAL: Final = Features(family="mistral", caching=False, latency_optimized=False, s3=False)
# BerriAI/litellm#39210: Nemotron refuses cache points; open-weight models have no prompt cache.
_OPEN_WEIGHTS: Final = Features(caching=False, latency_optimized=False, s3=False)

_FAMILIES: Final[tuple[tuple[str, Features], ...]] = (
    ("anthropic.claude-3-5-sonnet-20240620", replace(_CLAUDE, caching=False)),
    ("anthropic.claude-3-opus", replace(_CLAUDE, caching=False)),
    ("anthropic.claude-3-sonnet", replace(_CLAUDE, caching=False)),
    ("anthropic.claude-3-haiku", replace(_CLAUDE, caching=False)),
    ("anthropic.claude-v", replace(_CLAUDE, tools=False, caching=False)),
    ("anthropic.claude-instant", replace(_CLAUDE, tools=False, caching=False)),
    ("anthropic.", _CLAUDE),
    ("amazon.nova-micro", replace(_NOVA, modalities=frozenset({"text"}))),
    ("amazon.nova-", _NOVA),
    ("amazon.titan-", _TITAN),
    ("meta.llama2", replace(_LLAMA, tools=False)),
    ("meta.llama3-8b", replace(_LLAMA, tools=False)),
    ("meta.llama3-70b", replace(_LLAMA, tools=False)),
    ("meta.llama3-2-1b", replace(_LLAMA, tools=False)),
    ("meta.llama3-2-3b", replace(_LLAMA, tools=False)),
    ("meta.", _LLAMA),
    # 567-labs/instructor#1753
    ("mistral.mistral-7b", replace(_MISTRAL, tools=False, system=False)),
    ("mistral.mixtral", replace(_MISTRAL, tools=False, system=False)),
    # langchain-ai/langchain-aws#235, browser-use/browser-use#710
    ("mistral.mistral-large-24", replace(_MISTRAL, mixed_turns=False)),
    ("mistral.mistral-small-24", replace(_MISTRAL, mixed_turns=False)),
    ("mistral.", _MISTRAL),
    ("cohere.command-r", replace(_OPEN_WEIGHTS, family="cohere", json_schema=False)),
    ("cohere.", replace(_OLD, family="cohere", json_schema=False)),
    ("ai21.j2", replace(_OLD, family="ai21")),
    ("ai21.", replace(_OPEN_WEIGHTS, family="ai21")),
    # langchain-ai/langchain-aws#447
    ("deepseek.r1", replace(_OPEN_WEIGHTS, family="deepseek", tools=False)),
    # crewAIInc/crewAI#3317
    ("openai.gpt-oss", replace(_OPEN_WEIGHTS, family="openai", stop_sequences=False)),
    # langgenius/dify-official-plugins#1767
    ("qwen.", replace(_OPEN_WEIGHTS, family="qwen", stop_sequences=False)),
    # langchain-ai/langchain-aws#466
    ("writer.", replace(_OPEN_WEIGHTS, family="writer", streaming_tools=False)),
    ("deepseek.", _OPEN_WEIGHTS),
    ("google.", _OPEN_WEIGHTS),
    ("minimax.", _OPEN_WEIGHTS),
    ("moonshot", _OPEN_WEIGHTS),
    ("nvidia.", _OPEN_WEIGHTS),
    ("zai.", _OPEN_WEIGHTS),
)
"""Features by the beginning of a bare id; the first that fits holds."""

# `claude-3-5-haiku-20241022` → 3, 5; `claude-sonnet-4-20250514` → 4; `claude-opus-4-6-v1` → 4, 6
_CLAUDE_VERSION = re.compile(r"claude-(?:([a-z]+)-)?v?(\d+)(?:-(\d{1,2})(?!\d))?")


@lru_cache(maxsize=512)
def features_of(base_model_id: str | None) -> Features:
    """What a model takes.

    Args:
        base_model_id: A bare id; None if the model is not known.

    Example:
        >>> features_of("amazon.titan-text-lite-v1").system
        False
        >>> features_of("anthropic.claude-sonnet-4-20250514-v1:0").version
        (4, 0)
    """
    if base_model_id is None:
        return Features()
    family = next(
        (features for prefix, features in _FAMILIES if base_model_id.startswith(prefix)),
        Features(),
    )
    if family.family == "claude":
        family = _with_version(family, base_model_id)
    offers = offers_of(base_model_id)
    if offers is not None:
        tiers = frozenset(offers.service_tiers)
        family = replace(family, tiers=tiers, latency_optimized=offers.latency_optimized)
    spec = spec_of(base_model_id)
    return family if spec is None else _with_spec(family, spec)


def _with_version(family: Features, base_model_id: str) -> Features:
    match = _CLAUDE_VERSION.search(base_model_id)
    if match is None:
        return family
    tier, version = match[1], (int(match[2]), int(match[3] or 0))
    return replace(
        family,
        version=version,
        # anomalyco/opencode#29760 (Opus 4.6), snap-stanford/Biomni#284 (Sonnet 4.6)
        prefill=version < (4, 6),
        # logancyang/obsidian-copilot#2600: from Opus 4.7 on; langchain-aws says the same of 5.x
        temperature=version < (5, 0) and (tier != "opus" or version < (4, 7)),
        # langchain-aws tells them apart so: Sonnet 4.5 and before, Haiku 4.5 and after
        counts_overflow=version >= (4, 6) or (tier, version) == ("haiku", (4, 5)),
    )


def _with_spec(family: Features, spec: ModelSpec) -> Features:
    return replace(
        family,
        tools=spec.tools,
        modalities=frozenset(spec.input_modalities),
        caching=spec.prompt_caching,
        # A spec can only add it: a call of Claude 3 Sonnet with a schema was recorded as
        # accepted, though AWS does not list the model.
        json_schema=family.json_schema or spec.json_schema,
        max_output_tokens=spec.max_output_tokens,
        context_window=spec.context_window,
    )
