"""One record of a job: from a line of its input to a line of its output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from langchain_bedrock_opt.catalog.batch_limits import InvocationType
from langchain_bedrock_opt.emulator.engine import Parts
from langchain_bedrock_opt.emulator.families.invoke import embed, is_embedding, to_body
from langchain_bedrock_opt.emulator.http.converse import converse_output
from langchain_bedrock_opt.emulator.http.jsontext import compact_json
from langchain_bedrock_opt.emulator.http.wire import status_of
from langchain_bedrock_opt.emulator.questions import converse_question, native_question
from langchain_bedrock_opt.emulator.types import ServiceFailure

# Nobody waits for one record of a job, so it has no latency of its own.
_LATENCY_MS: Final = 0

# That such records fail, and with 400, is documented; the text is unverified against AWS.
_NO_TOOLS: Final = "Tool calling is not supported for batch inference with the Converse API."

# Seen in maximhq/bifrost#4516: the job names the model.
_NO_MODEL_ID: Final = "modelId: Extra inputs are not permitted"


class RecordError(NamedTuple):
    """Why a record failed.

    Attributes:
        code: An HTTP status, as a number or as a text.
        message: The reason.
        in_output: Whether it stands in `modelOutput` instead of `error`.
    """

    code: int | str
    message: str
    in_output: bool = False


class RecordAnswer(NamedTuple):
    """What became of a record.

    Attributes:
        line: The line of the output, with its line break.
        input_tokens: Tokens of its prompt.
        output_tokens: Tokens of its answer.
        is_error: Whether it failed.
    """

    line: bytes
    input_tokens: int = 0
    output_tokens: int = 0
    is_error: bool = False


class _Answer(NamedTuple):
    body: bytes
    input_tokens: int
    output_tokens: int


class RecordRunner:
    """Runs records through a model.

    Args:
        parts: What the engine is made of.
        invocation: The format of the records.
        known: The bare id of their model; None if nobody knows.
    """

    def __init__(self, parts: Parts, invocation: InvocationType, known: str | None) -> None:
        self._parts = parts
        self._known = known
        self._base = parts.directory.default_model_id if known is None else known
        self._ask = self._converse if invocation == "Converse" else self._invoke

    def run(self, line: bytes, number: int, error: RecordError | None = None) -> RecordAnswer:
        """Run one record.

        Args:
            line: Its line in the input: a JSON object with a `modelInput`.
            number: Its place in the job, for an id if it has none.
            error: Fail with this, without asking the model.
        """
        record = orjson.loads(line)
        model_input = record["modelInput"]
        record_id = record.get("recordId", f"BEDROCK{number:04d}")
        start = b'{"recordId":%b,"modelInput":%b,' % (
            orjson.dumps(record_id),
            orjson.dumps(model_input),
        )
        if error is None:
            try:
                answer = self._answer(model_input)
            except ServiceFailure as failure:
                error = RecordError(status_of(failure), failure.message)
            else:
                line = start + b'"modelOutput":' + answer.body + b"}\n"
                return RecordAnswer(line, answer.input_tokens, answer.output_tokens)
        told = orjson.dumps({"errorCode": error.code, "errorMessage": error.message})
        key = b'"modelOutput":' if error.in_output else b'"error":'
        return RecordAnswer(start + key + told + b"}\n", is_error=True)

    def _answer(self, model_input: Mapping[str, Any]) -> _Answer:
        if "modelId" in model_input:
            raise ServiceFailure("ValidationException", _NO_MODEL_ID)
        return self._ask(model_input)

    def _converse(self, model_input: Mapping[str, Any]) -> _Answer:
        parts = self._parts
        if "toolConfig" in model_input:
            raise ServiceFailure("ValidationException", _NO_TOOLS)
        params = parts.wire.parse_document("bedrock-runtime", "Converse", model_input)
        reply = converse_question(parts, params, self._known).ask(parts.responder)
        body = compact_json(converse_output(reply, _LATENCY_MS))
        return _Answer(body, reply.input_tokens, reply.output_tokens)

    def _invoke(self, model_input: Mapping[str, Any]) -> _Answer:
        if is_embedding(self._base):
            embedding = embed(self._base, model_input)
            return _Answer(compact_json(embedding.body), embedding.input_tokens, 0)
        reply = native_question(self._base, model_input).ask(self._parts.responder)
        body = compact_json(to_body(self._base, reply, model_input))
        return _Answer(body, reply.input_tokens, reply.output_tokens)
