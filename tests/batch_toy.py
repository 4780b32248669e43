"""A program of texts for runs of invocation jobs: text in, the model's text out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from langchain_core.messages import AIMessage

from langchain_bedrock_opt.batching.parts import (
    BatchResult,
    Entry,
    JobKind,
    Known,
    Outcome,
    Record,
    Refused,
    Services,
)
from langchain_bedrock_opt.batching.run.batch_run import BatchRun, submit
from tests.batch_service import NOVA, BatchService

KIND = JobKind(NOVA, "Converse")


def body_of(text: str) -> bytes:
    """A Converse record that asks for a text."""
    content = [{"role": "user", "content": [{"text": text}]}]
    return json.dumps({"messages": content}).encode()


class Toy:
    """Asks a model for each text.

    None is an input that no record can be made of, and a text in `known` is in a cache. A result
    is the model's words, which have the question in them; a text with "poison" in it fails after
    the answer.
    """

    fingerprint = "toy"

    def __init__(self, stages: int = 1) -> None:
        self.stages = stages
        self.known: dict[str, str] = {}
        self.kinds: dict[str, JobKind] = {}

    def entries(self, stage: int, items: Iterable[tuple[int, Any]]) -> Iterator[Entry]:
        for place, text in items:
            if text is None:
                yield Refused(place, ValueError("there is no text"))
            elif text in self.known:
                yield Known(place, AIMessage(self.known[text]), body_of(f"<{text}>"))
            else:
                yield Record(place, self.kinds.get(text, KIND), body_of(f"<{text}>"))

    def result(self, stage: int, outcome: Outcome) -> str:
        if outcome.error is not None:
            raise outcome.error
        if outcome.message is not None:
            return str(outcome.message.content)
        text = text_of(outcome.output or b"")
        if "poison" in text:
            raise ValueError("poison")
        return text if stage == self.stages - 1 else question_of(text)


def text_of(output: bytes) -> str:
    """The words of an answer."""
    text: str = json.loads(output)["output"]["message"]["content"][0]["text"]
    return text


def question_of(text: str) -> str:
    """The question that an answer quotes."""
    return text.partition("<")[2].partition(">")[0]


def services_for(service: BatchService, **more: Any) -> Services:
    """The clients and the clock of a local Bedrock."""
    return Services(
        bedrock=service.bedrock,
        s3=service.s3,
        clock=service.clock,
        sleep=service.clock.sleep,
        **more,
    )


class Calls:
    """Answers single calls by a local Bedrock, and counts them."""

    def __init__(self, service: BatchService) -> None:
        self._runtime = service.runtime
        self.errors: list[Exception] = []
        self.flex: list[bool] = []
        self.before: Callable[[], object] = lambda: None

    def __call__(self, kind: JobKind, body: bytes, flex: bool) -> bytes:  # noqa: FBT001
        self.flex.append(flex)
        self.before()
        if self.errors:
            raise self.errors.pop()
        answer = self._runtime.converse(modelId=kind.model_id, **json.loads(body))
        answer.pop("ResponseMetadata")
        return json.dumps(answer).encode()


TEXTS = [f"question {number}" for number in range(23)]


def begin(service: BatchService, texts: Any = TEXTS, **more: Any) -> BatchRun:
    program = more.pop("program", None) or Toy()
    direct = more.pop("direct", None)
    settings = {"max_records": 10, **more.pop("settings", {})}
    return submit(
        program,
        texts,
        service.settings(**settings),
        services_for(service, direct=direct),
        **more,
    )


def check(results: list[BatchResult], texts: list[Any]) -> None:
    """Each result is at its place, and each answer is about its own question."""
    assert [result.index for result in results] == list(range(len(texts)))
    for result, text in zip(results, texts, strict=True):
        if result.error is None:
            assert question_of(result.output) == text
