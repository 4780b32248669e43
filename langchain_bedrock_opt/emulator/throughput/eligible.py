"""Which models can have provisioned throughput, and to which one it may be moved."""

from __future__ import annotations

from langchain_bedrock_opt.catalog.model_ids import ModelId, ModelIdKind, parse_model_id
from langchain_bedrock_opt.catalog.provisioned_models import offers_provisioned
from langchain_bedrock_opt.emulator.models.directory import (
    ModelDirectory,
    ProvisionedModel,
    invalid_identifier,
)
from langchain_bedrock_opt.emulator.throughput.throughput import ProvidedModel
from langchain_bedrock_opt.emulator.types import ServiceFailure
from langchain_bedrock_opt.errors import ModelIdError


def provided_model(directory: ModelDirectory, model_id: str, region: str) -> ProvidedModel:
    """The model that throughput is asked for.

    Any foundation model that the directory takes can have it, and custom models. A directory that
    is strict goes by AWS's list of models and regions, which may lag behind.

    Args:
        directory: The models.
        model_id: An id or ARN of a foundation model, or the ARN of a custom model. Profiles have
            no provisioned throughput.
        region: The region of the request.

    Raises:
        ServiceFailure: There is no such model, or no throughput for it.
    """
    try:
        parsed = parse_model_id(model_id)
    except ModelIdError as error:
        raise invalid_identifier() from error
    if parsed.kind is ModelIdKind.CUSTOM_MODEL:
        return _custom_model(directory, parsed, region)
    if parsed.kind is not ModelIdKind.FOUNDATION_MODEL or parsed.base is None:
        raise invalid_identifier()
    directory.base_of(parsed.base, invoke=False, region=region)
    if directory.strict and not offers_provisioned(parsed.base, region):
        raise _not_offered(parsed.base, region)
    arn = directory.arn_of(parsed.base, region)
    return ProvidedModel(arn, parsed.base, arn)


def registered_model(directory: ModelDirectory, registered: ProvisionedModel) -> ProvidedModel:
    """The model behind a throughput that was registered, not bought."""
    arn = directory.arn_of(registered.base_model_id, parse_model_id(registered.arn).region)
    return ProvidedModel(arn, registered.base_model_id, arn)


def moved_model(
    directory: ModelDirectory, now: ProvidedModel, model_id: str, region: str
) -> ProvidedModel:
    """The model that a throughput is to be moved to.

    Args:
        directory: The models.
        now: The model that it has.
        model_id: The base model of a custom model, or another custom model with the same base.
        region: The region of the request.

    Raises:
        ServiceFailure: It can't be moved there.
    """
    if not now.is_custom:
        # The rule is botocore's; the texts are unverified against AWS.
        raise ServiceFailure(
            "ValidationException",
            "The model can't be changed for a provisioned throughput that is associated with a "
            "base model.",
        )
    wanted = provided_model(directory, model_id, region)
    if wanted.foundation_arn != now.foundation_arn:
        raise ServiceFailure(
            "ValidationException",
            f"The model must be the base model {now.base} or a custom model of it.",
        )
    return wanted


def _custom_model(directory: ModelDirectory, parsed: ModelId, region: str) -> ProvidedModel:
    directory.base_of(parsed.raw, invoke=False, region=region)
    # An imported model has no base there, and needs no units: its capacity is its own.
    base = parsed.raw.partition("/")[2].partition("/")[0]
    directory.base_of(base, invoke=False, region=region)
    return ProvidedModel(parsed.raw, base, directory.arn_of(base, region), is_custom=True)


def _not_offered(base: str, region: str) -> ServiceFailure:
    # Unverified against AWS: the text.
    return ServiceFailure(
        "ValidationException",
        f"Provisioned throughput is not supported for {base} in {region}.",
    )
