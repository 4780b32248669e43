"""The command line: what it prints, how it ends, and what it says of bad input in one line."""

from __future__ import annotations

import json
import signal
import socket
import threading
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from langchain_bedrock_opt import __version__
from langchain_bedrock_opt.aws.clients import service_client
from langchain_bedrock_opt.capacity.provisioned.manager import ProvisionedThroughputManager
from langchain_bedrock_opt.cli import main
from langchain_bedrock_opt.demo.workload import read_prompts

PROMPTS = ["日本の首都は?", "日本の首都は？", "What is 2 + 2?"]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A file of prompts, one a line."""
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join([*PROMPTS, ""]), "utf-8")
    return path


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a refused command says; it must be one line, and exit status 2."""
    assert main(arguments) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("bedrock-opt: ")
    assert "\n" not in said
    return said


def test_the_demo_prints_what_it_came_to(prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run over three prompts shows calls, tiers, hits, cost and what it saved."""
    assert main(["demo", "--prompts", str(prompts), "--speed", "1000"]) == 0

    said = capsys.readouterr().out
    assert "simple    global.anthropic.claude-haiku-4-5-20251001-v1:0" in said
    assert "1 of 3 answers came from the cache (33 %)" in said
    assert "The same answers at the prices of global.anthropic.claude-opus-4-5" in said
    assert "Streamed answer 2 in" in said


def test_the_demo_speaks_json(prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the figures are the only thing on standard output."""
    assert main(["demo", "--prompts", str(prompts), "--speed", "1000", "--json"]) == 0

    figures = json.loads(capsys.readouterr().out)
    assert (figures["prompts"], figures["calls"], figures["cache_hits"]) == (3, 3, 1)
    assert figures["model_calls"] == 2
    assert figures["unpriced_calls"] == 0
    assert float(figures["cost_usd"]) > 0
    assert figures["saved_percent"] > 0
    assert sum(tier["calls"] for tier in figures["tiers"].values()) == 3


def test_the_demo_is_repeatable(prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs over the same prompts spend the same tokens and money."""
    runs = []
    for _ in range(2):
        main(["demo", "--prompts", str(prompts), "--speed", "1000", "--json"])
        runs.append(json.loads(capsys.readouterr().out))

    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no prompt"),
        ('{"prompt": "ok"}\n{"text": "no prompt"}', 'line 2 has no "prompt"'),
        ('{"prompt": "ok"}\n\n\nplain', "line 4 is not JSON: Expecting value"),
        ('[{"prompt": "ok"}]', "is one JSON array"),
        ('plain\n{"prompt": "ok"}', "line 2 is JSON and the lines before it are not"),
    ],
)
def test_prompts_that_are_none_are_named(
    content: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file without prompts, or with a line that is none, is refused by that line."""
    path = tmp_path / "prompts.jsonl"
    path.write_text(content, "utf-8")

    assert words in refused(["demo", "--prompts", str(path)], capsys)


def test_a_prompt_may_hold_any_character(tmp_path: Path) -> None:
    """A line separator that JSON allows inside a text does not cut the line."""
    path = tmp_path / "prompts.jsonl"
    prompt = "one\u2028two\u0085three"
    path.write_text(json.dumps({"prompt": prompt}, ensure_ascii=False) + "\r\n", "utf-8")

    assert read_prompts(path) == [prompt]


def test_a_prompt_may_begin_with_a_bracket(tmp_path: Path) -> None:
    """A prompt in words that begins with a bracket is no JSON array."""
    path = tmp_path / "prompts.txt"
    path.write_text("[urgent] What is the capital?\n[2] And of Japan?\n", "utf-8-sig")

    assert read_prompts(path) == ["[urgent] What is the capital?", "[2] And of Japan?"]


def test_prompts_that_cannot_be_read_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is not there, or not text, is refused with its name."""
    assert "No such file" in refused(["demo", "--prompts", str(tmp_path / "none")], capsys)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in refused(["demo", "--prompts", str(tmp_path / "binary")], capsys)


def test_a_real_run_needs_credentials(
    prompts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without credentials a real run ends before its first call, with the ways to get some."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    arguments = ["demo", "--prompts", str(prompts), "--real", "--region", "us-east-1"]

    assert "aws configure" in refused(arguments, capsys)


def test_a_real_run_needs_a_region(prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a region a real run says how to give one."""
    assert "AWS_REGION" in refused(["demo", "--prompts", str(prompts), "--real"], capsys)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--cap", cap) for cap in ("lots", "-1", "1.2.3", "²", "nan")),
        *(("--speed", speed) for speed in ("0", "nan", "fast", "-2")),
        *(("--max-tokens", tokens) for tokens in ("0", "abc", "1.5")),
    ],
)
def test_an_option_that_is_none_is_named(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cap, speed or limit that is none is refused by the argument parser, with its value."""
    with pytest.raises(SystemExit) as ended:
        main(["demo", f"{option}={value}"])

    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"argument {option}: {value!r} is n" in said


@pytest.mark.parametrize("place", [["--port", "99999"], ["--host", "256.1.1.1", "--port", "0"]])
def test_a_place_to_listen_at_that_is_none_is_refused(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """An emulator that can't listen where it was told to says so without a traceback."""
    try:
        status = main(["emulator", *place])
    except SystemExit as ended:
        status = int(ended.code or 0)

    assert status == 2
    assert place[1] in capsys.readouterr().err


def test_a_taken_port_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """An emulator whose port is taken says so, and what to do."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]

        said = refused(["emulator", "--port", str(port)], capsys)

    assert f"Port {port} on 127.0.0.1 is taken" in said


def test_a_latency_is_a_number_or_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    """A latency that is neither is refused with what it may be."""
    assert "`models`" in refused(["emulator", "--latency", "slow"], capsys)


def test_the_emulator_refuses_buckets_that_can_not_be(capsys: pytest.CaptureFixture[str]) -> None:
    """A bucket's name that S3 refuses, and a time that is none, are told in one line."""
    assert "--bucket 'A b' can't be made" in refused(["emulator", "--bucket", "A b"], capsys)
    with pytest.raises(SystemExit):
        main(["emulator", "--job-seconds", "-1"])
    assert "is no number of seconds" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_emulator_serves_until_it_is_ended(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`bedrock-opt emulator` prints its URL, answers there as it was told, ends with a signal."""
    seen: list[Any] = []

    class Stopped(threading.Event):
        """Is waited for while the emulator serves."""

        def wait(self, timeout: float | None = None) -> bool:
            line = capsys.readouterr().out
            url = next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
            seen.extend(look(url))
            signal.raise_signal(number)
            return super().wait(10)

    def look(url: str) -> tuple[Any, Any, Any]:
        with urllib.request.urlopen(f"{url}/foundation-models", timeout=10) as answer:
            models = json.load(answer)["modelSummaries"]
        s3 = service_client("s3", region_name="us-east-1", endpoint_url=url)
        buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
        bedrock = service_client("bedrock", region_name="us-east-1", endpoint_url=url)
        bought = ProvisionedThroughputManager(bedrock).create(
            "amazon.nova-lite-v1:0:24k", name="chat", confirm=True
        )
        return models, buckets, bought.status

    before = signal.getsignal(number)
    monkeypatch.setattr(
        "langchain_bedrock_opt.cli.emulator.threading", SimpleNamespace(Event=Stopped)
    )
    command = ["emulator", "--port", "0", "--bucket", "tickets", "--job-seconds", "5"]
    assert main([*command, "--throughput-seconds", "600"]) == 0

    models, buckets, status = seen
    assert status == "Creating"
    assert len(models) > 50
    assert "tickets" in buckets  # moto is one in a process: other tests have theirs
    assert signal.getsignal(number) is before


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` names the package's version."""
    with pytest.raises(SystemExit):
        main(["--version"])

    assert capsys.readouterr().out.strip() == f"bedrock-opt {__version__}"


def test_no_verb_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a verb the usage is shown."""
    with pytest.raises(SystemExit) as ended:
        main([])

    assert ended.value.code == 2
    assert "VERB" in capsys.readouterr().err
