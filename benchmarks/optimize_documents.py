"""Whether real documents of this machine mean the same when they are optimized: violations are 0.

Each is read by the parsers of its kind before and after, as it is and with white space strewn in.
"""

from __future__ import annotations

import random
from collections import Counter

from benchmarks.harness import Result
from langchain_bedrock_opt.prompting.optimizing import optimize_prompt
from tests.prompt_corpus import documents, prose
from tests.prompt_structure import untidy, violations

KINDS = {".py": 1500, ".md": 300, ".json": 500, ".rst": 300, ".txt": 300, ".yml": 50, ".csv": 50}


def run() -> Result:
    """Count documents by kind, those that changed, and those whose structure did."""
    seen: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    texts = [(found.kind, found.text) for found in documents(per_kind=KINDS, longest=20_000)]
    texts += [("Japanese", text) for text in prose(limit=600)]
    for kind, text in texts:
        seen[kind] += 1
        for name, version in (("", text), ("untidy ", untidy(text, random.Random(len(text))))):
            shorter = optimize_prompt(version)
            changed[name] += shorter != version
            broken[name] += bool(violations(kind, version, shorter))
            broken["twice "] += optimize_prompt(shorter) != shorter
    return Result(
        benchmark="optimize_documents",
        figures={
            "documents": sum(seen.values()),
            **{f"documents, {kind}": count for kind, count in seen.most_common()},
            "documents changed": changed[""],
            "untidy documents changed": changed["untidy "],
            "structures changed": broken[""],
            "structures of untidy documents changed": broken["untidy "],
            "documents that change when optimized twice": broken["twice "],
        },
        goals={
            "documents": (">=", 1000),
            "structures changed": ("<=", 0),
            "structures of untidy documents changed": ("<=", 0),
            "documents that change when optimized twice": ("<=", 0),
        },
    )
