"""Records that no job takes are answered by single calls, each kept in S3 as soon as it comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import orjson

from langchain_bedrock_opt.batching.jobs.documents import write_document
from langchain_bedrock_opt.batching.parts import Direct, JobKind
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.notes import error_to_dict
from langchain_bedrock_opt.batching.run.reading import direct_name
from langchain_bedrock_opt.batching.run.stage import Part, Stage
from langchain_bedrock_opt.batching.run.state import VERSION
from langchain_bedrock_opt.errors import AccessDeniedError, BatchError, BedrockServiceError

_THREADS: Final = 8
_TRIES: Final = 3
_FIRST_PAUSE: Final = 1.0


def answer_part(context: Context, stage: Stage, part: Part) -> None:
    """Answer a shard's records by single calls, those that have no answer yet.

    Args:
        context: The run.
        stage: The shard's stage.
        part: The shard.

    Raises:
        AccessDeniedError: The model may not be called; go on once it may.
        BatchError: There is no model here to call.
        BatchStorageError: An answer can't be kept.
    """
    direct = context.services.direct
    if direct is None:
        raise BatchError(
            f"{part.shard.records} records of {context.folder.uri} are to be answered by single "
            "calls, and there is no model here: attach with chain= or client=."
        )
    done = {found.name for found in stage.folder.list(f"direct/{part.shard.name}/")}
    caller = _Caller(context, stage, part, direct)
    waiting: deque[Future[None]] = deque()
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="batch-direct")
    try:
        for place, body in stage.records(part.shard):
            if direct_name(part, place) not in done:
                waiting.append(pool.submit(caller.answer, place, body))
            while len(waiting) > 2 * _THREADS:
                waiting.popleft().result()
        for future in waiting:
            future.result()
    finally:
        # What is under way is paid for, so it is waited for and kept.
        pool.shutdown(wait=True, cancel_futures=True)


class _Caller:
    """Answers the records of one shard."""

    def __init__(self, context: Context, stage: Stage, part: Part, direct: Direct) -> None:
        self._context = context
        self._stage = stage
        self._part = part
        self._direct = direct

    def answer(self, place: int, body: bytes) -> None:
        """Answer one record and keep what came of it."""
        kind = self._part.shard.kind
        document: dict[str, Any] = {"version": VERSION}
        for attempt, pause in enumerate(_pauses(), 1):
            document["attempts"] = attempt
            try:
                output = self._ask(kind, body)
            except AccessDeniedError:
                raise
            except BedrockServiceError as error:
                document["error"] = error_to_dict(error)
                if not error.retry_safe or attempt == _TRIES:
                    break
                self._context.services.sleep(error.retry_after or pause)
            else:
                document.pop("error", None)
                document["output"] = orjson.Fragment(output)
                break
        self._stage.folder.put_bytes(direct_name(self._part, place), write_document(document))

    def _ask(self, kind: JobKind, body: bytes) -> bytes:
        return self._direct(kind, body, self._part.shard.route == "flex")


def _pauses() -> Iterator[float]:
    for attempt in range(_TRIES):
        yield _FIRST_PAUSE * 2**attempt
