"""Ten thousand outputs that went wrong in any way: nothing is shifted, nothing silently short."""

from __future__ import annotations

import json
import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from langchain_bedrock_opt.batching.jobs.folder import S3Folder
from langchain_bedrock_opt.batching.parts import Order, Outcome, Services, record_id
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.reading import StageReader
from langchain_bedrock_opt.batching.run.stage import Part, Stage
from langchain_bedrock_opt.batching.run.state import Places, Plan, Shard
from langchain_bedrock_opt.batching.run.tally import Tally
from langchain_bedrock_opt.errors import BatchRecordError
from tests.batch_toy import KIND, Toy, text_of

ARN = "arn:aws:bedrock:us-east-1:111122223333:model-invocation-job/abcdef012345"


class MemoryS3:
    """As much of an S3 client as reading a run takes, without HTTP."""

    meta = SimpleNamespace(region_name="us-east-1")

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, *, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:  # noqa: N803
        self.objects[Key] = Body
        return {}

    def head_object(self, *, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        return {"ContentLength": len(self._found(Key)), "ETag": "x"}

    def get_object(self, *, Key: str, Range: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803
        body = self._found(Key)
        pieces = [body, b""]
        stream = SimpleNamespace(read=lambda *_: pieces.pop(0), close=lambda: None)
        asked = Range.removeprefix("bytes=")
        return {"Body": stream, "ContentRange": f"bytes {asked}/{len(body)}"}

    def list_objects_v2(self, *, Prefix: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        return {"Contents": [{"Key": key, "Size": 1, "ETag": "x"} for key in keys]}

    def _found(self, key: str) -> bytes:
        if key not in self.objects:
            from botocore.exceptions import ClientError

            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return self.objects[key]


def good_line(place: int) -> bytes:
    answer = {"message": {"role": "assistant", "content": [{"text": f"answer {place}"}]}}
    output = {"output": answer, "usage": {"inputTokens": 1, "outputTokens": 1}}
    line = {"recordId": record_id(place), "modelInput": {"a": "b"}, "modelOutput": output}
    return json.dumps(line).encode()


def bad_line(place: int, chance: random.Random) -> bytes:
    error = {"errorCode": chance.choice([400, "429", 500]), "errorMessage": "no"}
    line: dict[str, Any] = {"recordId": record_id(place), "modelInput": {}}
    line |= {"error": error} if chance.random() < 0.5 else {"modelOutput": error}
    return json.dumps(line).encode()


def fuzzed(count: int, chance: random.Random, damage: Counter[str]) -> tuple[bytes, set[int]]:
    """An output that went wrong, and the places whose answer is whole in it."""
    lines = [(place, good_line(place)) for place in range(count)]
    lines = [line for line in lines if chance.random() > 0.1]
    damage["dropped"] += len(lines) < count
    again = [chance.choice(lines) for _ in range(chance.randrange(3)) if lines]
    damage["duplicated"] += bool(again)
    lines += again
    lines += [(place, bad_line(place, chance)) for place in range(count) if chance.random() < 0.1]
    if chance.random() < 0.3:
        damage["unknown"] += 1
        lines.append((-1, good_line(10**6)))
        lines.append((-1, b'{"recordId": "CALL0000001", "modelOutput": {}}'))
        lines.append((-1, b'{"modelOutput": {}}'))
        lines.append((-1, b"not JSON"))
    before = list(lines)
    chance.shuffle(lines)
    damage["shuffled"] += lines != before
    body = b"".join(line + b"\n" for _, line in lines)
    if chance.random() < 0.5 and len(body) > 400:
        damage["truncated"] += 1
        body = body[: len(body) - chance.randrange(1, 400)]
    whole = set(body.split(b"\n"))
    return body, {
        place for place, line in lines if place >= 0 and line in whole and b"errorCode" not in line
    }


class Stored(Stage):
    """A stage of one shard of one job, of which only the output is in S3."""

    def __init__(self, folder: S3Folder, count: int) -> None:
        super().__init__(folder, 0)
        places = Places([[0, count - 1]])
        shard = Shard(0, KIND, "job", "input/x.jsonl", count, 1, "ab", places)
        self._parts = [Part(shard, ARN, {"status": "Completed", "success": count})]
        self._plan = Plan(inputs=count, records=count)

    def parts(self) -> list[Part]:
        return self._parts

    def plan(self) -> Plan:
        return self._plan


@pytest.mark.parametrize("seed", range(4))
def test_no_answer_is_shifted_and_none_is_silently_missing(seed: int) -> None:
    """Each place has one outcome: its own answer wherever that is whole, else an error."""
    chance = random.Random(seed)
    s3 = MemoryS3()
    folder = S3Folder(s3, "s3://bucket/run/")
    settings: Any = None
    context = Context(
        folder=folder,
        run_id="fuzz",
        program=Toy(),
        settings=settings,
        services=Services(bedrock=s3, s3=s3, sleep=lambda _: None),
        estimate=lambda *_: (0, 0),
    )

    damage: Counter[str] = Counter()
    for _ in range(2500):
        count = chance.randrange(1, 9)
        body, whole = fuzzed(count, chance, damage)
        s3.objects = {"run/stage-0/output/00000/abcdef012345/00000.jsonl.out": body}
        order: Order = chance.choice(["input", "any"])
        tally = Tally(context.tariff)
        reader = StageReader(context, Stored(folder, count), tally)

        endings = list(reader.endings(order))

        assert sorted(ending.place for ending in endings) == list(range(count))
        for ending in endings:
            assert isinstance(ending, Outcome)
            if ending.place in whole:
                assert text_of(ending.output or b"") == f"answer {ending.place}"
            else:
                assert isinstance(ending.error, BatchRecordError)
                assert ending.error.index == ending.place
        counts = tally.counts
        assert counts.success == len(whole)
        assert counts.success + counts.error + counts.missing == count
    kinds = ("dropped", "duplicated", "unknown", "shuffled", "truncated")
    assert all(damage[kind] > 500 for kind in kinds), damage
