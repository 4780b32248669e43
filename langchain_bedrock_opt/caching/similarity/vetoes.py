"""Differences between two texts that forbid giving one's answer to the other."""

from __future__ import annotations

from langchain_bedrock_opt.caching.similarity.facts import TextFacts


def veto(asked: TextFacts, known: TextFacts) -> str | None:
    """The name of the first difference that forbids reuse, or None if there is none."""
    raise NotImplementedError
