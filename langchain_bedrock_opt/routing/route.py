"""`route`: the decision alone, as a step of a chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from langchain_bedrock_opt.contracts import RouteDecision
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.routing.channel import force_of
from langchain_bedrock_opt.routing.decider import Decider
from langchain_bedrock_opt.routing.learning.calibrated import CalibrationSource, settle
from langchain_bedrock_opt.routing.policy import RoutingPolicy
from langchain_bedrock_opt.routing.scoring.scorer import Scorer
from langchain_bedrock_opt.routing.tiers import describe_tier


def route(
    tiers: Mapping[str, str | BaseChatModel],
    *,
    scorer: Scorer | None = None,
    policy: RoutingPolicy | None = None,
    calibration: CalibrationSource | None = None,
) -> Runnable[LanguageModelInput, RouteDecision]:
    """A runnable that decides where a prompt should go, and calls no model.

    It needs neither credentials nor a region where the tiers are model ids. Each prompt stands
    for itself: no conversation is remembered. `force` in the config names a tier, as with the
    router.

    Args:
        tiers: Model ids or chat models by tier name, from the cheapest to the strongest.
        scorer: Scores prompts; `ComplexityScorer` by default.
        policy: Makes a tier of a score; `RoutingPolicy()` by default.
        calibration: As in `ChatBedrockRouter`: what a router has learned, or its file.

    Returns:
        A runnable from what a chat model's `invoke` takes to a `RouteDecision`.

    Raises:
        ConfigurationError: There are no tiers, or the policy or the calibration does not fit
            them.

    Example:
        >>> tiers = {
        ...     "simple": "us.amazon.nova-lite-v1:0",
        ...     "complex": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        ... }
        >>> route(tiers).invoke("日本の首都は?").tier
        'simple'
    """
    if not isinstance(tiers, Mapping) or not tiers:
        raise ConfigurationError(
            f"tiers={tiers!r}: give a dict of tier names and model ids or chat models."
        )
    facts = [describe_tier(name, model) for name, model in tiers.items()]
    scorer, policy, _ = settle(tiers, scorer, policy, calibration)
    decider = Decider(facts, scorer, policy)

    def decide(prompt: LanguageModelInput, config: RunnableConfig, **kwargs: Any) -> RouteDecision:
        force = force_of(kwargs, config)
        return decider.decide(prompt, tools=kwargs.get("tools"), force=force)

    async def adecide(
        prompt: LanguageModelInput, config: RunnableConfig, **kwargs: Any
    ) -> RouteDecision:
        force, tools = force_of(kwargs, config), kwargs.get("tools")
        score = await decider.ascore(prompt, tools=tools, force=force)
        # Microseconds, where the scorer has nothing to wait for: no thread is worth it.
        return decider.decide(prompt, tools=tools, force=force, score=score)

    return RunnableLambda(decide, afunc=adecide, name="route")
