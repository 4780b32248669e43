"""The client that a chat model is given to build a record, or to read an answer."""

from __future__ import annotations

from threading import local
from types import SimpleNamespace
from typing import Any

from langchain_bedrock_opt.aws.layers import Request, Response


class SeamClient(local):
    """Keeps the last request of each thread, and answers it with what was put there.

    `aws.replay`'s clients are made for one call each; this one serves a million, of many threads
    at once, and copies nothing.

    Attributes:
        request: The last request of this thread.
        response: What this thread's next call is answered with; None for an empty message.

    Args:
        region_name: What `meta.region_name` says.

    Example:
        >>> client = SeamClient("us-east-1")
        >>> client.converse(modelId="m", messages=[])["stopReason"]
        'end_turn'
        >>> client.request
        {'modelId': 'm', 'messages': []}
    """

    def __init__(self, region_name: str | None) -> None:
        self.meta = SimpleNamespace(region_name=region_name)
        self.request: Request = {}
        self.response: Response | None = None

    def converse(self, **request: Any) -> Response:
        """Keep the request and give the answer, once: it belongs to the caller then."""
        response, self.response = self.response, None
        self.request = request
        if response is not None:
            return response
        return {
            "output": {"message": {"role": "assistant", "content": []}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0},
        }
