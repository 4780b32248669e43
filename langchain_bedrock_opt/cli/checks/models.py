"""Checks of models: offered here, access granted, priced, and, if asked for, called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from langchain_bedrock_opt.aws.errors import (
    BOTOCORE_ERRORS,
    BotocoreError,
    advice_on,
    error_class,
)
from langchain_bedrock_opt.aws.resolution import Resolver
from langchain_bedrock_opt.aws.trouble import status_code
from langchain_bedrock_opt.catalog.model_ids import ModelId, parse_model_id
from langchain_bedrock_opt.catalog.price_book import default_prices
from langchain_bedrock_opt.catalog.profile_regions import may_call
from langchain_bedrock_opt.cli.checks.bench import Bench, in_brief
from langchain_bedrock_opt.cli.checks.finding import Finding, Status
from langchain_bedrock_opt.errors import (
    AccessDeniedError,
    ConfigurationError,
    InvalidRequestError,
    ModelIdError,
)

_NOT_IMPLEMENTED: Final = 501  # as a local Bedrock says it


def unknown(
    check: str, what: str, error: BotocoreError, action: str, *, feature: str = "doctor"
) -> Finding:
    """What is found where a question is not answered.

    Args:
        check: Which check.
        what: What was asked about.
        error: What came instead of an answer.
        action: The IAM action of the question.
        feature: What `bedrock-opt policy` calls that which needs it.
    """
    if issubclass(error_class(error), AccessDeniedError):
        why, fix = "not allowed to ask", f"Allow {action} (`bedrock-opt policy {feature}`)."
    elif status_code(error) == _NOT_IMPLEMENTED:
        why, fix = "the endpoint can't be asked this", ""
    else:
        why, fix = f"could not be asked: {in_brief(error)}", "Check the network, and try again."
    return Finding(check=check, status="unknown", said=f"{what}: {why}", fix=fix)


def models(bench: Bench) -> Iterator[Finding]:
    """Each model: whether it is offered in the region, may be called, and has a price."""
    region = bench.client("bedrock-runtime").meta.region_name
    for text in bench.models:
        try:
            model = parse_model_id(text)
        except ModelIdError as error:
            yield _found(text, "failure", str(error), "Correct the id.")
            continue
        yield from _price(model, region)
        if not bench.is_offline:
            yield from _asked(bench, model, region)
        elif model.scope and not may_call(model.scope, region):  # as far as is known here
            yield _found(
                text,
                "failure",
                f"profiles of {model.scope!r} can't be called from {region}",
                f"Call from a region of {model.scope!r}, or take a global. profile.",
            )


def _asked(bench: Bench, model: ModelId, region: str) -> Iterator[Finding]:
    """What AWS says of a model."""
    offer = _offer(bench, model, region)
    yield offer
    if offer.status == "failure":
        return
    if model.base is not None:
        yield _access(bench, model, model.base)
    if bench.may_call:
        yield _called(bench, model, region)


def _found(model: str, status: Status, text: str, fix: str = "") -> Finding:
    return Finding(check="model", status=status, said=f"{model}: {text}", fix=fix)


def _price(model: ModelId, region: str) -> Iterator[Finding]:
    # What an ARN's model costs is only known once it was asked for.
    if model.base is None or default_prices().price_of(model.raw, region=region) is not None:
        return
    yield _found(
        model.raw,
        "warning",
        f"has no known price in {region}, so its calls count as unpriced",
        "Run `bedrock-opt prices refresh`, or give a PriceBook your own price.",
    )


def _offer(bench: Bench, model: ModelId, region: str) -> Finding:
    """Whether the control plane knows the model."""
    action = "bedrock:GetInferenceProfile"
    try:
        if model.base is None:
            return _resolved(bench, model)
        if model.scope is not None:
            answer = bench.ask(
                "bedrock", "get_inference_profile", inferenceProfileIdentifier=model.raw
            )
            return _found(model.raw, "ok", f"{answer['inferenceProfileName']}, {answer['status']}")
        action = "bedrock:GetFoundationModel"
        answer = bench.ask("bedrock", "get_foundation_model", modelIdentifier=model.raw)
        return _foundation(model, answer["modelDetails"], region)
    except BOTOCORE_ERRORS as error:
        if issubclass(error_class(error), InvalidRequestError):
            advice = advice_on(error, model.raw, region)
            return _found(model.raw, "failure", f"is not offered in {region}", advice)
        return unknown("model", model.raw, error, action)


def _resolved(bench: Bench, model: ModelId) -> Finding:
    """What is found of an ARN that hides its model."""
    try:
        base = Resolver().resolve(model, bench.asking("bedrock")).base
    except ConfigurationError as error:
        cause = error.__cause__
        if not isinstance(cause, BOTOCORE_ERRORS):
            return _found(
                model.raw,
                "unknown",
                "AWS does not say which model is behind it",
                "Try it with --call; in Python, pass base_model= to the chat model.",
            )
        if issubclass(error_class(cause), InvalidRequestError):
            said = f"AWS does not know it: {in_brief(cause)}"
            return _found(model.raw, "failure", said, "Check its region, account and id.")
        # Which operation tells depends on the kind of ARN.
        action = f"bedrock:{getattr(cause, 'operation_name', 'Get…')}"
        return unknown("model", model.raw, cause, action, feature="resolve")
    return _found(model.raw, "ok", f"stands for {base}")


def _foundation(model: ModelId, details: Mapping[str, Any], region: str) -> Finding:
    ways = details.get("inferenceTypesSupported", ())
    if "ON_DEMAND" not in ways:
        return _found(
            model.raw,
            "failure",
            f"is offered in {region} through {', '.join(ways) or 'nothing'} only",
            f"Take an inference profile, such as us.{model.base} or global.{model.base}.",
        )
    if details.get("modelLifecycle", {}).get("status") == "LEGACY":
        return _found(
            model.raw,
            "warning",
            "is a legacy model, which AWS is going to end",
            "Take a newer one.",
        )
    return _found(model.raw, "ok", f"{details.get('modelName', '')}, on demand in {region}")


def _access(bench: Bench, model: ModelId, base: str) -> Finding:
    """Whether the account may use the model: agreements, entitlements, authorization."""
    check = "model access"
    try:
        answer = bench.ask("bedrock", "get_foundation_model_availability", modelId=base)
    except BOTOCORE_ERRORS as error:
        return unknown(check, model.raw, error, "bedrock:GetFoundationModelAvailability")
    is_there = {
        "its agreement": answer["agreementAvailability"]["status"] == "AVAILABLE",
        "an entitlement": answer["entitlementAvailability"] == "AVAILABLE",
        "authorization": answer["authorizationStatus"] == "AUTHORIZED",
    }
    missing = [what for what, has in is_there.items() if not has]
    if not missing:
        return Finding(check=check, status="ok", said=f"{model.raw}: granted")
    return Finding(
        check=check,
        status="failure",
        said=f"{model.raw}: the account lacks {' and '.join(missing)}",
        fix="Ask for access in the Bedrock console under Model access, or call the model once "
        "with AWS Marketplace permissions.",
    )


def _called(bench: Bench, model: ModelId, region: str) -> Finding:
    """Whether one short call comes through."""
    question: Any = [{"role": "user", "content": [{"text": "Hi"}]}]
    try:
        bench.ask(
            "bedrock-runtime",
            "converse",
            modelId=model.raw,
            messages=question,
            inferenceConfig={"maxTokens": 1},
        )
    except BOTOCORE_ERRORS as error:
        return Finding(
            check="call",
            status="warning" if error_class(error).retry_safe else "failure",
            said=f"{model.raw}: {in_brief(error)}",
            fix=advice_on(error, model.raw, region),
        )
    return Finding(check="call", status="ok", said=f"{model.raw}: answered")
