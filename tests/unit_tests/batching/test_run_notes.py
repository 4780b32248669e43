"""What is known of inputs that are in no job comes back as it was written."""

from __future__ import annotations

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage

from langchain_bedrock_opt.batching.run.notes import Note
from langchain_bedrock_opt.batching.run.state import Places, Plan, RunState, Shard, checked, lanes
from langchain_bedrock_opt.errors import (
    BatchError,
    BatchStorageError,
    MissingExtraError,
    RecordNotProcessedError,
)
from tests.batch_service import make_batch_service
from tests.batch_toy import KIND


def back(note: Note) -> Note:
    return Note.from_line(note.to_line())


def test_a_known_answer_comes_back_whole() -> None:
    """A message of a cache keeps its content, metadata and tool calls."""
    message = AIMessage(
        [{"type": "text", "text": "Kyoto"}],
        tool_calls=[{"name": "f", "args": {"a": 1}, "id": "1", "type": "tool_call"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"stopReason": "end_turn"},
        id="x",
    )

    assert back(Note(3, known=message)) == Note(3, known=message)


@pytest.mark.parametrize("is_dropped", [False, True])
@pytest.mark.parametrize(
    "error", [ValueError("no"), OutputParserException("bad"), BatchError("gone")]
)
def test_an_error_keeps_its_class(error: Exception, *, is_dropped: bool) -> None:
    """An error that takes a message comes back as the same class with the same words."""
    note = back(Note(3, error=error, is_dropped=is_dropped))

    assert type(note.error) is type(error)
    assert str(note.error) == str(error)
    assert note.is_dropped is is_dropped


def test_a_records_error_keeps_what_it_knows() -> None:
    """Code, place and job of a record's error are there after it was written down."""
    error = RecordNotProcessedError("late", index=7, error_code="503", job_arn="arn:x")

    found = back(Note(7, error=error)).error

    assert isinstance(found, RecordNotProcessedError)
    assert (found.index, found.error_code, found.job_arn) == (7, "503", "arn:x")


def test_an_error_of_a_strange_class_is_named() -> None:
    """A class that can't be made anew is named in a `BatchError`."""

    class StrangeError(Exception):
        pass

    assert str(back(Note(1, error=StrangeError("odd"))).error) == "StrangeError: odd"
    found = back(Note(1, error=MissingExtraError("x", "y"))).error
    assert type(found) is BatchError
    assert str(found).startswith("MissingExtraError: ")


@pytest.mark.parametrize(
    "note",
    [
        Note(3, known=AIMessage("half an emoji \ud83d"), digest="ab"),
        Note(3, error=ValueError("no \ud83d"), is_dropped=True),
    ],
)
def test_half_an_emoji_is_kept(note: Note) -> None:
    """What a model may write and UTF-8 has no bytes for comes back as it was."""
    found = back(note)

    assert (found.known, str(found.error)) == (note.known, str(note.error))
    assert found.digest == note.digest


def test_a_broken_note_is_told() -> None:
    """A line that is no note says what to do."""
    with pytest.raises(BatchStorageError, match="restore"):
        Note.from_line(b'{"place": 3, "sa')


def test_state_of_another_version_is_refused() -> None:
    """A document of a later release names its version and where it lies."""
    with pytest.raises(BatchStorageError, match=r"s3://b/run.json has version 2"):
        checked({"version": 2}, "s3://b/run.json")


def test_state_comes_back_as_it_was() -> None:
    """Shards, plans and runs are read back from JSON equal."""
    shard = Shard(3, KIND, "job", "input/x.jsonl", 3, 99, "ab", Places([[1, 2], [5, 5]]), 2)
    settings = make_batch_service().settings(tags={"a": "b"}, vpc_config={"subnetIds": ["s"]})
    state = RunState("r", "f", 2, settings, "2026-11-22T12:00:00+00:00")

    assert Shard.from_dict(shard.as_dict()).as_dict() == shard.as_dict()
    assert Plan.from_dict(Plan(inputs=3, same=1).as_dict()) == Plan(inputs=3, same=1)
    assert RunState.from_dict(state.as_dict()) == state


def test_late_records_are_in_a_lane_of_their_own() -> None:
    """Shards are put into as few lanes as rise by place, the earlier attempts first."""

    def shard(number: int, first: int, last: int, attempt: int = 1) -> Shard:
        places = Places([[first, last]])
        return Shard(number, KIND, "job", "x", last - first + 1, 1, "ab", places, attempt)

    shards = [
        shard(0, 0, 9),
        shard(1, 12, 19),
        shard(2, 10, 10),
        shard(3, 11, 30),
        shard(4, 2, 5, attempt=2),
        shard(5, 20, 30),
    ]

    found = lanes(shards, lambda shard: shard)

    assert [[shard.number for shard in lane] for lane in found] == [[0, 1, 5], [2, 3], [4]]
