"""Jobs that answer all records alike, some fifty times as fast as the local Bedrock's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from langchain_bedrock_opt import BedrockEmulator
from langchain_bedrock_opt.emulator.jobs.records import RecordAnswer, RecordRunner

ANSWER = "Kyoto was the capital of Japan for more than a thousand years. 京都は千年の都。 " * 7
OUTPUT = json.dumps(
    {
        "output": {"message": {"role": "assistant", "content": [{"text": ANSWER}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 412, "outputTokens": 203, "totalTokens": 615},
        "metrics": {"latencyMs": 900},
    },
    ensure_ascii=False,
).encode()


@contextmanager
def quick_emulator(bucket: str) -> Iterator[BedrockEmulator]:
    """A local Bedrock, served by HTTP, whose jobs don't think.

    Args:
        bucket: A bucket that it has.
    """

    def answer(_: Any, line: bytes, *_args: object) -> RecordAnswer:
        return RecordAnswer(b'%b,"modelOutput":%b}\n' % (line.rstrip()[:-1], OUTPUT), 412, 203)

    with patch.object(RecordRunner, "run", answer), BedrockEmulator() as emulator:
        emulator.client("s3").create_bucket(Bucket=bucket)
        yield emulator
