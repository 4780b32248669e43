"""For how long provisioned throughput is waited for: mistakes, and waiting without an end."""

from __future__ import annotations

import math
from typing import Any

import pytest

from langchain_bedrock_opt.errors import ConfigurationError
from tests.provisioned_fates import NOVA_24K, manager_of
from tests.throughput_service import TAKES_MINUTES, ThroughputService, make_throughput_service


@pytest.fixture
def service() -> ThroughputService:
    return make_throughput_service(pace=TAKES_MINUTES)


@pytest.mark.parametrize("timeout", [None, -1, math.nan, "60"])
def test_a_timeout_that_is_none_is_refused_before_anything_is_sent(
    service: ThroughputService, timeout: Any
) -> None:
    """Whoever waits, deletes or buys with a timeout that is no number of seconds asks AWS nothing.

    A block's purchase, above all, is not made.
    """
    manager = manager_of(service)

    for wrong in (
        lambda: manager.wait("prod", timeout=timeout),
        lambda: manager.delete("prod", timeout=timeout),
        lambda: manager.temporary(NOVA_24K, name="load", confirm=True, timeout=timeout),
    ):
        with pytest.raises(ConfigurationError, match="is not a number of seconds from 0 on"):
            wrong()

    assert service.emulator.journal.calls() == ()


@pytest.mark.parametrize("timeout", [math.inf, 1e13])
def test_waiting_needs_no_end(service: ThroughputService, timeout: float) -> None:
    """With an endless timeout, or one beyond all dates, it is waited for and deleted."""
    manager = manager_of(service)

    assert manager.wait(
        manager.create(NOVA_24K, name="prod", confirm=True), timeout=timeout
    ).is_in_service
    manager.rename("prod", "blue")  # Updating: it can't be deleted at once
    manager.delete("blue", timeout=timeout)
    with manager.temporary(NOVA_24K, name="load", confirm=True, timeout=timeout) as throughput:
        assert throughput.is_in_service

    assert service.emulator.throughput.list() == ()
