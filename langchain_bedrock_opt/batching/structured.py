"""Structured output that invocation jobs take.

LangChain's default, a tool, is refused by Converse jobs; jobs take the model's own structured
output, and tools in the model's own format. The answer is read by upstream's parsers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessage
from langchain_core.runnables import (
    Runnable,
    RunnableBinding,
    RunnableConfig,
    RunnableLambda,
    RunnableSequence,
)
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from pydantic import BaseModel

from langchain_bedrock_opt.batching.callbacks import TRACING_ARGUMENTS
from langchain_bedrock_opt.batching.program import ModelProgram
from langchain_bedrock_opt.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_bedrock_opt.batching.chat_model import BedrockBatch

NATIVE: Final = "json_schema"
TOOL: Final = "function_calling"


def structured(
    batch: BedrockBatch,
    schema: dict[str, Any] | type,
    *,
    include_raw: bool = False,
    method: str | None = None,
    strict: bool | None = None,
    **kwargs: Any,
) -> Runnable[Any, Any]:
    """A batch model whose answers have the form of a schema.

    Args:
        batch: The model.
        schema: A pydantic class, a `TypedDict` or a JSON schema.
        include_raw: Give a dict of `raw`, `parsed` and `parsing_error`.
        method: How the model is told; None takes one that jobs take.
        strict: For tools only: whether their arguments must follow the schema.
        **kwargs: More arguments for the inner model's `with_structured_output`.

    Raises:
        ConfigurationError: No job takes that for this model.
    """
    model: ChatBedrockConverse = batch.model
    chosen = method or _method_for(model, schema)
    if method is None and chosen == NATIVE:
        strict = None  # the model's own output always is
    told = schema
    if chosen == NATIVE and not _is_pydantic(schema):
        told = convert_to_json_schema(schema)
    form = model.with_structured_output(told, method=cast("Any", chosen), strict=strict, **kwargs)
    steps = form.steps if isinstance(form, RunnableSequence) else [form]
    place = next((at for at, step in enumerate(steps) if _asks(step)), None)
    if place is None or place + 1 == len(steps):
        raise ConfigurationError(
            f"method={chosen!r} of {type(model).__name__} is no model with a parser behind it, of "
            "which a batch could be made: pass method='json_schema'."
        )
    asking = steps[place]
    traced = {"kwargs": {"method": chosen}, "schema": convert_to_openai_tool(schema)}
    if chosen == NATIVE:
        asking = asking.bind(**{TRACING_ARGUMENTS[0]: traced})
    reading = _chained(steps[place + 1 :])
    return _chained(
        [*steps[:place], batch.around(asking), _raw_too(reading) if include_raw else reading]
    )


def _method_for(model: ChatBedrockConverse, schema: dict[str, Any] | type) -> str:
    """The way in which jobs of a model take a schema."""
    has_native = bool((model.profile or {}).get("structured_output"))
    if has_native and not _is_old_pydantic(schema):
        return NATIVE
    bound = cast("RunnableBinding[Any, Any]", model.bind_tools([schema]))
    try:
        ModelProgram(model, kwargs=bound.kwargs)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"No job gives structured output of {model.model_id}: it has none of its own "
            "(json_schema), and its jobs take no tools. Pass method='json_schema' if you know "
            "better, describe the form in the prompt and parse the text, or take another model."
        ) from error
    return TOOL


def _is_pydantic(schema: Any) -> bool:
    return isinstance(schema, type) and issubclass(schema, BaseModel)


def _is_old_pydantic(schema: Any) -> bool:
    """Whether a class is one of pydantic's version 1, which upstream gives to tools only."""
    return isinstance(schema, type) and not _is_pydantic(schema) and hasattr(schema, "__fields__")


def _asks(step: Any) -> bool:
    """Whether a step is the model, with what is bound to it."""
    return isinstance(step, RunnableBinding) and isinstance(step.bound, ChatBedrockConverse)


def _chained(steps: list[Any]) -> Runnable[Any, Any]:
    return steps[0] if len(steps) == 1 else RunnableSequence(*steps)


def _raw_too(reading: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """A step that gives the message beside what it says, and what was wrong with it.

    Upstream asks the model in a parallel step here, which LangChain never batches.
    """

    def read(message: AIMessage, config: RunnableConfig) -> dict[str, Any]:
        try:
            parsed = reading.invoke(message, config)
        except Exception as error:  # noqa: BLE001 - whatever a parser raises is the result
            return {"raw": message, "parsed": None, "parsing_error": error}
        return {"raw": message, "parsed": parsed, "parsing_error": None}

    return RunnableLambda(read, name="read_structured_output")
