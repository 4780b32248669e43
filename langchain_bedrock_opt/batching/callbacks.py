"""A LangChain run for each input of a batch, as there is one for each single call.

Runs are opened before anything is sent, so that a budget can refuse an input, and end with its
result. Where nobody listens, none is opened: that is most of the time, and opening one takes
longer than making the record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar, cast

from langchain_aws import ChatBedrockConverse
from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    BaseCallbackManager,
    CallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.utils import LC_ID_PREFIX

from langchain_bedrock_opt.batching.parts import BatchResult
from langchain_bedrock_opt.contracts import BATCH_METADATA_KEY

TRACING_ARGUMENTS: Final = ("ls_structured_output_format", "structured_output_format")
"""Arguments of a call that only say something to those who trace it."""

# What is too large for the metadata of a trace.
_LARGE: Final = frozenset({"tools", "functions", "messages", "response_format"})

_Run = TypeVar("_Run")


class _Runs(Generic[_Run]):
    """What is told of each run of a batch, and the runs that are open, by the inputs' places.

    Args:
        model: The model that is asked.
        stop: Stop sequences.
        kwargs: The call's other arguments.
    """

    def __init__(
        self, model: ChatBedrockConverse, stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> None:
        self._model = model
        given = {name: value for name, value in kwargs.items() if name not in TRACING_ARGUMENTS}
        params = {"model": model.model_id, **model.asdict(), "stop": stop, **given}
        self._ls_params: Mapping[str, Any] = {
            **model._get_ls_params(stop=stop, **given),  # noqa: SLF001 - an override point
            "ls_integration": "langchain_chat_model",
            BATCH_METADATA_KEY: True,
        }
        self._traced = {name: value for name, value in params.items() if name not in _LARGE}
        self._start = {
            "invocation_params": params,
            "options": {"stop": stop, **_format(kwargs)},
            "batch_size": 1,
        }
        self._serialized = dumpd(model)
        self._open: dict[int, _Run] = {}

    def _configured(self, configure: Callable[..., Any], config: RunnableConfig) -> Any:
        """The manager of a run, of what its config and the model bring."""
        model = self._model
        return configure(
            config.get("callbacks"),
            model.callbacks,
            model.verbose,
            config.get("tags"),
            model.tags,
            {**(config.get("metadata") or {}), **self._ls_params},
            model.metadata,
            langsmith_inheritable_metadata=self._traced,
        )

    def _told(self, config: RunnableConfig) -> dict[str, Any]:
        """What the handlers of one run are told at its start."""
        return {**self._start, "name": config.get("run_name"), "run_id": config.get("run_id")}

    def has_listeners(self, configs: Sequence[RunnableConfig]) -> bool:
        """Whether anybody hears of these runs."""
        model = self._model
        if model.callbacks or model.verbose or any(map(_brings_handlers, configs)):
            return True
        return bool(CallbackManager.configure().handlers)


class ModelRuns(_Runs[CallbackManagerForLLMRun]):
    """The runs of a batch whose handlers are called here and now."""

    def open(self, place: int, messages: list[BaseMessage], config: RunnableConfig) -> None:
        """Open the run of an input.

        Args:
            place: The input's place.
            messages: Its messages.
            config: Its config.

        Raises:
            Exception: A handler does not want it to be made.
        """
        manager = self._configured(CallbackManager.configure, config)
        (run,) = manager.on_chat_model_start(self._serialized, [messages], **self._told(config))
        self._open[place] = run

    def end(self, result: BatchResult) -> None:
        """End the run of an input, if one is open."""
        run = self._open.pop(result.index, None)
        if run is None:
            return
        if result.error is not None:
            run.on_llm_error(result.error, response=_NOTHING)
        else:
            run.on_llm_end(_answer(_named(result.output, run)))

    def abandon(self, error: BaseException) -> None:
        """End all runs that are still open: the batch has failed."""
        while self._open:
            _, run = self._open.popitem()
            with suppress(Exception):  # LangChain has logged it; `error` is what is raised
                run.on_llm_error(error, response=_NOTHING)


class AsyncModelRuns(_Runs[AsyncCallbackManagerForLLMRun]):
    """The runs of a batch whose handlers are awaited."""

    async def open(self, place: int, messages: list[BaseMessage], config: RunnableConfig) -> None:
        """As `ModelRuns.open`."""
        manager = self._configured(AsyncCallbackManager.configure, config)
        (run,) = await manager.on_chat_model_start(
            self._serialized, [messages], **self._told(config)
        )
        self._open[place] = run

    async def end(self, result: BatchResult) -> None:
        """As `ModelRuns.end`."""
        run = self._open.pop(result.index, None)
        if run is None:
            return
        if result.error is not None:
            await run.on_llm_error(result.error, response=_NOTHING)
        else:
            await run.on_llm_end(_answer(_named(result.output, run)))

    async def abandon(self, error: BaseException) -> None:
        """As `ModelRuns.abandon`."""
        while self._open:
            _, run = self._open.popitem()
            with suppress(Exception):  # LangChain has logged it; `error` is what is raised
                await run.on_llm_error(error, response=_NOTHING)


_NOTHING: Final = LLMResult(generations=[[]])


def _brings_handlers(config: RunnableConfig) -> bool:
    """Whether a config has callbacks of its own."""
    callbacks: Any = config.get("callbacks")
    if isinstance(callbacks, BaseCallbackManager):
        return bool(callbacks.handlers)
    return bool(callbacks)


def _named(message: AIMessage, run: Any) -> AIMessage:
    """The message with the id that LangChain gives to the first answer of a run."""
    message.id = f"{LC_ID_PREFIX}-{run.run_id}-0"
    return message


def _answer(message: AIMessage) -> LLMResult:
    return LLMResult(generations=[[ChatGeneration(message=message)]])


def _format(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Which structured output was asked for, in the form that traces have it."""
    told = next((kwargs[name] for name in TRACING_ARGUMENTS if kwargs.get(name)), None)
    if told is None:
        return {}
    try:
        schema = convert_to_json_schema(told["schema"])
    except ValueError:
        return {}
    return cast(
        "dict[str, Any]",
        {TRACING_ARGUMENTS[0]: {"kwargs": told.get("kwargs", {}), "schema": schema}},
    )
