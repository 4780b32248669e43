"""Which foundation model is behind an ARN: what only the control plane knows.

A provisioned model, a prompt router, an application inference profile or a custom model has an
ARN that does not name its model. langchain-aws needs the name: without it streaming and tool
choice are switched off.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from langchain_bedrock_opt.catalog.model_ids import ModelId, ModelIdKind
from langchain_bedrock_opt.errors import ConfigurationError

_FoundationArn = Callable[[Any, str], str]


def _provisioned(control: Any, arn: str) -> str:
    response = control.get_provisioned_model_throughput(provisionedModelId=arn)
    return str(response["foundationModelArn"])


def _application_profile(control: Any, arn: str) -> str:
    response = control.get_inference_profile(inferenceProfileIdentifier=arn)
    return str(response["models"][0]["modelArn"])


def _prompt_router(control: Any, arn: str) -> str:
    # A router's models are of one family, so any of them stands for what it can do.
    response = control.get_prompt_router(promptRouterArn=arn)
    return str(response["fallbackModel"]["modelArn"])


def _custom_model(control: Any, arn: str) -> str:
    return str(control.get_custom_model(modelIdentifier=arn)["baseModelArn"])


def _custom_deployment(control: Any, arn: str) -> str:
    deployment = control.get_custom_model_deployment(customModelDeploymentIdentifier=arn)
    return _custom_model(control, deployment["modelArn"])


_LOOKUPS: Final[Mapping[ModelIdKind, _FoundationArn]] = {
    ModelIdKind.PROVISIONED_MODEL: _provisioned,
    ModelIdKind.APPLICATION_INFERENCE_PROFILE: _application_profile,
    ModelIdKind.PROMPT_ROUTER: _prompt_router,
    ModelIdKind.DEFAULT_PROMPT_ROUTER: _prompt_router,
    ModelIdKind.CUSTOM_MODEL: _custom_model,
    ModelIdKind.CUSTOM_MODEL_DEPLOYMENT: _custom_deployment,
}

# What an ARN points at does not change while it exists, and there are few of them in a process.
_known: dict[str, str] = {}
_lock = threading.Lock()


def base_model_of(model_id: ModelId, control: Any) -> str:
    """The foundation model id behind a model id, asked of the control plane if need be, once.

    Args:
        model_id: A parsed id.
        control: A boto3 `bedrock` client; used only if the id does not name its model. None if
            there is none.

    Returns:
        A bare id, such as `anthropic.claude-3-haiku-20240307-v1:0`.

    Raises:
        ConfigurationError: Nothing says which model it is (an imported model, a marketplace
            endpoint, no permission to ask): the user must.
    """
    if model_id.base is not None:
        return model_id.base
    with _lock:
        known = _known.get(model_id.raw)
    if known is not None:
        return known
    lookup = _LOOKUPS.get(model_id.kind)
    if lookup is None:
        raise ConfigurationError(_advice(model_id, "this kind of ARN does not say"))
    if control is None:
        raise ConfigurationError(_advice(model_id, "there is no control-plane client to ask"))
    try:
        arn = lookup(control, model_id.raw)
    except (ClientError, BotoCoreError, KeyError, IndexError) as error:
        raise ConfigurationError(_advice(model_id, f"asking AWS failed: {error}")) from error
    base = _bare_id(arn)
    with _lock:
        _known[model_id.raw] = base
    return base


def _bare_id(arn: str) -> str:
    """The model id in a foundation-model or inference-profile ARN, without length suffix."""
    name = arn.rpartition("/")[2]
    version = name.rpartition(":")
    return version[0] if version[2].endswith("k") else name


def _advice(model_id: ModelId, why: str) -> str:
    return (
        f"Which model is behind {model_id.raw}? ({why}.) Pass "
        'base_model="anthropic.claude-haiku-4-5-20251001-v1:0", or whichever it is, or a '
        "bedrock_client= that may be asked."
    )
