"""The tiers of a router: chat models made from ids, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final

from langchain_aws import ChatBedrockConverse
from langchain_core.language_models import BaseChatModel

from langchain_bedrock_opt.catalog.model_ids import ModelId, ModelIdKind, parse_model_id
from langchain_bedrock_opt.catalog.prices import price_of
from langchain_bedrock_opt.catalog.specs import ModelSpec, spec_of
from langchain_bedrock_opt.chat_model import ChatBedrockOptimized
from langchain_bedrock_opt.errors import ConfigurationError, ModelIdError
from langchain_bedrock_opt.routing.offered import params_by_tier
from langchain_bedrock_opt.routing.records import IN_REGION, Tier

# LangChain's own fields that hold for the router as a whole; all others go to the tiers.
_OWN_FIELDS: Final = frozenset({"name", "callbacks", "tags", "metadata", "profile"})

_ROUTERS_OWN: Final = (
    *("scorer", "policy", "sticky", "escalate", "fallback"),
    *("calibration", "shadow", "history"),
)
"""Arguments that the router, and in part the middleware, take for themselves."""

# May hold credentials of a gateway.
_UNTOLD: Final = frozenset({"default_headers"})

# What is above costs several times as much as the answer itself: nothing to choose by a score.
_LADDER: Final = ("low", "medium", "high")

# Request fields by which a user sets up reasoning, as the providers name them.
_REASONING_FIELDS: Final = frozenset(
    {"thinking", "output_config", "reasoningConfig", "reasoning", "reasoning_effort"}
)

# What a secret, a client or a callback is not.
_PLAIN: Final = (str, int, float, bool, list, tuple, dict, type(None))


def split_params(params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part a router's arguments into its own and those for the tiers.

    Args:
        params: Keyword arguments of the router, save those it names itself.
    """
    own = {name: value for name, value in params.items() if name in _OWN_FIELDS}
    # `configurable_fields` makes a model anew from all of its fields, with this one among them.
    for_tiers = dict(params.get("params") or {})
    fields = BaseChatModel.model_fields
    for name, value in params.items():
        if name in own or name == "params":
            continue
        if name in fields and value == fields[name].get_default(call_default_factory=True):
            continue
        for_tiers[name] = value
    return own, for_tiers


def build_models(
    tiers: Mapping[str, str | BaseChatModel], params: Mapping[str, Any]
) -> dict[str, BaseChatModel]:
    """The chat model of each tier.

    Args:
        tiers: Model ids or chat models by tier name.
        params: Constructor arguments for the tiers given as ids.

    Raises:
        ConfigurationError: A tier is neither, there is no tier, there are params and no tier to
            give them to, or one of them is meant for a router.
    """
    if not isinstance(tiers, Mapping) or not tiers:
        raise ConfigurationError(
            f"tiers={tiers!r}: give a dict of tier names and model ids or chat models, from the "
            'cheapest to the strongest, such as {"simple": "us.amazon.nova-lite-v1:0"}.'
        )
    for name, tier in tiers.items():
        _check(name, tier)
    _check_names(params)
    if params and not any(isinstance(tier, str) for tier in tiers.values()):
        raise ConfigurationError(
            f"{', '.join(params)}: parameters go to tiers given as model ids, and every tier here "
            "is a chat model already. Set them on the models."
        )
    fitted = params_by_tier({k: tier for k, tier in tiers.items() if isinstance(tier, str)}, params)
    return {name: _build(name, tier, fitted.get(name, {})) for name, tier in tiers.items()}


def _check_names(params: Mapping[str, Any]) -> None:
    """Refuse what is meant for a router: a tier would send it to Bedrock as a field of its own."""
    fields = ChatBedrockOptimized.model_fields
    known = {name for key, field in fields.items() for name in (key, field.alias)}
    for name in params:
        close = [] if name in known else get_close_matches(name, _ROUTERS_OWN, 1, cutoff=0.75)
        if close:
            raise ConfigurationError(
                f"{name} is no argument of a tier's model: {close[0]} is one of ChatBedrockRouter."
            )


def _check(name: Any, tier: Any) -> None:
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"Tier name {name!r} is not a text.")
    if not isinstance(tier, (str, BaseChatModel)):
        raise ConfigurationError(
            f"Tier {name!r} is {type(tier).__name__}: give a model id or a chat model."
        )


def _build(name: str, tier: str | BaseChatModel, params: Mapping[str, Any]) -> BaseChatModel:
    if isinstance(tier, BaseChatModel):
        return tier
    try:
        return ChatBedrockOptimized(model=tier, **params)
    except ModelIdError as error:
        raise ConfigurationError(f"Tier {name!r}: {error}") from error


def model_id_of(model: BaseChatModel) -> str:
    """The id a chat model calls, or its class where it names none."""
    for attribute in ("model_id", "model_name", "model"):
        if isinstance(value := getattr(model, attribute, None), str):
            return value
    return type(model).__name__


def describe_tier(name: str, model: str | BaseChatModel) -> Tier:
    """What is known of a tier: from the catalog, else from the model's profile.

    Args:
        name: The tier's name.
        model: Its chat model, or a model id for which none was made.
    """
    if isinstance(model, str):
        return with_place(_by_spec(name, model, spec_of(model)), None)
    model_id = model_id_of(model)
    spec = spec_of(model_id) or spec_of(getattr(model, "base_model_id", None) or "")
    # A model without `bind_tools` can't be given any, whatever is written about it.
    has_bind = type(model).bind_tools is not BaseChatModel.bind_tools
    if spec is None:
        profile: Mapping[str, Any] = model.profile or {}
        tier = Tier(
            name=name,
            model_id=model_id,
            context_window=profile.get("max_input_tokens"),
            images=profile.get("image_inputs"),
            documents=profile.get("pdf_inputs"),
            tools=profile.get("tool_calling") if has_bind else False,
            price=price_of(model_id),
        )
    else:
        tier = _by_spec(name, model_id, spec)
        tier = tier if has_bind else replace(tier, tools=False)
    return replace(with_place(tier, region_of(model)), efforts=efforts_of(model))


def _by_spec(name: str, model_id: str, spec: ModelSpec | None) -> Tier:
    price = price_of(model_id)
    if spec is None:
        return Tier(name=name, model_id=model_id, price=price)
    return Tier(
        name=name,
        model_id=model_id,
        context_window=spec.context_window,
        images="image" in spec.input_modalities,
        documents="document" in spec.input_modalities,
        tools=spec.tools,
        json_schema=spec.json_schema,
        price=price,
    )


# What these point at runs in the region of the ARN, or of the call. An application profile may
# be a copy of a cross-region one, and a prompt router sends to several: only AWS knows.
_STAYS: Final = frozenset(
    {
        ModelIdKind.FOUNDATION_MODEL,
        ModelIdKind.PROVISIONED_MODEL,
        ModelIdKind.CUSTOM_MODEL,
        ModelIdKind.CUSTOM_MODEL_DEPLOYMENT,
        ModelIdKind.IMPORTED_MODEL,
        ModelIdKind.MARKETPLACE_ENDPOINT,
    }
)


def with_place(tier: Tier, region: str | None) -> Tier:
    """The tier with the scope its id says, the region it is called in and its price there.

    Args:
        tier: What has a model id, and no place yet.
        region: The region, where it is known.
    """
    try:
        parsed: ModelId = parse_model_id(tier.model_id)
    except ModelIdError:
        return tier
    scope = parsed.scope or (IN_REGION if parsed.kind in _STAYS else None)
    region = parsed.region or region
    # Where a region's price is not known, the usual one still tells cheap tiers from dear ones.
    price = (price_of(tier.model_id, region=region) if region else None) or tier.price
    return replace(tier, scope=scope, region=region, price=price)


def region_of(model: object) -> str | None:
    """The region a model's calls go to; None if it does not say.

    Args:
        model: A chat model, or embeddings.
    """
    # The client's region is where the call goes, whatever the model's field says.
    meta = getattr(getattr(model, "client", None), "meta", None)
    region = getattr(meta, "region_name", None) or getattr(model, "region_name", None)
    return region if isinstance(region, str) else None


def efforts_of(model: BaseChatModel) -> tuple[str, ...]:
    """The levels of reasoning effort that a router may ask of a model, from the least.

    None where the user has set up the model's reasoning, or parameters that Bedrock refuses
    together with it: an answer that fails is worse than one that was not thought about.

    Source: the user guides of Claude ("Extended thinking") and Amazon Nova 2 ("Extended
    thinking").

    Args:
        model: A chat model. Only a `ChatBedrockConverse` takes an effort for one call, and has
            levels in its profile.
    """
    if not isinstance(model, ChatBedrockConverse) or model.reasoning_effort is not None:
        return ()
    known = (model.profile or {}).get("reasoning_effort_levels") or ()
    levels = tuple(level for level in _LADDER if level in known)
    if not _REASONING_FIELDS.isdisjoint(model.additional_model_request_fields or {}):
        return ()
    if model.provider == "anthropic":
        return () if model.temperature not in (None, 1) or model.top_p is not None else levels
    if model.provider == "amazon":
        limits = (model.temperature, model.top_p, model.max_tokens)
        is_free = all(limit is None for limit in limits)
        return levels if is_free else tuple(level for level in levels if level != "high")
    # Other models reason by themselves, about as much as "medium" says.
    return tuple(level for level in levels if level == "high")


def common_profile(models: Mapping[str, BaseChatModel]) -> dict[str, Any] | None:
    """What every tier can do: the least of each number, and only what all have.

    Args:
        models: The chat models by tier.

    Returns:
        A LangChain model profile, or None if a model has none.
    """
    profiles = [model.profile for model in models.values()]
    if not all(profiles):
        return None
    first, *others = [dict(profile) for profile in profiles if profile]
    common: dict[str, Any] = {}
    for key, value in first.items():
        values: list[Any] = [value, *(profile.get(key) for profile in others)]
        if isinstance(value, bool):
            common[key] = all(values)
        elif all(isinstance(value, int) for value in values):
            common[key] = min(values)
    return common


def params_of(model: BaseChatModel) -> dict[str, Any]:
    """The settings a chat model was made with, as plain values, without secrets and clients."""
    fields = type(model).model_fields
    return {
        name: getattr(model, name)
        for name in sorted(model.model_fields_set)
        if name in fields
        and not fields[name].exclude
        and name not in _UNTOLD
        and isinstance(getattr(model, name), _PLAIN)
    }
