"""How many tokens a text, messages or a request are likely to have, without asking anyone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_bedrock_opt.catalog.tokens.classes import class_counts
from langchain_bedrock_opt.catalog.tokens.families import DEFAULT, family_of, weighed


def estimate_tokens(what: Any, model: Any = None) -> int:
    """Estimate how many tokens a text has.

    Args:
        what: Any text; lone surrogates are allowed.
        model: A model id, or a chat model.

    Returns:
        At least 1 for a text that is not empty.

    Example:
        >>> estimate_tokens("What is the capital of France?")
        9
        >>> estimate_tokens("")
        0
    """
    if not what:
        return 0
    family = DEFAULT if model is None else family_of(model)
    return max(1, round(weighed(class_counts(what), family.weights)))


class TokenCounter:
    """Counts tokens for one model: of texts, and of messages as LangChain's helpers ask for it.

    Args:
        model: A model id of any form, or a chat model; None counts for no model in particular.
        tools: The tools that every request has.
        correction: What returned usage has taught.

    Example:
        >>> count = TokenCounter("us.amazon.nova-lite-v1:0")
        >>> count.text("What is the capital of France?")
        9
    """

    def __init__(
        self, model: Any = None, *, tools: Sequence[Any] = (), correction: Any = None
    ) -> None:
        self._family = family_of(model)
        self._tools = tuple(tools)
        self._correction = correction

    def text(self, text: str) -> int:
        """Estimate the tokens of a piece of text.

        Texts put together count at most 1 more than one by one: `text(a + b)` is at most
        `text(a) + text(b) + 1`.

        Args:
            text: Any text; lone surrogates are allowed.

        Returns:
            At least 1 for a text that is not empty.
        """
        if not text:
            return 0
        return max(1, round(weighed(class_counts(text), self._family.weights)))

    def __call__(self, messages: Sequence[Any]) -> int:
        """Estimate the tokens of messages, with the tools and what is around each of them."""
        return sum(4 + self.text(message.text) for message in messages)
