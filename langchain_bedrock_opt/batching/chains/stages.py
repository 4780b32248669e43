"""A chain that is a line of steps, run in stages: one for each model in it.

The steps before a model make its record of an input, those behind the last one make the result
of an answer, so that a run of any length streams through: nothing is held but what S3 holds.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Final, NamedTuple

from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.prompts import BasePromptTemplate
from langchain_core.runnables import Runnable, RunnableConfig, RunnablePassthrough
from langchain_core.runnables.config import ContextThreadPoolExecutor, merge_configs

from langchain_bedrock_opt.batching.callbacks import TRACING_ARGUMENTS, ModelRuns
from langchain_bedrock_opt.batching.chains.anatomy import (
    Step,
    is_async_only,
    models_in,
    opened,
    steps_of,
)
from langchain_bedrock_opt.batching.chains.fingerprint import fingerprint_of
from langchain_bedrock_opt.batching.chains.listeners import heard_on
from langchain_bedrock_opt.batching.chains.traces import Traces
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from langchain_bedrock_opt.batching.known import known_of
from langchain_bedrock_opt.batching.parts import (
    COALESCER,
    BatchResult,
    Entry,
    Outcome,
    Program,
    Record,
    Refused,
)
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
        model: The model.
        asking: Its own step, with what is bound to it.
    """

    before: tuple[Numbered, ...]
    model: BedrockBatch
    asking: Numbered


@dataclass(frozen=True, slots=True)
class Line:
    """A chain, cut at its models.

    Attributes:
        name: The chain's name.
        config: What is configured around the whole chain.
        stages: One for each model.
        after: The steps behind the last model.
    """

    name: str
    config: RunnableConfig | None
    stages: tuple[Stage, ...]
    after: tuple[Numbered, ...]

    @property
    def steps(self) -> list[Step]:
        """All steps in their order."""
        found = [item.step for stage in self.stages for item in (*stage.before, stage.asking)]
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
    whole = opened(chain)
    inner = whole.runnable.bind(**whole.kwargs) if whole.kwargs else whole.runnable
    for number, step in enumerate(steps_of(inner), 1):
        if isinstance(step.runnable, BedrockBatch):
            stages.append(Stage(tuple(steps), step.runnable, Numbered(number, step)))
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
    return Line(whole.runnable.get_name(), whole.config, tuple(stages), tuple(steps))


def line_of(chain: Runnable[Any, Any]) -> Line:
    """A chain, or what `as_batch` made of one, cut at its models.

    Raises:
        NotALineError: It is no line of steps.
    """
    wrapped = getattr(chain, "chain", None)  # a `BatchChain`, which is made over this module
    return cut(wrapped if isinstance(wrapped, Runnable) else chain)


def program_of(chain: Runnable[Any, Any]) -> Program:
    """The program of a run of a chain, as `submit` and `attach` need it.

    Nobody waits for such a run here: callbacks hear nothing of it, and caches learn nothing.

    Args:
        chain: A chain that is a line of steps, or a model; also what `as_batch` made of it.

    Raises:
        NotALineError: It is neither.
        ConfigurationError: No job takes what a model of it is asked.
    """
    line = line_of(chain)
    (stage, *others) = line.stages
    if not (others or stage.before or line.after):
        return stage.model.program(**stage.asking.step.kwargs)  # as the model's own `submit`
    return ChainProgram(line)


class ChainProgram:
    """Runs a line of steps. A `parts.Program` with a stage for each model.

    Args:
        line: The chain, cut at its models.
        config_of: The config of an input, by its place; None if nobody waits for the run here.
        loop: Where async handlers run; None lets LangChain choose.
    """

    def __init__(
        self,
        line: Line,
        config_of: ConfigOf | None = None,
        *,
        loop: AbstractEventLoop | None = None,
    ) -> None:
        self._line = line
        self._refused: dict[int, Exception] = {}
        is_attended = config_of is not None
        self._config_of: ConfigOf = partial(_configured, line.config, config_of or _no_config)
        if loop is not None:
            self._config_of = heard_on(loop, self._config_of)
        self._traces = Traces(line.name, self._config_of, is_silent=not is_attended)
        self._asking = [_Asking(stage, self._traces, learns=is_attended) for stage in line.stages]

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
        asking = self._asking[stage]

        def entry(pair: tuple[int, Any]) -> Entry:
            place, item = pair
            try:
                if stage == 0:
                    self._traces.open(place, item)
                return asking.entry(place, item)
            except Exception as error:  # noqa: BLE001 - this input fails, the others go on
                self._refused[place] = error
                return Refused(place, error)

        if asking.is_quick:
            return map(entry, items)
        return _ahead(entry, items, self._threads)

    def result(self, stage: int, outcome: Outcome) -> Any:
        """The answer of an outcome, or what the steps behind the last model make of it.

        Raises:
            Exception: There is no answer, or a step fails. Only this input does.
        """
        place = outcome.place
        if outcome.error is not None and place in self._refused:
            outcome = outcome._replace(error=self._refused[place])
        try:
            value: Any = self._asking[stage].answer(outcome)
            if stage + 1 < self.stages:
                return value
            value = done(self._line.after, value, place, self._traces)
        except Exception as error:
            self._traces.end(BatchResult(place, error=error))
            raise
        self._traces.end(BatchResult(place, value))
        return value

    def told(self, result: BatchResult) -> BatchResult:
        """A result with the very error that a step has raised: the run in S3 keeps its name only.

        Args:
            result: The result, as the run gives it.
        """
        # One that another process has sent may have an answer, whatever its step says now.
        if result.error is None or result.index not in self._refused:
            return result
        return replace(result, error=self._refused[result.index])

    def abandon(self, error: BaseException) -> None:
        """End all runs that are still open: the batch has failed."""
        for asking in self._asking:
            asking.abandon(error)
        self._traces.abandon(error)

    @property
    def _threads(self) -> int:
        return self._config_of(0).get("max_concurrency") or _THREADS


def _no_config(_place: int) -> RunnableConfig:
    return {}


def _configured(around: RunnableConfig | None, config_of: ConfigOf, place: int) -> RunnableConfig:
    config = config_of(place)
    return merge_configs(around, config) if around else config


class _Asking:
    """One stage's model: the records it is sent and the answers it gives.

    Args:
        stage: The model and the steps in front of it.
        traces: The chain's runs.
        learns: Whether caches are to learn the answers.
    """

    def __init__(self, stage: Stage, traces: Traces, *, learns: bool) -> None:
        number, step = stage.asking
        kwargs = dict(step.kwargs)
        stop = kwargs.pop("stop", None)
        self._before = stage.before
        self._traces = traces
        self._number = number
        self._config = step.config
        self._model = stage.model
        inner = stage.model.model
        cache = known_of(inner, stop, kwargs, metadata=self._metadata, learns=learns)
        self._program = ModelProgram(inner, stop=stop, kwargs=kwargs, cache=cache)
        self._runs = ModelRuns(inner, stop, kwargs)
        # Handlers of the model's own hear of it although nobody listens to the chain.
        self._has_own_handlers = learns and bool(inner.callbacks or inner.verbose)
        self._has_cache = cache is not None
        self._compiled = None if cache else _compiled(stage.before, inner, stop, kwargs)

    @property
    def is_quick(self) -> bool:
        """Whether nothing in front of the model waits for anything: no step, and no cache."""
        return not self._has_cache and all(
            isinstance(item.step.runnable, _QUICK) for item in self._before
        )

    def entry(self, place: int, item: Any) -> Entry:
        """Make the record of one item.

        Raises:
            Exception: A step fails, or a handler does not want the model to be asked.
        """
        is_heard = self._has_own_handlers or self._traces.is_heard(place)
        if self._compiled is not None and not is_heard:
            return Record(place, self._program.kind, self._compiled(item))
        messages = messages_of(done(self._before, item, place, self._traces))
        if is_heard:
            self._runs.open(place, messages, self._child(place))
        return self._program.entry(place, messages)

    def answer(self, outcome: Outcome) -> AIMessage:
        """The answer of an outcome.

        Raises:
            Exception: There is none.
        """
        try:
            message = self._program.result(0, outcome)
        except Exception as error:
            self._runs.end(BatchResult(outcome.place, error=error))
            raise
        self._runs.end(BatchResult(outcome.place, message))
        return message

    def abandon(self, error: BaseException) -> None:
        """End all runs that are still open."""
        self._runs.abandon(error)

    def _child(self, place: int) -> RunnableConfig:
        child = self._traces.child(place, self._number)
        return self._model.own_config(merge_configs(self._config, child))

    def _metadata(self, place: int) -> Mapping[str, Any]:
        of_run = self._child(place).get("metadata") or {}
        return {**(self._model.model.metadata or {}), **of_run}


def done(steps: Sequence[Numbered], value: Any, place: int, traces: Traces) -> Any:
    """Do some steps of one input.

    Args:
        steps: The steps.
        value: What the first one gets.
        place: The input's place.
        traces: The chain's runs.

    Raises:
        Exception: Whatever a step raises.
    """
    # Of a model that a step hides in an object nobody knows: better an error than the full price.
    token = COALESCER.set(_NOBODY)
    try:
        for number, step in steps:
            value = step.invoke(value, traces.child(place, number))
    finally:
        COALESCER.reset(token)
    return value


class _Nobody:
    """Refuses the single calls that a step makes where no step should."""

    async def ask(self, *call: Any) -> AIMessage:
        return self.ask_from_thread(*call)

    def ask_from_thread(self, *_call: Any) -> AIMessage:
        raise ConfigurationError(
            "A step of the chain calls a BedrockBatch within itself, which stages can't put into "
            "a job: pass mode='coalesce' to as_batch."
        )


_NOBODY: Final = _Nobody()


def _compiled(
    before: Sequence[Numbered],
    model: ChatBedrockConverse,
    stop: list[str] | None,
    kwargs: Mapping[str, Any],
) -> Callable[[Any], bytes] | None:
    """From an input to a record's body in one go, if one prompt is all that is in front."""
    if len(before) != 1 or before[0].step.config or before[0].step.kwargs:
        return None
    given = {name: value for name, value in kwargs.items() if name not in TRACING_ARGUMENTS}
    return compile_prompt(before[0].step.runnable, Recorder(model, stop=stop, kwargs=given))


def _ahead(
    function: Callable[[tuple[int, Any]], Entry], items: Iterable[tuple[int, Any]], threads: int
) -> Iterator[Entry]:
    """Work on some inputs at once, and give what became of them in their order."""
    under_way: deque[Future[Entry]] = deque()
    with ContextThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                under_way.append(pool.submit(function, item))
                if len(under_way) == threads * _AHEAD:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()
