"""`optimize_prompt` and its Runnable: texts, messages and prompt values in, the same out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, overload

from langchain_core.messages import (
    BaseMessage,
    HumanMessage,
    MessageLikeRepresentation,
    SystemMessage,
    convert_to_messages,
)
from langchain_core.prompt_values import ChatPromptValue, PromptValue, StringPromptValue
from langchain_core.runnables import RunnableLambda

from langchain_bedrock_opt.prompting.messages import map_texts, texts_of, with_content
from langchain_bedrock_opt.prompting.optimizing.savings import Savings, SavingsCounter
from langchain_bedrock_opt.prompting.optimizing.text import Optimized, optimize, shorten

# What people wrote. A model's own words, its reasoning with its signature, its tool calls and
# what tools answered are data that a later call refers to.
_OPTIMIZED: Final = (HumanMessage, SystemMessage)

Change = Callable[[str, bool], str]
"""Changes a text; the flag says whether white space around it means nothing."""

P = TypeVar("P", bound=PromptValue)


@overload
def optimize_prompt(prompt: str) -> str: ...  # type: ignore[overload-overlap] # also a sequence
@overload
def optimize_prompt(prompt: P) -> P: ...
@overload
def optimize_prompt(prompt: Sequence[MessageLikeRepresentation]) -> list[BaseMessage]: ...
def optimize_prompt(prompt: Any) -> Any:
    r"""Take out white space that means nothing, and nothing else.

    Taken out are blank lines beyond one, spaces at ends of lines, the second space behind a
    sentence, and white space around the whole prompt. Left as they are: code (fenced, indented or
    plain), tables and aligned columns, CSV and TSV, JSON, YAML, logs, patches, HTML, quotations,
    inline code, Markdown's line breaks, all other gaps within a line, and whatever could be one of
    these. Optimizing again changes nothing, and equal prompts stay equal, so a prompt cache's
    prefix stays one.

    Args:
        prompt: A text, messages in any form that LangChain knows, or a prompt value. Of messages,
            human and system messages are optimized; ids, names and metadata stay, and so do
            pictures, documents and all else that is no text.

    Returns:
        The same kind: a text, a list of messages or a prompt value. A text, message or prompt
        value with nothing to take out is the same object.

    Raises:
        TypeError: `prompt` is none of these.

    Example:
        >>> optimize_prompt("Read this.  Then answer:\n\n\n\n```\na   b\n```\n\n")
        'Read this. Then answer:\n\n```\na   b\n```'
    """
    return _change_prompt(prompt, lambda text, edges: shorten(text, edges=edges)[0])


def _change_prompt(prompt: Any, change: Change) -> Any:
    if isinstance(prompt, str):
        return change(prompt, True)
    if isinstance(prompt, PromptValue):
        return _change_value(prompt, change)
    if not isinstance(prompt, Sequence):
        raise TypeError(
            f"A prompt can't be a {type(prompt).__name__}: pass a text, a list of messages or a "
            "prompt value."
        )
    return [_change_message(message, change) for message in convert_to_messages(prompt)]


def _change_value(prompt: PromptValue, change: Change) -> PromptValue:
    if isinstance(prompt, StringPromptValue):
        text = change(prompt.text, True)
        return prompt if text == prompt.text else prompt.model_copy(update={"text": text})
    if not isinstance(prompt, ChatPromptValue):
        return prompt  # a picture
    messages = [_change_message(message, change) for message in prompt.messages]
    if all(new is old for new, old in zip(messages, prompt.messages, strict=True)):
        return prompt
    return prompt.model_copy(update={"messages": messages})


def _change_message(message: BaseMessage, change: Change) -> BaseMessage:
    if not isinstance(message, _OPTIMIZED):
        return message
    content: Any = message.content
    if isinstance(content, str):
        changed: Any = change(content, True)
    else:
        # White space at the edge of one text may be all that parts it from the next.
        is_alone = len([*texts_of(content)]) == 1
        changed = map_texts(content, lambda text: change(text, is_alone))
    return message if changed == content else with_content(message, changed)


class PromptOptimizer(RunnableLambda[Any, Any]):
    r"""`optimize_prompt` as a step of a chain, which adds up what it saved.

    Example:
        >>> from langchain_core.prompts import ChatPromptTemplate
        >>> prompt = ChatPromptTemplate.from_messages([("human", "{question}")])
        >>> optimizer = PromptOptimizer()
        >>> chain = prompt | optimizer  # | model
        >>> chain.invoke({"question": "Why?  \n\n\n\nBriefly, please."}).messages[0].content
        'Why?\n\nBriefly, please.'
        >>> optimizer.saved.removed_chars
        4
    """

    def __init__(self) -> None:
        self._counter = SavingsCounter()
        super().__init__(self._optimize, name="PromptOptimizer")

    @property
    def saved(self) -> Savings:
        """What was saved so far, by all threads."""
        return self._counter.total

    def report(self, text: str) -> Optimized:
        r"""Optimize one text, count it, and say what that saved by kind of white space.

        Example:
            >>> PromptOptimizer().report("One.\n\n\n\nTwo.").removed
            {'blank_lines': 2}
        """
        optimized = optimize(text)
        self._counter.add([optimized])
        return optimized

    def _optimize(self, prompt: Any) -> Any:
        texts: list[Optimized] = []

        def change(text: str, edges: bool) -> str:  # noqa: FBT001 - a callback
            texts.append(optimize(text, edges=edges))
            return texts[-1].text

        changed = _change_prompt(prompt, change)
        self._counter.add(texts)
        return changed

    def __repr__(self) -> str:
        """Its name: what it calls is no news."""
        return "PromptOptimizer()"
