"""Who counts the tokens: this package's estimate, or a counter of the user's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable

from langchain_bedrock_opt.catalog.specs import spec_of
from langchain_bedrock_opt.catalog.tokens import TokenCounter
from langchain_bedrock_opt.catalog.tokens.families import base_id_of
from langchain_bedrock_opt.catalog.tokens.given import given_model
from langchain_bedrock_opt.errors import ConfigurationError


class Counters(NamedTuple):
    """How tokens are counted. Each can be pickled, if a counter of the user's own can be.

    Attributes:
        text: Those of a text that is limited by itself.
        messages: Those of a list of messages, with the tools and the model's own system prompt.
        part: Those of a text within a message; where only messages can be counted, with what is
            around it.
        tools: Those of the tools, as far as they are known.
        system: Those of the model's own system prompt, as far as they are known.
    """

    text: Callable[[str], int]
    messages: Callable[[list[BaseMessage]], int]
    part: Callable[[str], int]
    tools: Callable[[], int] = int
    system: Callable[[], int] = int


def counters_for(counter: Any, model: Any, tools: Sequence[Any]) -> Counters:
    """What counts texts and messages.

    Args:
        counter: A `TokenCounter`, a chat model, a callable, or None for a `TokenCounter` of the
            model and the tools, which counts what the model itself adds, too.
        model: A model id of any form, a chat model, also one with tools bound, or None.
        tools: The tools that every request has.

    Raises:
        ConfigurationError: It can't count, or it does not count the tools.
    """
    if counter is None:
        return _estimating(model, tools)
    if isinstance(counter, Runnable):
        counter, bound = chat_model_of(counter)
        tools = tools or bound
    if tools and not isinstance(counter, BaseLanguageModel):
        raise ConfigurationError(
            f"tools={len(tools)} tools are given and counter={type(counter).__name__}, which does "
            "not know them: pass counter=TokenCounter(model, tools=tools), or a counter that "
            "counts the tools by itself, without tools=."
        )
    if isinstance(counter, TokenCounter):
        estimate = _Estimate(counter)
        return Counters(counter.text, counter, counter.text, estimate.tools)
    if isinstance(counter, BaseLanguageModel):
        asked = _OfModel(counter, tools)
        return Counters(asked.text, asked.messages, asked.text)
    if not callable(counter):
        raise ConfigurationError(
            f"counter={_said(counter)} can't count tokens: pass a TokenCounter, a chat "
            "model, or a callable that takes what is limited (a text, or a list of messages)."
        )
    return Counters(counter, counter, _OfMessages(counter).text)


def chat_model_of(model: Any) -> tuple[Any, Sequence[Any]]:
    """The chat model in a binding, or in what retries, falls back or parses; and its tools.

    Args:
        model: That, a chat model itself, or whatever is no Runnable, such as a model id.

    Raises:
        ConfigurationError: It is a Runnable of another kind.
    """
    given = given_model(model)
    if isinstance(given.model, Runnable) and not isinstance(given.model, BaseLanguageModel):
        raise ConfigurationError(
            f"A {type(model).__name__} is no chat model: pass the model itself, or its id."
        )
    return given.model, given.tools


def _estimating(model: Any, tools: Sequence[Any]) -> Counters:
    model, bound = chat_model_of(model)
    # The id alone: a model holds clients, which can't be pickled.
    name = model if isinstance(model, str) else base_id_of(model)
    system = getattr(model, "system", None)
    own = (SystemMessage(content=system),) if system else ()
    estimate = _Estimate(TokenCounter(name, tools=tools or bound), own)
    text = estimate.counter.text
    return Counters(text, estimate.messages, text, estimate.tools, estimate.own)


class _Estimate(NamedTuple):
    """A counter, and the messages that the model adds by itself."""

    counter: TokenCounter
    system: tuple[BaseMessage, ...] = ()

    def messages(self, given: list[BaseMessage]) -> int:
        return self.counter([*self.system, *given])

    def tools(self) -> int:
        return self.counter([])

    def own(self) -> int:
        return self.messages([]) - self.tools()


class _OfModel(NamedTuple):
    """A chat model that counts by itself."""

    model: BaseLanguageModel[Any]
    used: Sequence[Any]

    def messages(self, given: list[BaseMessage]) -> int:
        if self.used:
            return self.model.get_num_tokens_from_messages(given, self.used)
        return self.model.get_num_tokens_from_messages(given)

    def text(self, given: str) -> int:
        # `get_num_tokens` of most models, Bedrock's too, is that of GPT-2.
        return self.model.get_num_tokens_from_messages([HumanMessage(given)]) if given else 0


class _OfMessages(NamedTuple):
    """A callable that counts lists of messages."""

    counter: Callable[[list[BaseMessage]], int]

    def text(self, given: str) -> int:
        return self.counter([HumanMessage(given)])


def default_budget(model: Any) -> int:
    """The tokens of input that a model has room for, beside the longest answer it may write.

    Raises:
        ConfigurationError: The catalog does not know, or they leave no room to speak of.

    Example:
        >>> default_budget("us.amazon.nova-lite-v1:0")
        290000
    """
    model, _ = chat_model_of(model)
    model_id = getattr(model, "model_id", model)
    spec = spec_of(model_id) if isinstance(model_id, str) else None
    window, output = (spec.context_window, spec.max_output_tokens) if spec else (None, None)
    # Some models may fill their whole window with an answer; that says nothing about a prompt.
    if window is None or output is None or window - output < window // 4:
        raise ConfigurationError(
            f"The room for input of model={_said(model_id)} is not known: pass max_tokens=, the "
            "tokens that the prompt may have."
        )
    return window - output


def _said(value: Any) -> str:
    """A value for a message; of an object its type alone: what it holds may be a prompt."""
    return repr(value) if isinstance(value, (str, int, float, type(None))) else type(value).__name__
