"""The operations of the `bedrock` service that read models and make profiles.

Each takes the directory and the operation's parameters and returns its result, both by their
names in botocore's model; times are UTC-aware datetimes. The shape of `GetInferenceProfile` is a
recorded one. The others are botocore's and unverified against AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Final, TypeAlias

from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.catalog.profile_regions import may_call
from langchain_bedrock_opt.catalog.specs import ModelSpec, known_model_ids, spec_of
from langchain_bedrock_opt.emulator.models.directory import (
    ApplicationProfile,
    ModelDirectory,
    PromptRouter,
    invalid_identifier,
    not_found,
)
from langchain_bedrock_opt.emulator.models.families import (
    display_name,
    is_plausible,
    provider_name,
)
from langchain_bedrock_opt.emulator.types import ServiceFailure
from langchain_bedrock_opt.errors import EmulatorError, ModelIdError

Params: TypeAlias = Mapping[str, Any]
Result: TypeAlias = dict[str, Any]

_MODALITIES: Final = {"text": "TEXT", "image": "IMAGE", "video": "VIDEO", "audio": "SPEECH"}
_PROFILES_SINCE: Final = datetime(2024, 9, 1, tzinfo=timezone.utc)
"""A date for system profiles, which have no maker: about when AWS introduced them."""


def list_foundation_models(directory: ModelDirectory, params: Params) -> Result:
    """All models with a spec that pass the filters.

    Example:
        >>> result = list_foundation_models(ModelDirectory(), {"byProvider": "anthropic"})
        >>> {model["providerName"] for model in result["modelSummaries"]}
        {'Anthropic'}
    """
    summaries = [_foundation_model(directory, model_id) for model_id in known_model_ids()]
    return {"modelSummaries": [model for model in summaries if _passes(model, params)]}


def get_foundation_model(directory: ModelDirectory, params: Params) -> Result:
    """One model, by its id or ARN.

    Raises:
        ServiceFailure: It is not known.
    """
    try:
        parsed = parse_model_id(params["modelIdentifier"])
    except ModelIdError as error:
        raise invalid_identifier() from error
    base = parsed.base
    if parsed.scope or base is None:
        raise invalid_identifier()
    if spec_of(base) is None and (directory.strict or not is_plausible(base)):
        raise invalid_identifier()
    return {"modelDetails": _foundation_model(directory, base)}


def list_inference_profiles(directory: ModelDirectory, params: Params) -> Result:
    """The system profiles that the region may call, then the application profiles."""
    profiles = [
        _system_profile(directory, f"{scope}.{model_id}")
        for model_id in known_model_ids()
        for scope in _spec(model_id).profile_scopes
        if may_call(scope, directory.region)
    ]
    profiles += [_application_profile(profile) for profile in directory.application_profiles]
    wanted = params.get("typeEquals")
    return page(
        "inferenceProfileSummaries",
        [profile for profile in profiles if wanted in (None, profile["type"])],
        params,
    )


def get_inference_profile(directory: ModelDirectory, params: Params) -> Result:
    """One profile, by its id or ARN.

    Raises:
        ServiceFailure: There is none of this name, or the region may not call it.
    """
    identifier = params["inferenceProfileIdentifier"]
    for profile in directory.application_profiles:
        if identifier in (profile.arn, _resource_id(profile.arn)):
            return _application_profile(profile)
    try:
        directory.resolve(identifier, invoke=False)
    except ServiceFailure as failure:
        raise not_found() from failure
    parsed = parse_model_id(identifier)
    if parsed.scope is None:
        raise not_found()
    return _system_profile(directory, f"{parsed.scope}.{parsed.base}")


def create_inference_profile(directory: ModelDirectory, params: Params) -> Result:
    """Make an application inference profile.

    Raises:
        ServiceFailure: Its model is not known, or its name is taken.
    """
    copy_from = params["modelSource"].get("copyFrom", "")
    directory.resolve(copy_from, invoke=False)
    name = params["inferenceProfileName"]
    try:
        arn = directory.register_application_profile(
            copy_from, name, description=params.get("description", "")
        )
    except EmulatorError as error:
        # Unverified against AWS: that names are unique, and the text.
        raise ServiceFailure(
            "ConflictException", f"An inference profile named {name} exists already."
        ) from error
    return {"inferenceProfileArn": arn, "status": "ACTIVE"}


def get_prompt_router(directory: ModelDirectory, params: Params) -> Result:
    """One prompt router, by its ARN.

    Raises:
        ServiceFailure: There is none.
    """
    for router in directory.prompt_routers:
        if params["promptRouterArn"] == router.arn:
            return _prompt_router(router)
    raise not_found()


def list_prompt_routers(directory: ModelDirectory, params: Params) -> Result:
    """The registered prompt routers."""
    routers = [_prompt_router(router) for router in directory.prompt_routers]
    wanted = params.get("type")
    return page(
        "promptRouterSummaries",
        [router for router in routers if wanted in (None, router["type"])],
        params,
    )


CONTROL_PLANE: Final[Mapping[str, Callable[[ModelDirectory, Params], Result]]] = {
    "CreateInferenceProfile": create_inference_profile,
    "GetFoundationModel": get_foundation_model,
    "GetInferenceProfile": get_inference_profile,
    "GetPromptRouter": get_prompt_router,
    "ListFoundationModels": list_foundation_models,
    "ListInferenceProfiles": list_inference_profiles,
    "ListPromptRouters": list_prompt_routers,
}
"""The operations of `bedrock` that the directory answers, by their name in botocore's model."""


def _spec(model_id: str) -> ModelSpec:
    spec = spec_of(model_id)
    if spec is None:
        raise LookupError(model_id)
    return spec


def _foundation_model(directory: ModelDirectory, base: str) -> Result:
    spec = spec_of(base)
    inputs = spec.input_modalities if spec else ("text",)
    embeds = spec is not None and spec.kind == "embedding"
    needs_profile = spec is not None and spec.needs_profile
    return {
        "modelArn": directory.arn_of(base),
        "modelId": base,
        "modelName": display_name(base),
        "providerName": provider_name(base),
        "inputModalities": [_MODALITIES[kind] for kind in inputs if kind in _MODALITIES],
        "outputModalities": ["EMBEDDING" if embeds else "TEXT"],
        "responseStreamingSupported": not embeds,
        "customizationsSupported": [],
        # botocore's enum lacks INFERENCE_PROFILE; the service has it all the same, or a model
        # that is offered through profiles only would have no type at all.
        "inferenceTypesSupported": ["INFERENCE_PROFILE" if needs_profile else "ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE"},
    }


def _passes(model: Result, params: Params) -> bool:
    provider = params.get("byProvider")
    if provider is not None:
        names = (model["providerName"].lower(), model["modelId"].partition(".")[0])
        if provider.lower() not in names:
            return False
    return all(
        params.get(name) is None or params[name] in model[field]
        for name, field in (
            ("byOutputModality", "outputModalities"),
            ("byInferenceType", "inferenceTypesSupported"),
            ("byCustomizationType", "customizationsSupported"),
        )
    )


def _system_profile(directory: ModelDirectory, profile_id: str) -> Result:
    parsed = parse_model_id(profile_id)
    base = parsed.base or ""
    name = f"{provider_name(base)} {display_name(base)}"
    scope = "Global" if parsed.scope == "global" else str(parsed.scope).upper()
    return {
        "inferenceProfileName": f"{scope} {name}",
        "description": f"Routes requests to {name} in {_spoken(parsed.scope)}.",
        "createdAt": _PROFILES_SINCE,
        "updatedAt": _PROFILES_SINCE,
        "inferenceProfileArn": directory.arn_of(profile_id),
        "models": [{"modelArn": arn} for arn in directory.model_arns(profile_id)],
        "inferenceProfileId": profile_id,
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }


def _spoken(scope: str | None) -> str:
    return "all supported regions" if scope == "global" else f"the regions of {scope}"


def _application_profile(profile: ApplicationProfile) -> Result:
    described = {"description": profile.description} if profile.description else {}
    return {
        "inferenceProfileName": profile.name,
        **described,
        "createdAt": profile.created_at,
        "updatedAt": profile.created_at,
        "inferenceProfileArn": profile.arn,
        "models": [{"modelArn": arn} for arn in profile.model_arns],
        "inferenceProfileId": _resource_id(profile.arn),
        "status": "ACTIVE",
        "type": "APPLICATION",
    }


def _prompt_router(router: PromptRouter) -> Result:
    return {
        "promptRouterName": router.name,
        "routingCriteria": {"responseQualityDifference": 0.0},
        "createdAt": router.created_at,
        "updatedAt": router.created_at,
        "promptRouterArn": router.arn,
        "models": [{"modelArn": arn} for arn in router.model_arns],
        "fallbackModel": {"modelArn": router.fallback_arn},
        "status": "AVAILABLE",
        "type": "default" if ":default-prompt-router/" in router.arn else "custom",
    }


def _resource_id(arn: str) -> str:
    return arn.rpartition("/")[2]


def page(key: str, items: Sequence[Result], params: Params) -> Result:
    """One page of a list; the token is the number of items before the next page.

    Args:
        key: The result's key for the items.
        items: All items.
        params: The operation's parameters; its `maxResults` and `nextToken` count.

    Raises:
        ServiceFailure: The token is none.
    """
    try:
        start = int(params.get("nextToken") or 0)
    except ValueError as error:
        raise ServiceFailure("ValidationException", "The provided nextToken is invalid.") from error
    end = start + (params.get("maxResults") or len(items))
    result: Result = {key: list(items[start:end])}
    if end < len(items):
        result["nextToken"] = str(end)
    return result
