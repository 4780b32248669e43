"""The results of a batch as LangChain's `batch` gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_bedrock_opt.batching.parts import BatchResult
from langchain_bedrock_opt.errors import BatchPartialError


def outputs_of(
    results: Sequence[BatchResult], *, return_exceptions: bool, run_uri: str = ""
) -> list[Any]:
    """All outputs in the order of the inputs.

    Args:
        results: All results, in any order.
        return_exceptions: Put exceptions into the list.
        run_uri: Where the run's state lies, if it is one run.

    Raises:
        BatchPartialError: Some inputs have no output, and exceptions are not wanted in the list.

    Example:
        >>> outputs_of([BatchResult(1, "b"), BatchResult(0, "a")], return_exceptions=False)
        ['a', 'b']
    """
    ordered = sorted(results, key=lambda result: result.index)
    values = [value_of(result) for result in ordered]
    failed = [result for result in ordered if result.error is not None]
    if failed and not return_exceptions:
        first = failed[0]
        raise BatchPartialError(
            f"{len(failed)} of {len(values)} inputs have no output; the first is input "
            f"{first.index} ({type(first.error).__name__}). error.results has all outputs, and "
            "the exceptions of the rest; return_exceptions=True gives the same as a list.",
            values,
            run_uri,
        ) from first.error
    return values


def value_of(result: BatchResult) -> Any:
    """A result's output, or its error."""
    return result.output if result.error is None else result.error
