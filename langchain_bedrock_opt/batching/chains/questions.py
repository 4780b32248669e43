"""Calls of a batch model as questions: their records, and how their answers are read."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple

import orjson
from langchain_core.messages import AIMessage

from langchain_bedrock_opt.batching.chains.asking import Question
from langchain_bedrock_opt.batching.chat_model import BedrockBatch
from langchain_bedrock_opt.batching.known import known_of
from langchain_bedrock_opt.batching.parts import Known, Outcome, Record
from langchain_bedrock_opt.batching.program import ModelProgram

# Look-ups in caches at once.
_LOOKUPS: Final = 32

# Ways of calling a model that are remembered; an agent has a few, however many runs it makes.
_REMEMBERED: Final = 256


class _Way(NamedTuple):
    """One way of calling a model, and what it was told apart by: kept, so that it stays itself."""

    program: ModelProgram
    has_cache: bool
    model: BedrockBatch
    kwargs: Mapping[str, Any]


class Questions:
    """Makes questions of calls. A `asking.Scribe`."""

    def __init__(self) -> None:
        self._ways: OrderedDict[bytes, _Way] = OrderedDict()
        self._places = count()
        self._lookups = ThreadPoolExecutor(_LOOKUPS, "bedrock-opt-batch-cache")

    async def __call__(
        self,
        model: BedrockBatch,
        messages: list[Any],
        stop: list[str] | None,
        kwargs: Mapping[str, Any],
    ) -> Question | AIMessage:
        """A call as a question; or its answer, if a cache has one.

        Raises:
            Exception: No record can be made of it.
        """
        way = self._way(model, stop, kwargs)
        place = next(self._places)
        if way.has_cache:
            # A cache may be a database: the loop must not wait for it. Nor may it need a thread
            # of the loop's pool, which sync calls that wait can hold all of.
            entry = partial(copy_context().run, way.program.entry, place, messages)
            made = await asyncio.get_running_loop().run_in_executor(self._lookups, entry)
        else:
            made = way.program.entry(place, messages)
        if isinstance(made, Record):
            return Question(made.kind, made.body, partial(_read, way.program, place))
        if isinstance(made, Known):
            return way.program.result(0, Outcome(place, "cache", message=made.message))
        raise made.error

    def _way(self, model: BedrockBatch, stop: list[str] | None, kwargs: Mapping[str, Any]) -> _Way:
        key = orjson.dumps([id(model), stop, kwargs], default=id, option=_KEY_OPTIONS)
        way = self._ways.get(key)
        if way is None:
            metadata = {**(model.model.metadata or {}), **(model.metadata or {})}
            cache = known_of(model.model, stop, kwargs, metadata=lambda _: metadata, learns=True)
            program = ModelProgram(model.model, stop=stop, kwargs=kwargs, cache=cache)
            way = self._ways[key] = _Way(program, cache is not None, model, kwargs)
        self._ways.move_to_end(key)
        if len(self._ways) > _REMEMBERED:
            self._ways.popitem(last=False)
        return way


_KEY_OPTIONS: Final = (
    orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def _read(program: ModelProgram, place: int, outcome: Outcome) -> AIMessage:
    """Read one answer, under the place that a cache knows its question by."""
    if outcome.error is not None:
        # One error may be that of a whole round: its traceback is not to grow with each task.
        raise outcome.error.with_traceback(None)
    return program.result(0, outcome._replace(place=place))
