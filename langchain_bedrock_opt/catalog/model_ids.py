"""Bedrock model ids and ARNs: what an id says by itself, without asking AWS.

An id a user passes as `model=` is one of:

* a bare foundation model id, `anthropic.claude-3-haiku-20240307-v1:0`;
* a cross-region inference profile, the same with a scope in front: `us.`, `global.`, …;
* an ARN of any of the kinds in `ModelIdKind`. The first two kinds name the model in the ARN;
  behind the others only the control plane knows it.

Source of the grammar: the patterns `ConversationalModelId` and `InvokeModelIdentifier` of
botocore's bedrock-runtime model (1.44.5, checked 2026-11-22) and AWS's list of inference
profiles. The patterns also let through a name without a dot. No documented model id is one, and
it is what `claude-3-haiku` typed from memory looks like, so it is refused here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from langchain_bedrock_opt.errors import ModelIdError

PROFILE_SCOPES: Final = (
    "us",
    "eu",
    "jp",
    "apac",
    "au",
    "ca",
    "in",
    "us-gov",
    "global",
    "sa",
    "amer",
)
"""The prefixes of cross-region inference profiles, without their dot."""

MAX_LENGTH: Final = 2048
"""The longest model id that Bedrock takes, in characters (botocore's model)."""

# A profile of a geography that is newer than `PROFILE_SCOPES` shows by the provider behind it.
_PROVIDERS: Final = frozenset(
    {
        "ai21",
        "amazon",
        "anthropic",
        "cohere",
        "deepseek",
        "google",
        "meta",
        "minimax",
        "mistral",
        "moonshot",
        "moonshotai",
        "nvidia",
        "openai",
        "qwen",
        "stability",
        "twelvelabs",
        "writer",
        "xai",
        "zai",
    }
)


class ModelIdKind(str, Enum):
    """What an id points at."""

    FOUNDATION_MODEL = "foundation-model"
    INFERENCE_PROFILE = "inference-profile"
    APPLICATION_INFERENCE_PROFILE = "application-inference-profile"
    PROVISIONED_MODEL = "provisioned-model"
    CUSTOM_MODEL = "custom-model"
    CUSTOM_MODEL_DEPLOYMENT = "custom-model-deployment"
    IMPORTED_MODEL = "imported-model"
    PROMPT_ROUTER = "prompt-router"
    DEFAULT_PROMPT_ROUTER = "default-prompt-router"
    PROMPT = "prompt"
    MARKETPLACE_ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelId:
    """A parsed model id.

    Attributes:
        raw: The id as it was given, and as it goes to Bedrock.
        kind: What it points at.
        base: The foundation model id, or None where only the control plane knows it.
        scope: The profile's scope, such as `us` or `global`; None for a single region.
        region: The region in an ARN; None if the id has none.
    """

    raw: str
    kind: ModelIdKind
    base: str | None
    scope: str | None = None
    region: str | None = None

    @property
    def scoped_base(self) -> str | None:
        """The base id with its profile's scope, which prices go by; None if it is not known."""
        return f"{self.scope}.{self.base}" if self.base and self.scope else self.base

    @property
    def provider(self) -> str | None:
        """The provider in the base id, such as `anthropic`; None if the base is not known."""
        return self.base.partition(".")[0] if self.base else None


_ARN: Final = re.compile(
    r"arn:aws(?:-[a-z0-9-]+)?:(?P<service>bedrock|sagemaker):(?P<region>[a-z0-9-]*):"
    r"(?:\d{12})?:(?P<kind>[a-z-]+)/(?P<name>[A-Za-z0-9][A-Za-z0-9.:/_-]*)",
    re.ASCII,
)
_FOUNDATION: Final = re.compile(
    r"[a-z0-9][a-z0-9-]*\.[A-Za-z0-9][A-Za-z0-9.-]*(?::[A-Za-z0-9]+){0,2}", re.ASCII
)
_KINDS: Final = frozenset(kind.value for kind in ModelIdKind)
_SHOWN: Final = 80
"""How much of a refused text its error message repeats, in characters."""


@lru_cache(maxsize=1024)
def parse_model_id(text: str) -> ModelId:
    """Take a model id or ARN apart.

    Args:
        text: What a user passes as `model=`.

    Returns:
        The parsed id. A model this package has never heard of parses all the same: Bedrock gets
        new ones monthly.

    Raises:
        ModelIdError: The text has the form of neither an id nor a Bedrock ARN.

    Example:
        >>> parse_model_id("us.anthropic.claude-haiku-4-5-20251001-v1:0").scope
        'us'
        >>> parse_model_id("us.anthropic.claude-haiku-4-5-20251001-v1:0").base
        'anthropic.claude-haiku-4-5-20251001-v1:0'
    """
    # The length comes first, so that no pattern ever runs over a document passed by mistake.
    if len(text) <= MAX_LENGTH:
        parsed = _parse_arn(text) if text.startswith("arn:") else _parse_id(text)
        if parsed is not None:
            return parsed
    raise ModelIdError(_refusal(text))


def _parse_id(text: str) -> ModelId | None:
    if not _FOUNDATION.fullmatch(text):
        return None
    scope, base = _split_scope(text)
    kind = ModelIdKind.INFERENCE_PROFILE if scope else ModelIdKind.FOUNDATION_MODEL
    return ModelId(raw=text, kind=kind, base=base, scope=scope)


def _parse_arn(text: str) -> ModelId | None:
    match = _ARN.fullmatch(text)
    if match is None or match["kind"] not in _KINDS:
        return None
    kind = ModelIdKind(match["kind"])
    if (kind is ModelIdKind.MARKETPLACE_ENDPOINT) is not (match["service"] == "sagemaker"):
        return None
    region, name = match["region"] or None, match["name"]
    if kind is ModelIdKind.FOUNDATION_MODEL:
        named = _FOUNDATION.fullmatch(name)
        return ModelId(raw=text, kind=kind, base=name, region=region) if named else None
    if kind is ModelIdKind.INFERENCE_PROFILE and _FOUNDATION.fullmatch(name):
        scope, base = _split_scope(name)
        return ModelId(raw=text, kind=kind, base=base, scope=scope, region=region)
    # The ARN of a custom model does name its base model, but a tuned model is not its base: it
    # answers and costs differently.
    return ModelId(raw=text, kind=kind, base=None, region=region)


def _split_scope(text: str) -> tuple[str | None, str]:
    """`us.anthropic.x` → (`us`, `anthropic.x`); a bare id has no scope."""
    head, _, tail = text.partition(".")
    provider, dot, _ = tail.partition(".")
    # The head decides only if a model follows it: a provider may come to share a scope's name.
    if dot and (head in PROFILE_SCOPES or provider in _PROVIDERS):
        return head, tail
    return None, text


def _refusal(text: str) -> str:
    if len(text) > MAX_LENGTH:
        return (
            f"{text[:_SHOWN]!r}… has {len(text)} characters; a Bedrock model id has at most "
            f"{MAX_LENGTH}."
        )
    shown = repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"
    if text.startswith("arn:"):
        kinds = ", ".join(kind.value for kind in ModelIdKind)
        return f"{shown} is not an ARN of a Bedrock model. Known kinds: {kinds}."
    return (
        f"{shown} is not a Bedrock model id: one looks like "
        "'anthropic.claude-haiku-4-5-20251001-v1:0', 'us.amazon.nova-lite-v1:0' or an ARN."
    )
