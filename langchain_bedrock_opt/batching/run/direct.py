"""Records that no job takes are answered by single calls, each kept in S3 as soon as it comes."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final

import orjson

from langchain_bedrock_opt.aws.backoff import Backoff
from langchain_bedrock_opt.batching.jobs.documents import write_document
from langchain_bedrock_opt.batching.parts import Direct
from langchain_bedrock_opt.batching.run.claims import Claim
from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.notes import error_to_dict
from langchain_bedrock_opt.batching.run.reading import direct_name
from langchain_bedrock_opt.batching.run.stage import Part, Stage
from langchain_bedrock_opt.batching.run.state import VERSION
from langchain_bedrock_opt.errors import AccessDeniedError, BatchError, BedrockServiceError

_logger: Final = logging.getLogger(__name__)

_THREADS: Final = 8
# About two minutes: a quota of a minute is full again, and most outages are over.
_TRIES: Final = 8
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_BETWEEN_LOOKS: Final = 5.0

Pause = Callable[[float], object]
"""Waits for so many seconds, and raises an error if the time is over."""


def answer_part(context: Context, stage: Stage, part: Part, pause: Pause) -> Exception | None:
    """Answer a shard's records by single calls, those that have no answer yet.

    One process at a time does so; the others wait for it. A call that Bedrock refuses as it is
    has ended with that error. One that may work later on is left for later.

    Args:
        context: The run.
        stage: The shard's stage.
        part: The shard.
        pause: Waits, between calls too.

    Returns:
        Why some records were left: there is no model here, it may not be called, or is not
        available. None if none were, or the run was cancelled.

    Raises:
        BatchStorageError: An answer can't be kept.
    """
    direct = context.services.direct
    if direct is None:
        return BatchError(
            f"{part.shard.records} records of {context.folder.uri} are to be answered by single "
            "calls, and there is no model here: attach with chain= or client=."
        )
    claim = Claim(context, stage, part.shard)
    has_told = False
    while not claim.take():
        if not has_told:
            has_told = True
            _logger.info("Another process answers records of %s: waiting.", context.folder.uri)
        pause(_BETWEEN_LOOKS)
    try:
        caller = _Caller(stage, part, direct, pause, claim)
        _answer_all(context, stage, part, caller, claim)
    finally:
        claim.release()
    return caller.trouble


def _answer_all(context: Context, stage: Stage, part: Part, caller: _Caller, claim: Claim) -> None:
    done = {found.name for found in stage.folder.list(f"direct/{part.shard.name}/")}
    waiting: deque[Future[None]] = deque()

    def finish_one() -> bool:
        """Wait for the oldest call; whether to go on."""
        while not wait([waiting[0]], timeout=_BETWEEN_LOOKS).done:
            claim.renew()
        waiting.popleft().result()
        is_cancelled = claim.renew() and context.is_cancelled()
        return not caller.is_hopeless and not is_cancelled

    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="batch-direct")
    try:
        for place, body in stage.records(part.shard):
            if direct_name(part, place) not in done:
                waiting.append(pool.submit(caller.answer, place, body))
            if len(waiting) > 2 * _THREADS and not finish_one():
                return
        while waiting and finish_one():
            pass
    finally:
        # What is under way is paid for, so it is waited for and kept.
        pool.shutdown(wait=True, cancel_futures=True)


class _Caller:
    """Answers the records of one shard."""

    def __init__(
        self, stage: Stage, part: Part, direct: Direct, pause: Pause, claim: Claim
    ) -> None:
        self._claim = claim
        self._stage = stage
        self._part = part
        self._direct = direct
        self._pause = pause
        self._in_a_row = 0
        self.trouble: Exception | None = None
        self.is_hopeless = False

    def answer(self, place: int, body: bytes) -> None:
        """Answer one record and keep what came of it; leave it if it may work later on."""
        backoff = Backoff(first=_FIRST_PAUSE, longest=_LONGEST_PAUSE, sleep=self._pause)
        for attempt in range(1, _TRIES + 1):
            self._pause(0)
            if self._claim.has_lapsed():
                self._stop(self.trouble or BatchError("this process stood still for minutes"))
            if self.is_hopeless:
                return
            try:
                output = self._direct(self._part.shard.kind, body, self._part.shard.route == "flex")
            except AccessDeniedError as error:
                self._stop(error)
            except BedrockServiceError as error:
                if not error.retry_safe:
                    self._keep(place, attempt, error=error_to_dict(error))
                    return
                self._put_off(error, attempt, backoff)
            else:
                self._in_a_row = 0
                self._keep(place, attempt, output=orjson.Fragment(output))
                return

    def _stop(self, trouble: Exception) -> None:
        self.trouble, self.is_hopeless = trouble, True

    def _put_off(self, error: BedrockServiceError, attempt: int, backoff: Backoff) -> None:
        if attempt < _TRIES:
            if error.retry_after is None:
                backoff.pause()
            else:
                self._pause(error.retry_after)
            return
        # One record may be in trouble by itself; that many in a row are not.
        self._in_a_row += 1
        self.trouble, self.is_hopeless = error, self._in_a_row >= _THREADS

    def _keep(self, place: int, attempts: int, **answer: Any) -> None:
        document = {"version": VERSION, "attempts": attempts, **answer}
        self._stage.folder.put_bytes(direct_name(self._part, place), write_document(document))
