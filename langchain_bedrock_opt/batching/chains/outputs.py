"""The results of a batch as LangChain's `batch` gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_bedrock_opt.batching.parts import BatchResult
from langchain_bedrock_opt.batching.run.failures import partial_error


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
    failure = None if return_exceptions else partial_error(values, run_uri)
    if failure is not None:
        raise failure from next(result.error for result in ordered if result.error)
    return values


def value_of(result: BatchResult) -> Any:
    """A result's output, or its error."""
    return result.output if result.error is None else result.error
