"""Single flight, without a model."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, get_ident

import pytest

from langchain_bedrock_opt.caching.flight import Flight, SingleFlight
from tests.extras import needs_fork


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
    # As a stream would be; or a pool that reuses the leader's thread would wait for itself.
    leader.driven_by(lambda _: until(lambda: leader.landed))
    follower = pool.submit(flights.enter, "key")
    until(lambda: leader.waiting == 1)
    then()
    return follower


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


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
    """When its time is up a follower leads, and later ones do not wait for the first any more."""
    flights = SingleFlight(timeout=0)
    lost = flights.enter("key")

    follower = pool.submit(flights.enter, "key").result(timeout=10)

    assert follower is not lost
    assert follower.is_alone
    assert not follower.landed
    assert pool.submit(flights.enter, "key").result(timeout=10) not in {lost, follower}


def test_a_slow_leader_is_followed_by_one(pool: ThreadPoolExecutor) -> None:
    """Of all whose time is up one leads, and the others wait for that one."""
    flights = SingleFlight(timeout=0.5)
    slow = flights.enter("key")
    led: list[Flight] = []

    def ask(_: int) -> bytes | None:
        with flights.enter("key") as flight:
            if flight.value is None:
                led.append(flight)
                until(lambda: flight.waiting == 3)
                flight.land(b"answer")
            return flight.value

    assert list(pool.map(ask, range(4))) == [b"answer"] * 4
    assert len(led) == 1
    assert not slow.landed


def test_a_slow_answer_reaches_those_who_gave_it_up(pool: ThreadPoolExecutor) -> None:
    """The first answer counts, that of the leader who was too slow or of the next one."""
    flights = SingleFlight(timeout=0.2)
    slow = flights.enter("key")
    next_one = pool.submit(flights.enter, "key").result(timeout=10)

    follower = while_waiting(pool, flights, next_one, lambda: slow.land(b"late")).result()

    assert follower.value == b"late"


def test_two_slow_leaders_are_enough(pool: ThreadPoolExecutor) -> None:
    """Nobody waits for more than two leaders: after that each goes by itself."""
    flights = SingleFlight(timeout=0.3)
    leaders = [flights.enter("key")]
    followers = [pool.submit(flights.enter, "key") for _ in range(3)]

    leaders += [follower.result(timeout=10) for follower in followers]

    assert len(set(leaders)) == 4
    assert all(leader.value is None for leader in leaders)


def test_a_wait_ends_in_time_though_a_read_does_not(pool: ThreadPoolExecutor) -> None:
    """Who waits for a stream that hangs comes back all the same, and does not hang with it."""
    flights, over = SingleFlight(timeout=0.1), Event()
    leader = flights.enter("key")

    def hang(_: float) -> None:
        over.wait(30)

    leader.driven_by(hang)

    follower = pool.submit(flights.enter, "key").result(timeout=10)

    assert follower is not leader
    over.set()


def test_one_thread_drives_for_all(pool: ThreadPoolExecutor, flights: SingleFlight) -> None:
    """However many wait, one thread brings the flight further, and none of those who wait."""
    leader, drivers = flights.enter("key"), []

    def drive(_: float) -> None:
        drivers.append(get_ident())
        until(lambda: leader.waiting == 4)
        leader.land(b"answer")

    leader.driven_by(drive)

    def ask(_: int) -> tuple[bytes | None, int]:
        return flights.enter("key").value, get_ident()

    values, threads = zip(*pool.map(ask, range(4)), strict=True)

    assert set(values) == {b"answer"}
    assert len(drivers) == 1
    assert drivers[0] not in threads


def test_what_follows_a_landing_is_done_once() -> None:
    """It is done when the flight lands, and at once if it has landed."""
    flight, done = Flight(), []
    flight.after_landing(lambda: done.append("early"))
    assert not done

    flight.land()
    flight.after_landing(lambda: done.append("late"))
    flight.land()

    assert done == ["early", "late"]


@needs_fork
def test_a_forked_process_waits_for_nobody() -> None:
    """Whoever leads in the parent does not lead in the child, and holds no lock there."""
    script = """
        import os, threading
        from langchain_bedrock_opt.caching.flight import SingleFlight
        flights = SingleFlight(timeout=30)
        leader = threading.Thread(target=lambda: globals().update(flight=flights.enter("key")))
        leader.start()
        leader.join()
        with flights._lock, flight._changed:
            child = os.fork()
        if child == 0:
            own = flights.enter("key")
            flight.land()
            os._exit(own is flight or own.is_alone)
        assert os.waitpid(child, 0)[1] == 0
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0


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
