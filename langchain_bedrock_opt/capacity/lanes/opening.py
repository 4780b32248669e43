"""Streams that are read up to the first part of their answer before they are passed on.

Until then nobody has seen anything of it, and another capacity can stand in.
"""

from __future__ import annotations

from itertools import chain

from langchain_bedrock_opt.aws.layers import Event, EventStream, Response, close_events


def opened(response: Response) -> Response:
    """A stream's response, once the first part of its answer is there.

    Args:
        response: As `converse_stream` gives it.

    Returns:
        The same with all events, of which the first ones have been read.

    Raises:
        BedrockServiceError: The stream failed before there was any of its answer; it is closed.
    """
    events = response["stream"]
    rest = iter(events)
    read: list[Event] = []
    try:
        for event in rest:
            read.append(event)
            if _has_answer(event):
                break
    except BaseException:
        close_events(events)
        raise
    return {**response, "stream": EventStream(chain(read, rest), events)}


def _has_answer(event: Event) -> bool:
    """Whether an event has text, reasoning or a part of a tool call in it."""
    delta = event.get("contentBlockDelta", {}).get("delta", {})
    return any(
        any(part.values()) if isinstance(part, dict) else bool(part) for part in delta.values()
    )
