"""For how long something is waited for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from numbers import Real

from langchain_bedrock_opt.errors import ConfigurationError


class Deadline:
    """The moment after which something is not waited for any more.

    Args:
        timeout: Seconds from now on; `math.inf` for no end.
        clock: The time, aware of its zone.
    """

    def __init__(self, timeout: float, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        # Seconds, since a date can't be infinitely far off.
        self._end = clock().timestamp() + timeout

    @property
    def rest(self) -> float:
        """The seconds until then; not above 0 from then on."""
        return self._end - self._clock().timestamp()


def checked_timeout(timeout: float) -> float:
    """A number of seconds that can be waited for.

    Raises:
        ConfigurationError: It is none.

    Example:
        >>> checked_timeout(float("inf"))
        inf
    """
    if isinstance(timeout, Real) and timeout >= 0:
        return float(timeout)
    raise ConfigurationError(
        f"timeout={timeout!r} is not a number of seconds from 0 on: pass 3600, or math.inf to wait "
        "as long as it takes."
    )
