"""The catalogue of failures is whole: each of its 36 numbers has a test in this folder."""

from __future__ import annotations

import ast
import re
from pathlib import Path

NUMBER = re.compile(r"([1-9][0-9]?): ")


def test_each_failure_of_the_catalogue_has_a_test() -> None:
    """The docstrings of this folder's tests begin with the numbers from 1 to 36, and no other."""
    found = set()
    for path in Path(__file__).parent.glob("test_failures_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and path != Path(__file__):
                match = NUMBER.match(ast.get_docstring(node) or "")
                assert match or not node.name.startswith("test_"), node.name
                found.add(int(match[1]) if match else 0)

    assert found - {0} == set(range(1, 37))
