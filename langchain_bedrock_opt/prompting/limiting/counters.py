"""Who counts the tokens: this package's estimate, or a counter of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import BaseMessage, HumanMessage

from langchain_bedrock_opt.catalog.specs import spec_of
from langchain_bedrock_opt.catalog.tokens import TokenCounter
from langchain_bedrock_opt.errors import ConfigurationError


class Counters(NamedTuple):
    """How tokens are counted.

    Attributes:
        text: Those of a text that is limited by itself.
        messages: Those of a list of messages, with the tools.
        part: Those of a text within a message; where only messages can be counted, with what is
            around it.
        tools: Those of the tools, as far as they are known.
    """

    text: Callable[[str], int]
    messages: Callable[[list[BaseMessage]], int]
    part: Callable[[str], int]
    tools: Callable[[], int] = int


def counters_for(counter: Any, model: Any, tools: Sequence[Any]) -> Counters:
    """What counts texts and messages.

    Args:
        counter: A `TokenCounter`, a chat model, a callable, or None for a `TokenCounter` of the
            model and the tools.
        model: A model id of any form, a chat model, or None.
        tools: The tools that every request has.

    Raises:
        ConfigurationError: It can't count, or it does not count the tools.
    """
    if counter is None:
        counter = TokenCounter(model, tools=tools)
    elif tools and not isinstance(counter, BaseLanguageModel):
        raise ConfigurationError(
            f"tools={len(tools)} tools are given and counter={type(counter).__name__}, which does "
            "not know them: pass counter=TokenCounter(model, tools=tools), or a counter that "
            "counts the tools by itself, without tools=."
        )
    if isinstance(counter, TokenCounter):
        return Counters(counter.text, counter, counter.text, lambda: counter([]))
    if isinstance(counter, BaseLanguageModel):
        return _of_model(counter, tools)
    if not callable(counter):
        raise ConfigurationError(
            f"counter={counter!r} can't count tokens: pass a TokenCounter, a chat model, or a "
            "callable that takes what is limited (a text, or a list of messages)."
        )
    return Counters(counter, counter, lambda text: counter([HumanMessage(text)]))


def _of_model(model: BaseLanguageModel[Any], tools: Sequence[Any]) -> Counters:
    def messages(given: list[BaseMessage]) -> int:
        if tools:
            return model.get_num_tokens_from_messages(given, tools)
        return model.get_num_tokens_from_messages(given)

    # `get_num_tokens` of most models, Bedrock's too, is that of GPT-2.
    def text(given: str) -> int:
        return model.get_num_tokens_from_messages([HumanMessage(given)]) if given else 0

    return Counters(text, messages, text)


def default_budget(model: Any) -> int:
    """The tokens of input that a model has room for, beside the longest answer it may write.

    Raises:
        ConfigurationError: The catalog does not know, or they leave no room to speak of.

    Example:
        >>> default_budget("us.amazon.nova-lite-v1:0")
        290000
    """
    model_id = getattr(model, "model_id", model)
    spec = spec_of(model_id) if isinstance(model_id, str) else None
    window, output = (spec.context_window, spec.max_output_tokens) if spec else (None, None)
    # Some models may fill their whole window with an answer; that says nothing about a prompt.
    if window is None or output is None or window - output < window // 4:
        raise ConfigurationError(
            f"The room for input of model={model_id!r} is not known: pass max_tokens=, the tokens "
            "that the prompt may have."
        )
    return window - output
