"""The thread pool for awaited calls: as wide as allowed, and gone when idle."""

from __future__ import annotations

import os
import threading

import pytest

from langchain_bedrock_opt.aws.executor import IdleThreadPool
from tests.extras import needs_fork


def names() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("pool-under-test")]


def hold(begun: threading.Event, gate: threading.Event) -> bool:
    """Occupy a thread until the gate opens."""
    begun.set()
    return gate.wait(10)


def test_work_runs_side_by_side_up_to_the_limit() -> None:
    """Four workers meet at a barrier of four; a fifth piece of work waits its turn."""
    barrier = threading.Barrier(4, timeout=10)
    with IdleThreadPool(4, name="pool-under-test") as pool:
        futures = [pool.submit(barrier.wait) for _ in range(4)]
        last = pool.submit(names)

        assert sorted(f.result(timeout=10) for f in futures) == [0, 1, 2, 3]
        assert len(last.result(timeout=10)) <= 4


def test_idle_threads_end_and_say_so() -> None:
    """After a quiet moment no thread is left, and the last one has called `on_idle`."""
    quiet = threading.Event()
    pool = IdleThreadPool(8, linger=0.01, on_idle=quiet.set, name="pool-under-test")
    for future in [pool.submit(pow, 2, n) for n in range(50)]:
        future.result(timeout=10)

    assert quiet.wait(timeout=10)
    for thread in threading.enumerate():
        if thread.name.startswith("pool-under-test"):
            thread.join(timeout=10)
    assert names() == []
    assert pool.submit(pow, 2, 3).result(timeout=10) == 8
    pool.shutdown()


def test_a_failing_call_fails_its_own_future_only() -> None:
    """An exception reaches whoever waits for it, and the thread goes on."""
    with IdleThreadPool(1) as pool:
        failing = pool.submit(divmod, 1, 0)

        with pytest.raises(ZeroDivisionError):
            failing.result(timeout=10)
        assert pool.submit(divmod, 7, 2).result(timeout=10) == (3, 1)


def test_work_that_was_cancelled_is_not_done() -> None:
    """A call that is cancelled while it waits for a thread is never made."""
    begun, gate = threading.Event(), threading.Event()
    made: list[int] = []
    with IdleThreadPool(1) as pool:
        pool.submit(hold, begun, gate)
        assert begun.wait(10)
        waiting = pool.submit(made.append, 1)

        assert waiting.cancel()
        gate.set()
        pool.submit(int).result(timeout=10)
    assert made == []


def test_shutting_down_cancels_what_waits_if_asked() -> None:
    """Shutting down with cancellation leaves nothing waiting for ever, and takes no more work."""
    begun, gate = threading.Event(), threading.Event()
    pool = IdleThreadPool(1)
    running = pool.submit(hold, begun, gate)
    waiting = pool.submit(int)
    assert begun.wait(10)

    pool.shutdown(wait=False, cancel_futures=True)
    gate.set()

    assert running.result(timeout=10)
    assert waiting.cancelled()
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(int)
    pool.shutdown()


def test_many_submitters_lose_nothing() -> None:
    """Two thousand pieces of work from eight threads are each done once."""
    done: list[int] = []
    with IdleThreadPool(16, linger=0.001) as pool:

        def submit(start: int) -> None:
            for future in [pool.submit(done.append, start + n) for n in range(250)]:
                future.result(timeout=30)

        threads = [threading.Thread(target=submit, args=(n * 250,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(done) == list(range(2000))


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    """A pool that was busy before a fork works in the child, which has none of its threads."""
    with IdleThreadPool(2) as pool:
        pool.submit(int).result(timeout=10)
        child = os.fork()
        if child == 0:
            done = pool.submit(pow, 2, 5).result(timeout=10) == 32
            os._exit(0 if done else 1)
        _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_a_pool_needs_a_thread() -> None:
    """A pool of no threads is refused."""
    with pytest.raises(ValueError, match="at least 1, not 0"):
        IdleThreadPool(0)
