"""InvokeModel: each family's own format, to and from Converse.

The brains of the emulator speak Converse. A native body is turned into a Converse request, and
the reply into the family's body or chunks, in the shape and key order of recorded answers.

```python
request = to_converse(model_id, body)
reply = responder.reply(request)
answer = to_body(model_id, reply, body)
```
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from langchain_bedrock_opt.emulator.families.ai21 import JURASSIC
from langchain_bedrock_opt.emulator.families.answers import Family, NativeCall, malformed
from langchain_bedrock_opt.emulator.families.anthropic import ANTHROPIC
from langchain_bedrock_opt.emulator.families.cohere import COHERE_CHAT, COHERE_COMMAND
from langchain_bedrock_opt.emulator.families.embeddings import EMBEDDERS, Embedding
from langchain_bedrock_opt.emulator.families.llama import LLAMA
from langchain_bedrock_opt.emulator.families.mistral import MISTRAL
from langchain_bedrock_opt.emulator.families.nova import NOVA
from langchain_bedrock_opt.emulator.families.openai import OPENAI
from langchain_bedrock_opt.emulator.families.titan import TITAN
from langchain_bedrock_opt.emulator.types import Pace, Reply, ServiceFailure

# The start of a base model id → its family. First match wins; the rest speaks chat completions.
_FAMILIES: Final[tuple[tuple[str, Family], ...]] = (
    ("anthropic.", ANTHROPIC),
    ("amazon.nova", NOVA),
    ("amazon.titan", TITAN),
    ("meta.", LLAMA),
    ("mistral.", MISTRAL),
    ("cohere.command-r", COHERE_CHAT),
    ("cohere.command", COHERE_COMMAND),
    ("ai21.j2", JURASSIC),
)


def family_of(base_model_id: str) -> Family:
    """The family whose format a chat model speaks.

    Args:
        base_model_id: A foundation model id without a profile's scope.

    Example:
        >>> family_of("anthropic.claude-3-haiku-20240307-v1:0").name
        'anthropic'
        >>> family_of("qwen.qwen3-32b-v1:0").name
        'openai'
    """
    return next((family for start, family in _FAMILIES if base_model_id.startswith(start)), OPENAI)


def is_embedding(base_model_id: str) -> bool:
    """Whether `embed` answers for a model, and none of the other functions here."""
    return any(base_model_id.startswith(start) for start, _ in EMBEDDERS)


def read_body(data: bytes) -> dict[str, Any]:
    """Parse a native request's body.

    Raises:
        ServiceFailure: It is not a JSON object.
    """
    try:
        body = json.loads(data)
    except ValueError as error:
        raise malformed() from error
    if not isinstance(body, dict):
        raise malformed()
    return body


def to_converse(base_model_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A native body as a Converse request, for a responder or for counting tokens.

    Args:
        base_model_id: A foundation model id without a profile's scope; it is the request's
            `modelId`.
        body: The parsed body.

    Raises:
        ServiceFailure: Bedrock would refuse the body.

    Example:
        >>> to_converse("amazon.titan-text-lite-v1", {"inputText": "Hi"})["messages"]
        [{'role': 'user', 'content': [{'text': 'Hi'}]}]
    """
    try:
        request = family_of(base_model_id).to_converse(body)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # A part of the body has another shape than its family's; Bedrock's checks are as blunt.
        raise malformed() from error
    if not _has_converse_shape(request):
        raise malformed()
    return {"modelId": base_model_id, **request}


def _has_converse_shape(request: Mapping[str, Any]) -> bool:
    """Whether a converted body is made like a Converse request.

    What a family takes over from the body unread is checked here, so that no brain trips over it.
    The limits of `inferenceConfig` are Converse's own and narrower than the families'.
    """
    params = {key: value for key, value in request.items() if key != "inferenceConfig"}
    report = ParamValidator().validate({"modelId": "any", **params}, _converse_shape())
    return bool(request["messages"]) and not report.has_errors()


@lru_cache(maxsize=1)
def _converse_shape() -> Any:
    description = Loader().load_service_model("bedrock-runtime", "service-2")
    return ServiceModel(description).operation_model("Converse").input_shape


def to_body(
    base_model_id: str,
    reply: Reply,
    body: Mapping[str, Any],
    *,
    clock: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """A reply as the body of an InvokeModel response.

    Args:
        base_model_id: The model that answered.
        reply: What it said.
        body: The native body it was asked with; some families repeat parts of it.
        clock: Seconds since 1970, for families whose answers carry a time.
    """
    call = NativeCall(model=base_model_id, body=body, reply=reply, created=int(clock()))
    return family_of(base_model_id).to_body(call)


def to_chunks(
    base_model_id: str,
    reply: Reply,
    body: Mapping[str, Any],
    *,
    pace: Pace | None = None,
    clock: Callable[[], float] = time.time,
) -> Iterator[dict[str, Any]]:
    """A reply as the chunks of an InvokeModelWithResponseStream response.

    The last chunk carries `amazon-bedrock-invocationMetrics`.

    Args:
        base_model_id: The model that answered.
        reply: What it said.
        body: The native body it was asked with.
        pace: How fast the model is; the latencies in the metrics are its, in milliseconds.
        clock: Seconds since 1970, for families whose answers carry a time.

    Raises:
        ServiceFailure: The model does not stream.
    """
    family = family_of(base_model_id)
    if family.to_chunks is None:
        raise not_streaming()
    call = NativeCall(model=base_model_id, body=body, reply=reply, created=int(clock()))
    return _with_metrics(family.to_chunks(call), _metrics(family, call, pace or Pace()))


def not_streaming() -> ServiceFailure:
    """Bedrock's refusal to stream a model that can't, as users report it publicly."""
    return ServiceFailure("ValidationException", "The model is unsupported for streaming.")


def embed(base_model_id: str, body: Mapping[str, Any]) -> Embedding:
    """Answer for an embedding model.

    Args:
        base_model_id: A model for which `is_embedding` holds.
        body: The parsed body.

    Raises:
        ServiceFailure: Bedrock would refuse the body.

    Example:
        >>> answer = embed("amazon.titan-embed-text-v2:0", {"inputText": "Hi", "dimensions": 256})
        >>> len(answer.body["embedding"])
        256
    """
    embedder = next(embedder for start, embedder in EMBEDDERS if base_model_id.startswith(start))
    try:
        return embedder(body)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise malformed() from error


def _with_metrics(
    chunks: Iterator[dict[str, Any]], metrics: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    held = next(chunks)
    for chunk in chunks:
        yield held
        held = chunk
    yield {**held, "amazon-bedrock-invocationMetrics": metrics}


def _metrics(family: Family, call: NativeCall, pace: Pace) -> dict[str, Any]:
    reply = call.reply
    metrics = {
        "inputTokenCount": reply.input_tokens,
        "outputTokenCount": reply.output_tokens,
        "invocationLatency": round(pace.seconds(reply.output_tokens) * 1_000),
        "firstByteLatency": round(pace.time_to_first_token * 1_000),
    }
    if family.cache_metrics or reply.cache_read_tokens or reply.cache_write_tokens:
        metrics["cacheReadInputTokenCount"] = reply.cache_read_tokens
        metrics["cacheWriteInputTokenCount"] = reply.cache_write_tokens
    return metrics
