"""How many tokens a text, messages or a request are likely to have, without asking anyone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import add
from typing import TYPE_CHECKING, Any

from langchain_bedrock_opt.catalog.tokens.classes import NOTHING, class_counts
from langchain_bedrock_opt.catalog.tokens.content import Measured, Reader
from langchain_bedrock_opt.catalog.tokens.families import (
    TokenFamily,
    Weights,
    default_family,
    family_of,
    weighed,
)
from langchain_bedrock_opt.catalog.tokens.given import given_model
from langchain_bedrock_opt.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_bedrock_opt.catalog.tokens.correction import TokenCorrection


def estimate_tokens(
    what: Any,
    model: Any = None,
    *,
    tools: Sequence[Any] = (),
    correction: TokenCorrection | None = None,
) -> int:
    """Estimate how many tokens a text, messages or a request have.

    Texts of no fit are on average within 11 % of each of seven public tokenizers in English,
    Japanese, Chinese, Korean, code and JSON. Most of Bedrock's models have a tokenizer that is
    not public: they are estimated by a relative's, and a `correction` learns the rest.

    Args:
        what: A text; a message, messages or a prompt value of LangChain's; or a Converse request
            with `messages`, `system` and `toolConfig`.
        model: A model id of any form, or a chat model, whose own `system` and bound tools count
            with messages, as it sends them along; None counts for no model in particular.
        tools: Tools that go with the messages: LangChain's, Converse's, OpenAI's or functions;
            they count instead of those that are bound to the model.
        correction: What returned usage has taught.

    Returns:
        Tokens of the prompt; 0 for an empty text, at least 1 for any other. A text alone counts
        without what surrounds a message.

    Raises:
        ConfigurationError: It is none of the kinds above.

    Example:
        >>> estimate_tokens("What is the capital of France?")
        7
        >>> estimate_tokens("日本の首都はどこですか。", "us.amazon.nova-lite-v1:0")
        13
        >>> estimate_tokens([("user", "Hello there")], "us.anthropic.claude-sonnet-4-6")
        9
    """
    if type(what) is str and model is None and not tools and correction is None:
        return max(1, round(weighed(class_counts(what), default_family().weights))) if what else 0
    return TokenCounter(model, tools=tools, correction=correction).count(what)


def measured(what: Any, family: TokenFamily, tools: Sequence[Any] = ()) -> Measured:
    """What a text, messages or a request hold that counts.

    Args:
        what: As `estimate_tokens` takes it.
        family: Says what images, and the marks around messages and tools, count for.
        tools: Tools that go with it.

    Raises:
        ConfigurationError: It is none of what `estimate_tokens` takes.
    """
    reader = Reader(family)
    reader.tools(tools)
    if isinstance(what, str):
        reader.content(what)
    elif isinstance(what, Mapping) and "messages" in what:
        reader.request(what)
    elif hasattr(what, "to_messages"):
        reader.messages(what.to_messages())
    elif hasattr(what, "content") or isinstance(what, Mapping):
        reader.messages([what])
    elif isinstance(what, Sequence) and not isinstance(what, (bytes, bytearray)):
        reader.messages(what)
    else:
        raise ConfigurationError(
            f"The tokens of a {type(what).__name__} can't be estimated: pass a text, messages, a "
            "prompt value or a Converse request."
        )
    return reader.measured()


class TokenCounter:
    """Counts tokens for one model: of texts, and of messages as LangChain's helpers ask for it.

    Cheap to make, and to call for many pieces. What its correction learns meanwhile counts from
    the next call on. `trim_messages(include_system=True)` counts the system prompt by itself, so
    tools count twice there: it keeps less than it could, never too much.

    Args:
        model: A model id of any form, or a chat model, whose own `system` and bound tools count
            with messages, as it sends them along; None counts for no model in particular.
        tools: The tools that every request has; they are counted once, here, and instead of
            those that are bound to the model.
        correction: What returned usage has taught.

    Example:
        >>> from langchain_core.messages import AIMessage, HumanMessage, trim_messages
        >>> count = TokenCounter("us.anthropic.claude-sonnet-4-6")
        >>> count.text("What is the capital of France?")
        7
        >>> history = [HumanMessage("Hello " * 500), AIMessage("Hi!"), HumanMessage("And now?")]
        >>> len(trim_messages(history, max_tokens=100, token_counter=count))
        2
    """

    def __init__(
        self,
        model: Any = None,
        *,
        tools: Sequence[Any] = (),
        correction: TokenCorrection | None = None,
    ) -> None:
        self._model = model
        self._family = family_of(model)
        self._correction = correction
        self._tools = measured("", self._family, tools) if tools else Measured(NOTHING, 0.0)
        self._around = self._sent_along(self._tools)

    def _sent_along(self, tools: Measured) -> Measured:
        """The tools, and what a chat model adds to messages by itself."""
        given = given_model(self._model)
        if not given.system and not given.tools:
            return tools
        reader = Reader(self._family)
        reader.content(given.system)
        if tools.counts is NOTHING:
            reader.tools(given.tools)
        own = reader.measured()
        return Measured(tuple(map(add, tools.counts, own.counts)), tools.flat + own.flat)

    def text(self, text: str) -> int:
        """Estimate the tokens of a piece of text.

        A text is at least as long as each of its parts, and at most a little longer than they
        are together: without a correction, `text(a + b)` is at most `text(a) + text(b) + 2`. A
        piece by itself counts at least 1, so many tiny pieces add up to more than their text.

        Args:
            text: Any text; lone surrogates are allowed.

        Returns:
            0 for an empty text, at least 1 for any other.
        """
        if not text:
            return 0
        return max(1, round(weighed(class_counts(text), self._factored()[0])))

    def __call__(self, messages: Sequence[Any]) -> int:
        """Estimate the tokens of a prompt of these messages, with the tools."""
        return self.count(messages)

    def count(self, what: Any) -> int:
        """Estimate the tokens of a text, of messages or of a request, with the tools.

        Args:
            what: As `estimate_tokens` takes it. Messages count with what the chat model sends
                along; a text and a Converse request, which has all that in it, without.

        Raises:
            ConfigurationError: It is none of what `estimate_tokens` takes.
        """
        if type(what) is str and self._tools.counts is NOTHING:
            return self.text(what)
        found = measured(what, self._family)
        is_whole = isinstance(what, str) or (isinstance(what, Mapping) and "messages" in what)
        around = self._tools if is_whole else self._around
        weights, flat = self._factored()
        total = weighed(found.counts, weights) + weighed(around.counts, weights)
        total += flat * (found.flat + around.flat)
        return max(1, round(total)) if total else 0

    def _factored(self) -> tuple[Weights, float]:
        """The weights of the classes, and the factor of what is flat, as far as is known."""
        factors = None if self._correction is None else self._correction.factors(self._model)
        if factors is None:
            return self._family.weights, 1.0
        corrected = zip(self._family.weights, factors, strict=False)
        return tuple(weight * factor for weight, factor in corrected), factors[-1]
