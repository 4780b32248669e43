"""`stopSequences` and `maxTokens`: where an answer is cut off, and what the cut says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_bedrock_opt.catalog.tokens import estimate_tokens
from langchain_bedrock_opt.emulator.replies.counting import block_tokens

_LAST_RESORTS: Final = ("OK", "はい", "1", "…")
"""What is said if a stop sequence leaves nothing of an answer: a model would say something."""

Block = Mapping[str, Any]


def stop_at(content: Sequence[Block], sequences: Sequence[str]) -> tuple[list[Block], bool]:
    """Cut an answer before the first stop sequence in its text.

    Args:
        content: The answer's blocks; only `text` blocks can be cut.
        sequences: The stop sequences; the sequence itself is not part of the answer.

    Returns:
        The blocks that are left, and whether anything was cut.

    Example:
        >>> stop_at([{"text": "One. Two. Three."}], [" Two"])
        ([{'text': 'One.'}], True)
    """
    kept: list[Block] = []
    for block in content:
        text = block.get("text")
        cut = None if text is None else _before(text, sequences)
        if cut is None:
            kept.append(block)
            continue
        if not cut.strip() and not any("text" in one for one in kept):
            cut = next((r for r in _LAST_RESORTS if _before(r, sequences) is None), "")
        return [*kept, {"text": cut}] if cut.strip() else kept, True
    return kept, False


def _before(text: str, sequences: Sequence[str]) -> str | None:
    """The text before the first stop sequence, or None if there is none in it."""
    places = [text.find(sequence) for sequence in sequences if sequence]
    found = [place for place in places if place >= 0]
    return text[: min(found)] if found else None


def cut_at(content: Sequence[Block], most: int) -> tuple[list[Block], bool]:
    """Cut an answer off after so many tokens, by estimate.

    Text ends in the middle, a tool call that does not fit loses its arguments (as recorded
    answers do), and what would come after is not there.

    Args:
        content: The answer's blocks.
        most: The most tokens; at least one character of text is kept all the same.

    Returns:
        The blocks that are left, and whether anything was cut.

    Example:
        >>> cut_at([{"text": "one two three four five six"}], 3)
        ([{'text': 'one two three '}], True)
    """
    kept: list[Block] = []
    left = most
    for block in content:
        tokens = block_tokens(block)
        if tokens > left:
            # Nothing is left at all only if another block has been kept.
            return kept if left <= 0 and kept else [*kept, _shortened(block, left)], True
        kept.append(block)
        left -= tokens
    return kept, False


def _shortened(block: Block, tokens: int) -> Block:
    if "text" in block:
        return {"text": _prefix(block["text"], tokens)}
    if "toolUse" in block:
        return {"toolUse": {**block["toolUse"], "input": {}}}
    if "reasoningText" in block.get("reasoningContent", {}):
        text = block["reasoningContent"]["reasoningText"]
        cut = {**text, "text": _prefix(text["text"], tokens)}
        return {"reasoningContent": {"reasoningText": cut}}
    return block


def _prefix(text: str, tokens: int) -> str:
    """The longest prefix of at most so many tokens; never blank."""
    low, high = len(text) - len(text.lstrip()) + 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if estimate_tokens(text[:middle]) <= tokens:
            low = middle
        else:
            high = middle - 1
    return text[:low]
