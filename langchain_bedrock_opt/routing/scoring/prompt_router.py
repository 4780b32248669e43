"""`PromptRouterScorer`: what Amazon Bedrock's own prompt router would do with a prompt.

Source: Amazon Bedrock user guide, "Understanding intelligent prompt routing in Amazon Bedrock"
(read 2026-11-22). What is said of answers here is unverified against AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_aws import ChatBedrockConverse
from langchain_core.messages import AIMessage, HumanMessage

from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.chat_model import ChatBedrockOptimized
from langchain_bedrock_opt.contracts import Reason
from langchain_bedrock_opt.errors import ConfigurationError, ModelIdError
from langchain_bedrock_opt.routing.scoring.remote import (
    DEFAULT_CACHE_SIZE,
    RemoteScorer,
    checked_fraction,
    own_run,
)
from langchain_bedrock_opt.routing.scoring.scorer import ComplexityScore, Scorer

PROMPT_ROUTER_TAG: Final = "bedrock_opt_prompt_router"
"""Tag and name of the runs in which a prompt router is asked."""

_MAX_TOKENS: Final = 1
"""The answer is thrown away; only who gave it counts."""


class PromptRouterScorer(RemoteScorer[str]):
    """Scores a prompt by the model that an Amazon Bedrock prompt router picks for it.

    Use it to let Bedrock choose between tiers that are none of the router's own models. Where
    they are, give the router's ARN as a tier instead: this scorer pays for a request of its own,
    with the whole question as input and one token of output, for each new question.

    What the user guide says of prompt routers: they choose between models "within the same model
    family", two of them; intelligent prompt routing "is only optimized for English prompts"; and
    it can't be adjusted to one's own performance data. So Japanese prompts are better left to the
    `ComplexityScorer`.

    Args:
        model: A prompt router's ARN, or a `ChatBedrockConverse` that calls one. As an ARN it
            needs permission to ask the control plane about it, or `base_model=`.
        strong: The id of the stronger of its two models, in any form.
        when_strong: The score of a prompt for which it picks that model.
        when_other: The score of any other prompt.
        cache_size: How many choices are kept, the last used longest.
        only_between: Ask only where the other scorer's score is in this band, ends included.
        otherwise: The other scorer; `ComplexityScorer()` by default.
        **params: Arguments of `ChatBedrockOptimized` for a model given as ARN.

    Raises:
        ConfigurationError: `model` or `strong` is not what it can be, or a value is out of range.

    Example:
        ```python
        from langchain_bedrock_opt.routing import PromptRouterScorer

        scorer = PromptRouterScorer(
            "arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/amazon.nova:1",
            strong="amazon.nova-pro-v1:0",
        )
        scorer.score("Hello!").value
        ```
    """

    def __init__(
        self,
        model: str | ChatBedrockConverse,
        *,
        strong: str,
        when_strong: float = 1.0,
        when_other: float = 0.0,
        cache_size: int = DEFAULT_CACHE_SIZE,
        only_between: tuple[float, float] | None = None,
        otherwise: Scorer | None = None,
        **params: Any,
    ) -> None:
        super().__init__(cache_size=cache_size, only_between=only_between, otherwise=otherwise)
        self._when_strong = checked_fraction("when_strong", when_strong)
        self._when_other = checked_fraction("when_other", when_other)
        if when_other >= when_strong:
            raise ConfigurationError(
                f"when_other={when_other!r}, when_strong={when_strong!r}: the stronger model's "
                "score must be above the other's."
            )
        self._strong = _base_of(strong)
        self._model = _built(model, params)

    @property
    def reader(self) -> ChatBedrockConverse:
        """What calls the prompt router."""
        return self._model

    def _ask(self, text: str) -> str:
        config = own_run(PROMPT_ROUTER_TAG)
        return _picked(self._model.invoke([HumanMessage(text)], config, max_tokens=_MAX_TOKENS))

    async def _aask(self, text: str) -> str:
        config = own_run(PROMPT_ROUTER_TAG)
        message = await self._model.ainvoke([HumanMessage(text)], config, max_tokens=_MAX_TOKENS)
        return _picked(message)

    def _score_of(self, answer: str) -> ComplexityScore:
        value = self._when_strong if answer == self._strong else self._when_other
        detail = f"Bedrock's prompt router picked {answer}"
        return ComplexityScore(
            value=value, reasons=(Reason(signal="prompt_router", weight=value, detail=detail),)
        )


def _built(model: str | ChatBedrockConverse, params: Mapping[str, Any]) -> ChatBedrockConverse:
    if isinstance(model, str):
        try:
            return ChatBedrockOptimized(model=model, **params)
        except ModelIdError as error:
            raise ConfigurationError(f"model: {error}") from error
    if not isinstance(model, ChatBedrockConverse):
        raise ConfigurationError(
            f"model={model!r}: give a prompt router's ARN, or a chat model that calls one."
        )
    if params:
        raise ConfigurationError(f"{', '.join(params)}: set them on the model, which is made.")
    return model


def _base_of(strong: str) -> str:
    try:
        base = parse_model_id(strong).base
    except ModelIdError as error:
        raise ConfigurationError(f"strong: {error}") from error
    if base is None:
        raise ConfigurationError(
            f"strong={strong!r} does not name its model: give one of the router's two model ids."
        )
    return base


def _picked(message: AIMessage) -> str:
    """The bare id of the model that answered."""
    trace = message.response_metadata.get("trace") or {}
    chosen = (trace.get("promptRouter") or {}).get("invokedModelId")
    if not isinstance(chosen, str):
        raise ConfigurationError(
            "The answer does not say which model a prompt router picked: give model= the ARN of "
            "one."
        )
    return parse_model_id(chosen).base or chosen
