"""`limit_context` and `ContextLimiter`: prompts within a budget of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from typing import Any, Final, get_args, overload

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage, MessageLikeRepresentation, convert_to_messages
from langchain_core.prompt_values import PromptValue, StringPromptValue
from langchain_core.runnables import RunnableLambda

from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.prompting.limiting.counters import (
    Counters,
    counters_for,
    default_budget,
)
from langchain_bedrock_opt.prompting.limiting.history import HistoryCut
from langchain_bedrock_opt.prompting.limiting.text import Keep, TextCut

_KEEPS: Final = get_args(Keep)


@overload
def limit_context(  # type: ignore[overload-overlap]  # a text is a sequence of texts, too
    context: str,
    max_tokens: int | None = None,
    *,
    model: Any = None,
    keep: Keep | None = None,
    head_share: float = 0.5,
    marker: str | None = None,
    tools: Sequence[Any] = (),
    counter: Any = None,
) -> str: ...


@overload
def limit_context(
    context: BaseMessage | Sequence[MessageLikeRepresentation],
    max_tokens: int | None = None,
    *,
    model: Any = None,
    keep: Keep | None = None,
    head_share: float = 0.5,
    marker: str | None = None,
    tools: Sequence[Any] = (),
    counter: Any = None,
) -> list[BaseMessage]: ...


def limit_context(
    context: str | BaseMessage | Sequence[MessageLikeRepresentation],
    max_tokens: int | None = None,
    *,
    model: Any = None,
    keep: Keep | None = None,
    head_share: float = 0.5,
    marker: str | None = None,
    tools: Sequence[Any] = (),
    counter: Any = None,
) -> str | list[BaseMessage]:
    """Cut a text or a conversation to a budget of tokens; what fits is left as it is.

    The result never has more than `max_tokens` by the counter, its marker included.

    * **A text** is cut where a sentence ends, in English, Japanese, Chinese or Korean; if none
      ends within the last 30 % (and the last 2,000 characters) of what fits, at the end of a line,
      a clause or a word. What a reader sees as one character is never taken apart. A fenced block
      of code that is cut is closed again, or left out if it is short.
    * **Of a conversation** whole turns are left out, the oldest first; a tool's result always
      stays with its call. The system prompt and the last turn (the last message of the user and
      all that follows) are kept, and the tools count. If these are too long by themselves, the
      last turn loses the oldest of its answers with their tools' results, never the last one, and
      then its longest texts their middle, at ends of sentences; answers of the model with tool
      calls or reasoning, and results in JSON, are kept as they are. The messages given are not
      changed; those that are shortened are copies with the same id.

    Args:
        context: A text, a message, or messages in any form that LangChain takes.
        max_tokens: The budget. The default is what the model's window leaves beside its longest
            answer, where the catalog knows both.
        model: The model that the prompt is for, by an id of any form, or a chat model. Of a chat
            model the system prompt set in it, and tools bound to it, take a part of the budget
            of messages.
        keep: `"head"` keeps the beginning, `"tail"` the end, `"ends"` both without the middle. Of
            a conversation these are its turns; its last one is always kept. The default is
            `"head"` for a text, `"tail"` for a conversation.
        head_share: With `"ends"`, the share that the beginning gets, above 0 and below 1.
        marker: What stands in the place of what was left out; "" for nothing. The default is in
            the prompt's language, such as `[… omitted]` or `[…省略]`. It is left out where it
            does not fit, or would take more than half of a text's budget.
        tools: The tools that the request will have: they take a part of the budget.
        counter: Counts tokens in place of the estimate for the model: a `TokenCounter`, such as
            one with a correction; a chat model; or a callable, which is given texts if a text is
            limited and else lists of messages. More must never count less.

    Returns:
        A text for a text, else a list of messages.

    Raises:
        ContextTooLongError: What must stay of a conversation is over the budget by itself.
        ConfigurationError: An argument makes no sense, or no budget is given or known.
        TypeError: The context is none of these, such as a dict.

    Example:
        >>> log = "The server started. It listened on port 80. A client came. It left again."
        >>> limit_context(log, max_tokens=17)
        'The server started. It listened on port 80. [… omitted]'
        >>> limit_context("東京は晴れです。大阪は雨です。京都は曇りです。", max_tokens=22)
        '東京は晴れです。大阪は雨です。[…省略]'
    """
    limits = Limits(
        max_tokens=max_tokens,
        model=model,
        keep=keep,
        head_share=head_share,
        marker=marker,
        tools=tools,
        counter=counter,
    )
    return limits.applied_to(context)


class ContextLimiter(RunnableLambda[LanguageModelInput, str | list[BaseMessage]]):
    """`limit_context` as a step of a chain, between a prompt and a model.

    It takes what a model takes: a text gives a text, a prompt or messages give messages.

    Args:
        max_tokens: As those of `limit_context`, like the others.
        model: The model that the prompt is for.
        keep: What is kept.
        head_share: With `"ends"`, the share of the beginning.
        marker: What stands in the place of what was left out.
        tools: The tools that the request will have.
        counter: Counts tokens in place of the estimate.

    Attributes:
        max_tokens: The budget: the one given, or the model's.

    Raises:
        ConfigurationError: An argument makes no sense, or no budget is given or known.

    Example:
        >>> from langchain_core.prompts import ChatPromptTemplate
        >>> prompt = ChatPromptTemplate([("system", "Be brief."), ("placeholder", "{history}")])
        >>> chain = prompt | ContextLimiter(max_tokens=50)
        >>> history = [("user", "Hello " * 50), ("ai", "Hi."), ("user", "Who are you?")]
        >>> [message.type for message in chain.invoke({"history": history})]
        ['system', 'human']
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        *,
        model: Any = None,
        keep: Keep | None = None,
        head_share: float = 0.5,
        marker: str | None = None,
        tools: Sequence[Any] = (),
        counter: Any = None,
    ) -> None:
        limits = Limits(
            max_tokens=max_tokens,
            model=model,
            keep=keep,
            head_share=head_share,
            marker=marker,
            tools=tools,
            counter=counter,
        )
        super().__init__(limits.applied_to, name="ContextLimiter")
        self.max_tokens = limits.budget

    def __repr__(self) -> str:
        """With the budget, for traces and notebooks."""
        return f"ContextLimiter(max_tokens={self.max_tokens})"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """A budget of tokens and how it is kept to. Its arguments are those of `limit_context`.

    Attributes:
        budget: The most tokens that a result has.
        counters: Count them.
    """

    max_tokens: InitVar[int | None] = None
    model: InitVar[Any] = None
    keep: Keep | None = None
    head_share: float = 0.5
    marker: str | None = None
    tools: InitVar[Sequence[Any]] = ()
    counter: InitVar[Any] = None
    budget: int = field(init=False)
    counters: Counters = field(init=False)

    def __post_init__(
        self, max_tokens: int | None, model: Any, tools: Sequence[Any], counter: Any
    ) -> None:
        """Look at the arguments: mistakes are found before anything is to be cut."""
        if self.keep is not None and self.keep not in _KEEPS:
            raise ConfigurationError(f"keep={self.keep!r} is none of {', '.join(_KEEPS)}.")
        if not 0 < self.head_share < 1:
            raise ConfigurationError(
                f"head_share={self.head_share!r} is no share: pass one above 0 and below 1, or "
                "keep='head' or keep='tail'."
            )
        budget = default_budget(model) if max_tokens is None else max_tokens
        if budget < 0:
            raise ConfigurationError(f"max_tokens={budget} is below 0: pass how many may stay.")
        object.__setattr__(self, "budget", budget)
        counters = counters_for(counter, model, tools)
        object.__setattr__(self, "counters", counters)

    def applied_to(self, context: LanguageModelInput | BaseMessage) -> str | list[BaseMessage]:
        """A text or messages within the budget."""
        if isinstance(context, StringPromptValue):
            context = context.text
        if isinstance(context, str):
            return self._text(context)
        messages = context.to_messages() if isinstance(context, PromptValue) else _messages(context)
        cut = HistoryCut(
            counters=self.counters,
            keep=self.keep or "tail",
            head_share=self.head_share,
            marker=self.marker,
        )
        return cut.cut(messages, self.budget)

    def _text(self, text: str) -> str:
        cut = TextCut(
            count=self.counters.text,
            keep=self.keep or "head",
            head_share=self.head_share,
            marker=self.marker,
        )
        return cut.cut(text, self.budget)


def _messages(context: Any) -> list[BaseMessage]:
    if isinstance(context, BaseMessage):
        return [context]
    if not isinstance(context, Sequence):
        raise TypeError(
            f"A context can't be a {type(context).__name__}: pass a text, a list of messages or a "
            "prompt value."
        )
    return convert_to_messages(context)
