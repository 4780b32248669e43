"""A chain that is a line of steps, run in stages: one for each model in it.

The steps before a model make its record of an input, those behind the last one make the result
of an answer, so that a run of any length streams through: nothing is held but what S3 holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.prompts import BasePromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnablePassthrough
from langchain_core.runnables.config import ContextThreadPoolExecutor, merge_configs

from langchain_bedrock_opt.batching.callbacks import ModelRuns
from langchain_bedrock_opt.batching.chains.anatomy import (
    Step,
    is_async_only,
    models_in,
    steps_of,
)
from langchain_bedrock_opt.batching.chains.fingerprint import fingerprint_of
from langchain_bedrock_opt.batching.chains.traces import Traces
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from langchain_bedrock_opt.batching.known import known_of
from langchain_bedrock_opt.batching.parts import BatchResult, Entry, Outcome, Record, Refused
from langchain_bedrock_opt.batching.program import ModelProgram, messages_of
from langchain_bedrock_opt.batching.records.recorder import Recorder
from langchain_bedrock_opt.batching.records.templates import compile_prompt
from langchain_bedrock_opt.errors import ConfigurationError

# Steps that wait for nobody: a thread would only cost.
_QUICK: Final = (BasePromptTemplate, BaseOutputParser, RunnablePassthrough)
# Threads for steps in front of a model, where the config does not say how many.
_THREADS: Final = 16
# Inputs that are worked on ahead of the one that is next, for each thread.
_AHEAD: Final = 4

ConfigOf = Callable[[int], RunnableConfig]
"""The config of an input, by its place."""


class NotALineError(ConfigurationError):
    """A chain is no line of steps with models between them, and can't be run in stages."""


class Numbered(NamedTuple):
    """A step and its number in the chain, from 1."""

    number: int
    step: Step


@dataclass(frozen=True, slots=True)
class Stage:
    """One model of a chain and the steps that lead to it.

    Attributes:
        before: The steps from the model before, or from the input.
        model: The model's own step.
    """

    before: tuple[Numbered, ...]
    model: Numbered


@dataclass(frozen=True, slots=True)
class Line:
    """A chain, cut at its models.

    Attributes:
        name: The chain's name.
        stages: One for each model.
        after: The steps behind the last model.
    """

    name: str
    stages: tuple[Stage, ...]
    after: tuple[Numbered, ...]

    @property
    def steps(self) -> list[Step]:
        """All steps in their order."""
        found = [item.step for stage in self.stages for item in (*stage.before, stage.model)]
        return [*found, *(item.step for item in self.after)]


def cut(chain: Runnable[Any, Any]) -> Line:
    """Cut a chain at its models.

    Args:
        chain: The chain.

    Raises:
        NotALineError: A step asks a model within itself, or can't be run here; says which.
    """
    stages: list[Stage] = []
    steps: list[Numbered] = []
    for number, step in enumerate(steps_of(chain), 1):
        if isinstance(step.runnable, BedrockBatch):
            stages.append(Stage(tuple(steps), Numbered(number, step)))
            steps = []
            continue
        name = step.runnable.get_name()
        if any(isinstance(model, BedrockBatch) for model in models_in(step.runnable)):
            raise NotALineError(
                f"Step {number} of the chain ({name}) asks a model within itself, so that the "
                "chain can't be run in stages: leave mode='auto', or take mode='coalesce'."
            )
        if is_async_only(step.runnable):
            raise NotALineError(
                f"Step {number} of the chain ({name}) is async only, and stages run in threads: "
                "leave mode='auto', or take mode='coalesce'."
            )
        steps.append(Numbered(number, step))
    if not stages:
        raise NotALineError("No step of the chain is a BedrockBatch, so that there is no stage.")
    return Line(chain.get_name(), tuple(stages), tuple(steps))


def program_of(chain: Runnable[Any, Any], config_of: ConfigOf | None = None) -> ChainProgram:
    """The program of a chain that is a line of steps.

    Args:
        chain: The chain.
        config_of: The config of an input, by its place; for runs that start here.

    Raises:
        NotALineError: It is none.
        ConfigurationError: No job takes what a model of it is asked.
    """
    return ChainProgram(cut(chain), config_of or (lambda _place: {}))


class ChainProgram:
    """Runs a line of steps. A `parts.Program` with a stage for each model.

    Args:
        line: The chain, cut at its models.
        config_of: The config of an input, by its place.
    """

    def __init__(self, line: Line, config_of: ConfigOf) -> None:
        self._line = line
        self._traces = Traces(line.name, config_of)
        self._config_of = config_of
        self._asking = [_Asking(stage.model, self._traces) for stage in line.stages]

    @property
    def stages(self) -> int:
        """How many models are asked."""
        return len(self._line.stages)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the chain's structure."""
        return fingerprint_of(self._line.steps)

    def entries(self, stage: int, items: Iterable[tuple[int, Any]]) -> Iterator[Entry]:
        """Make records of a stage's items, by the steps in front of its model."""
        asking, before = self._asking[stage], self._line.stages[stage].before

        def entry(pair: tuple[int, Any]) -> Entry:
            place, item = pair
            try:
                if stage == 0:
                    self._traces.open(place, item)
                written = asking.entry(place, item, before)
            except Exception as error:  # noqa: BLE001 - this input fails, the others go on
                written = Refused(place, error)
            return written

        if all(isinstance(item.step.runnable, _QUICK) for item in before):
            return map(entry, items)
        return _ahead(entry, items, self._threads)

    def result(self, stage: int, outcome: Outcome) -> Any:
        """The answer of an outcome, or what the steps behind the last model make of it.

        Raises:
            Exception: There is no answer, or a step fails. Only this input does.
        """
        place = outcome.place
        try:
            value: Any = self._asking[stage].answer(outcome)
            if stage + 1 < self.stages:
                return value
            value = _done(self._line.after, value, place, self._traces)
        except Exception as error:
            self._traces.end(BatchResult(place, error=error))
            raise
        self._traces.end(BatchResult(place, value))
        return value

    def abandon(self, error: BaseException) -> None:
        """End all runs that are still open: the batch has failed."""
        for asking in self._asking:
            asking.abandon(error)
        self._traces.abandon(error)

    @property
    def _threads(self) -> int:
        return self._config_of(0).get("max_concurrency") or _THREADS


class _Asking:
    """One stage's model: the records it is sent and the answers it gives."""

    def __init__(self, item: Numbered, traces: Traces) -> None:
        number, step = item
        model = step.runnable
        assert isinstance(model, BedrockBatch)
        kwargs = dict(step.kwargs)
        stop = kwargs.pop("stop", None)
        self._number = number
        self._config = step.config
        self._traces = traces
        cache = known_of(model.model, stop, kwargs, metadata=self._metadata, learns=True)
        self._program = ModelProgram(model.model, stop=stop, kwargs=kwargs, cache=cache)
        self._recorder = None if cache else Recorder(model.model, stop=stop, kwargs=kwargs)
        self._runs = ModelRuns(model, stop, kwargs)
        self._compiled: dict[int, Callable[[Any], bytes] | None] = {}

    def entry(self, place: int, item: Any, before: Sequence[Numbered]) -> Entry:
        """Make the record of one item."""
        is_heard = self._traces.is_heard(place)
        compiled = None if is_heard else self._short_way(before)
        if compiled is not None:
            return Record(place, self._program.kind, compiled(item))
        messages = messages_of(_done(before, item, place, self._traces))
        if is_heard:
            self._runs.open(place, messages, self._child(place))
        (entry,) = self._program.entries(0, [(place, messages)])
        return entry
