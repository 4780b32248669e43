"""Plain data as bytes, and back: msgpack, and zstd where it makes them shorter.

Nothing is executed and no class is named by the data. Besides what msgpack has, integers of more
than 64 bits and texts with lone surrogates survive; a tuple comes back as a list.
"""

from __future__ import annotations

import threading
from typing import Any, Final

from langchain_bedrock_opt.errors import CacheStoreError

MAX_SIZE: Final = 16 * 1024 * 1024
"""The most bytes that a document may have when it is not compressed."""

_SMALLEST_COMPRESSED = 512
"""Below this many bytes zstd gains too little to pay for itself (`benchmarks/cache_codec.py`)."""

_LEVEL = 1
"""Of zstd. Level 3 takes twice as long and gains 1 % on answers of some kilobytes."""

_LONGEST_LIST = 1024 * 1024
"""Lists and maps that claim to be longer are refused, before room is made for them."""

_BIG_INTEGER = 1
"""The msgpack extension that holds an integer of more than 64 bits, signed, big end first."""


class _Tools(threading.local):
    """What one thread packs and compresses with; none of it may be shared by threads."""

    def __init__(self) -> None:
        import msgpack
        import zstandard

        options = {"default": _as_plain, "strict_types": True}
        self.packer = msgpack.Packer(**options)
        # Slower with every text, so only for those that need it.
        self.surrogate_packer = msgpack.Packer(**options, unicode_errors="surrogatepass")
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor()
        self.saw_tuple = False


_tools: _Tools | None = None


def pack(document: Any) -> bytes:
    """Plain data as bytes.

    Args:
        document: Dicts, lists, texts, numbers, booleans, None and bytes.

    Raises:
        CacheStoreError: It holds something else, or is too large.

    Example:
        >>> unpack(pack({"n": 2**70, "at": (1, 2)}))
        {'n': 1180591620717411303424, 'at': [1, 2]}
    """
    tools = _thread_tools()
    tools.saw_tuple = False
    try:
        data: bytes = tools.packer.pack(document)
    except UnicodeEncodeError:  # a lone surrogate
        data = _pack_surrogates(tools, document)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CacheStoreError(f"an answer can't be stored: {error}") from error
    if len(data) > MAX_SIZE:
        raise CacheStoreError(f"an answer of {len(data)} bytes can't be stored: over {MAX_SIZE}")
    if tools.saw_tuple:
        unpack(data)  # a tuple that is a dict's key would come back as a list, which can't be one
    return data


def unpack(data: bytes | memoryview) -> Any:
    """What `pack` made into bytes.

    Raises:
        CacheStoreError: The bytes are no such data.
    """
    import msgpack

    try:
        return msgpack.unpackb(
            data,
            ext_hook=_big_integer,
            strict_map_key=False,
            unicode_errors="surrogatepass",
            max_array_len=_LONGEST_LIST,
            max_map_len=_LONGEST_LIST,
        )
    # msgpack's own errors are ValueErrors; a list as a dict's key is a TypeError.
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise CacheStoreError(f"a cache entry can't be read: {type(error).__name__}") from error


def compress(data: bytes) -> bytes | None:
    """The bytes, shorter; None if that does not pay."""
    if len(data) < _SMALLEST_COMPRESSED:
        return None
    shorter: bytes = _thread_tools().compressor.compress(data)
    return shorter if len(shorter) < len(data) else None


def decompress(data: bytes) -> bytes:
    """The bytes that were compressed; their size is checked before room is made for them.

    Raises:
        CacheStoreError: They are broken, or would be too large.
    """
    import zstandard

    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= MAX_SIZE:  # -1: it does not say
            raise CacheStoreError(f"a cache entry would grow to {size} bytes: over {MAX_SIZE}")
        longer: bytes = _thread_tools().decompressor.decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise CacheStoreError("a cache entry can't be decompressed") from error
    return longer


def _thread_tools() -> _Tools:
    global _tools  # noqa: PLW0603 - made on the first use, since it imports
    if _tools is None:
        _tools = _Tools()
    return _tools


def _pack_surrogates(tools: _Tools, document: Any) -> bytes:
    try:
        data: bytes = tools.surrogate_packer.pack(document)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CacheStoreError(f"an answer can't be stored: {type(error).__name__}") from error
    return data


def _as_plain(value: object) -> Any:
    """What msgpack takes, for a value that it does not take as it is."""
    if isinstance(value, int):
        small = -(2**63) <= value < 2**64
        return int(value) if small else _big_integer_extension(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, tuple):
        _thread_tools().saw_tuple = True
        return list(value)
    if isinstance(value, list):
        return list(value)
    raise TypeError(f"it holds a {type(value).__name__}")


def _big_integer_extension(value: int) -> Any:
    import msgpack

    size = value.bit_length() // 8 + 1
    return msgpack.ExtType(_BIG_INTEGER, value.to_bytes(size, "big", signed=True))


def _big_integer(code: int, data: bytes) -> int:
    if code != _BIG_INTEGER:
        raise ValueError(code)
    return int.from_bytes(data, "big", signed=True)
