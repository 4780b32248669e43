"""Texts that UTF-8 has no bytes for, which models and steps may come up with, stop no run."""

from __future__ import annotations

import json

from langchain_bedrock_opt.batching.parts import JobKind, Outcome
from langchain_bedrock_opt.errors import InvalidRequestError
from tests.batch_service import make_batch_service
from tests.batch_toy import TEXTS, Toy, begin, question_of

HALF = "half an emoji \ud83d"


def test_half_an_emoji_of_a_cache_is_kept() -> None:
    """A cached answer with half an emoji comes back as it is, and the others come too."""
    program = Toy()
    program.known = {TEXTS[3]: HALF}

    outputs = begin(make_batch_service(), program=program).outputs()

    assert outputs[3] == HALF
    assert [question_of(output) for output in outputs[4:]] == TEXTS[4:]


class Failing(Toy):
    """A program whose step between its stages quotes half an emoji as it fails."""

    def result(self, stage: int, outcome: Outcome) -> str:
        if stage == 0 and outcome.place == 3:
            raise ValueError(HALF)
        return super().result(stage, outcome)


def test_half_an_emoji_of_a_failing_step_is_kept() -> None:
    """An error between two stages that quotes half an emoji is that input's alone."""
    results = list(begin(make_batch_service(), program=Failing(stages=2)).results())

    assert [result.index for result in results if result.error] == [3]
    assert str(results[3].error) == HALF


def test_half_an_emoji_of_a_single_call_is_kept() -> None:
    """An answer on demand, and an error, may have half an emoji in it."""

    def direct(_kind: JobKind, body: bytes, _flex: bool) -> bytes:  # noqa: FBT001
        if TEXTS[1] in body.decode():
            raise InvalidRequestError(HALF)
        message = {"role": "assistant", "content": [{"text": HALF}]}
        return json.dumps({"output": {"message": message}, "usage": {}}).encode()

    answered, failed = begin(make_batch_service(), TEXTS[:2], direct=direct).results()

    assert answered.output == HALF
    assert str(failed.error) == HALF
