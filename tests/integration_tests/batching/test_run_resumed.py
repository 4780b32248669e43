"""A run that is gone on with, where something is not as it was the first time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from langchain_bedrock_opt.batching.parts import BatchResult, Entry, Outcome
from langchain_bedrock_opt.batching.run.batch_run import BatchRun
from langchain_bedrock_opt.errors import BatchError, BatchStorageError, InputsChangedError
from tests.batch_service import BatchService, make_batch_service
from tests.batch_toy import TEXTS, Toy, begin, check, question_of, services_for

ORDERS = ["input", "any"]


class Died(BaseException):
    """A process ended."""


def until(count: int, texts: Iterable[Any] = TEXTS) -> Iterator[Any]:
    """The first texts; then the process dies."""
    for number, text in enumerate(texts):
        if number == count:
            raise Died
        yield text


def dies_at_job(service: BatchService, count: int) -> None:
    """Let the process die once, at its `count`th job."""
    create, calls = service.bedrock.create_model_invocation_job, []

    def dying(**request: Any) -> Any:
        calls.append(request)
        if len(calls) == count:
            raise Died
        return create(**request)

    service.bedrock.create_model_invocation_job = dying


def in_order(run: BatchRun, order: Any) -> list[BatchResult]:
    """Results by their inputs; those that are asked for by input come so."""
    results = list(run.results(order))
    return results if order == "input" else sorted(results, key=lambda result: result.index)


@pytest.mark.parametrize("order", ORDERS)
def test_an_answer_that_a_cache_forgot_is_asked_for_in_its_place(order: Any) -> None:
    """Inputs that a dead process's cache had answered are sent late, and get their own answers."""
    service, program = make_batch_service(), Toy()
    program.known = {TEXTS[3]: "<question 3>", TEXTS[11]: "<question 11>"}
    with pytest.raises(Died):
        begin(service, until(18), program=program, run_id="nightly")

    run = begin(service, run_id="nightly")

    check(in_order(run, order), TEXTS)
    assert [question_of(output) for output in run.outputs()] == TEXTS
    assert service.emulator.jobs.records == len(TEXTS)
    check(list(begin(service, run_id="nightly").results()), TEXTS)


class Flaky(Toy):
    """A program whose step between its stages fails for an input."""

    def __init__(self, place: int | None) -> None:
        super().__init__(stages=2)
        self.place = place

    def result(self, stage: int, outcome: Outcome) -> str:
        if stage == 0 and outcome.place == self.place:
            raise ConnectionError("the retriever is down")
        return super().result(stage, outcome)


@pytest.mark.parametrize("order", ORDERS)
def test_a_step_that_failed_once_shifts_no_answer(order: Any) -> None:
    """An input whose step fails no more is asked of the second model late, and in its place."""
    service = make_batch_service()
    run = begin(service, program=Flaky(3))
    dies_at_job(service, 2)
    with pytest.raises(Died):
        run.wait()

    again = BatchRun.attach(run.uri, program=Flaky(None), services=services_for(service))
    results = in_order(again, order)

    check(results, TEXTS)
    assert not any(result.error for result in results)


@pytest.mark.parametrize("order", ORDERS)
def test_a_hole_in_the_state_is_no_short_list(order: Any) -> None:
    """A shard whose object was deleted makes reading fail, rather than the results fewer."""
    service = make_batch_service()
    run = begin(service)
    run.wait()
    (key,) = (key for key in service.keys("runs/") if key.endswith("shards/00001.json"))
    service.s3.delete_object(Bucket=service.bucket, Key=key)

    again = BatchRun.attach(run.uri, program=Toy(), services=services_for(service))

    with pytest.raises(BatchStorageError, match="Restore it"):
        list(again.results(order))


TWICE = [*TEXTS[:8], "question 3", *TEXTS[8:]]


@pytest.mark.parametrize(
    ("place", "text"),
    [(8, "other"), (8, "question 4"), (8, None), (5, "other"), (5, None), (3, "cached by now")],
    ids=["equal", "equal-to-another", "equal-to-none", "known", "known-to-none", "sent-to-known"],
)
def test_another_input_at_any_place_is_refused(place: int, text: str | None) -> None:
    """An input that was not sent itself, or is in a cache by now, may not change either."""
    service, program = make_batch_service(), Toy()
    program.known = {"question 5": "<question 5>"}
    begin(service, TWICE, program=program, run_id="nightly")
    program.known["cached by now"] = "<cached by now>"
    changed = [*TWICE[:place], text, *TWICE[place + 1 :]]

    with pytest.raises(InputsChangedError) as caught:
        begin(service, changed, program=program, run_id="nightly")

    assert caught.value.index == place
    check(list(begin(service, TWICE, run_id="nightly").results()), TWICE)


def test_another_input_is_refused_while_a_run_is_gone_on_with() -> None:
    """A cache that knows the other input does not hide that it is another one."""
    service, program = make_batch_service(), Toy()
    with pytest.raises(Died):
        begin(service, until(18), run_id="nightly")
    program.known = {"other": "<other>"}

    with pytest.raises(InputsChangedError) as caught:
        begin(service, [*TEXTS[:3], "other", *TEXTS[4:]], program=program, run_id="nightly")

    assert caught.value.index == 3


class Moment(Toy):
    """A program whose step between its stages gives other texts at another time."""

    def __init__(self, **texts: str) -> None:
        super().__init__(stages=2)
        self.texts = texts

    def result(self, stage: int, outcome: Outcome) -> str:
        result = super().result(stage, outcome)
        return self.texts.get(result.replace(" ", "_"), result) if stage == 0 else result


def test_an_input_gets_no_answer_that_was_asked_for_another_text() -> None:
    """What was sent from an equal input, before it was equal, is not taken for it."""
    service = make_batch_service()
    run = begin(service, program=Moment(question_3="at noon"))
    dies_at_job(service, 2)
    with pytest.raises(Died):
        run.wait()

    later = Moment(question_3="at one", question_20="at one")
    again = BatchRun.attach(run.uri, program=later, services=services_for(service))
    outputs = again.outputs()

    assert question_of(outputs[3]) == "at noon"
    assert question_of(outputs[20]) == "at one"


def test_failed_and_equal_inputs_of_a_later_stage_keep_their_places() -> None:
    """A cost limit, which looks at all records first, shifts no answer."""
    service, program = make_batch_service(), Moment(question_9="question 4")
    texts = [*TEXTS[:20], "poison", "question 30"]

    run = begin(service, texts, program=program, settings={"max_cost_usd": Decimal(1)})
    results = list(run.results())

    assert [result.index for result in results if result.error] == [20]
    asked = [question_of(result.output) for result in results if not result.error]
    assert asked == [*TEXTS[:9], "question 4", *TEXTS[10:20], "question 30"]


class Interrupted(Toy):
    """A program that lets something else happen before it makes its last record."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__(stages=2)
        self.meanwhile = [meanwhile]

    def entries(self, stage: int, items: Iterable[tuple[int, Any]]) -> Iterator[Entry]:
        for entry in super().entries(stage, items):
            if stage == 1 and entry.place == len(TEXTS) - 1 and self.meanwhile:
                self.meanwhile.pop()()
            yield entry

    def result(self, stage: int, outcome: Outcome) -> str:
        result = super().result(stage, outcome)
        return f"{result} at one" if stage == 0 else result


@pytest.mark.parametrize("dies_at", [None, 1, 2])
def test_two_that_wait_may_see_different_moments(dies_at: int | None) -> None:
    """Of two processes whose step gives other texts, the second goes on with the first one's."""
    service = make_batch_service()

    def meanwhile() -> None:
        if dies_at is None:
            other.wait()
            return
        create = service.bedrock.create_model_invocation_job
        dies_at_job(service, dies_at)
        with pytest.raises(Died):
            other.wait()
        service.bedrock.create_model_invocation_job = create

    run = begin(service, program=Interrupted(meanwhile), settings={"max_cost_usd": Decimal(1)})
    other = BatchRun.attach(run.uri, program=Toy(stages=2), services=services_for(service))

    asked = [question_of(output).removesuffix(" at one") for output in run.outputs()]

    assert asked == TEXTS
    assert service.emulator.jobs.records == 2 * len(TEXTS)


def test_two_whose_caches_differ_are_not_told_that_inputs_changed() -> None:
    """A process that is overtaken by one with another cache says so, and harms nothing."""
    service = make_batch_service()
    knowing = Toy()
    knowing.known = {TEXTS[3]: "<question 3>"}

    def texts() -> Iterator[str]:
        yield from TEXTS[:14]
        begin(service, program=knowing, run_id="nightly")
        yield from TEXTS[14:]

    with pytest.raises(BatchError, match="at the same time") as caught:
        begin(service, texts(), run_id="nightly")

    assert not isinstance(caught.value, InputsChangedError)
    check(list(begin(service, run_id="nightly").results()), TEXTS)
    assert service.emulator.jobs.records == len(TEXTS) - 1
