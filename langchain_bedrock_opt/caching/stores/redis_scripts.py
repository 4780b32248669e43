"""What the Redis store asks of the server in one step: Lua, run by EVALSHA.

Scripts, because a comparison and the write that depends on it are one round trip so, without
attempts to repeat as with WATCH, and the same on a cluster. They use plain commands and no names
but those that they are given, as ElastiCache Serverless demands. A script is sent once to each
server and known by its hash from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from typing import Final


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the hash that the server knows it by."""

    text: str
    sha: str


def _script(text: str) -> Script:
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


_SET = """
local function set(name, value, px)
  if px == '' then redis.call('SET', name, value) else redis.call('SET', name, value, 'PX', px) end
end
"""

SET_LEASED: Final = _script(
    _SET
    + """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
set(KEYS[1], ARGV[2], ARGV[3])
redis.call('DEL', KEYS[2])
return 1
"""
)
"""Names: entry, lease. Arguments: token, bytes, milliseconds or nothing. Ends the lease."""

SET_IF_EQUAL: Final = _script(
    _SET
    + """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
set(KEYS[1], ARGV[2], ARGV[3])
return 1
"""
)
"""Name: entry. Arguments: bytes that are expected, new bytes, milliseconds or nothing."""

EXTEND_LEASE: Final = _script(
    """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
)
"""Name: lease. Arguments: token, milliseconds from now."""

END_LEASE: Final = _script(
    """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
)
"""Name: lease. Argument: token."""
