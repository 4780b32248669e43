"""The clients of a run that the user has not given: made of what their model says of itself."""

from __future__ import annotations

from typing import Any, Final

from langchain_aws import ChatBedrockConverse
from pydantic import SecretStr

from langchain_bedrock_opt.aws.clients import ClientSettings, LazyClient, client_config
from langchain_bedrock_opt.aws.layers import region_of

_CONNECTIONS: Final = 16
"""Calls to S3 at once: parts of uploads and answers on demand."""

_TIMEOUT: Final = 60.0
"""Seconds that S3 may take for one part."""


def s3_client_for(model: ChatBedrockConverse) -> Any:
    """An S3 client with a model's region and credentials, made when it is first used.

    The endpoint is boto3's own choice (`AWS_ENDPOINT_URL_S3`): the model's is not one of S3.

    Args:
        model: The model that a run asks.
    """
    return LazyClient(
        ClientSettings(
            service="s3",
            region_name=model.region_name or region_of(model.client),
            profile_name=model.credentials_profile_name,
            access_key_id=_revealed(model.aws_access_key_id),
            secret_access_key=_revealed(model.aws_secret_access_key),
            session_token=_revealed(model.aws_session_token),
            config=client_config(max_concurrency=_CONNECTIONS, timeout=_TIMEOUT),
        )
    )


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
