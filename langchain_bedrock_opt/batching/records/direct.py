"""Records that no job takes, answered on demand by the user's own client."""

from __future__ import annotations

from typing import Any, Final

from langchain_aws import ChatBedrockConverse

from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS, service_error
from langchain_bedrock_opt.aws.layers import LayeredClient, region_of
from langchain_bedrock_opt.aws.replay import request_from_json, to_json_bytes
from langchain_bedrock_opt.batching.parts import Direct, JobKind
from langchain_bedrock_opt.batching.records.native.codec import METRICS, parsed

# In which header InvokeModel says what some formats don't.
_COUNTS: Final = {
    "inputTokenCount": "x-amzn-bedrock-input-token-count",
    "outputTokenCount": "x-amzn-bedrock-output-token-count",
}


def direct_for(model: ChatBedrockConverse) -> Direct:
    """What answers a model's records on demand.

    Records are sent by the model's boto3 client as they are. Its layers don't see them: they are
    about calls of a chat model, and a cache was asked before there was a record.

    Args:
        model: The user's model.

    Returns:
        A function of a record's kind, its body, and whether it goes at the flex tier, that gives
        `modelOutput`. Of InvokeModel answers whose format counts no tokens, these are told in
        Bedrock's own metrics.
    """

    def answer(kind: JobKind, body: bytes, flex: bool) -> bytes:  # noqa: FBT001 - as `Direct` has it
        client = model.client
        while isinstance(client, LayeredClient):
            client = client.own_base()
        call = _converse if kind.invocation == "Converse" else _invoke
        try:
            return call(client, kind, body, flex=flex)
        except BOTOCORE_ERRORS as error:
            raise service_error(error, kind.model_id, region_of(client)) from error

    return answer


def _converse(client: Any, kind: JobKind, body: bytes, *, flex: bool) -> bytes:
    request = request_from_json(body)
    if flex:
        request["serviceTier"] = {"type": "flex"}
    response = client.converse(modelId=kind.model_id, **request)
    response.pop("ResponseMetadata", None)
    return to_json_bytes(response)


def _invoke(client: Any, kind: JobKind, body: bytes, *, flex: bool) -> bytes:
    tier = {"serviceTier": "flex"} if flex else {}
    response = client.invoke_model(
        modelId=kind.model_id,
        body=body,
        contentType="application/json",
        accept="application/json",
        **tier,
    )
    answered: bytes = response["body"].read()
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    counts = {name: int(headers[key]) for name, key in _COUNTS.items() if key in headers}
    if not counts:
        return answered
    return to_json_bytes({**parsed(answered), METRICS: counts})
