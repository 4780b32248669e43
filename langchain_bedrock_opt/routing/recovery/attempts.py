"""The attempts at one request: who is asked, in which order, and whose answer counts.

`Attempts.of` is a generator that yields each call to be made and is sent its outcome, so the
order is written once; `perform` and `aperform` make the calls, synchronously or not.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, Final, Protocol, TypeAlias, TypeVar, cast

from langchain_aws import ChatBedrockConverse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.utils.uuid import uuid7

from langchain_bedrock_opt.aws.errors import is_retry_safe
from langchain_bedrock_opt.contracts import ROUTE_METADATA_KEY
from langchain_bedrock_opt.routing.channel import EFFORT_KEY, with_route, without_run_id
from langchain_bedrock_opt.routing.opening import Reading
from langchain_bedrock_opt.routing.recovery.checks import Expectations
from langchain_bedrock_opt.routing.recovery.escalation import Escalator, cost_of
from langchain_bedrock_opt.routing.recovery.fallback import FallbackOrder
from langchain_bedrock_opt.routing.watching import AGREEMENT_TAG, TokenWatch, watched

logger = logging.getLogger(__name__)

_HIDDEN_TAG: Final = "nostream"
"""LangGraph does not pass on the tokens of a run with this tag."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedCall:
    """A call on its way to the model that was chosen for it.

    Attributes:
        model: The chosen model, or what has been made of it, such as its structured output.
        route: The `RouteDecision` as a dict.
        config: The run's config, with the decision in its metadata.
        kwargs: What else the model is called with.
    """

    model: Any
    route: dict[str, Any]
    config: RunnableConfig
    kwargs: dict[str, Any]

    @property
    def tier(self) -> str:
        """The chosen tier's name."""
        return str(self.route["tier"])


class HasAnswer(Protocol):
    """An outcome with the answer in it, such as a stream of version 3 that has been read."""

    @property
    def output_message(self) -> AIMessage | None:
        """The answer; None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedAnswer:
    """An outcome that is made of an answer, such as an object.

    Attributes:
        value: What was made of it.
        output_message: The answer; None if it is not to be checked.
        unparsed: Why it does not have the form it should have.
        error: The parser's error, in the place of a value.
    """

    value: Any
    output_message: AIMessage | None = None
    unparsed: str | None = None
    error: Exception | None = None


Replan: TypeAlias = Callable[[str], RoutedCall]
"""Makes the same request's call to the tier that is named."""

Steps: TypeAlias = "Generator[RoutedCall, Any, tuple[RoutedCall, Any]]"
"""Yields calls, is sent their outcomes, returns the call whose outcome counts, and that."""


def perform(steps: Steps, call: Callable[[RoutedCall], _Result]) -> tuple[RoutedCall, _Result]:
    """Make the calls that steps ask for.

    Args:
        steps: The steps.
        call: Makes one call.

    Returns:
        The call whose outcome counts, and its outcome.
    """
    try:
        wanted = next(steps)
        while True:
            try:
                outcome = call(wanted)
            except Exception as error:  # noqa: BLE001, PERF203 - steps raise what is not theirs
                wanted = steps.throw(error)
            else:
                wanted = steps.send(outcome)
    except StopIteration as end:
        return cast("tuple[RoutedCall, _Result]", end.value)


async def aperform(
    steps: Steps, call: Callable[[RoutedCall], Awaitable[_Result]]
) -> tuple[RoutedCall, _Result]:
    """As `perform`, asynchronously."""
    try:
        wanted = next(steps)
        while True:
            try:
                outcome = await call(wanted)
            except Exception as error:  # noqa: BLE001, PERF203 - steps raise what is not theirs
                wanted = steps.throw(error)
            else:
                wanted = steps.send(outcome)
    except StopIteration as end:
        return cast("tuple[RoutedCall, _Result]", end.value)


class Attempts:
    """Plans the attempts at requests, by a fallback order and an escalation policy.

    Args:
        model_ids: Model ids by tier name, from the cheapest to the strongest.
        fallback: Who stands in for a tier that can't be reached.
        escalator: Judges answers; None if nobody does.
    """

    def __init__(
        self, model_ids: Mapping[str, str], fallback: FallbackOrder, escalator: Escalator | None
    ) -> None:
        self._model_ids = dict(model_ids)
        self._names = tuple(model_ids)
        self._fallback = fallback
        self.escalator = escalator

    @property
    def is_buffering(self) -> bool:
        """Whether streams are collected and checked."""
        return self.escalator is not None and self.escalator.policy.buffer_streams

    def of(self, call: RoutedCall, again: Replan, expected: Expectations | None) -> Steps:
        """The attempts at one request.

        A tier that the caller has named is asked once, and its answer or error is final; so is the
        one that answers in shadow mode, where all is to be as if there were no router.

        Args:
            call: The call as it was planned.
            again: Makes the call to another tier.
            expected: What the answer is checked against; None leaves it unchecked.
        """
        escalator = self.escalator
        if call.route.get("forced") or "shadow" in call.route:
            return call, (yield call)
        call = replace(call, config=_with_run_id(call.config))
        if escalator is None or expected is None:
            return (yield from self._reach(call, again))
        call = self._worthwhile(call, again, escalator)
        watch = None if escalator.policy.buffer_streams else TokenWatch()
        call, outcome = yield from self._reach(
            _watched(call, watch), lambda tier: _watched(again(tier), watch)
        )
        stronger = self._stronger(call)
        if stronger is None or (watch is not None and watch.has_seen_token):
            return call, outcome
        return (yield from self._judged(call, outcome, again, expected, stronger))

    def _judged(
        self, call: RoutedCall, outcome: Any, again: Replan, expected: Expectations, stronger: str
    ) -> Steps:
        """Look at an answer, and have it given again if it fails."""
        escalator = cast("Escalator", self.escalator)
        answer = _message_of(outcome)
        if isinstance(outcome, ParsedAnswer):
            expected = replace(expected, unparsed=outcome.unparsed)
        failure, spent = escalator.failure(answer, expected), 0
        if failure is None and escalator.policy.agreement is not None:
            failure, spent = yield from self._compared(call, answer)
        case: dict[str, Any] = {
            "cheap": call.route["model_id"],
            "strong": self._model_ids[stronger],
            "score": float(call.route.get("score") or 0.0),
            "answer": answer,
            "spent_on_check": spent,
        }
        if failure is None:
            escalator.count(**case)
            return call, outcome
        reason = ": ".join(failure)
        if not escalator.is_affordable(answer, spent, case["cheap"], case["strong"]):
            escalator.count(**case, failed=failure[0])
            return _with(call, escalation_reason=reason), outcome
        moved = _moved(
            again(stronger),
            call,
            escalated_from=call.tier,
            escalation_reason=reason,
            replaces=str(call.config["run_id"]),
        )
        above = self._names[self._names.index(call.tier) + 1 :]
        try:
            final, better = yield from self._reach(moved, again, among=above)
        except Exception as error:  # noqa: BLE001 - an answer that was paid for is not lost
            logger.warning("Escalation to tier=<%s> failed: %s", stronger, type(error).__name__)
            escalator.count(**case, failed=failure[0])
            return _with(call, escalation_reason=reason), outcome
        case["strong"] = final.route["model_id"]
        escalator.count(**case, failed=failure[0], better=_message_of(better))
        return final, better

    def _compared(
        self, call: RoutedCall, answer: AIMessage
    ) -> Generator[RoutedCall, Any, tuple[tuple[str, str] | None, int]]:
        """Ask the second model, and say whether it disagrees and what that cost."""
        escalator = cast("Escalator", self.escalator)
        agreement = escalator.policy.agreement
        if agreement is None or escalator.check_model is None:
            return None, 0
        try:
            outcome = yield _agreement_call(call, escalator.check_model)
        except Exception as error:  # noqa: BLE001 - without a second opinion, the first stands
            logger.warning("Agreement check failed: %s", type(error).__name__)
            return None, 0
        second = _message_of(outcome)
        spent = cost_of(second, escalator.check_id or "") or 0
        if agreement.same(answer, second):
            return None, spent
        return (agreement.name, "a second model disagrees"), spent

    def _reach(self, call: RoutedCall, again: Replan, among: Sequence[str] | None = None) -> Steps:
        """Ask a tier, or whoever stands in for it."""
        meant, tried, first_error = call, [call.tier], None
        while True:
            try:
                return call, (yield call)
            except Exception as error:
                able = self._able(meant)
                if among is not None:
                    able = [name for name in able if name in among]
                tier = None
                if is_retry_safe(error):
                    tier = self._fallback.after(call.tier, able=able, tried=tried)
                if tier is None:
                    if first_error is None:
                        raise
                    raise error from first_error
                first_error = first_error or error
            tried.append(tier)
            replaced = str(call.config["run_id"])
            call = _moved(again(tier), meant, fallback_from=meant.tier, replaces=replaced)

    def _worthwhile(self, call: RoutedCall, again: Replan, escalator: Escalator) -> RoutedCall:
        """The call itself, or the one to the next tier if cheap-first does not pay."""
        stronger = self._stronger(call)
        if stronger is None:
            return call
        cheap, strong = call.route["model_id"], self._model_ids[stronger]
        if escalator.is_worth_trying(cheap, strong, float(call.route.get("score") or 0.0)):
            return call
        seen = f"asking {call.tier} first costs more than asking {stronger} at once"
        reason = {"signal": "break_even", "weight": 0.0, "detail": seen}
        moved = _moved(again(stronger), call, reasons=[*call.route.get("reasons", ()), reason])
        # It is still the first attempt, so the run keeps the id that the caller gave it.
        moved.config["run_id"] = call.config["run_id"]
        return moved

    def _able(self, call: RoutedCall) -> list[str]:
        """The tiers that can serve a request, from the cheapest to the strongest."""
        able = {call.tier, *call.route.get("alternatives", ())}
        return [name for name in self._names if name in able]

    def _stronger(self, call: RoutedCall) -> str | None:
        able = self._able(call)
        return next(iter(able[able.index(call.tier) + 1 :]), None)


def reading_of(attempts: Attempts | None) -> Reading:
    """How far a stream is read before it is passed on."""
    if attempts is None:
        return "untouched"
    return "whole" if attempts.is_buffering else "opened"


def _watched(call: RoutedCall, watch: TokenWatch | None) -> RoutedCall:
    if watch is None or not _may_be_heard(call):
        return call
    return replace(call, config=watched(call.config, watch))


def _may_be_heard(call: RoutedCall) -> bool:
    """Whether a callback may hear the tokens of a call as they come; a watch costs time, too."""
    has_callbacks = call.config.get("callbacks") or getattr(call.model, "callbacks", None)
    # Of another kind of model, such as a router, it is not known what callbacks are inside.
    return bool(has_callbacks) or not isinstance(call.model, ChatBedrockConverse)


def _agreement_call(call: RoutedCall, model: BaseChatModel) -> RoutedCall:
    config = call.config
    metadata = {
        key: value
        for key, value in (config.get("metadata") or {}).items()
        if key != ROUTE_METADATA_KEY
    }
    tags = [*(config.get("tags") or ()), AGREEMENT_TAG, _HIDDEN_TAG]
    own: RunnableConfig = {**without_run_id(config), "tags": tags, "metadata": metadata}
    kwargs = dict(call.kwargs)
    route = call.route
    if route.get("effort") is not None:  # it was made for the tier, and the other may know none
        kwargs.pop(EFFORT_KEY, None)
        route = {name: value for name, value in route.items() if name != "effort"}
    return replace(call, model=model, route=route, config=own, kwargs=kwargs)


def _moved(call: RoutedCall, first: RoutedCall, **changes: Any) -> RoutedCall:
    """A call that takes the place of another one, and says so in its route."""
    known = {first.tier, *first.route.get("alternatives", ())} - {call.tier}
    order = [first.tier, *first.route.get("alternatives", ())]
    route = {
        **{name: value for name, value in first.route.items() if name != "effort"},
        "tier": call.tier,
        "model_id": call.route["model_id"],
        "alternatives": [name for name in order if name in known],
        **changes,
    }
    return replace(call, route=route, config=_with_run_id(with_route(call.config, route)))


def _with_run_id(config: RunnableConfig) -> RunnableConfig:
    """A config that says which run it is for, so that others can name the run."""
    return config if config.get("run_id") else {**config, "run_id": uuid7()}


def _with(call: RoutedCall, **changes: Any) -> RoutedCall:
    """A call that has been made, with more to say of it to its caller."""
    return replace(call, route={**call.route, **changes})


def _message_of(outcome: Any) -> AIMessage:
    """The answer in what a call gave: a message, a result, chunks, or something that has one."""
    if isinstance(outcome, AIMessage):
        return outcome
    if isinstance(outcome, LLMResult):
        return cast("AIMessage", cast("ChatGeneration", outcome.generations[0][0]).message)
    if isinstance(outcome, list):
        return reduce(add, cast("list[AIMessageChunk]", outcome), AIMessageChunk(content=""))
    return cast("HasAnswer", outcome).output_message or AIMessage("")
