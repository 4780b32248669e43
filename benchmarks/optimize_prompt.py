"""How fast idle white space is taken out of prompts, and how much of one it is.

The corpus is what packages of this environment bring: documents in Markdown and Python, as they
are and with white space strewn in, and prose with something to take out of every line, which is
the most work there is. The baseline splits and joins, which ruins code and tables.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from benchmarks.harness import Result, compare
from langchain_bedrock_opt.prompting.optimizing import optimize_prompt
from tests.prompt_corpus import documents
from tests.prompt_structure import untidy

KINDS = {".md": 150, ".py": 400, ".txt": 100}
ROUNDS = 9
MEGA = 1e6
GROWTH = 16
LETTER = (
    "This is a sentence of a letter that somebody wrote on a typewriter.  It has two spaces after "
    "each full stop.\nThe lines are wrapped at the end.  Then comes another one.\n\n"
) * 1000
PROSE = {
    "typewritten prose": LETTER,
    "typewritten prose with CRLF": LETTER.replace("\n", "\r\n"),
    "prose with a space at line ends": LETTER.replace(".  ", ". ").replace("\n", " \n"),
}
# What makes careless patterns go over a text again and again.
HOSTILE = {
    "spaces": "a" + " " * 50 + "b\n",
    "blank lines": "a\n \n\t\n",
    "fences": "```\n~~~\n",
    "list markers": "- - - - - \n",
    "HTML": "<!-- a -->\n<pre>\n",
    "here-documents": "x <<EOF\nEOF\n",
    "open brackets": "f((((((\n",
}


def run() -> Result:
    """Compare CPU times over the same documents; growth is what 16 times the text costs more."""
    tidy = [document.text for document in documents(per_kind=KINDS, longest=60_000)]
    noisy = [untidy(text, random.Random(len(text))) for text in tidy]
    size = sum(map(len, tidy))
    ours = compare(
        lambda: size / MEGA / _cpu(optimize_prompt, tidy),
        lambda: size / MEGA / _cpu(_split_and_join, tidy),
        rounds=ROUNDS,
    )
    untidy_speeds = {
        f"{name}, million characters per second": _speed(texts)
        for name, texts in {
            "untidy documents": noisy,
            **{name: [text] for name, text in PROSE.items()},
        }.items()
    }
    growth = max(_growth(pattern) for pattern in HOSTILE.values())
    return Result(
        benchmark="optimize_prompt",
        figures={
            "documents, million characters per second of CPU": ours.ours,
            "share of split and join's speed": ours.ratio,
            **untidy_speeds,
            "untidy documents, % of characters removed": _removed(noisy),
            "documents, % of characters removed": _removed(tidy),
            "hostile text, time for 16 times the length": growth,
        },
        baselines={"split and join, million characters per second": ours.baseline},
        goals={
            "documents, million characters per second of CPU": (">=", 20),
            **dict.fromkeys(untidy_speeds, (">=", 20)),
            "hostile text, time for 16 times the length": ("<=", 2 * GROWTH),
        },
    )


def _split_and_join(text: str) -> str:
    return " ".join(text.split())


def _cpu(change: Callable[[str], str], texts: list[str]) -> float:
    start = time.process_time()
    for text in texts:
        change(text)
    return time.process_time() - start


def _speed(texts: list[str]) -> float:
    return sum(map(len, texts)) / MEGA / min(_cpu(optimize_prompt, texts) for _ in range(ROUNDS))


def _removed(texts: list[str]) -> float:
    left = sum(len(optimize_prompt(text)) for text in texts)
    return 100 * (1 - left / sum(map(len, texts)))


def _growth(pattern: str) -> float:
    short, long = pattern * 400, pattern * (400 * GROWTH)
    times = [min(_cpu(optimize_prompt, [text]) for _ in range(5)) for text in (short, long)]
    return times[1] / times[0]
