"""`BedrockBatch`: a chat model whose batches are invocation jobs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any, Final, cast

from langchain_aws import ChatBedrock, ChatBedrockConverse
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field, PrivateAttr

from langchain_bedrock_opt.aws.layers import region_of
from langchain_bedrock_opt.batching.calls import BatchCall
from langchain_bedrock_opt.batching.clients import s3_client_for
from langchain_bedrock_opt.batching.collected import is_collected
from langchain_bedrock_opt.batching.guard import FewRecords, check_flex, check_guarding
from langchain_bedrock_opt.batching.jobs.folder import S3Folder
from langchain_bedrock_opt.batching.known import known_of
from langchain_bedrock_opt.batching.on_demand import OnDemandChatModel
from langchain_bedrock_opt.batching.parts import (
    COALESCER,
    BatchSettings,
    Below,
    OnFailed,
    Services,
)
from langchain_bedrock_opt.batching.program import ModelProgram
from langchain_bedrock_opt.batching.records.direct import direct_for
from langchain_bedrock_opt.batching.records.recorder import Recorder
from langchain_bedrock_opt.batching.run.batch_run import BatchRun, submit
from langchain_bedrock_opt.batching.run.plan import BatchPlan, plan
from langchain_bedrock_opt.batching.structured import structured
from langchain_bedrock_opt.catalog.batch_limits import (
    MAX_FILE_BYTES,
    MAX_RECORDS,
    MIN_RECORDS,
    TIMEOUT_HOURS,
)
from langchain_bedrock_opt.chat_model import ChatBedrockOptimized
from langchain_bedrock_opt.errors import ConfigurationError

_SETTINGS: Final = tuple(BatchSettings.__dataclass_fields__)

_INNER: Final = (
    "cache",
    "custom_get_token_ids",
    "disable_streaming",
    "output_version",
    "rate_limiter",
)
"""Fields of every chat model that are the inner model's business here."""

_Tools = Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool]


class BedrockBatch(OnDemandChatModel):
    """A chat model around another one, whose `.batch()` becomes invocation jobs, at half price.

    `batch`, `abatch`, `batch_as_completed` and `abatch_as_completed` become one run of jobs each,
    also through `bind_tools`, `with_structured_output`, `with_retry`, `with_fallbacks`, sequences
    and `.map()`. `as_batch` does the same for whole chains, graphs and agents.

    Nothing that was paid for is lost: if some inputs have no answer, `BatchPartialError` is raised
    when all results are there, and carries them. Inputs whose answer a cache has are not sent, and
    equal inputs are sent once. `config={"metadata": {"bedrock_opt_run_id": "nightly"}}` makes a
    batch durable: the same call after a crash goes on with the jobs that there are. Callbacks hear
    of its answers each time that they are given, so a usage handler or a budget counts those of a
    finished batch again if it is made again, though Bedrock bills them once.

    Single calls (`invoke`, `stream`, …) go to the inner model, on demand and at the full price. A
    chain that makes many of them is warned of once (`FullPriceWarning`).

    Args:
        model: The model that is asked: a `ChatBedrockOptimized` or `ChatBedrockConverse`, or a
            model id; then all other arguments are those of `ChatBedrockOptimized`.
        s3_uri: A bucket or a prefix for everything that runs need, `s3://bucket/prefix/`, in the
            model's region.
        role_arn: The service role that reads and writes there and invokes the model.
        bedrock_client: A boto3 client of `bedrock`; by default the model's own.
        s3_client: A boto3 client of `s3`; by default one with the model's region and credentials.
        below_minimum: What becomes of inputs that are too few for a job: single calls
            (`on_demand`, `flex`), or an error. By default they are made on demand, with a
            `FullPriceWarning`; there is none if you say so yourself.
        on_failed: What becomes of inputs that failed and may be sent again, once all jobs have
            ended.
        min_records: The least that a job takes; 100 for most models.
        max_records: The most that a file and a job take.
        max_file_bytes: The most that a file may weigh.
        timeout_hours: After how many hours a job ends that is not through, 24 to 168.
        max_cost_usd: A run that could cost more is refused before anything is uploaded.
        cancel_on_interrupt: Stop the jobs on Ctrl-C, or if the task that waits is cancelled; by
            default they go on, and it is printed how to attach.
        bucket_owner: The account whose bucket it is, if it is another one.
        kms_key_id: The KMS key that outputs are encrypted with.
        vpc_config: Bedrock's `vpcConfig`.
        job_tags: Tags of the jobs. (`tags` are those of LangChain's runs.)
        progress: Show how far a batch is: True, or a function that is told of each status.
        warn_after: Single calls from inside of a chain that are nobody's business.
        on_invoke: What becomes of those beyond: `warn`, `error` or `ignore`.
        clock: Seconds since 1970.
        sleep: Waits for so many seconds.

    Raises:
        ConfigurationError: An argument is out of its range or unknown, the model is of another
            kind, or no job takes it.

    Example:
        ```python
        from langchain_bedrock_opt import BedrockBatch, ChatBedrockOptimized

        model = BedrockBatch(
            model=ChatBedrockOptimized(model="us.amazon.nova-lite-v1:0", max_tokens=500),
            s3_uri="s3://my-bucket/batches/",
            role_arn="arn:aws:iam::111122223333:role/bedrock-batch",
        )
        answers = model.batch([f"Summarise: {text}" for text in texts])
        ```
    """

    s3_uri: str
    """Where everything lies that runs need."""

    role_arn: str
    """The service role of the jobs."""

    bedrock_client: Any = Field(default=None, exclude=True, repr=False)
    """The control plane; None takes the model's."""

    s3_client: Any = Field(default=None, exclude=True, repr=False)
    """S3; None makes a client."""

    below_minimum: Below = "on_demand"
    """What becomes of inputs that are too few for a job."""

    on_failed: OnFailed = "raise"
    """What becomes of inputs that failed and may be sent again."""

    min_records: int = MIN_RECORDS
    """The least that a job takes."""

    max_records: int = MAX_RECORDS
    """The most that a file and a job take."""

    max_file_bytes: int = MAX_FILE_BYTES
    """The most that a file may weigh."""

    timeout_hours: int = TIMEOUT_HOURS[0]
    """After how many hours a job ends that is not through."""

    max_cost_usd: Decimal | None = None
    """What a run may cost."""

    cancel_on_interrupt: bool = False
    """Stop the jobs on Ctrl-C, or if the task that waits is cancelled."""

    bucket_owner: str | None = None
    """The account whose bucket it is, if it is another one."""

    kms_key_id: str | None = None
    """The KMS key that outputs are encrypted with."""

    vpc_config: Mapping[str, Any] | None = None
    """Bedrock's `vpcConfig`."""

    job_tags: Mapping[str, str] = Field(default_factory=dict)
    """Tags of the jobs."""

    progress: Any = Field(default=False, exclude=True)
    """Whether, or to whom, it is told how far a batch is."""

    clock: Callable[[], float] = Field(default=time.time, exclude=True, repr=False)
    """Seconds since 1970."""

    sleep: Callable[[float], object] = Field(default=time.sleep, exclude=True, repr=False)
    """Waits for so many seconds."""

    _taken: set[frozenset[str]] = PrivateAttr(default_factory=set)

    def __init__(self, **kwargs: Any) -> None:
        # Checked here and not in validators, which would wrap our one-line errors in pydantic's.
        known = set(type(self).model_fields)
        own = {name: value for name, value in kwargs.items() if name in known}
        others = {name: value for name, value in kwargs.items() if name not in known}
        missing = [name for name in ("model", "s3_uri", "role_arn") if own.get(name) is None]
        if missing:
            raise ConfigurationError(
                f"BedrockBatch needs {', '.join(missing)}: pass model=ChatBedrockOptimized(…), "
                "s3_uri='s3://bucket/prefix/' and role_arn='arn:aws:iam::…:role/…'."
            )
        own["model"] = _model_of(own["model"], own, others)
        own["max_cost_usd"] = _money(own.get("max_cost_usd"))
        _check(own)
        own.setdefault("profile", own["model"].profile)
        # Single calls and batches go by the inner model's.
        own = {name: value for name, value in own.items() if name not in _INNER} | {"cache": False}
        super().__init__(**own)
        Recorder(self.model)  # whether a job takes it, is said now

    @property
    def settings(self) -> BatchSettings:
        """How the jobs are made."""
        values = {name: getattr(self, name) for name in _SETTINGS if name != "tags"}
        return BatchSettings(**values, tags=self.job_tags)

    @cached_property
    def _own_s3_client(self) -> Any:
        return s3_client_for(self.model)

    @property
    def services(self) -> Services:
        """The clients of its runs."""
        is_meant = "below_minimum" in self.model_fields_set
        return Services(
            bedrock=self.bedrock_client or self.model.bedrock_client,
            s3=self.s3_client or self._own_s3_client,
            direct=direct_for(self.model),
            few=None if is_meant else FewRecords(self.min_records),
            clock=self.clock,
            sleep=self.sleep,
        )

    # --- Batches ---

    def batch(
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Answer many prompts by invocation jobs, and wait for them.

        Args:
            inputs: Texts, prompt values, or messages in any form LangChain knows.
            config: One config for all, or a list with one for each input. `max_concurrency` does
                not split the job. `metadata["bedrock_opt_run_id"]` names a durable run.
            return_exceptions: Put exceptions into the list instead of raising.
            **kwargs: `stop`, and whatever the model takes or was bound to it.

        Returns:
            The answers, in the order of the inputs.

        Raises:
            BatchPartialError: Some inputs have no answer; the others' are in its `results`.
            BatchError: The run failed as a whole.
        """
        if is_collected() or not inputs:
            told: Any = {"return_exceptions": return_exceptions, **kwargs}
            return super().batch(list(inputs), _listed(config), **told)
        return BatchCall(self, inputs, config, kwargs).outputs(return_exceptions=return_exceptions)

    async def abatch(
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """As `batch`, without blocking the event loop."""
        if COALESCER.get() is not None or not inputs:
            told: Any = {"return_exceptions": return_exceptions, **kwargs}
            return await super().abatch(list(inputs), _listed(config), **told)
        call = BatchCall(self, inputs, config, kwargs)
        return await call.aoutputs(return_exceptions=return_exceptions)

    def batch_as_completed(
        self,
        inputs: Sequence[LanguageModelInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> Iterator[tuple[int, Any]]:
        """As `batch`, with the answers in the order in which they are read, with their places.

        Jobs give nothing before their end, so the first answer comes when all jobs have ended.
        Exceptions are raised after the last answer.
        """
        if is_collected() or not inputs:
            told: Any = {"return_exceptions": return_exceptions, **kwargs}
            yield from super().batch_as_completed(inputs, config, **told)
            return
        call = BatchCall(self, inputs, config, kwargs)
        yield from call.as_completed(return_exceptions=return_exceptions)

    async def abatch_as_completed(
        self,
        inputs: Sequence[LanguageModelInput],
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
        call = BatchCall(self, inputs, config, kwargs)
        answers = call.aas_completed(return_exceptions=return_exceptions)
        async with aclosing(cast("Any", answers)) as results:
            async for each in results:
                yield each

    def plan(self, inputs: Iterable[LanguageModelInput], **kwargs: Any) -> BatchPlan:
        """What a batch would make of inputs: jobs, bytes, tokens and cost. Nothing is sent.

        Args:
            inputs: The inputs; they may be more than fit into memory.
            **kwargs: As for `batch`.
        """
        region = region_of(self.model.client)
        return plan(self.program(**kwargs), inputs, self.settings, region=region)

    def submit(
        self, inputs: Iterable[LanguageModelInput], *, run_id: str | None = None, **kwargs: Any
    ) -> BatchRun:
        """Send inputs off, and do not wait.

        Args:
            inputs: The inputs; they may be more than fit into memory.
            run_id: A name for the run. Submitting the same inputs under it again, after a crash or
                from another process, goes on with the run that there is.
            **kwargs: As for `batch`.

        Returns:
            The run: `wait`, `status`, `results`, …. `BatchRun.attach(run.uri)` finds it again.
            Callbacks hear nothing of its inputs, and caches are asked but learn nothing: its
            results may be read in another process.

        Raises:
            InputsChangedError: The run was begun with other inputs.
            BatchError: It can't be submitted.
        """
        program = self.program(**kwargs)
        return submit(program, inputs, self.settings, self.services, run_id=run_id)

    def program(self, *, stop: list[str] | None = None, **kwargs: Any) -> ModelProgram:
        """What a run of this model asks and makes of answers.

        Args:
            stop: Stop sequences.
            **kwargs: What else the model is called with.

        Raises:
            ConfigurationError: No job takes that.
        """
        metadata = {**(self.model.metadata or {}), **(self.metadata or {})}
        cache = known_of(self.model, stop, kwargs, metadata=lambda _: metadata, learns=False)
        return ModelProgram(self.model, stop=stop, kwargs=kwargs, cache=cache)

    # --- Binding ---

    def bind_tools(
        self, tools: _Tools, *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools, in the inner model's form. Jobs take them in the model's own format.

        Args:
            tools: Tools in any form the model takes.
            tool_choice: As in `ChatBedrockConverse.bind_tools`.
            **kwargs: More arguments for it.

        Raises:
            ConfigurationError: No job takes tools for this model.
        """
        bound = self.model.bind_tools(tools, tool_choice=tool_choice, **kwargs)
        return self.around(cast("RunnableBinding[Any, Any]", bound))

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """Have the answers in the form of a schema, in a way that jobs take.

        Args:
            schema: A pydantic class, a `TypedDict` or a JSON schema.
            include_raw: Give the message and a parsing error as well.
            **kwargs: `method` and `strict`, as in `ChatBedrockConverse`. Without `method` it is
                the model's own structured output, `json_schema`, where it has one, else a tool.

        Returns:
            A runnable that gives an instance of the class, or a dict. Its batches are jobs.

        Raises:
            ConfigurationError: No job takes that for this model.
        """
        return structured(self, schema, include_raw=include_raw, **kwargs)

    def around(self, bound: Runnable[Any, Any]) -> Runnable[LanguageModelInput, AIMessage]:
        """The same binding as of the inner model, of this one.

        Args:
            bound: A binding of the inner model, or of a copy of it.

        Raises:
            ConfigurationError: It is something else, or no job takes what is bound.
        """
        inner = getattr(bound, "bound", None)
        if not isinstance(bound, RunnableBinding) or not isinstance(inner, ChatBedrockConverse):
            raise ConfigurationError(
                f"{type(self.model).__name__} has made a {type(bound).__name__} of itself, which "
                "no batch can be made of."
            )
        batch = self if inner is self.model else self.model_copy(update={"model": inner})
        # Whether a job takes it is said now, once: agents bind their tools anew for each call.
        names = frozenset(bound.kwargs)
        if batch is not self or names not in self._taken:
            ModelProgram(batch.model, kwargs=bound.kwargs)
            self._taken.add(names)
        return batch.bind(**bound.kwargs)


def _model_of(model: Any, own: Mapping[str, Any], others: Mapping[str, Any]) -> ChatBedrockConverse:
    """The inner model, made if it is given by its id."""
    about_it = {name: own[name] for name in _INNER if own.get(name)}
    if isinstance(model, str):
        if own.get("bedrock_client") is not None:
            about_it["bedrock_client"] = own["bedrock_client"]
        return ChatBedrockOptimized(model=model, **about_it, **others)
    if others:
        raise ConfigurationError(
            f"BedrockBatch has no argument {', '.join(map(repr, others))}: what is about the model "
            "is given to the model, ChatBedrockOptimized(…)."
        )
    if isinstance(model, ChatBedrockConverse):
        if about_it:
            raise ConfigurationError(
                f"BedrockBatch goes by its model's {', '.join(about_it)}: give it to the model, "
                "ChatBedrockOptimized(…)."
            )
        return model
    raise ConfigurationError(f"model={type(model).__name__}(…) {_advice(model)}")


def _advice(model: Any) -> str:
    """What to pass instead of a model that no batch can be made of."""
    if isinstance(model, RunnableBinding):
        return (
            "has something bound to it: bind it to the batch model instead, "
            "BedrockBatch(model=…).bind_tools(…)."
        )
    if isinstance(model, ChatBedrock):
        return "is not of the Converse API: pass a ChatBedrockConverse or ChatBedrockOptimized."
    if isinstance(model, BaseChatModel):
        return (
            "is no model of Bedrock's Converse API; of a router, pass one of its tiers: "
            "ChatBedrockOptimized(model='us.amazon.nova-lite-v1:0')."
        )
    return "is no chat model: pass ChatBedrockOptimized(model='us.amazon.nova-lite-v1:0')."


def _check(own: Mapping[str, Any]) -> None:
    """Refuse what can't be."""
    given = {name: own[name] for name in _SETTINGS if name in own and name != "tags"}
    BatchSettings(**given)
    S3Folder(own.get("s3_client"), own["s3_uri"])
    fields = OnDemandChatModel.model_fields
    model = own["model"]
    check_flex(own.get("below_minimum", ""), model.model_id, region_of(model.client))
    check_guarding(*(own.get(name, fields[name].default) for name in ("warn_after", "on_invoke")))


def _listed(
    config: RunnableConfig | Sequence[RunnableConfig] | None,
) -> RunnableConfig | list[RunnableConfig] | None:
    """Configs as LangChain's own methods are typed to take them."""
    return list(config) if isinstance(config, Sequence) else config


def _money(value: Any) -> Decimal | None:
    if value is None:
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise ConfigurationError(f"max_cost_usd={value!r} is no amount in US dollars.") from None
