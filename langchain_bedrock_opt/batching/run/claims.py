"""Single calls of a shard are made by one process at a time, so that none is paid for twice.

A claim is an object that only one process can create. It says until when it holds, and is renewed
while calls are made: that of a process which was killed lapses, and the next one has the next
number.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from langchain_bedrock_opt.batching.run.context import Context
from langchain_bedrock_opt.batching.run.stage import Stage
from langchain_bedrock_opt.batching.run.state import VERSION, Shard, checked
from langchain_bedrock_opt.errors import BatchStorageError

# Clocks of two machines may differ by some seconds, and a call may take a minute.
HOLDS: Final = 300.0
"""Seconds for which a claim holds from its last renewal."""

_RENEWED_AFTER: Final = 60.0


class Claim:
    """A claim on the single calls of a shard.

    Args:
        context: The run.
        stage: The shard's stage.
        shard: The shard.
    """

    def __init__(self, context: Context, stage: Stage, shard: Shard) -> None:
        self._owner = context.owner
        self._clock = context.services.clock
        self._folder = stage.folder
        self._prefix = f"claims/{shard.name}-"
        self._name = ""
        self._renewed_at = 0.0

    def take(self) -> bool:
        """Take the shard; False while another process has it.

        Raises:
            BatchStorageError: S3 failed.
        """
        names = sorted(found.name for found in self._folder.list(self._prefix))
        if names and self._is_anothers(names[-1]):
            return False
        self._name = f"{self._prefix}{len(names):05d}.json"
        return self._write(HOLDS, if_absent=True)

    def has_lapsed(self) -> bool:
        """Whether another process may have it: this one was not running for minutes."""
        return self._clock() >= self._renewed_at + HOLDS

    def renew(self) -> bool:
        """Keep it, if the last renewal was a minute ago; whether it was renewed."""
        if self._clock() - self._renewed_at < _RENEWED_AFTER or self.has_lapsed():
            return False
        return self._write(HOLDS)

    def release(self) -> None:
        """Let the next process have the shard at once."""
        with suppress(BatchStorageError):  # then it lapses
            self._write(0.0)

    def _is_anothers(self, name: str) -> bool:
        values = self._folder.get_json(name)
        if values is None:
            return False
        claim = checked(values, self._folder.uri_of(name))
        # Our own is there if S3 wrote it and its answer was lost.
        return claim["owner"] != self._owner and bool(claim["until"] > self._clock())

    def _write(self, seconds: float, *, if_absent: bool = False) -> bool:
        self._renewed_at = self._clock()
        until = self._renewed_at + seconds
        values = {"version": VERSION, "owner": self._owner, "until": until}
        return self._folder.put_json(self._name, values, if_absent=if_absent)
