"""Which family's format a model speaks."""

from __future__ import annotations

from typing import Final

from langchain_bedrock_opt.batching.records.native.anthropic import ANTHROPIC
from langchain_bedrock_opt.batching.records.native.codec import Codec
from langchain_bedrock_opt.batching.records.native.cohere import COHERE
from langchain_bedrock_opt.batching.records.native.nova import NOVA
from langchain_bedrock_opt.batching.records.native.openai import GPT_OSS, MISTRAL, OPENAI
from langchain_bedrock_opt.batching.records.native.prompts import LLAMA, MISTRAL_INSTRUCT, TITAN

# The start of a base model id → its format; the first match wins. Checked on 2026-11-23 against
# AWS's pages of each provider's parameters. DeepSeek R1 takes a prompt of its own there.
_CODECS: Final[tuple[tuple[str, Codec], ...]] = (
    ("anthropic.", ANTHROPIC),
    ("amazon.nova", NOVA),
    ("amazon.titan-text", TITAN),
    ("amazon.titan-tg1", TITAN),
    ("meta.llama3", LLAMA),
    ("meta.llama4", LLAMA),
    ("mistral.mistral-7b", MISTRAL_INSTRUCT),
    ("mistral.mixtral", MISTRAL_INSTRUCT),
    ("mistral.mistral-small-2402", MISTRAL_INSTRUCT),
    ("mistral.mistral-large-2402", MISTRAL_INSTRUCT),
    ("mistral.", MISTRAL),
    ("cohere.command-r", COHERE),
    ("openai.", GPT_OSS),
    ("ai21.jamba", OPENAI),
    ("deepseek.v", OPENAI),
    ("google.", OPENAI),
    ("minimax.", OPENAI),
    ("moonshot", OPENAI),
    ("nvidia.", OPENAI),
    ("qwen.", OPENAI),
    ("writer.", OPENAI),
    ("xai.", OPENAI),
    ("zai.", OPENAI),
)


def codec_of(base_model_id: str) -> Codec | None:
    """The format that a model speaks; None if it is not known here.

    Args:
        base_model_id: A foundation model id without a profile's scope.

    Example:
        >>> codec_of("qwen.qwen3-32b-v1:0").name
        'chat completions'
        >>> codec_of("stability.sd3-5-large-v1:0") is None
        True
    """
    return next((codec for start, codec in _CODECS if base_model_id.startswith(start)), None)
