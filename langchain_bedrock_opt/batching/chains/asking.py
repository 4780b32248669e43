"""What the desk, the scribe and the post hand to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Event
from typing import Any, NamedTuple, Protocol

from langchain_core.messages import AIMessage

from langchain_bedrock_opt.batching.parts import JobKind, Outcome


class Question(NamedTuple):
    """One call of a model, ready to be sent.

    Attributes:
        kind: The kind of job that takes it.
        body: `modelInput` as JSON.
        read: Makes a message of its outcome, or raises the outcome's error.
    """

    kind: JobKind
    body: bytes
    read: Callable[[Outcome], AIMessage]


class Asked(NamedTuple):
    """One line of a round.

    Attributes:
        key: Tells this question from the others of the whole run.
        kind: The kind of job that takes it.
        body: `modelInput` as JSON.
    """

    key: bytes
    kind: JobKind
    body: bytes


class Spot(NamedTuple):
    """Where a question was sent before.

    Attributes:
        round: The round's number.
        place: Its place there.
    """

    round: int
    place: int


class Scribe(Protocol):
    """Makes questions of calls."""

    async def __call__(
        self, model: Any, messages: list[Any], stop: list[str] | None, kwargs: Mapping[str, Any]
    ) -> Question | AIMessage:
        """A call as a question; or its answer, if a cache has one.

        Raises:
            Exception: No record can be made of it.
        """


class Post(Protocol):
    """Sends rounds. All of this blocks, and is called in threads."""

    @property
    def min_records(self) -> int:
        """The least a job takes."""

    @property
    def max_records(self) -> int:
        """The most a job takes."""

    def known(self) -> Mapping[bytes, Spot]:
        """Where the questions of this run's earlier rounds are, by their keys."""

    def send(self, questions: Sequence[Asked], stopped: Event) -> Iterator[Outcome]:
        """Send a new round, wait for it, and give its outcomes.

        Args:
            questions: The round.
            stopped: Set when nobody waits for it any more: then nothing more is sent.
        """

    def again(self, number: int, stopped: Event) -> Iterator[Outcome]:
        """Go on with an earlier round: nothing that was sent is sent twice.

        Args:
            number: The round's number.
            stopped: As for `send`.
        """
