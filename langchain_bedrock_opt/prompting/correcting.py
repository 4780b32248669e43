"""`CorrectTokens`: a layer that teaches a `TokenCorrection` what calls really used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from langchain_bedrock_opt.aws.layers import Call, Event, EventStream, Layer, Request, Response
from langchain_bedrock_opt.aws.resolution import known_resolution
from langchain_bedrock_opt.catalog.tokens import TokenCorrection


class CorrectTokens(Layer):
    """Compares each request's estimate with the usage that its answer names.

    It comes last in `layers=`, where it sees what Bedrock sees. Answers from a cache never get
    there, so nothing is learned twice. A call is never changed, and never fails for it.

    Args:
        correction: Learns. Give the same one to `estimate_tokens` and `TokenCounter`.
        model: The model behind an ARN that does not name it, if no control plane was asked. None
            goes by the id that a request calls.

    Example:
        >>> from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
        >>> from langchain_bedrock_opt.catalog.tokens import estimate_tokens
        >>> correction, client = TokenCorrection(), BedrockEmulator().client()
        >>> model = ChatBedrockOptimized(
        ...     model="us.amazon.nova-lite-v1:0",
        ...     client=client,
        ...     bedrock_client=client,
        ...     layers=[CorrectTokens(correction)],
        ... )
        >>> answer = model.invoke("What is the capital of Japan?")
        >>> estimate_tokens("日本の首都はどこですか。", model, correction=correction) > 0
        True
    """

    def __init__(self, correction: TokenCorrection, *, model: str | None = None) -> None:
        self._correction = correction
        self._model = model

    def converse(self, request: Request, call_next: Call) -> Response:
        """Learn from a call's usage."""
        response = call_next(request)
        self._learn(request, response)
        return response

    def converse_stream(self, request: Request, call_next: Call) -> Response:
        """Learn from the usage that the end of a stream names."""
        response = call_next(request)
        events = response["stream"]
        return {**response, "stream": EventStream(self._watched(request, events), events)}

    def _watched(self, request: Request, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            if "metadata" in event:
                self._learn(request, event["metadata"])
            yield event

    def _learn(self, request: Request, told: Response) -> None:
        try:
            model = self._model or _model_of(request["modelId"])
            self._correction.observe(request, told["usage"], model)
        except Exception:  # noqa: BLE001 - an answer that was paid for is not lost for an estimate
            return


def _model_of(called: str) -> str:
    """The model that a request calls, if it is known what stands behind its ARN."""
    resolution = known_resolution(called) if called.startswith("arn:") else None
    return (resolution.resolved_id if resolution else None) or called
