"""A call's parameters, made fit for another model than the one they were meant for.

Only what a *call* was given is translated. What a tier was made with has been fitted to its
model already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.language_models import BaseChatModel

from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.catalog.offers import offers_of
from langchain_bedrock_opt.catalog.specs import spec_of
from langchain_bedrock_opt.errors import ModelIdError
from langchain_bedrock_opt.routing.tiers import model_id_of

_SAMPLING: Final = ("temperature", "top_p")

_FIELDS: Final = "additional_model_request_fields"

# As langchain-aws takes them: with a model, and with a call.
_LATENCY_MODE: Final = ("performance_config", "performanceConfig")
_SERVICE_TIER: Final = ("service_tier", "serviceTier")

_MIN_ROOM: Final = 256
"""Tokens that are left for the answer itself where a thinking budget has to shrink."""

_MIN_BUDGET: Final = 1024
"""Claude refuses a smaller thinking budget."""

# Claude's thinking budgets and its efforts don't translate by any published rule; these bounds
# keep cheap thinking cheap.
_EFFORTS: Final = ((4_096, "low"), (16_384, "medium"))
_HIGHEST: Final = "high"


def translate(
    kwargs: Mapping[str, Any], source: BaseChatModel, target: BaseChatModel
) -> dict[str, Any]:
    """Fit the arguments of a call to another model.

    * `temperature` and `top_p` are dropped where the model takes none, as the newest Claude
      models do; where a Claude model may take only one, `temperature` stays.
    * `max_tokens` is lowered to what the model writes at most.
    * Thinking and effort are kept where the model knows them, a thinking budget becomes an effort
      where it knows only efforts, and both are dropped elsewhere.
    * Fields of one provider's own, and a latency mode, are not passed to another model; a service
      tier only to one that is offered in it.

    Args:
        kwargs: The arguments of the call, as the caller gave them.
        source: The model they were meant for.
        target: The model that gets them.

    Returns:
        New arguments; what was given is left alone.
    """
    fitted = dict(kwargs)
    _fit_sampling(fitted, target)
    _fit_fields(fitted, source, target)
    _fit_effort(fitted, target)
    _fit_length(fitted, target)
    if model_id_of(source) != model_id_of(target):
        for name in _LATENCY_MODE:
            fitted.pop(name, None)
        _fit_service_tier(fitted, target)
    return fitted


def _fit_service_tier(kwargs: dict[str, Any], target: BaseChatModel) -> None:
    offers = offers_of(model_id_of(target))
    if offers is not None:
        for name in _SERVICE_TIER:
            if kwargs.get(name) not in offers.service_tiers:
                kwargs.pop(name, None)


def _fit_sampling(kwargs: dict[str, Any], target: BaseChatModel) -> None:
    if _profile(target).get("temperature") is False:
        for name in _SAMPLING:
            kwargs.pop(name, None)
    elif _provider(target) == "anthropic" and all(
        kwargs.get(name) is not None for name in _SAMPLING
    ):
        del kwargs["top_p"]


def _fit_fields(kwargs: dict[str, Any], source: BaseChatModel, target: BaseChatModel) -> None:
    """Provider-specific fields, thinking among them."""
    fields = kwargs.get(_FIELDS)
    if not isinstance(fields, Mapping):
        return
    del kwargs[_FIELDS]
    fields = dict(fields)
    thinking = fields.pop("thinking", None)
    if _provider(source) != _provider(target):
        return
    if isinstance(thinking, Mapping):
        if _profile(target).get("temperature") is False and "budget_tokens" in thinking:
            # The models that take no temperature take no budget either, but an effort.
            kwargs.setdefault("reasoning_effort", _effort_for(int(thinking["budget_tokens"])))
        elif _profile(target).get("reasoning_output"):
            fields["thinking"] = dict(thinking)
    if fields:
        kwargs[_FIELDS] = fields


def _effort_for(budget: int) -> str:
    return next((effort for bound, effort in _EFFORTS if budget <= bound), _HIGHEST)


def _fit_effort(kwargs: dict[str, Any], target: BaseChatModel) -> None:
    effort = kwargs.get("reasoning_effort")
    if effort is None:
        return
    levels: Sequence[str] = _profile(target).get("reasoning_effort_levels") or ()
    if effort in levels:
        return
    if _HIGHEST in levels and effort not in {"none", "minimal"}:
        kwargs["reasoning_effort"] = _HIGHEST  # an effort beyond what this model knows
    else:
        del kwargs["reasoning_effort"]


def _fit_length(kwargs: dict[str, Any], target: BaseChatModel) -> None:
    spec = spec_of(model_id_of(target)) or spec_of(getattr(target, "base_model_id", None) or "")
    most = spec.max_output_tokens if spec else _profile(target).get("max_output_tokens")
    wanted = kwargs.get("max_tokens")
    if most is not None and isinstance(wanted, int) and wanted > most:
        kwargs["max_tokens"] = wanted = most
    _fit_budget(kwargs, wanted)


def _fit_budget(kwargs: dict[str, Any], max_tokens: int | None) -> None:
    """A thinking budget has to be smaller than the room for thinking and answer together."""
    fields = kwargs.get(_FIELDS) or {}
    budget = (fields.get("thinking") or {}).get("budget_tokens")
    if budget is None or max_tokens is None or budget < max_tokens:
        return
    smaller = max_tokens - _MIN_ROOM
    if smaller >= _MIN_BUDGET:
        thinking = {**fields["thinking"], "budget_tokens": smaller}
        kwargs[_FIELDS] = {**fields, "thinking": thinking}
    else:
        kwargs[_FIELDS] = {name: value for name, value in fields.items() if name != "thinking"}


def _profile(model: BaseChatModel) -> Mapping[str, Any]:
    profile: Mapping[str, Any] = model.profile or {}
    return profile


def _provider(model: BaseChatModel) -> str | None:
    """Whose model it is; None if its id does not say."""
    try:
        return parse_model_id(getattr(model, "base_model_id", None) or model_id_of(model)).provider
    except ModelIdError:
        return None
