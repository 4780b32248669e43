"""Records are cut into shards: nothing lost, nothing too large, no tail that is too small."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_bedrock_opt.batching.parts import JobKind, Record
from langchain_bedrock_opt.batching.run.sharding import (
    Limits,
    Splitter,
    line_bytes,
    line_of,
    parts_of,
)
from langchain_bedrock_opt.errors import ConfigurationError

KIND = JobKind("m", "Converse")


def cut(sizes: list[int], limits: Limits) -> list[list[Record]]:
    shards: list[list[Record]] = [[]]
    splitter = Splitter(
        limits,
        write=lambda record: shards[-1].append(record),  # noqa: PLW0108 - the last changes
        close=lambda: shards.append([]),
    )
    for place, size in enumerate(sizes):
        splitter.add(Record(place, KIND, b"x" * size))
    splitter.finish()
    return shards[:-1]


@given(
    count=st.integers(1, 400),
    least=st.integers(1, 20),
    more=st.integers(0, 60),
)
def test_no_shard_of_small_records_is_too_small_or_too_large(
    count: int, least: int, more: int
) -> None:
    """Every shard has min to max records, unless all of them are fewer than min."""
    limits = Limits(least, 2 * least - 1 + more, 10**9)

    shards = cut([1] * count, limits)

    assert [record.place for shard in shards for record in shard] == list(range(count))
    if count < least:
        assert [len(shard) for shard in shards] == [count]
    else:
        assert all(least <= len(shard) <= limits.max_records for shard in shards)


@given(count=st.integers(1, 10**6), least=st.sampled_from([1, 100, 1000]))
def test_a_million_records_are_cut_as_arithmetic_says(count: int, least: int) -> None:
    """The sizes for any N up to a million follow from N alone, and none is under the minimum."""
    most = 50_000
    written, held = max(0, count - least), min(count, least)
    full, open_records = divmod(written, most)
    if open_records == 0 and full:
        full, open_records = full - 1, most

    tail = [open_records + held] if open_records + held <= most else [open_records, held]
    sizes = [most] * full + tail

    assert sum(sizes) == count
    assert min(sizes) >= least or count < least


@pytest.mark.parametrize("count", [1, 99, 100, 1099, 1100, 1101, 2000, 2001, 50_099, 50_101])
def test_shards_have_the_sizes_of_the_model(count: int) -> None:
    """Real cuts have the sizes that the arithmetic model of a million records has."""
    shards = [len(shard) for shard in cut([0] * count, Limits(100, 1000, 10**9))]

    assert sum(shards) == count
    assert all(100 <= size <= 1000 for size in shards) or count < 100
    assert len(shards) <= count // 1000 + 2


@settings(max_examples=200)
@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=120),
    least=st.integers(1, 8),
)
def test_no_file_is_larger_than_it_may_be(sizes: list[int], least: int) -> None:
    """Records of any size stay in their order, and no shard weighs more than a file may."""
    limits = Limits(least, 40, 400)

    shards = cut(sizes, limits)

    assert [record.place for shard in shards for record in shard] == list(range(len(sizes)))
    for shard in shards:
        assert sum(line_bytes(record.body) for record in shard) <= limits.max_bytes
        assert 0 < len(shard) <= limits.max_records


def test_limits_that_leave_a_gap_are_refused() -> None:
    """160 records are no shards of 100 to 150, so such limits are refused with the fix."""
    with pytest.raises(ConfigurationError, match="Make it 199 or more"):
        Limits(100, 150, 10**9)


@given(place=st.integers(0, 10**11 - 1), body=st.binary(min_size=2).map(lambda b: b"{" + b))
def test_a_line_gives_back_its_place_and_body(place: int, body: bytes) -> None:
    """What is written as a line is read back byte for byte, and weighs what was said."""
    line = line_of(place, body)

    assert parts_of(line) == (place, body)
    assert len(line) + 1 == line_bytes(body)
