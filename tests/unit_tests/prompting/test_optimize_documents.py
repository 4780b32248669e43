"""A thousand real documents of this machine mean the same when they are optimized."""

from __future__ import annotations

import random

import pytest

from langchain_bedrock_opt.prompting.optimizing.text import shorten
from tests.prompt_corpus import Document, documents, prose
from tests.prompt_structure import untidy, violations


@pytest.fixture(scope="module")
def found() -> list[Document]:
    return list(documents(per_kind={".py": 900, ".md": 90, ".json": 60, ".txt": 40, ".csv": 10}))


def test_a_thousand_documents_keep_their_structure(found: list[Document]) -> None:
    """Markdown, Python, JSON and YAML found on the machine parse to the same as before."""
    changed = [(document, shorten(document.text)[0]) for document in found]
    changed = [(document, text) for document, text in changed if text != document.text]

    assert len(found) >= 1000
    assert len(changed) >= 100
    assert [
        (document.path, broken)
        for document, text in changed
        if (broken := violations(document.kind, document.text, text))
    ] == []


def test_untidy_documents_keep_their_structure(found: list[Document]) -> None:
    """Documents with white space strewn in, in code as in prose, parse to the same as before."""
    saved = 0
    for document in random.Random(7).sample(found, 150):
        text = untidy(document.text, random.Random(len(document.text)))
        shorter = shorten(text)[0]
        assert violations(document.kind, text, shorter) == [], document.path
        assert shorten(shorter)[0] is shorter, document.path
        saved += len(text) - len(shorter)

    assert saved > 0


def test_the_readers_see_columns_and_values() -> None:
    """A column's gap, a value's spaces, an empty last value: to lose one is another structure."""
    assert violations(".txt", "new york  san jose", "new york san jose") == ["columns"]
    assert violations(".rst", "It is so.  Yes", "It is so. Yes") == []
    assert violations(".csv", "1,a \n2,b", "1,a\n2,b") == ["csv_rows"]
    assert violations(".tsv", "Bob\t\nAl\t1", "Bob\nAl\t1") == ["rows", "csv_rows"]


@pytest.mark.usefixtures("shared_data")
def test_japanese_prose_keeps_its_words() -> None:
    """Japanese questions and answers keep every word, and their structure as Markdown."""
    texts = list(prose(limit=300))

    assert texts
    for text in texts:
        assert violations(".md", text, shorten(text)[0]) == []
