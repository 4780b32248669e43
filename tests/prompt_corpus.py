"""Real documents found on the machine: those of installed packages and of Python itself."""

from __future__ import annotations

import gzip
import json
import os
import sysconfig
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.extras import SHARED

_KINDS: Final = {".markdown": ".md", ".yaml": ".yml", ".pyi": ".py"}


@dataclass(frozen=True)
class Document:
    """One document.

    Attributes:
        path: Where it lies.
        kind: What it is read as, such as `.md`.
        text: What it says.
    """

    path: Path
    kind: str
    text: str


def documents(
    *, per_kind: Mapping[str, int], longest: int = 6000, shortest: int = 20
) -> Iterator[Document]:
    """Documents in UTF-8 by the order of their paths, of each kind so many at most.

    Args:
        per_kind: How many of each kind.
        longest: Bytes of the longest one.
        shortest: Bytes of the shortest one.
    """
    taken: Counter[str] = Counter()
    for path in _files():
        if sum(taken.values()) == sum(per_kind.values()):
            return
        kind = _kind(path)
        if taken[kind] >= per_kind.get(kind, 0):
            continue
        try:
            if not shortest <= path.stat().st_size <= longest:
                continue
            text = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError):
            continue
        taken[kind] += 1
        yield Document(path, kind, text)


def _files() -> Iterator[Path]:
    for root in (sysconfig.get_paths()["purelib"], sysconfig.get_paths()["stdlib"]):
        for folder, folders, names in os.walk(root):
            folders.sort()
            yield from (Path(folder, name) for name in sorted(names))


def _kind(path: Path) -> str:
    if path.name in {"METADATA", "README", "LICENSE"}:
        return ".md"
    return _KINDS.get(path.suffix, path.suffix)


def prose(*, limit: int) -> Iterator[str]:
    """Japanese texts of the shared data sets; none where they are not at hand."""
    for name in ("jnli.jsonl.gz", "jsick_ja.jsonl.gz", "stsb_ja.jsonl.gz"):
        path = SHARED / "data" / "caching" / name
        if not path.exists():
            continue
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for _, line in zip(range(limit // 3), lines, strict=False):
                texts = [value for value in json.loads(line).values() if isinstance(value, str)]
                yield "\n\n\n".join(texts) + " \n"
    guide = SHARED / "guide.ja.txt"
    if guide.exists():
        yield guide.read_text("utf-8")
