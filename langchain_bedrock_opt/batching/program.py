"""The program of a run that asks one model: each item is a prompt, each result a message."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cached_property, partial
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.utils.utils import LC_ID_PREFIX
from langchain_core.utils.uuid import uuid7

from langchain_bedrock_opt.batching.callbacks import TRACING_ARGUMENTS
from langchain_bedrock_opt.batching.hits import as_hit
from langchain_bedrock_opt.batching.known import Known as Cache
from langchain_bedrock_opt.batching.parts import Entry, JobKind, Known, Outcome, Record, Refused
from langchain_bedrock_opt.batching.records.reader import Reader
from langchain_bedrock_opt.batching.records.recorder import Recorder

_QUESTIONS: Final = 32
"""Questions to a cache at once."""

_NO_ERRORS: Mapping[int, Exception] = MappingProxyType({})


class ModelProgram:
    """Asks one model. A `parts.Program` of one stage.

    Args:
        model: The model.
        stop: Stop sequences.
        kwargs: The call's other arguments, such as `tools`.
        cache: Asked before an input is sent; None if there is none.
        refused: Inputs by their place that are not to be sent, and why.

    Raises:
        ConfigurationError: No job takes what the model is asked with these arguments.
    """

    stages = 1

    def __init__(
        self,
        model: ChatBedrockConverse,
        *,
        stop: list[str] | None = None,
        kwargs: Mapping[str, Any] = MappingProxyType({}),
        cache: Cache | None = None,
        refused: Mapping[int, Exception] = _NO_ERRORS,
    ) -> None:
        given = {name: value for name, value in kwargs.items() if name not in TRACING_ARGUMENTS}
        self._recorder = Recorder(model, stop=stop, kwargs=given)
        self._reader = Reader(model, kwargs=given)
        self._arguments = {"stop": stop, **given}
        self._has_blocks = model.output_version == "v1"
        self._cache = cache
        self._refused = refused

    @property
    def kind(self) -> JobKind:
        """What all its records have in common."""
        return self._recorder.kind

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the model and of what it is called with."""
        described = [*self.kind, self._arguments]
        text = json.dumps(described, sort_keys=True, default=lambda value: type(value).__name__)
        return hashlib.sha256(text.encode()).hexdigest()

    def entries(self, _stage: int, items: Iterable[tuple[int, Any]]) -> Iterator[Entry]:
        """Make a record of each prompt that has to be asked."""
        if self._cache is not None:
            return self._looked_up(items)
        return (self.entry(place, item) for place, item in items)

    def _looked_up(self, items: Iterable[tuple[int, Any]]) -> Iterator[Entry]:
        """The entries, with several questions to the cache at once: it may be a network away."""
        waiting = iter(items)
        with ThreadPoolExecutor(_QUESTIONS, "bedrock-opt-batch-cache") as pool:
            while chunk := list(islice(waiting, _QUESTIONS)):
                # A cache may have been told something for the calls of this context.
                tasks = [partial(copy_context().run, self.entry, *item) for item in chunk]
                yield from pool.map(lambda task: task(), tasks)

    def entry(self, place: int, item: Any) -> Entry:
        """What becomes of one item: its record, or a cache's answer, or why it is not sent."""
        try:
            if place in self._refused:
                return Refused(place, self._refused[place])
            messages = messages_of(item)
            body = self._recorder.record(messages)
            found = self._cache.find(place, messages) if self._cache else None
            if found is not None:
                return Known(place, found, body)
            return Record(place, self.kind, body)
        except Exception as error:  # noqa: BLE001 - this input fails, the others go on
            return Refused(place, error)

    def result(self, _stage: int, outcome: Outcome) -> AIMessage:
        """The answer of an outcome.

        Raises:
            Exception: There is none.
        """
        if outcome.error is not None:
            raise outcome.error
        message = outcome.message or self._read(outcome)
        message.id = f"{LC_ID_PREFIX}-{uuid7()}-0"
        return message

    def _read(self, outcome: Outcome) -> AIMessage:
        kind, output = outcome.kind, outcome.output
        if kind is None or output is None:
            raise TypeError("an outcome without an answer: please report this as a bug")
        message = self._reader.message(kind, output, job_arn=outcome.job_arn)
        if self._has_blocks:
            message = _in_blocks(message)
        if outcome.source == "same":
            return as_hit(message, "flight")
        if self._cache is not None:
            response = partial(self._reader.response, kind, output)
            self._cache.keep(outcome.place, message, response)
        return message


def messages_of(prompt: Any) -> list[BaseMessage]:
    """The messages of a chat model's input.

    Args:
        prompt: A text, a prompt value, or messages in any form LangChain knows.

    Raises:
        ValueError: It is none of these.

    Example:
        >>> messages_of("Hi")
        [HumanMessage(content='Hi', additional_kwargs={}, response_metadata={})]
    """
    if isinstance(prompt, PromptValue):
        return prompt.to_messages()
    if isinstance(prompt, str):
        return [HumanMessage(prompt)]
    if isinstance(prompt, Sequence):
        return convert_to_messages(prompt)
    raise ValueError(
        f"Type {type(prompt).__name__} is no input of a chat model: pass a text, a prompt value or "
        "a list of messages."
    )


def _in_blocks(message: AIMessage) -> AIMessage:
    """The answer with LangChain's own content blocks, as `output_version="v1"` has it."""
    metadata = {**message.response_metadata, "output_version": "v1"}
    update = {"content": message.content_blocks, "response_metadata": metadata}
    return message.model_copy(update=update)
