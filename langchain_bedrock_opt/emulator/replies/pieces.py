"""An answer in the pieces in which a model would stream it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

# A word with the space before it, or up to three characters of a script without spaces.
_PIECE: Final = re.compile(
    "\\s*[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u3000-\u303f\uff00-\uffef]{1,3}"
    "|\\s*[^\\s\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u3000-\u303f\uff00-\uffef]+|\\s+"
)
_JSON_PIECE: Final = 9


def text_pieces(text: str) -> Iterator[str]:
    """Cut a text into pieces of about a token or two; joined, they are the text again.

    Example:
        >>> list(text_pieces("The sky is blue."))
        ['The', ' sky', ' is', ' blue.']
        >>> list(text_pieces("空は青いです。"))
        ['空は青', 'いです', '。']
    """
    return (match.group() for match in _PIECE.finditer(text))


def json_pieces(document: Any) -> Iterator[str]:
    """A tool call's input as fragments of JSON, the empty one first, as Bedrock streams it.

    A call without arguments has the empty fragment alone.

    Example:
        >>> list(json_pieces({}))
        ['']
        >>> "".join(json_pieces({"city": "東京"}))
        '{"city": "東京"}'
    """
    yield ""
    if document:
        text = json.dumps(document, ensure_ascii=False)
        for start in range(0, len(text), _JSON_PIECE):
            yield text[start : start + _JSON_PIECE]
