"""Where runs stand in a chain, in bounded memory."""

from __future__ import annotations

from uuid import uuid4

from langchain_bedrock_opt.usage.recording.paths import PlaceTable


def test_chains_that_never_end_are_bounded_in_number() -> None:
    """However many runs never end, at most two generations of them are remembered."""
    places = PlaceTable(ttl=60, max_runs=10)
    for _ in range(1000):
        places.enter(uuid4(), None, "chain", 0.0)
    assert len(places) <= 22


def test_chains_that_never_end_are_bounded_in_age() -> None:
    """A run is forgotten before it is twice as old as a generation may be; newer ones are not."""
    places = PlaceTable(ttl=60, max_runs=10)
    old, new = uuid4(), uuid4()
    places.enter(old, None, "old", 0.0)
    places.enter(uuid4(), None, "other", 61.0)
    places.enter(new, old, "new", 90.0)
    found = places.find(new)
    assert found is not None
    assert found.path() == ("old", "new")
    places.enter(uuid4(), None, "other", 122.0)
    assert places.find(old) is None
    assert places.find(new) is not None
    places.leave(new)
    assert places.find(new) is None
