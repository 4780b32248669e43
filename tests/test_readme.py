"""Every Python block of the README runs, in order, on the emulator."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(name: str) -> list[str]:
    path = ROOT / name
    return BLOCK.findall(path.read_text("utf-8")) if path.exists() else []


@pytest.mark.parametrize("name", ["README.md"])
def test_every_code_block_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who pastes the blocks one after the other gets no error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    namespace: dict[str, object] = {"__name__": "readme"}

    found = blocks(name)
    for number, block in enumerate(found, 1):
        exec(compile(block, f"{name}, block {number}", "exec"), namespace)

    assert len(found) >= 5
