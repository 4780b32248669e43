"""`PromptOptimizationLayer`: requests on their way to Bedrock, without idle white space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_bedrock_opt.aws.layers import Call, Layer, Request, Response, report
from langchain_bedrock_opt.contracts import PromptReport
from langchain_bedrock_opt.prompting.messages import map_texts, text_of
from langchain_bedrock_opt.prompting.optimizing.savings import Savings, SavingsCounter
from langchain_bedrock_opt.prompting.optimizing.text import Optimized, optimize


class PromptOptimizationLayer(Layer):
    """Takes white space that means nothing out of each request's system and user texts.

    What it took out is in `response_metadata["bedrock_opt"]["prompt"]`. What the model said, tool
    calls and their results, reasoning, guard content, documents and cache points are never
    touched, nor is their order. Equal texts stay equal, so the prompt cache's prefixes do, too.

    Placed before a cache layer, prompts that differ in such white space alone share an answer.

    Example:
        ```python
        from langchain_bedrock_opt import ChatBedrockOptimized
        from langchain_bedrock_opt.prompting.optimizing import PromptOptimizationLayer

        layer = PromptOptimizationLayer()
        model = ChatBedrockOptimized(model="us.amazon.nova-lite-v1:0", layers=[layer])
        model.invoke("Hello.  How are you?")
        layer.saved.saved_tokens
        ```
    """

    def __init__(self) -> None:
        self._counter = SavingsCounter()

    @property
    def saved(self) -> Savings:
        """What was saved so far, by all threads."""
        return self._counter.total

    def converse(self, request: Request, call_next: Call) -> Response:
        """Send the optimized request."""
        optimized, saved = self._optimize(request)
        return _reported(call_next(optimized), saved)

    def converse_stream(self, request: Request, call_next: Call) -> Response:
        """Send the optimized request."""
        optimized, saved = self._optimize(request)
        return _reported(call_next(optimized), saved)

    def _optimize(self, request: Request) -> tuple[Request, Savings]:
        """A request with shorter texts, and what that saved."""
        texts: list[Optimized] = []
        changed = dict(request)
        if request.get("system"):
            changed["system"] = _shortened(request["system"], texts)
        if request.get("messages"):
            changed["messages"] = [
                {**message, "content": _shortened(message["content"], texts)}
                if message["role"] == "user"
                else message
                for message in request["messages"]
            ]
        return changed, self._counter.add(texts)


def _shortened(blocks: Sequence[dict[str, Any]], texts: list[Optimized]) -> list[Any]:
    # White space at the edge of one text may be all that parts it from the next.
    is_alone = sum(text_of(block) is not None for block in blocks) == 1

    def change(text: str) -> str:
        texts.append(optimize(text, edges=is_alone))
        return texts[-1].text

    return map_texts(blocks, change)


def _reported(response: Response, saved: Savings) -> Response:
    if saved.removed_chars:
        told: PromptReport = report(response).setdefault("prompt", {})
        told["removed_chars"] = told.get("removed_chars", 0) + saved.removed_chars
        told["saved_tokens"] = told.get("saved_tokens", 0) + saved.saved_tokens
    return response
