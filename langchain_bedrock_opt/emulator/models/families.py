"""Which bare model ids look like Bedrock's, by provider and family.

Bedrock gets new models monthly and retires old ones, so a list of ids would be wrong within weeks.
An id is plausible if its provider is one of Bedrock's and the rest has the shape of one of that
provider's families; the shapes come from the ids in AWS's model list and in botocore's examples
(checked 2026-11-22).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_FAMILIES: Final[Mapping[str, re.Pattern[str]]] = {
    provider: re.compile(pattern)
    for provider, pattern in {
        "ai21": r"(?:jamba|j2)-",
        "amazon": r"(?:nova-(?:\d|micro|lite|pro|premier|canvas|reel|sonic|omni|act)|rerank-v\d"
        r"|titan-(?:tg1|text|embed|image))",
        # `claude-v2`, `claude-instant-v1`, `claude-3-5-…`, `claude-sonnet-5`
        "anthropic": r"claude-(?:(?:instant-)?v\d|\d|[a-z]+-\d)",
        "cohere": r"(?:command|embed|rerank)-",
        "deepseek": r"(?:r|v)\d",
        "google": r"gemma-\d",
        "luma": r"ray-",
        "meta": r"llama-?\d",
        "minimax": r"minimax-",
        "mistral": r"(?:mistral|mixtral|pixtral|devstral|ministral|magistral|voxtral|codestral)-",
        "moonshot": r"kimi-",
        "moonshotai": r"kimi-",
        "nvidia": r"nemotron-",
        "openai": r"gpt-",
        "qwen": r"qwen-?\d",
        "stability": r"(?:sd\d|stable-)",
        "twelvelabs": r"(?:marengo|pegasus)-",
        "writer": r"palmyra-",
        "xai": r"grok-",
        "zai": r"glm-",
    }.items()
}

PROVIDER_NAMES: Final[Mapping[str, str]] = {
    "ai21": "AI21 Labs",
    "amazon": "Amazon",
    "anthropic": "Anthropic",
    "cohere": "Cohere",
    "deepseek": "DeepSeek",
    "google": "Google",
    "luma": "Luma AI",
    "meta": "Meta",
    "minimax": "MiniMax",
    "mistral": "Mistral AI",
    "moonshot": "Moonshot AI",
    "moonshotai": "Moonshot AI",
    "nvidia": "NVIDIA",
    "openai": "OpenAI",
    "qwen": "Qwen",
    "stability": "Stability AI",
    "twelvelabs": "TwelveLabs",
    "writer": "Writer",
    "xai": "xAI",
    "zai": "Z.AI",
}
"""What the control plane calls a provider, by the name in its model ids."""

_VERSION = re.compile(r"-v\d+(?::\w+)*$|:\w+(?::\w+)*$")
_DATE = re.compile(r"-\d{8}\b")


def is_plausible(base_model_id: str) -> bool:
    """Whether a bare id has the shape of a Bedrock model's.

    Args:
        base_model_id: A foundation model id without a scope.

    Example:
        >>> is_plausible("anthropic.claude-sonnet-5"), is_plausible("mistral.devstral-2-123b")
        (True, True)
        >>> is_plausible("anthropic.gpt-5"), is_plausible("does-not-exist")
        (False, False)
    """
    provider, _, rest = base_model_id.partition(".")
    family = _FAMILIES.get(provider)
    if family is None or not family.match(rest):
        return False
    # Every model so far carries a version, a size or a date.
    return any(character.isdigit() for character in rest)


def display_name(base_model_id: str) -> str:
    """A readable name of a model, made from its id; AWS's own names differ here and there.

    Example:
        >>> display_name("anthropic.claude-haiku-4-5-20251001-v1:0")
        'Claude Haiku 4.5'
    """
    name = _VERSION.sub("", _DATE.sub("", base_model_id.partition(".")[2]))
    words: list[str] = []
    for word in name.split("-"):
        if words and word.isdigit() and words[-1].isdigit():
            words[-1] += f".{word}"
        else:
            words.append(word[:1].upper() + word[1:])
    return " ".join(words)


def provider_name(base_model_id: str) -> str:
    """What the control plane calls the provider of a model.

    Example:
        >>> provider_name("mistral.pixtral-large-2502-v1:0")
        'Mistral AI'
    """
    provider = base_model_id.partition(".")[0]
    return PROVIDER_NAMES.get(provider, provider.capitalize())
