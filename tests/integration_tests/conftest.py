"""One emulator a session, over HTTP, and in process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from langchain_bedrock_opt import BedrockEmulator

ASSETS = Path(__file__).parent / "assets"

# What langchain-tests fetch from the internet, by the end of its URL.
_FILES = {".jpg": "picture.jpg", ".png": "picture.png", ".pdf": "page.pdf"}


@pytest.fixture(scope="session")
def served() -> Iterator[BedrockEmulator]:
    """A local Bedrock at a URL."""
    with BedrockEmulator() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def in_process() -> BedrockEmulator:
    """A local Bedrock without a socket."""
    return BedrockEmulator()


@pytest.fixture(autouse=True)
def local_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard tests download pictures and a PDF; here they get small local ones."""

    def get(url: str, **_: Any) -> httpx.Response:
        ending = next(ending for ending in _FILES if ending in url.lower())
        content = (ASSETS / _FILES[ending]).read_bytes()
        return httpx.Response(200, content=content, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)
