"""A brain that says what a test has written down for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from langchain_bedrock_opt.emulator.replies.conversation import Conversation
from langchain_bedrock_opt.emulator.replies.counting import counted
from langchain_bedrock_opt.emulator.types import Reply, Responder, ServiceFailure
from langchain_bedrock_opt.errors import ConfigurationError, EmulatorError

Line: TypeAlias = "str | Mapping[str, Any] | Sequence[Mapping[str, Any]] | Reply | ServiceFailure"
"""One answer: a text, a content block, several, a whole `Reply`, or a failure to raise."""

Condition: TypeAlias = "str | Callable[[Mapping[str, Any]], bool]"
"""When a rule holds: a text in the prompt, or a function of the request."""


class ScriptedResponder:
    """Answers from a script, as a `Responder`. Thread-safe.

    A rule that holds comes first, in the order of the rules; then the queue, each line once; then
    the fallback. What is written is said as it stands: no limit of the request cuts it. Token
    counts are estimates unless the line is a `Reply`. The cheapest for large jobs is one `Reply`
    under a rule that is a function.

    Args:
        lines: The queue.
        fallback: Who answers once the script is used up; by default nobody.

    Example:
        >>> ask = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
        >>> script = ScriptedResponder(["Hello!"]).when("weather").reply("Sunny.")
        >>> script.reply(ask).content
        ({'text': 'Hello!'},)
    """

    def __init__(self, lines: Sequence[Line] = (), *, fallback: Responder | None = None) -> None:
        self._queue = deque(map(_checked, lines))
        self._rules: list[tuple[Condition, deque[Line]]] = []
        self._fallback = fallback
        self._lock = threading.Lock()

    def add(self, *lines: Line) -> ScriptedResponder:
        """Put lines at the end of the queue.

        Raises:
            ConfigurationError: A line is none of the things a line can be.
        """
        checked = list(map(_checked, lines))
        with self._lock:
            self._queue.extend(checked)
        return self

    def when(self, condition: Condition) -> ScriptedRule:
        """Start a rule: `when("weather").reply("Sunny.")`.

        Args:
            condition: A text that the last prompt contains, or a function of the request.
        """
        return ScriptedRule(self, condition)

    def reply(self, request: Mapping[str, Any]) -> Reply:
        """Say the next line.

        Raises:
            ServiceFailure: The line is one.
            EmulatorError: The script is used up and there is no fallback.
        """
        line = self._next(request)
        if line is None:
            if self._fallback is None:
                raise EmulatorError(_used_up(request))
            return self._fallback.reply(request)
        if isinstance(line, ServiceFailure):
            # A fresh one: an exception object carries the traceback of the thread it is raised in.
            raise ServiceFailure(line.code, line.message, line.status)
        if isinstance(line, Reply):
            return line
        return counted(request, _blocks(line))

    def _next(self, request: Mapping[str, Any]) -> Line | None:
        prompt: str | None = None  # taking a request apart costs more than all the rest
        with self._lock:
            for condition, lines in self._rules:
                if isinstance(condition, str):
                    prompt = Conversation.of(request).prompt if prompt is None else prompt
                    holds = condition in prompt
                else:
                    holds = condition(request)
                if holds:
                    return lines.popleft() if len(lines) > 1 else lines[0]
            return self._queue.popleft() if self._queue else None

    def _add_rule(self, condition: Condition, lines: Sequence[Line]) -> None:
        with self._lock:
            self._rules.append((condition, deque(map(_checked, lines))))


class ScriptedRule:
    """The first half of a rule; `reply` is the other."""

    def __init__(self, script: ScriptedResponder, condition: Condition) -> None:
        self._script = script
        self._condition = condition

    def reply(self, line: Line, *more: Line) -> ScriptedResponder:
        """What is said when the condition holds: line after line, the last one from then on.

        Returns:
            The script, so that rules can be chained.

        Raises:
            ConfigurationError: A line is none of the things a line can be.
        """
        self._script._add_rule(self._condition, (line, *more))  # noqa: SLF001 - one class in two parts
        return self._script


def _checked(line: Line) -> Line:
    if isinstance(line, (str, Mapping, Reply, ServiceFailure)):
        return line
    if isinstance(line, Sequence) and all(isinstance(block, Mapping) for block in line):
        return line
    raise ConfigurationError(
        f"A scripted line can't be a {type(line).__name__}: give a text, a content block, a list "
        "of blocks, a Reply or a ServiceFailure."
    )


def _blocks(line: str | Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if isinstance(line, str):
        return [{"text": line}]
    return [line] if isinstance(line, Mapping) else list(line)


def _used_up(request: Mapping[str, Any]) -> str:
    length = len(Conversation.of(request).prompt)
    return (
        f"The script has no line left for a call of {request.get('modelId')!r} with a prompt of "
        f"{length} characters: add lines, a rule that holds for it, or a fallback responder."
    )
