"""The layer that asks for a service tier or latency-optimized inference where it is offered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from langchain_bedrock_opt.aws.layers import Call, Layer, Request, Response, called_region, report
from langchain_bedrock_opt.aws.resolution import known_resolution
from langchain_bedrock_opt.catalog.offers import SERVICE_TIERS, Offers, offers_of
from langchain_bedrock_opt.errors import ConfigurationError

ServiceTier = Literal["default", "flex", "priority", "reserved"]
Performance = Literal["standard", "optimized"]

_PERFORMANCES: Final = ("standard", "optimized")


class _Plan(NamedTuple):
    """What one model is asked for."""

    fields: Mapping[str, Any]
    left_out: Mapping[str, str]
    """What it does not offer, by the field of a request."""


class Lane(Layer):
    """Asks for a service tier, or for latency-optimized inference, where the model offers it.

    One lane fits all models of a router: what a model does not offer in the region that is called
    is left out for it, and the answer's report says so in `lane.left_out`. What a call names
    itself wins. What served the call is in the answer, and in `UsageRecord.service_tier` and
    `performance`: Bedrock may serve another tier than was asked for.

    It can stand before or behind a cache, whose keys don't go by it. A provisioned throughput has
    no tiers, so nothing is asked of one. Reasoning effort is none of its business: how a model is
    told, and what it excludes, depends on the model, and langchain-aws (`reasoning_effort=`) and
    the router know that.

    Args:
        service_tier: `flex`, `priority`, `reserved` or `default`; None leaves it open.
        performance: `optimized` or `standard`; None leaves it open.
        check: Whether to leave out what the catalog does not know a model to offer. False asks
            for it anyway, as for an offer that is newer than the catalog: then Bedrock decides.

    Raises:
        ConfigurationError: It asks for nothing, or for a tier or performance that is none.

    Example:
        >>> from langchain_bedrock_opt.aws.layers import LayeredClient
        >>> from langchain_bedrock_opt.emulator import BedrockEmulator
        >>> client = LayeredClient(BedrockEmulator().client(), [Lane(service_tier="flex")])
        >>> hello = [{"role": "user", "content": [{"text": "Hello!"}]}]
        >>> client.converse(modelId="us.amazon.nova-pro-v1:0", messages=hello)["serviceTier"]
        {'type': 'flex'}
        >>> haiku = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
        >>> client.converse(modelId=haiku, messages=hello)["bedrock_opt"]["lane"]
        {'left_out': ['service_tier']}
    """

    def __init__(
        self,
        *,
        service_tier: ServiceTier | None = None,
        performance: Performance | None = None,
        check: bool = True,
    ) -> None:
        if service_tier is None and performance is None:
            raise ConfigurationError(
                'A Lane needs a service_tier, such as "flex", or performance="optimized".'
            )
        for name, value, known in (
            ("service_tier", service_tier, SERVICE_TIERS),
            ("performance", performance, _PERFORMANCES),
        ):
            if value is not None and value not in known:
                raise ConfigurationError(f"{name}={value!r} is none of {', '.join(known)}.")
        self.service_tier = service_tier
        self.performance = performance
        self.check = check
        self._plans: dict[tuple[str, str | None], _Plan] = {}

    def converse(self, request: Request, call_next: Call) -> Response:
        """Pass a request on with what its model offers."""
        plan = self._plan_for(request["modelId"])
        # What the call names itself stands.
        request = {**plan.fields, **request}
        response = call_next(request)
        lane: dict[str, Any] = report(response).setdefault("lane", {})
        if "serviceTier" in request:
            lane["service_tier"] = request["serviceTier"]["type"]
        if "performanceConfig" in request:
            lane["performance"] = request["performanceConfig"].get("latency", "standard")
        left_out = [name for field, name in plan.left_out.items() if field not in request]
        if left_out:
            lane["left_out"] = left_out
        return response

    # A response is reported on likewise, whether it streams or not.
    converse_stream = converse

    def _plan_for(self, model_id: str) -> _Plan:
        region = called_region()
        plan = self._plans.get((model_id, region))
        if plan is None:
            offers = self._offers(model_id, region) if self.check else None
            plan = self._new_plan(offers)
            if offers is not None:  # else its model may become known, once its ARN is resolved
                self._plans[model_id, region] = plan
        return plan

    def _new_plan(self, offers: Offers | None) -> _Plan:
        fields: dict[str, Any] = {}
        left_out: dict[str, str] = {}
        if self.service_tier is not None:
            if offers is None or self.service_tier in offers.service_tiers:
                fields["serviceTier"] = {"type": self.service_tier}
            else:
                left_out["serviceTier"] = "service_tier"
        if self.performance is not None:
            if offers is None or self.performance == "standard" or offers.latency_optimized:
                fields["performanceConfig"] = {"latency": self.performance}
            else:
                left_out["performanceConfig"] = "performance"
        return _Plan(fields, left_out)

    @staticmethod
    def _offers(model_id: str, region: str | None) -> Offers | None:
        """What a model offers, also where its ARN hides it and was resolved."""
        offers = offers_of(model_id, region)
        if offers is None and (resolution := known_resolution(model_id)) is not None:
            return offers_of(resolution.resolved_id or resolution.base, resolution.region or region)
        return offers
