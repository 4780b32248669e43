"""What records cost in CPU: from a chain's input to JSONL, and from an answer to a message."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from langchain_aws import ChatBedrockConverse
from langchain_core.prompts import ChatPromptTemplate

from benchmarks.batch_chain import MODEL, TEXT, an_input
from benchmarks.batch_chain import prompt as chain_prompt
from benchmarks.harness import Result, compare
from langchain_bedrock_opt.aws.replay import CaptureClient, ReplayClient, response_from_json
from langchain_bedrock_opt.batching.parts import record_id
from langchain_bedrock_opt.batching.records.estimates import estimate
from langchain_bedrock_opt.batching.records.reader import Reader
from langchain_bedrock_opt.batching.records.recorder import Recorder
from langchain_bedrock_opt.batching.records.templates import compile_prompt

JOB = "arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/abcdefabcdef"
RECORDS = 50_000
SLOW_RECORDS = 1_000
ANSWERS = 5_000
ROUNDS = 3


def run(records: int = RECORDS, rounds: int = ROUNDS) -> Result:
    """Compare the ways from an input to a line, and from an answer to a message."""
    client: Any = SimpleNamespace(meta=SimpleNamespace(region_name="us-east-1"))
    model = ChatBedrockConverse(model=MODEL, client=client, bedrock_client=client, max_tokens=500)
    prompt = chain_prompt()
    recorder = Recorder(model)
    compiled = compile_prompt(prompt, recorder)
    if compiled is None:
        raise RuntimeError("the prompt was not compiled")
    body = compiled(an_input(0))
    document = json.loads(body)

    def general(item: dict[str, str]) -> bytes:
        return recorder.record(prompt.format_messages(**item))

    def cost(make: Callable[[dict[str, str]], bytes], count: int) -> Callable[[], float]:
        return lambda: _cpu(lambda number: _line(number, make(an_input(number))), count)

    short = compare(
        cost(compiled, records),
        cost(lambda _: json.dumps(document).encode(), records),
        rounds=rounds,
    )
    usual = compare(
        cost(general, records),
        cost(_naive(prompt, model), min(records, SLOW_RECORDS)),
        rounds=rounds,
    )
    reading = _reading(model, recorder, rounds)
    estimating = _cpu(lambda _: estimate(body, recorder.kind), ANSWERS)
    return Result(
        benchmark="batch_records",
        figures={
            "input to line, compiled, CPU µs": short.ours,
            "input to line, through messages, CPU µs": usual.ours,
            "compiled / json.dumps of the body": short.ratio,
            "through messages / prompt.invoke + capture + json.dumps": usual.ratio,
            "answer to message, CPU µs": reading.ours,
            "answer to message / botocore's parser + replay": reading.ratio,
            "token estimate, CPU µs a kB": estimating / len(body) * 1000,
        },
        baselines={
            "json.dumps of the body, CPU µs": short.baseline,
            "prompt.invoke + capture + json.dumps, CPU µs": usual.baseline,
            "botocore's parser + replay, CPU µs": reading.baseline,
        },
        goals={
            "input to line, compiled, CPU µs": ("<=", 8),
            "input to line, through messages, CPU µs": ("<=", 30),
            "answer to message / botocore's parser + replay": ("<=", 1),
        },
    )


def _line(number: int, body: bytes) -> bytes:
    return b'{"recordId":"%b","modelInput":%b}\n' % (record_id(number).encode(), body)


def _naive(
    prompt: ChatPromptTemplate, model: ChatBedrockConverse
) -> Callable[[dict[str, str]], bytes]:
    """The way without any of this: the prompt, the model with a client that keeps, json."""

    def make(item: dict[str, str]) -> bytes:
        capture = CaptureClient()
        copy = model.model_copy(update={"client": capture})
        copy._generate(prompt.invoke(item).to_messages())  # noqa: SLF001 - a documented override point
        request = capture.requests[0]
        del request["modelId"]
        return json.dumps(request).encode()

    return make


def _reading(model: ChatBedrockConverse, recorder: Recorder, rounds: int) -> Any:
    message = {"role": "assistant", "content": [{"text": TEXT}]}
    usage = {"inputTokens": 900, "outputTokens": 400, "totalTokens": 1300}
    output = json.dumps(
        {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}
    ).encode()
    reader, prompt = Reader(model), ChatPromptTemplate.from_messages(["-"]).format_messages()

    def replay(_: int) -> object:
        client = ReplayClient(response_from_json(output))
        copy = model.model_copy(update={"client": client})
        return copy._generate(list(prompt))  # noqa: SLF001 - a documented override point

    return compare(
        lambda: _cpu(lambda _: reader.message(recorder.kind, output, job_arn=JOB), ANSWERS),
        lambda: _cpu(replay, ANSWERS),
        rounds=rounds,
    )


def _cpu(work: Callable[[int], object], count: int) -> float:
    """Microseconds of CPU that one piece of work takes."""
    start = time.process_time()
    for number in range(count):
        work(number)
    return (time.process_time() - start) / count * 1e6
