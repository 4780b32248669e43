"""A request that has been checked, between its arrival and its answer.

Calls and the records of invocation jobs come here by different ways and are asked the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from langchain_bedrock_opt.emulator.engine import Parts
from langchain_bedrock_opt.emulator.families.invoke import to_converse
from langchain_bedrock_opt.emulator.types import Reply, Responder
from langchain_bedrock_opt.emulator.validation import check_converse


class Question(NamedTuple):
    """What a responder is to be asked.

    Attributes:
        base: The bare id of the model that answers.
        request: The Converse request.
        extra: Top-level keys that the answer carries besides the responder's.
    """

    base: str
    request: Mapping[str, Any]
    extra: Mapping[str, Any] = {}

    def ask(self, responder: Responder) -> Reply:
        """Have it answered.

        Raises:
            ServiceFailure: The responder says so.
        """
        # The model that answers is the one behind the id.
        reply = responder.reply({**self.request, "modelId": self.base})
        if not self.extra:
            return reply
        return replace(reply, extra={**self.extra, **reply.extra})


def converse_question(
    parts: Parts,
    params: Mapping[str, Any],
    known: str | None,
    *,
    streaming: bool = False,
    extra: Mapping[str, Any] | None = None,
) -> Question:
    """Check a Converse request.

    Args:
        parts: What the engine is made of.
        params: Converse's parameters, blobs as bytes.
        known: The bare id of the model behind it. None for an ARN nobody registered: then the
            model is a guess, which must not decide what is valid.
        streaming: Whether the answer is to be a stream.
        extra: Top-level keys that the answer shall carry.

    Raises:
        ServiceFailure: Bedrock would refuse it.
    """
    check_converse(params, known, streaming=streaming, without=parts.without_rules)
    base = parts.directory.default_model_id if known is None else known
    return Question(base, params, extra or {})


def native_question(base: str, body: Mapping[str, Any]) -> Question:
    """Check a chat model's native body.

    Args:
        base: The bare id of the model.
        body: The parsed body.

    Raises:
        ServiceFailure: Bedrock would refuse it.
    """
    return Question(base, to_converse(base, body))
