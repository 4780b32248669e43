"""`as_batch`: a whole chain, graph or agent whose batches are invocation jobs."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Final, Literal, cast

from langchain_aws import ChatBedrock, ChatBedrockConverse
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.base import coerce_to_runnable
from langchain_core.runnables.config import get_config_list
from langchain_core.runnables.utils import Input, Output

from langchain_bedrock_opt.batching.calls import RUN_ID_KEY
from langchain_bedrock_opt.batching.chains.anatomy import models_in
from langchain_bedrock_opt.batching.chains.calls import Call, CoalescedCall, StagedCall, shared
from langchain_bedrock_opt.batching.chains.coalescing import PATIENCE, WINDOW
from langchain_bedrock_opt.batching.chains.naming import run_id_of
from langchain_bedrock_opt.batching.chains.outputs import outputs_of, value_of
from langchain_bedrock_opt.batching.chains.planning import first_round_plan
from langchain_bedrock_opt.batching.chains.stages import Line, NotALineError, cut, program_of
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from langchain_bedrock_opt.batching.collected import is_collected
from langchain_bedrock_opt.batching.guard import FullPriceWarning
from langchain_bedrock_opt.batching.parts import COALESCER, BatchResult
from langchain_bedrock_opt.batching.run.batch_run import BatchRun, submit
from langchain_bedrock_opt.batching.run.plan import BatchPlan, plan
from langchain_bedrock_opt.errors import ConfigurationError

Mode = Literal["auto", "stages", "coalesce"]
"""How a chain is run: in stages where that can be done, always so, or by collecting its calls."""

_FIX: Final = "BedrockBatch(model=model, s3_uri='s3://bucket/prefix/', role_arn='arn:aws:iam::…')"


def as_batch(
    chain: Runnable[Input, Output] | Any,
    *,
    mode: Mode = "auto",
    window: float = WINDOW,
    patience: float = PATIENCE,
) -> BatchChain[Input, Output]:
    """Have the batches of a whole chain, graph or agent made by invocation jobs.

    The chain stays as it is; its chat model is a `BedrockBatch`. Each time that it asks a model,
    all inputs' questions are one run of jobs: n inputs of a chain with k model steps take k runs,
    in whatever form the chain was composed: sequences, parallel steps, `assign`, branches,
    retries, fallbacks, functions that call the model, LangGraph graphs, agents.

    Args:
        chain: Any Runnable that asks a `BedrockBatch`.
        mode: `stages` cuts a sequence at its models and streams inputs through; memory does not
            grow with them, and `submit` works. `coalesce` runs all inputs at once and collects
            their single calls. `auto` takes stages where the chain is a line of steps.
        window: Seconds without a new call after which the calls that wait are sent.
        patience: Seconds after which they are sent although an input is busy, with a tool.

    Raises:
        ConfigurationError: The chain asks a plain `ChatBedrockConverse` and no `BedrockBatch`, or
            can't be run in the mode. What functions, graphs and routers ask can't be seen from
            outside: a batch in which nobody asked a `BedrockBatch` warns (`FullPriceWarning`).

    Example:
        ```python
        from langchain_bedrock_opt import BedrockBatch, as_batch

        model = BedrockBatch(model=chat, s3_uri="s3://my-bucket/batches/", role_arn=role)
        chain = as_batch({"summary": prompt | model, "tags": tagging | model})
        for index, output in chain.batch_as_completed(documents):
            ...
        ```
    """
    return BatchChain(chain, mode=mode, window=window, patience=patience)


class BatchChain(Runnable[Input, Output]):
    """A chain whose batches are invocation jobs. `as_batch` makes it; its arguments are there.

    `batch`, `abatch`, `batch_as_completed` and `abatch_as_completed` wait for jobs. Single calls
    (`invoke`, `stream`, …) are the chain's own, on demand. `config["max_concurrency"]` splits no
    job. `config={"metadata": {"bedrock_opt_run_id": "nightly"}}` makes a batch durable: the same
    call after a crash goes on with the jobs that there are, and pays for no record twice. Where
    another chain makes the batch, as a step of it or once more after a failure, each has a run of
    its own under that name. Callbacks hear of its answers each time: usage handlers and budgets
    count them as often.
    """

    def __init__(
        self,
        chain: Runnable[Input, Output] | Any,
        *,
        mode: Mode = "auto",
        window: float = WINDOW,
        patience: float = PATIENCE,
    ) -> None:
        if mode not in {"auto", "stages", "coalesce"}:
            raise ConfigurationError(f"mode={mode!r} is none of auto, stages, coalesce.")
        for name, value in (("window", window), ("patience", patience)):
            if value <= 0:
                raise ConfigurationError(f"{name}={value} is no time: pass seconds above 0.")
        self.chain = cast("Runnable[Input, Output]", coerce_to_runnable(chain))
        self._mode = mode
        self._window = window
        self._patience = patience
        _check_models(self.chain)
        self._line(self.chain)

    @property
    def InputType(self) -> type[Input]:  # noqa: N802 - LangChain's name
        """What the chain takes."""
        return self.chain.InputType

    @property
    def OutputType(self) -> type[Output]:  # noqa: N802 - LangChain's name
        """What the chain gives."""
        return self.chain.OutputType

    # --- Single calls ---

    def invoke(self, input: Input, config: RunnableConfig | None = None, **kwargs: Any) -> Output:  # noqa: A002 - LangChain's name
        """Run the chain for one input, on demand."""
        return self.chain.invoke(input, config, **kwargs)

    async def ainvoke(
        self,
        input: Input,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Output:
        """Run the chain for one input, on demand."""
        return await self.chain.ainvoke(input, config, **kwargs)

    def stream(
        self,
        input: Input,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Output]:
        """Stream the chain's output for one input, on demand."""
        return self.chain.stream(input, config, **kwargs)

    def astream(
        self,
        input: Input,  # noqa: A002 - LangChain's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Output]:
        """Stream the chain's output for one input, on demand."""
        return self.chain.astream(input, config, **kwargs)

    # --- Batches ---

    def batch(
        self,
        inputs: list[Input],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Output]:
        """Run the chain for many inputs by invocation jobs, and wait for them.

        Args:
            inputs: The inputs.
            config: One config for all, or a list with one for each input.
            return_exceptions: Put exceptions into the list instead of raising.
            **kwargs: As the chain takes them.

        Returns:
            The outputs, in the order of the inputs.

        Raises:
            BatchPartialError: Some inputs have no output; the others' are in its `results`.
            BatchError: The run failed as a whole.
        """
        if is_collected() or not inputs:
            told: Any = {"return_exceptions": return_exceptions, **kwargs}
            return super().batch(inputs, config, **told)
        call = self._call(inputs, config, kwargs)
        results = list(call.results("any"))
        return outputs_of(results, return_exceptions=return_exceptions, run_uri=call.uri)

    async def abatch(
        self,
        inputs: list[Input],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[Output]:
        """As `batch`, without blocking the event loop."""
        if COALESCER.get() is not None or not inputs:
            told: Any = {"return_exceptions": return_exceptions, **kwargs}
            return await super().abatch(inputs, config, **told)
        call = self._call(inputs, config, kwargs)
        results = [result async for result in call.aresults("any")]
        return outputs_of(results, return_exceptions=return_exceptions, run_uri=call.uri)

    def batch_as_completed(
        self,
        inputs: Sequence[Input],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> Iterator[tuple[int, Any]]:
        """As `batch`, with outputs as they are read, and their places.

        Exceptions are raised after the last output.
        """
        if is_collected() or not inputs:
            told: Any = {"return_exceptions": return_exceptions, **kwargs}
            yield from super().batch_as_completed(inputs, config, **told)
            return
        call = self._call(inputs, config, kwargs)
        results: list[BatchResult] = []
        for result in call.results("any"):
            results.append(result)
            if result.error is None or return_exceptions:
                yield result.index, value_of(result)
        outputs_of(results, return_exceptions=return_exceptions, run_uri=call.uri)

    async def abatch_as_completed(
        self,
        inputs: Sequence[Input],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> AsyncIterator[tuple[int, Any]]:
        """As `batch_as_completed`, without blocking the event loop."""
        if COALESCER.get() is not None or not inputs:
            told: Any = {"return_exceptions": return_exceptions, **kwargs}
            async for each in super().abatch_as_completed(inputs, config, **told):
                yield each
            return
        call = self._call(inputs, config, kwargs)
        results: list[BatchResult] = []
        async for result in call.aresults("any"):
            results.append(result)
            if result.error is None or return_exceptions:
                yield result.index, value_of(result)
        outputs_of(results, return_exceptions=return_exceptions, run_uri=call.uri)

    # --- Runs ---

    def plan(self, inputs: Iterable[Input], **kwargs: Any) -> BatchPlan:
        """What a batch would be: jobs, bytes, tokens and cost. Nothing is sent.

        The steps in front of the first model are done. It is the plan of the first time that the
        chain asks a model: what it asks next depends on the answers.

        Args:
            inputs: The inputs. In stages they may be more than fit into memory.
            **kwargs: As the chain takes them.

        Raises:
            ConfigurationError: No input asks a model.
        """
        line = self._line(self._bound(kwargs))
        if line is None:
            call = self._coalesced(list(inputs), None, kwargs)
            return first_round_plan(call, window=self._window, patience=self._patience)
        settings, _ = shared(line)
        return plan(program_of(self._bound(kwargs)), inputs, settings)

    def submit(
        self, inputs: Iterable[Input], *, run_id: str | None = None, **kwargs: Any
    ) -> BatchRun:
        """Send inputs off, and do not wait.

        Args:
            inputs: The inputs; they may be more than fit into memory.
            run_id: A name for the run. Submitting the same inputs under it again, after a crash or
                from another process, goes on with the run that there is.
            **kwargs: As the chain takes them.

        Returns:
            The run. `BatchRun.attach(run.uri, chain=chain)` finds it again. Callbacks hear
            nothing of its inputs, and caches are asked but learn nothing.

        Raises:
            ConfigurationError: The chain can't be run in stages, and needs a process that lives.
            InputsChangedError: The run was begun with other inputs, or another chain.
            BatchError: It can't be submitted.
        """
        chain = self._bound(kwargs)
        line = self._line(chain)
        if line is None:
            raise ConfigurationError(
                "A chain whose single calls are collected needs a process until its last answer, "
                "and can't be submitted and left: call batch(inputs, config={'metadata': "
                f"{{{RUN_ID_KEY!r}: 'nightly'}}}}), which after a crash goes on where it was. "
                f"{_why(chain)}"
            )
        settings, services = shared(line)
        return submit(program_of(chain), inputs, settings, services, run_id=run_id)

    # --- How ---

    def _bound(self, kwargs: dict[str, Any]) -> Runnable[Input, Output]:
        return self.chain.bind(**kwargs) if kwargs else self.chain

    def _line(self, chain: Runnable[Any, Any]) -> Line | None:
        """The chain as a line of stages; None if its calls are to be collected."""
        if self._mode == "coalesce":
            return None
        try:
            line = cut(chain)
            shared(line)
        except ConfigurationError:
            if self._mode == "stages":
                raise
            return None
        return line

    def _call(
        self,
        inputs: Sequence[Any],
        config: RunnableConfig | Sequence[RunnableConfig] | None,
        kwargs: dict[str, Any],
    ) -> Call:
        line = self._line(self._bound(kwargs))
        if line is None:
            return self._coalesced(inputs, config, kwargs)
        configs = get_config_list(config, len(inputs))
        return StagedCall(line, inputs, configs, run_id_of(self.chain, inputs, configs[0]))

    def _coalesced(
        self,
        inputs: Sequence[Any],
        config: RunnableConfig | Sequence[RunnableConfig] | None,
        kwargs: dict[str, Any],
    ) -> CoalescedCall:
        configs = get_config_list(config, len(inputs))
        return CoalescedCall(
            self.chain,
            inputs,
            configs,
            kwargs,
            run_id=run_id_of(self.chain, inputs, configs[0]) if configs else None,
            window=self._window,
            patience=self._patience,
        )


def _why(chain: Runnable[Any, Any]) -> str:
    """Why a chain can't be run in stages."""
    try:
        cut(chain)
    except NotALineError as error:
        return str(error)
    return "Its mode is 'coalesce'."


def _check_models(chain: Runnable[Any, Any]) -> None:
    """Refuse a chain that would make no job, and warn of one that makes too few.

    What a graph or an agent asks can't be seen from outside; that is told after its first batch.
    """
    models = models_in(chain, with_fallbacks=False)
    single = [model for model in models if isinstance(model, (ChatBedrockConverse, ChatBedrock))]
    if not single:
        return
    name = type(single[0]).__name__
    if not any(isinstance(model, BedrockBatch) for model in models):
        raise ConfigurationError(
            f"The chain asks {name}, which makes no jobs: build it around {_FIX}."
        )
    warnings.warn(
        f"The chain asks {name} beside a BedrockBatch: those calls are made on demand, at twice "
        f"the price. Take {_FIX} for them, too.",
        FullPriceWarning,
        stacklevel=4,
    )
