"""`bedrock-opt cache`: stores by their names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from langchain_bedrock_opt import (
    BedrockSemanticCache,
    ChatBedrockOptimized,
    DiskCacheStore,
    RedisCacheStore,
)
from langchain_bedrock_opt.emulator import BedrockEmulator
from tests.unit_tests.cli.conftest import Run

NOVA = "us.amazon.nova-lite-v1:0"


@pytest.fixture
def questions(tmp_path: Path) -> str:
    """A file of two questions, one with its answer."""
    rows = [
        {"prompt": "日本の首都は?", "answer": "東京です。", "tags": ["geo"]},
        {"prompt": "What is 2 + 2?"},
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "answers")


def warm_up(run: Run, store: str, questions: str, *options: str) -> dict[str, int]:
    """Fill a store, and say what has become of the questions."""
    ended = run("cache", "warm-up", store, questions, "--model", NOVA, "--json", *options)
    assert ended.code == 0, ended.err
    done: dict[str, int] = ended.document
    return {name: done[name] for name in ("known", "stored")}


def test_a_cache_is_filled_and_served(
    aws: BedrockEmulator, run: Run, questions: str, folder: str
) -> None:
    """What the command has put into a folder answers a model with the same limits."""
    assert warm_up(run, folder, questions, "--max-tokens", "300") == {"known": 0, "stored": 2}

    cache = BedrockSemanticCache(store=DiskCacheStore(folder))
    model = ChatBedrockOptimized(model=NOVA, max_tokens=300, cache=cache)
    assert model.invoke("日本の首都は?").content == "東京です。"
    assert cache.stats().hits == 1
    cache.close()


def test_answers_are_made_invalid(
    aws: BedrockEmulator, run: Run, questions: str, folder: str
) -> None:
    """Answers with a tag, or of a tenant, or all of them, are served no more."""
    warm_up(run, folder, questions)
    tagged = run("cache", "invalidate", f"disk:{folder}", "--tag", "geo")
    assert (tagged.code, "answers with geo are served no more" in tagged.out) == (0, True)
    assert warm_up(run, folder, questions) == {"known": 1, "stored": 1}

    assert "tenant 'acme'" in run("cache", "invalidate", folder, "--tenant", "acme").out
    assert warm_up(run, folder, questions) == {"known": 2, "stored": 0}

    assert run("cache", "invalidate", folder, "--all", "--namespace", "other").code == 0
    assert warm_up(run, folder, questions) == {"known": 2, "stored": 0}
    assert run("cache", "invalidate", folder, "--all", "--json").document["tags"] is None
    assert warm_up(run, folder, questions) == {"known": 0, "stored": 2}


def test_a_cache_is_cleared_on_demand_only(
    aws: BedrockEmulator, run: Run, questions: str, folder: str
) -> None:
    """Without --yes nothing is forgotten; with it everything is."""
    warm_up(run, folder, questions)
    before = run("cache", "stats", folder, "--json").document
    refused = run("cache", "clear", folder)
    assert (refused.code, "say --yes" in refused.err) == (2, True)
    assert run("cache", "stats", folder, "--json").document == before
    assert before["entries"] >= 2
    assert before["bytes"] > 0

    assert run("cache", "clear", folder, "--yes").code == 0
    assert "0 entries" in run("cache", "stats", folder).out


def test_a_table_is_described_and_made(aws: BedrockEmulator, run: Run, questions: str) -> None:
    """The table of a cache is told as CloudFormation's properties, made, and used."""
    described = run("cache", "table", "cli-answers").document
    assert described["TimeToLiveSpecification"]["Enabled"]
    assert run("cache", "stats", "dynamodb:cli-answers").code == 3

    assert run("cache", "table", "cli-answers", "--create", "--json").document["created"]
    assert warm_up(run, "dynamodb:cli-answers", questions) == {"known": 0, "stored": 2}
    stats = run("cache", "stats", "dynamodb:cli-answers", "--json").document
    table = aws.client("dynamodb").describe_table(TableName="cli-answers")["Table"]
    assert stats["entries"] == table["ItemCount"] >= 2
    assert "whole table, as DynamoDB last counted" in stats["counted"]
    assert stats["counted"] in run("cache", "stats", "dynamodb:cli-answers").out


def test_a_cache_in_redis(redis_url: str, run: Run) -> None:
    """A server's entries are counted under the prefix alone."""
    store = RedisCacheStore(redis_url, prefix="cli-[tests]")
    store.clear()
    store.put("one", b"1", 60)
    store.put("two", b"2", 60)
    try:
        stats = run("cache", "stats", redis_url, "--prefix", "cli-[tests]", "--json").document
    finally:
        store.clear()
        store.close()

    assert stats == {"store": "RedisCacheStore(prefix='cli-[tests]')", "entries": 2, "bytes": None}


def test_rows_that_fail(aws: BedrockEmulator, run: Run, tmp_path: Path, folder: str) -> None:
    """Questions that the model does not take are told by their rows, and the code is 1."""
    path = tmp_path / "questions.jsonl"
    path.write_text('{"prompt": [["martian", "Hello"]]}\n{"prompt": "Hello"}', "utf-8")
    ended = run("cache", "warm-up", folder, str(path), "--model", NOVA)

    assert ended.code == 1
    assert "1 stored, 0 not kept, 1 failed" in ended.out
    assert "row 1: " in ended.err


@pytest.mark.parametrize(
    "command", [["stats"], ["clear", "--yes"], ["invalidate", "--all"]], ids=lambda each: each[0]
)
def test_a_folder_that_is_no_cache_stays_as_it_is(
    command: list[str], run: Run, tmp_path: Path
) -> None:
    """A folder without a cache gets none from a look, and keeps its permissions."""
    folder = tmp_path / "empty"
    folder.mkdir(mode=0o755)
    ended = run("cache", command[0], str(folder), *command[1:])

    assert (ended.code, "There is no cache in folder" in ended.err) == (2, True)
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("store", ["redis://:s3cr@et@localhost/0", "rediss://kim:s3cr@et@host:1"])
def test_a_password_is_not_told(store: str, run: Run) -> None:
    """A store's password is not repeated."""
    ended = run("cache", "clear", store)

    assert ended.code == 2
    assert "***@" in ended.err
    assert "et@" not in ended.err


@pytest.mark.parametrize(
    ("store", "code", "words"),
    [
        ("nowhere", 2, "There is no folder 'nowhere'"),
        ("memory:", 2, "'memory:' is no store: write disk:FOLDER"),
        ("dynamodb:a", 2, "must be 3 to 255"),
        ("redis://127.0.0.1:1/0", 3, "Connection refused"),
    ],
)
def test_a_store_that_is_none(store: str, code: int, words: str, run: Run) -> None:
    """A name that is no store's, or whose store can't be reached, is told with what to write."""
    ended = run("cache", "stats", store)

    assert ended.code == code
    assert words in ended.err


def asked(aws: BedrockEmulator) -> int:
    """How many answers were paid for."""
    return aws.journal.count(operation="Converse")


@pytest.fixture
def many(tmp_path: Path) -> str:
    """A file of ten questions without answers."""
    path = tmp_path / "many.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": f"Question {n}"}) for n in range(10)), "utf-8")
    return str(path)


def test_nothing_is_paid_for_without_a_store(aws: BedrockEmulator, run: Run, many: str) -> None:
    """A store that can't be reached is found out before the first answer is paid for."""
    before = asked(aws)
    ended = run("cache", "warm-up", "redis://127.0.0.1:1/0", many, "--model", NOVA, "--json")

    assert (ended.code, ended.document["error"]["type"]) == (3, "CacheStoreError")
    assert asked(aws) == before


def test_what_is_not_kept_is_not_paid_for(
    aws: BedrockEmulator, run: Run, many: str, folder: str
) -> None:
    """A temperature above 0, whose answers no cache keeps, is refused before any answer."""
    before = asked(aws)
    ended = run("cache", "warm-up", folder, many, "--model", NOVA, "--temperature", "0.7")

    assert (ended.code, "a temperature above 0" in ended.err) == (2, True)
    assert asked(aws) == before
    assert run("cache", "warm-up", folder, many, "--model", NOVA, "--temperature", "0").code == 0


def test_answers_that_are_cut_are_told(
    aws: BedrockEmulator, run: Run, many: str, folder: str
) -> None:
    """Answers that are cut by --max-tokens are named by their rows, and the code is 1."""
    ended = run("cache", "warm-up", folder, many, "--model", NOVA, "--max-tokens", "1", "--json")

    assert (ended.code, ended.document["unkept"]) == (1, list(range(1, 11)))
    assert "row 10: answered and not kept" in ended.err


def test_questions_in_any_utf_8(
    aws: BedrockEmulator, run: Run, tmp_path: Path, folder: str
) -> None:
    """A byte order mark and a line separator inside a text leave a file of questions right."""
    path = tmp_path / "questions.jsonl"
    rows = [{"prompt": "one\u2028two", "answer": "1"}, {"prompt": "three", "answer": "3"}]
    lines = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(lines, "utf-8-sig")

    assert warm_up(run, folder, str(path)) == {"known": 0, "stored": 2}
    path.write_text("\n", "utf-8")
    empty = run("cache", "warm-up", folder, str(path), "--model", NOVA)
    assert (empty.code, "holds no question" in empty.err) == (2, True)
