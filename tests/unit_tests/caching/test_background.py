"""Work that nobody waits for."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial

import pytest

from langchain_bedrock_opt.caching.background import Background
from langchain_bedrock_opt.errors import ConfigurationError
from tests.extras import needs_fork


def _wait(event: threading.Event) -> None:
    event.wait(10)


Errors = list[tuple[str, Exception]]


@pytest.fixture
def errors() -> Errors:
    return []


@pytest.fixture
def background(errors: Errors) -> Iterator[Background]:
    background = Background(failed=lambda *error: errors.append(error), most=2)
    yield background
    assert background.join(10)


def test_jobs_run(background: Background) -> None:
    """A job is done without anybody waiting for it."""
    done = threading.Event()

    assert background.run("a", "working", done.set)

    assert done.wait(10)


def test_the_same_job_runs_once(background: Background) -> None:
    """A job that is under way is not started again; afterwards it may be."""
    go = threading.Event()
    assert background.run("a", "working", partial(_wait, go))

    assert not background.run("a", "working", lambda: None)
    go.set()
    assert background.join(10)
    assert background.run("a", "working", lambda: None)


def test_too_many_jobs_are_dropped(background: Background) -> None:
    """No more than so many run at once."""
    go = threading.Event()
    started = [background.run(str(n), "working", partial(_wait, go)) for n in range(4)]
    go.set()

    assert started == [True, True, False, False]


def test_errors_are_told(background: Background, errors: Errors) -> None:
    """A job's error is told, and ends nothing but the job."""

    def fail() -> None:
        raise ValueError("no")

    background.run("a", "working", fail)
    background.join(10)

    assert [(doing, str(error)) for doing, error in errors] == [("working", "no")]


def test_a_job_belongs_to_no_caller(background: Background) -> None:
    """Context variables of the caller, such as its run, do not reach the job."""
    variable: ContextVar[str] = ContextVar("variable", default="none")
    variable.set("the caller's")
    seen: list[str] = []

    background.run("a", "working", lambda: seen.append(variable.get()))
    background.join(10)

    assert seen == ["none"]


def test_a_system_without_threads_fails_no_caller(
    background: Background, errors: Errors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no thread can be started the job is dropped, that is told, and it may be tried again."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert not background.run("a", "working", lambda: None)

    assert [(doing, str(error)) for doing, error in errors] == [
        ("working", "can't start new thread")
    ]
    assert background.run("a", "working", lambda: None)


def test_a_mistake_fails_at_construction() -> None:
    """There must be room for one job."""
    with pytest.raises(ConfigurationError, match="most=0"):
        Background(failed=lambda *_: None, most=0)


@needs_fork
def test_a_forked_process_works_on() -> None:
    """Jobs and leases of the parent hold up nothing in the child, whatever locks were held."""
    script = """
        import os, threading
        from langchain_bedrock_opt.caching.background import Background
        from langchain_bedrock_opt.caching.leases import Leases
        from langchain_bedrock_opt.caching.stores.memory import InMemoryCacheStore
        background = Background(failed=print, most=1)
        over = threading.Event()
        background.run("job", "working", over.wait)
        leases = Leases(InMemoryCacheStore(), timeout=1, failed=print)
        held = leases.try_claim("held")
        with background._lock, leases._keeper._changed:
            child = os.fork()
        if child == 0:
            assert background.run("job", "working", lambda: None)
            assert background.join(10)
            assert leases.try_claim("key")
            assert list(leases._keeper._claims.keys()) != [held]
            os._exit(0)
        over.set()
        assert os.waitpid(child, 0)[1] == 0
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
