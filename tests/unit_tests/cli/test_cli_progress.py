"""Progress on standard error: a bar on a terminal, else lines."""

from __future__ import annotations

import sys

import pytest

from langchain_bedrock_opt.cli.progress import progress


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    """What is on standard error after three looks, of which two saw the same."""
    with progress() as show:
        for done in (1, 1, 2):
            show(done, 2, "nightly:")
        show(0, None, "chat: Creating")
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal each change is a line."""
    assert shown(capsys) == "nightly: 1/2\nnightly: 2/2\nchat: Creating\n"


def test_lines_without_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal without `rich` each change is a line, too."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "rich.progress", None)

    assert shown(capsys) == "nightly: 1/2\nnightly: 2/2\nchat: Creating\n"


def test_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal with `rich` there is one bar, which is taken away at the end."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    said = shown(capsys)

    assert "chat: Creating" in said
    assert "\x1b[2K" in said  # the line is erased
