"""Windows are hours, days and months in UTC, without a gap between them."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.usage.budget.windows import Per, window_at

MOMENTS = st.floats(0, 4e9)


@pytest.mark.parametrize(
    ("per", "moment", "label", "ends_at"),
    [
        ("hour", (2026, 11, 23, 23, 59, 59), "2026-11-23T23", (2026, 11, 24)),
        ("day", (2026, 2, 28, 12), "2026-02-28", (2026, 3, 1)),
        ("month", (2026, 12, 31, 23, 59), "2026-12", (2027, 1, 1)),
        ("month", (2028, 2, 29), "2028-02", (2028, 3, 1)),
    ],
)
def test_ends(per: Per, moment: tuple[int, ...], label: str, ends_at: tuple[int, ...]) -> None:
    """A window has its day's, hour's or month's name and ends where the next begins."""
    window = window_at(per, datetime(*moment, tzinfo=timezone.utc).timestamp())  # type: ignore[arg-type, misc]

    assert window.label == label
    assert window.ends_at == datetime(*ends_at, tzinfo=timezone.utc)  # type: ignore[arg-type, misc]


@given(per=st.sampled_from(["hour", "day", "month"]), seconds=MOMENTS)
def test_no_moment_is_between_windows(per: Per, seconds: float) -> None:
    """Each moment is in the window that it names, and the end of one is the begin of the next."""
    window = window_at(per, seconds)

    assert window.begins <= seconds < window.ends
    assert window_at(per, window.begins) == window
    following = window_at(per, window.ends)
    assert following.begins == window.ends
    assert following.label > window.label
