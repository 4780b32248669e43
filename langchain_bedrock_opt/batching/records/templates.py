"""Prompt templates as bytes with gaps: from a chain's input to a record without messages.

LangChain takes some 150 µs to make messages of a template and its variables; the bytes that
come of it differ only where the variables stand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from string import Formatter
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.prompts import (
    AIMessagePromptTemplate,
    ChatPromptTemplate,
    HumanMessagePromptTemplate,
    PromptTemplate,
    SystemMessagePromptTemplate,
)
from langchain_core.runnables import Runnable

from langchain_bedrock_opt.batching.records.recorder import Recorder
from langchain_bedrock_opt.batching.records.skeletons import Skeleton, mark

_MESSAGE_TEMPLATES: Final = frozenset(
    {AIMessagePromptTemplate, HumanMessagePromptTemplate, SystemMessagePromptTemplate}
)


def compile_prompt(prompt: Runnable[Any, Any], recorder: Recorder) -> Callable[[Any], bytes] | None:
    """Make one function of a prompt and a recorder: from an input to a record's body.

    It gives what `recorder.record(prompt.invoke(input).to_messages())` gives and raises what that
    raises. The prompt opens no runs for callbacks.

    Args:
        prompt: The step in front of the model.
        recorder: What makes records of messages.

    Returns:
        None for a prompt that has more to it than f-string templates: placeholders for messages,
        images, other template languages, functions for variables.

    Example:
        >>> from langchain_bedrock_opt.batching.records.recorder import Recorder
        >>> from langchain_aws import ChatBedrockConverse
        >>> from types import SimpleNamespace
        >>> client = SimpleNamespace(meta=SimpleNamespace(region_name="us-east-1"))
        >>> model = ChatBedrockConverse(
        ...     model="amazon.nova-lite-v1:0", client=client, bedrock_client=client
        ... )
        >>> prompt = PromptTemplate.from_template("Translate: {text}")
        >>> record = compile_prompt(prompt, Recorder(model))
        >>> b"Translate: Hello" in record({"text": "Hello"})
        True
    """
    if not recorder.copies_text or type(prompt) not in (ChatPromptTemplate, PromptTemplate):
        return None
    template: Any = prompt
    uses = _uses(template)
    if uses is None or set(uses) != set(template.input_variables) or template.optional_variables:
        return None
    names = list(uses)
    marked = {name: mark(number) for number, name in enumerate(names)}
    try:
        messages = template.format_prompt(**marked).to_messages()
        if isinstance(messages[-1], AIMessage):  # its end is trimmed, so it is not just copied
            return None
        skeleton = Skeleton(recorder.record_slowly(messages), [uses[name] for name in names])
    except Exception:  # noqa: BLE001 - whatever it is, each record's own way will tell
        return None
    return CompiledPrompt(template, recorder, names, skeleton)


class CompiledPrompt:
    """A prompt and a recorder as one function. Made by `compile_prompt`.

    Args:
        prompt: The prompt.
        recorder: What makes records of its messages.
        names: The variables, in the order of their marks.
        skeleton: The record with gaps.
    """

    def __init__(
        self,
        prompt: ChatPromptTemplate | PromptTemplate,
        recorder: Recorder,
        names: Sequence[str],
        skeleton: Skeleton,
    ) -> None:
        self._prompt = prompt
        self._recorder = recorder
        self._names = names
        self._partials = frozenset(prompt.partial_variables)
        self._skeleton: Skeleton | None = skeleton
        self._is_checked = False

    def __call__(self, item: Any) -> bytes:
        """The record of one input.

        Args:
            item: The prompt's input, usually a dict.
        """
        values = self._values(item) if self._skeleton is not None else None
        if values is None or self._skeleton is None:
            return self._slowly(item)
        try:
            body = self._skeleton.fill(values)
        except TypeError:
            return self._slowly(item)
        if not self._is_checked:
            slow = self._slowly(item)
            if slow != body:
                self._skeleton = None
            self._is_checked = True
            return slow
        return body

    def _values(self, item: Any) -> list[str] | None:
        """The variables, if they are plain texts that go into the record as they are."""
        if type(item) is not dict:
            return None
        values: list[str] = []
        for name in self._names:
            value = item.get(name)
            if type(value) is not str or not value or value.isspace():
                return None
            values.append(value)
        if self._partials and not self._partials.isdisjoint(item):
            return None
        return values

    def _slowly(self, item: Any) -> bytes:
        prompt = self._prompt
        if isinstance(item, dict) and item.keys() >= set(prompt.input_variables):
            messages: list[BaseMessage] = prompt.format_prompt(**item).to_messages()
        else:  # the prompt knows what to say, or what else this may be
            messages = prompt.invoke(item).to_messages()
        return self._recorder.record(messages)


def _uses(prompt: ChatPromptTemplate | PromptTemplate) -> Counter[str] | None:
    """How often each variable is used; None if there is anything but plain variables."""
    uses: Counter[str] = Counter()
    if not all(type(value) is str for value in prompt.partial_variables.values()):
        return None
    steps = prompt.messages if isinstance(prompt, ChatPromptTemplate) else [prompt]
    for step in steps:
        if isinstance(step, BaseMessage):
            continue
        inner: Any = step.prompt if type(step) in _MESSAGE_TEMPLATES else step  # type: ignore[union-attr]
        if type(inner) is not PromptTemplate or inner.template_format != "f-string":
            return None
        if inner is not prompt and inner.partial_variables:
            return None
        for field in _fields(inner.template):
            if field is None:
                return None
            uses[field] += 1
    for name in prompt.partial_variables:
        uses.pop(name, None)
    return uses


def _fields(template: str) -> Iterator[str | None]:
    """The variables of an f-string; None for one that is formatted in some way."""
    for _, name, form, conversion in Formatter().parse(template):
        if name is not None:
            yield name if name.isidentifier() and not form and not conversion else None
