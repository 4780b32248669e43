"""Equal bodies are found, in little memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.batching.run.dedupe import FirstPlaces


@given(st.lists(st.integers(0, 50).map(lambda number: b"%d" % number), max_size=300))
def test_each_body_has_the_place_where_it_was_first_seen(bodies: list[bytes]) -> None:
    """A body gives the first place of an equal one, and None the first time."""
    seen = FirstPlaces()

    found = [seen.first(place, body) for place, body in enumerate(bodies)]

    for place, body in enumerate(bodies):
        first = bodies.index(body)
        assert found[place] == (None if first == place else first)
    assert len(seen) == len(set(bodies))


def test_a_record_takes_at_most_40_bytes() -> None:
    """Memory stays within 40 bytes a record, also just after the table has grown."""
    seen = FirstPlaces()

    worst = 0.0
    for place in range(100_000):
        seen.first(place, b"%d" % place)
        if place > 5000:
            worst = max(worst, seen.memory / len(seen))

    assert worst <= 40
