"""LangChain messages as `modelInput`: the user's own model, with a client that keeps requests."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from langchain_aws import ChatBedrockConverse
from langchain_core.messages import BaseMessage, HumanMessage

from langchain_bedrock_opt.aws.layers import Request, region_of
from langchain_bedrock_opt.aws.replay import to_json_bytes
from langchain_bedrock_opt.aws.request_check import complaint_about
from langchain_bedrock_opt.batching.parts import JobKind
from langchain_bedrock_opt.batching.records.kinds import Invocation, base_of, writing_of
from langchain_bedrock_opt.batching.records.seam import SeamClient
from langchain_bedrock_opt.batching.records.skeletons import Skeletons
from langchain_bedrock_opt.chat_model import ChatBedrockOptimized
from langchain_bedrock_opt.errors import ConfigurationError, InvalidRequestError

_logger = logging.getLogger(__name__)

# A job has its own price and place in line.
_NOT_IN_JOBS: Final = ("serviceTier", "performanceConfig")
_NOT_IN_RECORDS: Final = frozenset({"modelId", *_NOT_IN_JOBS})
# Models whose way of making a request is known: of the same messages always the same request.
_KNOWN_WAYS: Final = frozenset({ChatBedrockConverse._generate, ChatBedrockOptimized._generate})  # noqa: SLF001 - a documented override point


class Recorder:
    """Turns lists of LangChain messages into records' bodies, by the user's own chat model.

    All of upstream's conversion is upstream's: tools, system prompts, cache points, `stop`, output
    schemas. What the model is asked is what it would be asked without a job, at the job's price: a
    service tier or a latency setting is left out, with a warning. Guardrails and cache points stay
    in Converse records; what a job makes of them is unverified against AWS. Used by many threads at
    once.

    Args:
        model: The user's model. It is not changed, and its client is not used.
        stop: Where answers stop.
        kwargs: What is bound to the model, such as `tools`.
        invocation: The format of records. "auto" is Converse, or with tools, which Converse jobs
            refuse, the model's own.

    Raises:
        ConfigurationError: No job takes such records.

    Example:
        >>> from types import SimpleNamespace
        >>> client = SimpleNamespace(meta=SimpleNamespace(region_name="us-east-1"))
        >>> model = ChatBedrockConverse(
        ...     model="amazon.nova-lite-v1:0", client=client, bedrock_client=client
        ... )
        >>> recorder = Recorder(model)
        >>> recorder.kind
        JobKind(model_id='amazon.nova-lite-v1:0', invocation='Converse')
        >>> recorder.record([HumanMessage("Hi")])
        b'{"messages":[{"role":"user","content":[{"text":"Hi"}]}],"system":[],"inferenceConfig":{}}'
    """

    def __init__(
        self,
        model: ChatBedrockConverse,
        *,
        stop: Sequence[str] | None = None,
        kwargs: Mapping[str, Any] = MappingProxyType({}),
        invocation: Invocation = "auto",
    ) -> None:
        self._client = SeamClient(region_of(model.client))
        self._model = model.model_copy(update={"client": self._client})
        self._stop = list(stop) if stop is not None else None
        self._kwargs = dict(kwargs)
        example = self._request([HumanMessage("-")])
        if complaint := complaint_about(example):
            raise ConfigurationError(
                f"The model's settings make a request that Converse does not take: {complaint}."
            )
        base = base_of(model, str(example["modelId"]))
        self._base = base or ""
        self._kind, self._codec = writing_of(base, example, invocation)
        self._body_of(example)  # settings that have no place in the format are told now
        _warn_of_dropped(example)
        self._copies_text = self._codec is None or self._codec.copies_text
        self._copies_text &= type(model)._generate in _KNOWN_WAYS  # noqa: SLF001 - see there
        self._skeletons = Skeletons(self.record_slowly)

    @property
    def kind(self) -> JobKind:
        """The kind of job that takes the records."""
        return self._kind

    @property
    def copies_text(self) -> bool:
        """Whether a plain text goes into the record as it is, so that records may be patched."""
        return self._copies_text

    def record(self, messages: Sequence[BaseMessage]) -> bytes:
        """One record's body.

        Args:
            messages: The conversation.

        Returns:
            `modelInput` as one line of JSON, in UTF-8.

        Raises:
            ConfigurationError: The model's own format has no place for something in it.
            InvalidRequestError: Converse would not take it. A job would say so after hours.
            Exception: The messages can't be converted; what upstream raises is raised.
        """
        if self._copies_text:
            return self._skeletons.record(messages)
        return self.record_slowly(messages)

    def record_slowly(self, messages: Sequence[BaseMessage]) -> bytes:
        """The same, the long way: what `record` is checked against."""
        request = self._request(messages)
        if request["modelId"] != self._kind.model_id:
            raise ConfigurationError(
                f"A record names the model {request['modelId']!r}, and its job is for "
                f"{self._kind.model_id!r}: one job asks one model."
            )
        # Texts in the gaps of a record change nothing of this: each shape comes by here once.
        if complaint := complaint_about(request):
            raise InvalidRequestError(f"Converse does not take these messages: {complaint}.")
        return to_json_bytes(self._body_of(request))

    def _body_of(self, request: Request) -> Request:
        """A request as a record's body: the job knows its model, and has its own price."""
        body = {key: value for key, value in request.items() if key not in _NOT_IN_RECORDS}
        return body if self._codec is None else self._codec.to_body(body, self._base)

    def _request(self, messages: Sequence[BaseMessage]) -> Request:
        """The Converse request that the model makes of messages."""
        # A copy of the list: upstream writes into it.
        self._model._generate(list(messages), self._stop, **self._kwargs)  # noqa: SLF001 - see there
        request, self._client.request = self._client.request, {}
        return dict(request)


def _warn_of_dropped(request: Mapping[str, Any]) -> None:
    for key in _NOT_IN_JOBS:
        if key in request:
            _logger.warning("%s=%r is left out: a job has its own price.", key, request[key])
