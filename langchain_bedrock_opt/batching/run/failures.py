"""Why an input has no answer, as an exception; and that no result is on another's place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from langchain_bedrock_opt.batching.jobs.hints import hint_for, job_failure
from langchain_bedrock_opt.batching.jobs.states import JobState
from langchain_bedrock_opt.batching.parts import BatchResult
from langchain_bedrock_opt.batching.run.stage import Part
from langchain_bedrock_opt.errors import (
    BatchIntegrityError,
    BatchPartialError,
    BatchStorageError,
    BedrockOptError,
    RecordNotProcessedError,
)


def missing_error(place: int, part: Part) -> Exception:
    """The error of a record of which nothing was found.

    Args:
        place: Its place.
        part: Its shard.

    Returns:
        Why its shard is refused; a `BatchJobError` if its job failed for a reason that sending
        again does not mend, else a `RecordNotProcessedError`, which is retry-safe.
    """
    if part.held is not None:
        return part.held
    end = part.end or {}
    status, message = end.get("status", "not created"), end.get("message", "")
    if status == "Failed" and hint_for(message):
        return job_failure(JobState(part.arn or "", end.get("name", ""), status, message))
    said = f": {message.rstrip('.')}" if message else ""
    where = f"job {part.arn}" if part.arn else "its shard"
    return RecordNotProcessedError(
        f"Record {place} has no answer; {where} is {status}{said}. It may be sent again: "
        'on_failed="resubmit" or "on_demand" does so by itself.',
        index=place,
        job_arn=part.arn,
    )


def lost_output(uri: str, part: Part) -> BatchStorageError:
    """The error of records whose job is through, and its output is not there.

    Args:
        uri: Where it should be.
        part: The shard.
    """
    return BatchStorageError(
        f"Job {part.arn} is {(part.end or {}).get('status')} and there is no output at {uri}: was "
        "it deleted, by a lifecycle rule for one? Restore it from a version of the bucket's and "
        "read the run again; its answers are paid for, so they are not asked for a second time."
    )


def is_unread(error: Exception | None) -> bool:
    """Whether an error may be that of a record whose answer was given and can't be read.

    Args:
        error: The error of an input; None if it has an answer.
    """
    is_missing = isinstance(error, RecordNotProcessedError) and not error.error_code
    return is_missing or isinstance(error, BatchStorageError)


def partial_error(values: list[Any], uri: str = "") -> BatchPartialError | None:
    """What is raised if some inputs have no output.

    Args:
        values: Outputs, and for the rest the exceptions, by their places.
        uri: The run's, if it is one run.

    Returns:
        None if all inputs have an output.

    Example:
        >>> error = partial_error(["a", ValueError("no")])
        >>> str(error).partition(". ")[0]
        '1 of 2 inputs has no output (1 ValueError); the first is input 1: ValueError'
    """
    failed = [place for place, value in enumerate(values) if isinstance(value, Exception)]
    if not failed:
        return None
    kinds = Counter(type(values[place]).__name__ for place in failed)
    told = ", ".join(f"{count} {name}" for name, count in kinds.most_common())
    first = values[failed[0]]
    # What others than this package raise may quote a prompt: of those it is the name.
    why = f": {str(first).rstrip('.')}" if isinstance(first, BedrockOptError) else ""
    return BatchPartialError(
        f"{len(failed)} of {len(values)} inputs {'has' if len(failed) == 1 else 'have'} no output "
        f"({told}); the first is input {failed[0]}: {type(first).__name__}{why}. error.results has "
        "all outputs, and the exceptions of the rest; return_exceptions=True gives them as a list.",
        values,
        uri,
    )


def in_order(results: Iterable[BatchResult], uri: str) -> list[BatchResult]:
    """Results in the order of their inputs.

    Args:
        results: Exactly one for each input, in any order.
        uri: The run's, for the error.

    Raises:
        BatchIntegrityError: An input has none, or two.

    Example:
        >>> [result.index for result in in_order([BatchResult(1), BatchResult(0)], "s3://b/r/")]
        [0, 1]
    """
    ordered = sorted(results, key=lambda result: result.index)
    for place, result in enumerate(ordered):
        if result.index != place:
            values = [each.output if each.error is None else each.error for each in ordered]
            raise BatchIntegrityError(
                f"Input {min(place, result.index)} of {uri} does not have exactly one result: "
                "please report this as a bug. error.results has all that there is.",
                values,
                uri,
            )
    return ordered
