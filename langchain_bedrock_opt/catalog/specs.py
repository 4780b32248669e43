"""What each foundation model can do, as data: `data/models.json`, one dated row a model.

The rows answer questions that Bedrock's API does not: whether a model takes images, needs an
inference profile, how its output counts against a quota. Every row says where it comes from and
when that was checked. A model without a row is not an error anywhere; it has no spec.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.errors import ModelIdError

Modality = Literal["text", "image", "document", "video", "audio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """Facts about one foundation model.

    Attributes:
        id: Its bare id, such as `anthropic.claude-haiku-4-5-20251001-v1:0`.
        kind: `chat` or `embedding`.
        context_window: Tokens that fit in, or None if not known.
        max_output_tokens: The most it writes in one answer, or None if not known.
        input_modalities: What a message may hold.
        tools: Whether Converse takes a `toolConfig` for it.
        needs_profile: True if it is offered through inference profiles: its bare id is refused
            ("on-demand throughput isn't supported"), save in `on_demand_regions`.
        on_demand_regions: The few regions that take the bare id of a model that needs a profile
            everywhere else. Empty for a model that does not need one.
        profile_scopes: The cross-region scopes it is, or was, offered in.
        prompt_caching: Whether it takes cache points.
        prompt_cache_minimum: The fewest tokens before a cache point; a shorter prefix is
            silently not cached. Where sources disagree, the larger number. None if not known.
        json_schema: Whether it takes `outputConfig` with a JSON schema.
        count_tokens: Whether CountTokens answers for it.
        output_burndown: How many quota tokens one output token costs at settlement: 5 for
            Claude 3.7 and later, else 1.
        source: Where the row comes from.
        checked: The date it was checked, ISO 8601.
    """

    id: str
    kind: Literal["chat", "embedding"] = "chat"
    context_window: int | None = None
    max_output_tokens: int | None = None
    input_modalities: tuple[Modality, ...] = ("text",)
    tools: bool = False
    needs_profile: bool = False
    on_demand_regions: tuple[str, ...] = ()
    profile_scopes: tuple[str, ...] = ()
    prompt_caching: bool = False
    prompt_cache_minimum: int | None = None
    json_schema: bool = False
    count_tokens: bool = False
    output_burndown: int = 1
    source: str
    checked: str

    @property
    def provider(self) -> str:
        """The provider, such as `anthropic`."""
        return self.id.partition(".")[0]


@lru_cache(maxsize=1)
def _specs() -> Mapping[str, ModelSpec]:
    document = json.loads((files(__package__) / "data" / "models.json").read_text("utf-8"))
    return {row["id"]: _spec(row) for row in document["models"]}


def _spec(row: dict[str, Any]) -> ModelSpec:
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row.items()
    }
    return ModelSpec(**values)


def known_model_ids() -> tuple[str, ...]:
    """The bare ids of all foundation models with a spec, in the order of the data."""
    return tuple(_specs())


def spec_of(model_id: str) -> ModelSpec | None:
    """The spec of the model behind an id, or None if there is none.

    Args:
        model_id: A bare id, a profile id, or an ARN that names its model.

    Example:
        >>> spec_of("us.anthropic.claude-haiku-4-5-20251001-v1:0").needs_profile
        True
        >>> spec_of("anthropic.claude-3-haiku-20240307-v1:0:48k").id  # provisioned variant
        'anthropic.claude-3-haiku-20240307-v1:0'
        >>> spec_of("acme.frontier-v9") is None
        True
    """
    try:
        base = parse_model_id(model_id).base
    except ModelIdError:
        return None
    if base is None:
        return None
    specs = _specs()
    # Provisioned variants carry a minor version and their context length behind the model's own
    # id, `amazon.titan-embed-text-v1:2:8k`, and Claude 2.1's own id ends like a minor version.
    while (spec := specs.get(base)) is None and ":" in base:
        base = base.rpartition(":")[0]
    return spec
