"""One `.batch()` of a chat model: runs for callbacks around a run of jobs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_config_list

from langchain_bedrock_opt.batching.callbacks import AsyncModelRuns, ModelRuns
from langchain_bedrock_opt.batching.known import known_of
from langchain_bedrock_opt.batching.parts import BatchResult, Order
from langchain_bedrock_opt.batching.program import ModelProgram, messages_of
from langchain_bedrock_opt.errors import BatchPartialError

if TYPE_CHECKING:
    from langchain_bedrock_opt.batching.chat_model import BedrockBatch
    from langchain_bedrock_opt.batching.run.batch_run import BatchRun

RUN_ID_KEY: Final = "bedrock_opt_run_id"
"""Key of a durable run's name in the metadata of a batch's config."""

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
        cache = known_of(model.model, self._stop, kwargs, metadata=self._metadata, learns=True)
        self._program = ModelProgram(
            model.model, stop=self._stop, kwargs=kwargs, cache=cache, refused=self._refused
        )
        self._uri = ""

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
        return self._given(list(self._results("input")), return_exceptions=return_exceptions)

    async def aoutputs(self, *, return_exceptions: bool) -> list[AIMessage]:
        """As `outputs`."""
        results = [result async for result in self._aresults("input")]
        return self._given(results, return_exceptions=return_exceptions)

    def as_completed(self, *, return_exceptions: bool) -> Iterator[tuple[int, Any]]:
        """Answers with their places, as they are read."""
        results: list[BatchResult] = []
        for result in self._results("any"):
            results.append(result)
            if result.error is None or return_exceptions:
                yield result.index, _value(result)
        self._given(_sorted(results), return_exceptions=return_exceptions)

    async def aas_completed(self, *, return_exceptions: bool) -> AsyncIterator[tuple[int, Any]]:
        """As `as_completed`."""
        results: list[BatchResult] = []
        async for result in self._aresults("any"):
            results.append(result)
            if result.error is None or return_exceptions:
                yield result.index, _value(result)
        self._given(_sorted(results), return_exceptions=return_exceptions)

    def _given(self, results: list[BatchResult], *, return_exceptions: bool) -> list[AIMessage]:
        values = [_value(result) for result in results]
        failed = [result.error for result in results if result.error is not None]
        if failed and not return_exceptions:
            kinds = ", ".join(sorted({type(error).__name__ for error in failed}))
            raise BatchPartialError(
                f"{len(failed)} of {len(results)} inputs have no answer ({kinds}). All that was "
                "paid for is in .results, with the exceptions in the places of the others; "
                "return_exceptions=True gives the same as a list.",
                values,
                self._uri,
            ) from failed[0]
        return values

    # --- The run ---

    def _results(self, order: Order) -> Iterator[BatchResult]:
        runs = ModelRuns(self._model.model, self._stop, self._kwargs)
        if not runs.has_listeners(self._configs):
            yield from self._submitted().results(order=order)
            return
        try:
            for place, config in enumerate(self._configs):
                try:
                    runs.open(place, messages_of(self._inputs[place]), config)
                except Exception as error:  # noqa: BLE001, PERF203 - this input is refused, e.g. by a budget
                    self._refused[place] = error
            for result in self._submitted().results(order=order):
                runs.end(result)
                yield result
        except BaseException as error:
            runs.abandon(error)
            raise

    async def _aresults(self, order: Order) -> AsyncIterator[BatchResult]:
        runs = AsyncModelRuns(self._model.model, self._stop, self._kwargs)
        has_listeners = runs.has_listeners(self._configs)
        try:
            if has_listeners:
                for place, config in enumerate(self._configs):
                    try:
                        await runs.open(place, messages_of(self._inputs[place]), config)
                    except Exception as error:  # noqa: BLE001, PERF203 - likewise
                        self._refused[place] = error
            run = await asyncio.to_thread(self._submitted, waits=False)
            await run.await_(progress=self._model.progress)
            async for result in run.aresults(order=order):
                await runs.end(result)
                yield result
        except BaseException as error:
            await runs.abandon(error)
            raise

    def _submitted(self, *, waits: bool = True) -> BatchRun:
        """The run; by default, when it is over."""
        from langchain_bedrock_opt.batching.run.starting import submit

        model = self._model
        run = submit(
            self._program, self._inputs, model.settings, model.services, run_id=self._run_id()
        )
        self._uri = run.uri
        return run.wait(progress=model.progress) if waits else run

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
        (message.type, message.content, getattr(message, "tool_calls", None), message.name)
        for message in messages
    ]
    return repr(said).encode("utf-8", "surrogatepass")


def _value(result: BatchResult) -> Any:
    return result.output if result.error is None else result.error


def _sorted(results: list[BatchResult]) -> list[BatchResult]:
    return sorted(results, key=lambda result: result.index)
