"""`modelOutput` as an `AIMessage`: botocore's parser, then the user's own model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any, Final

import orjson
from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessage, HumanMessage

from langchain_bedrock_opt.aws.layers import Response, region_of
from langchain_bedrock_opt.aws.replay import response_from_json
from langchain_bedrock_opt.aws.resolution import known_resolution
from langchain_bedrock_opt.batching.parts import JobKind
from langchain_bedrock_opt.batching.records.kinds import base_of, native_codec
from langchain_bedrock_opt.batching.records.native.codec import parsed
from langchain_bedrock_opt.batching.records.seam import SeamClient
from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.contracts import REPORT_KEY, CallReport
from langchain_bedrock_opt.errors import BatchRecordError

# A request must be made to be answered; nothing in the reading of an answer depends on it. Given
# as raw blocks it is not converted anew for each.
_ANY_PROMPT: Final = ({"role": "user", "content": [{"text": "-"}]},)

# Of an answer that holds only these, plain values of the right types, botocore's parser takes
# 30 µs for what any JSON parser makes in 3.
_PARTS: Final = {"output": dict, "stopReason": str, "usage": dict, "metrics": dict}
_COUNTS: Final = frozenset(
    {
        "inputTokens",
        "outputTokens",
        "totalTokens",
        "cacheReadInputTokens",
        "cacheWriteInputTokens",
        "latencyMs",
    }
)


class Reader:
    """Reads answers as the user's model reads live ones. Used by many threads at once.

    Args:
        model: The user's model. It is not changed, and its client is not used.
        kwargs: What is bound to the model, for models that read answers by it.

    Example:
        >>> reader = Reader.for_model_id("amazon.nova-lite-v1:0")
        >>> answer = (
        ...     b'{"output":{"message":{"role":"assistant","content":[{"text":"Kyoto"}]}},'
        ...     b'"stopReason":"end_turn","usage":{"inputTokens":9,"outputTokens":2}}'
        ... )
        >>> reader.message(JobKind("amazon.nova-lite-v1:0", "Converse"), answer).content
        'Kyoto'
    """

    def __init__(
        self,
        model: ChatBedrockConverse,
        *,
        kwargs: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._region = region_of(model.client)
        self._client = SeamClient(self._region)
        self._model = model.model_copy(
            update={"client": self._client, "raw_blocks": list(_ANY_PROMPT)}
        )
        self._kwargs = dict(kwargs)

    @classmethod
    def for_model_id(cls, model_id: str, *, base_model: str | None = None) -> Reader:
        """A reader without the user's model, for a run that another process has begun.

        Args:
            model_id: The model id or ARN of the records.
            base_model: The foundation model behind an ARN that does not name it. Only answers in
                the model's own format need it.

        Example:
            >>> arn = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abc"
            >>> isinstance(Reader.for_model_id(arn), Reader)
            True
        """
        known = known_resolution(model_id)
        base = base_model or parse_model_id(model_id).base or (known.base if known else None)
        # Nothing is asked of these clients; upstream only needs them to be there.
        nobody = SimpleNamespace(meta=SimpleNamespace(region_name=None))
        arguments: dict[str, Any] = {
            "client": nobody,
            "bedrock_client": nobody,
            "disable_streaming": True,  # nothing streams here, so that upstream need not say so
        }
        if model_id.startswith("arn:"):
            # Empty, upstream would ask the control plane; the ARN itself says no less.
            arguments["base_model_id"] = base or model_id
            arguments["provider"] = (parse_model_id(base).provider if base else None) or "unknown"
        return cls(ChatBedrockConverse(model=model_id, **arguments))

    def message(
        self,
        kind: JobKind,
        output: bytes,
        *,
        job_arn: str | None = None,
        region: str | None = None,
    ) -> AIMessage:
        """Read one answer.

        Args:
            kind: The kind of its record.
            output: `modelOutput` as JSON.
            job_arn: The job; None for an answer that came on demand.
            region: Where it was made; by default as the job's ARN, or else the model's client says.

        Returns:
            The message, as a live call would have given it, with its `CallReport` in
            `response_metadata["bedrock_opt"]`.

        Raises:
            BatchRecordError: It is not in the format of its kind.
            ConfigurationError: Its format is not known.
        """
        response = self.response(kind, output, job_arn=job_arn)
        response[REPORT_KEY] = self._report(kind, job_arn, region)
        self._client.response = response
        result = self._model._generate([HumanMessage("-")], None, **self._kwargs)  # noqa: SLF001 - a documented override point
        message = result.generations[0].message
        if not isinstance(message, AIMessage):
            raise BatchRecordError(
                f"{type(self._model).__name__} made a {type(message).__name__} of an answer, and "
                "no AIMessage.",
                job_arn=job_arn,
            )
        return message

    def response(self, kind: JobKind, output: bytes, *, job_arn: str | None = None) -> Response:
        """One answer as boto3's `converse` gives it: what a cache stores of a call.

        Args:
            kind: The kind of its record.
            output: `modelOutput` as JSON.
            job_arn: The job, for an error.

        Raises:
            BatchRecordError: It is not in the format of its kind.
            ConfigurationError: Its format is not known.
        """
        read = self._parser(kind)
        try:
            response = read(output)
            response["output"]["message"]["content"]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            # The error's own text may hold some of the answer.
            raise BatchRecordError(
                f"An answer of {kind.model_id} is not in the format of {kind.invocation} jobs "
                f"({type(error).__name__}).",
                job_arn=job_arn,
            ) from None
        # Some formats don't count tokens, and upstream does not do without.
        if not response.get("usage"):
            response["usage"] = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}
        return response

    def _parser(self, kind: JobKind) -> Callable[[bytes], Response]:
        """What makes a Converse response of an answer."""
        if kind.invocation == "Converse":
            return _response
        codec = native_codec(base_of(self._model, kind.model_id), kind.model_id)
        return lambda output: codec.to_response(parsed(output))

    def _report(self, kind: JobKind, job_arn: str | None, region: str | None) -> CallReport:
        report: CallReport = {"model_id": kind.model_id}
        if job_arn is not None:
            report["batch"] = job_arn
        if where := region or (job_arn.split(":")[3] if job_arn else self._region):
            report["region"] = where
        known = known_resolution(kind.model_id)
        if known is not None and known.resolved_id is not None:
            report["resolved_id"] = known.resolved_id
        return report


def _response(output: bytes) -> Response:
    return plain_response(output) or response_from_json(output)


def plain_response(output: bytes) -> Response | None:
    """A Converse response of nothing but text, if it is one; else None.

    Example:
        >>> plain_response(b'{"output":{"message":{"role":"assistant","content":[]}}}')
        {'output': {'message': {'role': 'assistant', 'content': []}}}
        >>> plain_response(b'{"output":{"message":null}}') is None
        True
    """
    try:
        response = orjson.loads(output)
    except ValueError:  # botocore's parser takes a little more
        return None
    if type(response) is not dict or not _are_plain(response, _PARTS):
        return None
    counts = {**response.get("usage", {}), **response.get("metrics", {})}
    if not (counts.keys() <= _COUNTS and all(type(count) is int for count in counts.values())):
        return None
    answered = response.get("output")
    if not answered or not _are_plain(answered, {"message": dict}):
        return None
    message = answered.get("message")
    if not message or not _are_plain(message, {"role": str, "content": list}):
        return None
    return response if all(map(_is_text, message.get("content", ()))) else None


def _are_plain(values: Mapping[str, Any], types: Mapping[str, type]) -> bool:
    return all(type(value) is types.get(key) for key, value in values.items())


def _is_text(block: Any) -> bool:
    return type(block) is dict and block.keys() == {"text"} and type(block["text"]) is str
