"""Who reads prompts besides the tiers, and whether the data may go there."""

from __future__ import annotations

from typing import Final

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.limits import Residency
from langchain_bedrock_opt.routing.records import Tier
from langchain_bedrock_opt.routing.tiers import describe_tier, region_of, with_place

Reader = BaseChatModel | Embeddings
"""What a prompt, or a part of it, is sent to."""

_MODEL_HINT: Final = "Give one that the policy's scopes and regions allow."
_EMBEDDINGS_HINT: Final = (
    "Give BedrockEmbeddings that the policy's scopes and regions allow. Embeddings that stay on "
    "your own machine may be used by a scorer of your own."
)


def check_reader(residency: Residency | None, role: str, reader: Reader) -> None:
    """Refuse what would read prompts where they may not go. What is not known is not allowed.

    Args:
        residency: Where data may go; None for everywhere.
        role: What the reader is called in the error.
        reader: The chat model, or the embeddings.

    Raises:
        ConfigurationError: Data may not go there.
    """
    if residency is None:
        return
    place = _place_of(role, reader)
    if residency.allows(place):
        return
    hint = _MODEL_HINT if isinstance(reader, BaseChatModel) else _EMBEDDINGS_HINT
    raise ConfigurationError(
        f"{role} {place.model_id} lacks {residency.refusal(place)}: it sees prompts. {hint}"
    )


def _place_of(role: str, reader: Reader) -> Tier:
    if isinstance(reader, BaseChatModel):
        return describe_tier(role, reader)
    # Embeddings have neither in common; Bedrock's have both.
    model_id, region = getattr(reader, "model_id", None), region_of(reader)
    if not isinstance(model_id, str) or region is None:
        return Tier(name=role, model_id=type(reader).__name__)
    return with_place(Tier(name=role, model_id=model_id), region)
