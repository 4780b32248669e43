"""The prompts a demo run works on: the ones shipped, or a file of the user's own."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.lines import numbered_lines, read_text


def shipped_prompts() -> list[str]:
    """The day of prompts that this package ships, in arrival order."""
    text = (files("langchain_bedrock_opt.demo") / "prompts.jsonl").read_text("utf-8")
    return _prompts(text, "the shipped prompts")


def read_prompts(path: str | Path) -> list[str]:
    """Read prompts from a file: JSON lines with a `prompt` each, or a prompt a line.

    Args:
        path: A UTF-8 text file. It is taken as JSON lines if its first line begins with a brace.

    Returns:
        The prompts in the file's order, without blank lines.

    Raises:
        ConfigurationError: The file can't be read, holds no prompt, or a line is not what the
            others are; the message names the line.
    """
    prompts = _prompts(read_text(path), str(path))
    if not prompts:
        raise ConfigurationError(
            f"{path} holds no prompt: write one a line, or JSON lines such as "
            '{"prompt": "What is the capital of Japan?"}.'
        )
    return prompts


def _prompts(text: str, name: str) -> list[str]:
    numbered = numbered_lines(text)
    if not numbered:
        return []
    first = numbered[0][1].lstrip()
    if first.startswith("[") and _is_array(text):
        raise ConfigurationError(
            f"{name} is one JSON array: write an object a line, such as "
            '{"prompt": "What is the capital of Japan?"}.'
        )
    if first.startswith("{"):
        return [_prompt_of(line, f"{name}, line {number}") for number, line in numbered]
    for number, line in numbered:
        if line.lstrip().startswith('{"prompt"'):
            raise ConfigurationError(
                f"{name}, line {number} is JSON and the lines before it are not: write all of "
                "them in one way."
            )
    return [line for _, line in numbered]


def _is_array(text: str) -> bool:
    """Whether a text is one JSON array: prompts in words may begin with a bracket, too."""
    try:
        return isinstance(json.loads(text), list)
    except ValueError:
        return False


def _prompt_of(line: str, place: str) -> str:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise ConfigurationError(f"{place} is not JSON: {getattr(error, 'msg', error)}.") from error
    prompt = row.get("prompt") if isinstance(row, dict) else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise ConfigurationError(f'{place} has no "prompt" with text in it.')
    return prompt
