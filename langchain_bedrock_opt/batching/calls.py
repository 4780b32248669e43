"""One `.batch()` of a chat model: runs for callbacks around a run of jobs."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_config_list

from langchain_bedrock_opt.batching.callbacks import AsyncModelRuns, ModelRuns
from langchain_bedrock_opt.batching.known import known_of
from langchain_bedrock_opt.batching.parts import BatchResult
from langchain_bedrock_opt.batching.program import ModelProgram, messages_of
from langchain_bedrock_opt.batching.run.batch_run import BatchRun, submit
from langchain_bedrock_opt.batching.run.failures import partial_error
from langchain_bedrock_opt.batching.run.leaving import asubmitted
from langchain_bedrock_opt.errors import BatchError, BatchPartialError, InputsChangedError

if TYPE_CHECKING:
    from langchain_bedrock_opt.batching.chat_model import BedrockBatch

RUN_ID_KEY: Final = "bedrock_opt_run_id"
"""Key of a durable run's name in the metadata of a batch's config.

A batch that is made again under its name tells its handlers of all answers again. Whether those of
the first time have heard of them, nobody can know: they may have died with their process.
"""

_TOLD: Final = ("tool_calls", "tool_call_id")
"""What tells messages of some kinds apart, besides their content."""

_RETRY: Final = "retry:attempt:"
"""How LangChain's tags of repeated attempts begin."""


class BatchCall:
    """One call of `batch` or of its likes.

    Args:
        model: The model.
        inputs: The inputs.
        config: One config, or one for each input.
        kwargs: The call's other arguments.
    """

    def __init__(
        self,
        model: BedrockBatch,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None,
        kwargs: dict[str, Any],
    ) -> None:
        self._model = model
        self._inputs = inputs
        self._configs = [model.own_config(each) for each in get_config_list(config, len(inputs))]
        self._stop: list[str] | None = kwargs.pop("stop", None)
        self._kwargs = kwargs
        self._refused: dict[int, Exception] = {}
        self._refusals: list[Any] = []  # of all inputs, if Bedrock makes no job of them
        cache = known_of(model.model, self._stop, kwargs, metadata=self._metadata, learns=True)
        self._program = ModelProgram(
            model.model, stop=self._stop, kwargs=kwargs, cache=cache, refused=self._refused
        )

    def _metadata(self, place: int) -> dict[str, Any]:
        return {
            **(self._model.model.metadata or {}),
            **(self._configs[place].get("metadata") or {}),
        }

    # --- Waiting ---

    def outputs(self, *, return_exceptions: bool) -> list[AIMessage]:
        """All answers, in the order of the inputs.

        Raises:
            BatchPartialError: Some inputs have none, and exceptions are not wanted in the list.
        """
        with self._runs() as runs:
            run = self._submitted(return_exceptions=return_exceptions)
            values, failure = self._refusals, None
            if run is not None:
                try:
                    values = run.wait(progress=self._model.progress).outputs()
                except BatchPartialError as error:
                    values, failure = error.results, error
            for result in self._results(values):
                self._end(runs, result, values)
        failure = failure or partial_error(values, run.uri if run else "")
        return _given(values, failure, return_exceptions=return_exceptions)

    async def aoutputs(self, *, return_exceptions: bool) -> list[AIMessage]:
        """As `outputs`."""
        async with self._aruns() as runs:
            run = await self._asubmitted(return_exceptions=return_exceptions)
            values, failure = self._refusals, None
            if run is not None:
                await run.await_(progress=self._model.progress)
                try:
                    values = await run.aoutputs()
                except BatchPartialError as error:
                    values, failure = error.results, error
            for result in self._results(values):
                await self._aend(runs, result, values)
        failure = failure or partial_error(values, run.uri if run else "")
        return _given(values, failure, return_exceptions=return_exceptions)

    def as_completed(self, *, return_exceptions: bool) -> Iterator[tuple[int, Any]]:
        """Answers with their places, as they are read.

        Raises:
            BatchPartialError: As `outputs`, behind the last answer.
        """
        values: list[Any] = [None] * len(self._inputs)
        with self._runs() as runs:
            run = self._submitted(return_exceptions=return_exceptions)
            for read in self._read(run):
                result = self._end(runs, self._told(read, values), values)
                if result.error is None or return_exceptions:
                    yield result.index, values[result.index]
        _given(
            values,
            partial_error(values, run.uri if run else ""),
            return_exceptions=return_exceptions,
        )

    async def aas_completed(self, *, return_exceptions: bool) -> AsyncIterator[tuple[int, Any]]:
        """As `as_completed`."""
        values: list[Any] = [None] * len(self._inputs)
        async with self._aruns() as runs:
            run = await self._asubmitted(return_exceptions=return_exceptions)
            async with aclosing(cast("Any", self._aread(run))) as results:
                async for read in results:
                    result = await self._aend(runs, self._told(read, values), values)
                    if result.error is None or return_exceptions:
                        yield result.index, values[result.index]
        _given(
            values,
            partial_error(values, run.uri if run else ""),
            return_exceptions=return_exceptions,
        )

    def _results(self, values: list[Any]) -> Iterator[BatchResult]:
        """The results behind outputs and exceptions."""
        for place, value in enumerate(values):
            is_error = isinstance(value, Exception)
            read = BatchResult(place, error=value) if is_error else BatchResult(place, value)
            yield self._told(read, values)

    def _told(self, result: BatchResult, values: list[Any]) -> BatchResult:
        """A result, as the caller gets it, also in the list."""
        refused = self._refused.get(result.index)
        if refused is not None:  # the handler's own error: the run in S3 keeps its name only
            result = BatchResult(result.index, error=refused)
        values[result.index] = result.output if result.error is None else result.error
        return result

    def _end(self, runs: ModelRuns, result: BatchResult, values: list[Any]) -> BatchResult:
        """End an input's run; the result, of which a handler may have made an error."""
        try:
            runs.end(result)
        except Exception as error:  # noqa: BLE001 - a handler's that is to be raised
            return _raised(error, result, values)
        return result

    async def _aend(
        self, runs: AsyncModelRuns, result: BatchResult, values: list[Any]
    ) -> BatchResult:
        """As `_end`."""
        try:
            await runs.end(result)
        except Exception as error:  # noqa: BLE001 - likewise
            return _raised(error, result, values)
        return result

    # --- The run ---

    @contextmanager
    def _runs(self) -> Iterator[ModelRuns]:
        """LangChain's runs of the inputs, open; those that are open at the end have failed."""
        runs = ModelRuns(self._model.model, self._stop, self._kwargs)
        try:
            if runs.has_listeners(self._configs):
                for place, config in enumerate(self._configs):
                    try:
                        runs.open(place, messages_of(self._inputs[place]), config)
                    except Exception as error:  # noqa: BLE001, PERF203 - refused, by a budget say
                        self._refused[place] = error
            yield runs
        except BaseException as error:
            runs.abandon(error)
            raise

    @asynccontextmanager
    async def _aruns(self) -> AsyncIterator[AsyncModelRuns]:
        """As `_runs`."""
        runs = AsyncModelRuns(self._model.model, self._stop, self._kwargs)
        try:
            if runs.has_listeners(self._configs):
                for place, config in enumerate(self._configs):
                    try:
                        await runs.open(place, messages_of(self._inputs[place]), config)
                    except Exception as error:  # noqa: BLE001, PERF203 - likewise
                        self._refused[place] = error
            yield runs
        except BaseException as error:
            await runs.abandon(error)
            raise

    def _submitted(self, *, return_exceptions: bool) -> BatchRun | None:
        """The run; None if no job can be made and exceptions are wanted in the list.

        Raises:
            BatchError: It can't be submitted, or only in part: what jobs that run already do is
                not to be asked for again by a fallback.
        """
        model = self._model
        try:
            return submit(
                self._program, self._inputs, model.settings, model.services, run_id=self._run_id()
            )
        except BatchError as error:
            if error.run_uri or not return_exceptions or isinstance(error, InputsChangedError):
                raise
            self._refusals = [error] * len(self._inputs)
            return None

    async def _asubmitted(self, *, return_exceptions: bool) -> BatchRun | None:
        """As `_submitted`."""
        return await asubmitted(lambda: self._submitted(return_exceptions=return_exceptions))

    def _read(self, run: BatchRun | None) -> Iterator[BatchResult]:
        """Results as they are read, or refusals."""
        if run is None:
            return self._results(self._refusals)
        return run.wait(progress=self._model.progress).results(order="any")

    async def _aread(self, run: BatchRun | None) -> AsyncIterator[BatchResult]:
        """As `_read`."""
        if run is None:
            for result in self._results(self._refusals):
                yield result
            return
        await run.await_(progress=self._model.progress)
        async with aclosing(cast("Any", run.aresults(order="any"))) as results:
            async for result in results:
                yield result

    def _run_id(self) -> str | None:
        """The run's name, if the user has given one: with what tells apart the batches under it.

        A chain may ask a model more than once, and a retry asks for what has failed: under one
        name, each has a run of its own, which the same call finds again.
        """
        config = self._configs[0]
        name = (config.get("metadata") or {}).get(RUN_ID_KEY)
        if name is None:
            return None
        digest = hashlib.blake2b(self._program.fingerprint.encode(), digest_size=6)
        callbacks: Any = config.get("callbacks")
        if isinstance(callbacks, BaseCallbackManager):
            retries = [tag for tag in callbacks.tags if tag.startswith(_RETRY)]
            digest.update(repr(retries).encode())
        for prompt in self._inputs:
            digest.update(_described(prompt))
        return f"{name}-{digest.hexdigest()}"


def _described(prompt: LanguageModelInput) -> bytes:
    """What tells one prompt from another, whatever ids its messages have."""
    try:
        messages = messages_of(prompt)
    except ValueError:
        return b"no prompt"
    said = [
        (
            message.type,
            message.name,
            message.content,
            *(getattr(message, name, None) for name in _TOLD),
        )
        for message in messages
    ]
    return repr(said).encode("utf-8", "surrogatepass")


def _raised(error: Exception, result: BatchResult, values: list[Any]) -> BatchResult:
    """What a handler's error makes of a result, also in the list: it is this input's alone."""
    if result.error is not None:
        return result
    values[result.index] = error
    return BatchResult(result.index, error=error)


def _given(
    values: list[Any], failure: BatchPartialError | None, *, return_exceptions: bool
) -> list[Any]:
    if failure is not None and not return_exceptions:
        raise failure
    return values
