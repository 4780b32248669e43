"""Text files of the user's own, line by line."""

from __future__ import annotations

from pathlib import Path

from langchain_bedrock_opt.errors import ConfigurationError


def read_text(path: str | Path) -> str:
    """What is in a text file, without a byte order mark.

    Args:
        path: A UTF-8 text file; `~` is followed.

    Raises:
        ConfigurationError: It can't be read, or is no UTF-8 text.
    """
    try:
        return Path(path).expanduser().read_text("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"Can't read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text (byte {error.start}).") from error


def numbered_lines(text: str) -> list[tuple[int, str]]:
    r"""The lines of a text that hold something, with their numbers from 1.

    Args:
        text: The text. Only line feeds divide it: `str.splitlines` also cuts at characters that
            JSON allows inside a text.

    Example:
        >>> numbered_lines("one\r\n\ntwo\u2028still two")
        [(1, 'one'), (3, 'two\u2028still two')]
    """
    return [
        (number, line.rstrip("\r"))
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]
