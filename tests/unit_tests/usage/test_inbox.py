"""Items of many threads, handled one at a time and without waiting."""

from __future__ import annotations

import os

import pytest

from langchain_bedrock_opt.usage.inbox import Inbox
from tests.extras import needs_fork


def test_items_that_come_during_exclusive_work_are_handled() -> None:
    """What is put while something else is done waits for that, and for nothing more."""
    seen: list[str] = []
    inbox = Inbox(seen.append)

    def work() -> None:
        inbox.put("late")
        assert seen == ["early"]

    inbox.put("early")
    inbox.exclusively(work)
    assert seen == ["early", "late"]


@needs_fork
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_forks_go_on() -> None:
    """A child that was forked while an item was handled handles its own items."""
    seen: list[str] = []
    inbox = Inbox(seen.append)
    children: list[int] = []

    def fork() -> None:
        child = os.fork()
        if child == 0:
            inbox.put("child's")
            os._exit(seen != ["child's"])
        children.append(child)

    inbox.exclusively(fork)
    assert [os.waitpid(child, 0)[1] for child in children] == [0]
