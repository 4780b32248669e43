"""Single flight, without a model."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import pytest

from langchain_bedrock_opt.caching.flight import Flight, SingleFlight


@pytest.fixture
def flights() -> SingleFlight:
    return SingleFlight(timeout=30)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def while_waiting(
    pool: ThreadPoolExecutor, flights: SingleFlight, leader: Flight, then: Callable[[], None]
) -> Future[Flight]:
    """Another thread that follows the leader, and what happens once it surely waits."""
    waiting, over = Event(), Event()

    def drive(deadline: float) -> None:
        waiting.set()
        over.wait(10)

    leader.driven_by(drive)
    follower = pool.submit(flights.enter, "key")
    assert waiting.wait(10)
    then()
    over.set()
    return follower


def test_followers_get_the_answer(pool: ThreadPoolExecutor, flights: SingleFlight) -> None:
    """A thread that asks what is being asked gets the other one's answer."""
    leader = flights.enter("key")

    follower = while_waiting(pool, flights, leader, lambda: leader.land(b"answer"))

    assert follower.result().value == b"answer"


def test_an_answer_that_is_not_shared(pool: ThreadPoolExecutor, flights: SingleFlight) -> None:
    """If there is nothing to share, each follower goes by itself, holding up nobody."""
    leader = flights.enter("key")

    follower = while_waiting(pool, flights, leader, leader.land).result()

    assert not follower.landed
    assert follower.value is None
    assert flights.enter("key") is not follower


def test_a_follower_takes_over(pool: ThreadPoolExecutor, flights: SingleFlight) -> None:
    """If the leader fails, the next one leads, and others wait for that one."""
    leader = flights.enter("key")

    second = while_waiting(pool, flights, leader, lambda: leader.land(failed=True)).result()

    third = while_waiting(pool, flights, second, lambda: second.land(b"answer"))
    assert third.result().value == b"answer"


def test_an_exception_lands_the_flight(flights: SingleFlight) -> None:
    """A leader whose block ends in an exception is not waited for."""
    with pytest.raises(KeyError), flights.enter("key") as leader:
        raise KeyError

    assert leader.landed
    assert leader.failed


def test_landing_twice_changes_nothing() -> None:
    """The first landing counts."""
    flight = Flight()
    flight.land(b"first")
    flight.land(b"second", failed=True)

    assert (flight.value, flight.failed) == (b"first", False)


def test_nobody_waits_for_ever(pool: ThreadPoolExecutor) -> None:
    """When its time is up a follower goes by itself, and later ones do not wait any more."""
    flights = SingleFlight(timeout=0)
    lost = flights.enter("key")

    follower = pool.submit(flights.enter, "key").result(timeout=10)

    assert follower is not lost
    assert not follower.landed
    assert pool.submit(flights.enter, "key").result(timeout=10) is not lost


def test_keys_do_not_wait_for_each_other(flights: SingleFlight) -> None:
    """Other keys, and a key whose flight has landed, are led at once."""
    first = flights.enter("key")
    other = flights.enter("other")
    first.land(b"answer")

    again = flights.enter("key")

    assert len({id(first), id(other), id(again)}) == 3
    assert again.value is None


def test_a_forgotten_flight_is_gone(flights: SingleFlight) -> None:
    """A flight that nobody holds any more does not keep its key."""
    flights.enter("key")
    gc.collect()

    before = time.monotonic()
    again = flights.enter("key")

    assert not again.landed
    assert time.monotonic() - before < flights._timeout
