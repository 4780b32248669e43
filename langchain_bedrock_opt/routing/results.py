"""Several tiers' results as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.outputs import ChatGeneration, ChatResult, LLMResult, RunInfo

from langchain_bedrock_opt.routing.channel import mark_message


def marked_result(result: LLMResult, route: Mapping[str, Any]) -> LLMResult:
    """A copy of a tier's result whose messages say where they came from."""
    generations = [
        [
            generation.model_copy(update={"message": mark_message(generation.message, route)})
            for generation in cast("list[ChatGeneration]", candidates)
        ]
        for candidates in result.generations
    ]
    return result.model_copy(update={"generations": generations})


def merged_result(results: Sequence[LLMResult]) -> LLMResult:
    """The generations and runs of several results, in their order."""
    runs: list[RunInfo] = [run for result in results for run in result.run or ()]
    return LLMResult(
        generations=[candidates for result in results for candidates in result.generations],
        llm_output=results[0].llm_output if len(results) == 1 else {},
        run=runs or None,
    )


def chat_result(result: LLMResult) -> ChatResult:
    """The result of one conversation, as `_generate` gives it."""
    generations = cast("list[ChatGeneration]", result.generations[0])
    return ChatResult(generations=generations, llm_output=result.llm_output)
