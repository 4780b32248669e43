"""Bedrock model ids and ARNs: what an id says by itself, without asking AWS.

An id a user passes as `model=` is one of:

* a bare foundation model id, `anthropic.claude-3-haiku-20240307-v1:0`;
* a cross-region inference profile, the same with a scope in front: `us.`, `global.`, …;
* an ARN of any of the kinds in `ModelIdKind`. The first two kinds name the model in the ARN;
  behind the others only the control plane knows it.

Source of the grammar: botocore's `modelId` pattern of bedrock-runtime (1.44.5, checked
2026-11-22) and AWS's list of inference profiles.
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
    def provider(self) -> str | None:
        """The provider in the base id, such as `anthropic`; None if the base is not known."""
        return self.base.partition(".")[0] if self.base else None


_ARN = re.compile(
    r"arn:aws(?:-[a-z-]+)?:(?P<service>bedrock|sagemaker):(?P<region>[a-z0-9-]*):"
    r"(?P<account>\d{12})?:(?P<kind>[a-z-]+)/(?P<rest>\S+)",
    re.ASCII,
)
_FOUNDATION = re.compile(r"[a-z0-9-]+\.[A-Za-z0-9][A-Za-z0-9._-]*(?::[A-Za-z0-9]+){0,2}", re.ASCII)
_NAMES_ITS_MODEL = (ModelIdKind.FOUNDATION_MODEL, ModelIdKind.INFERENCE_PROFILE)


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
    if text.startswith("arn:"):
        return _parse_arn(text)
    if not _FOUNDATION.fullmatch(text):
        raise ModelIdError(
            f"{text!r} is not a Bedrock model id: one looks like "
            "'anthropic.claude-haiku-4-5-20251001-v1:0', 'us.amazon.nova-lite-v1:0' or an ARN."
        )
    scope, base = _split_scope(text)
    kind = ModelIdKind.INFERENCE_PROFILE if scope else ModelIdKind.FOUNDATION_MODEL
    return ModelId(raw=text, kind=kind, base=base, scope=scope)


def _parse_arn(text: str) -> ModelId:
    match = _ARN.fullmatch(text)
    try:
        kind = ModelIdKind(match["kind"]) if match else None
    except ValueError:
        kind = None
    if match is None or kind is None:
        kinds = ", ".join(kind.value for kind in ModelIdKind)
        raise ModelIdError(f"{text!r} is not an ARN of a Bedrock model. Known kinds: {kinds}.")
    region = match["region"] or None
    if kind in _NAMES_ITS_MODEL:
        scope, base = _split_scope(match["rest"])
        return ModelId(raw=text, kind=kind, base=base, scope=scope, region=region)
    return ModelId(raw=text, kind=kind, base=None, region=region)


def _split_scope(text: str) -> tuple[str | None, str]:
    """`us.anthropic.x` → (`us`, `anthropic.x`); a bare id has no scope."""
    head, _, tail = text.partition(".")
    # A provider may share its name with no scope, so the head alone decides, if a model follows.
    if head in PROFILE_SCOPES and "." in tail:
        return head, tail
    return None, text
