"""What an ARN stands for: what only the control plane knows, asked once a process.

A provisioned model, a prompt router, an application inference profile or a custom model has an
ARN that does not name its model. langchain-aws needs the name (without it streaming and tool
choice are switched off), and a price needs the profile's scope too, which langchain-aws drops.

An application profile says its scope by the regions of its models, since it is a copy of a
system-defined profile or of one region's model: one region is that region, several are a
geography, and an ARN without a region is the global profile's (seen in one recorded answer, else
unverified against AWS).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from langchain_bedrock_opt.catalog.model_ids import ModelId, ModelIdKind, parse_model_id
from langchain_bedrock_opt.contracts import PriceTier
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.forks import when_forked

REMEMBER_FAILURE: Final = 300.0
"""Seconds for which an ARN that could not be resolved is not asked about again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a model id stands for.

    Attributes:
        base: The foundation model behind it, such as `amazon.nova-lite-v1:0`.
        resolved_id: The id that its price goes by, with a profile's scope. None where no other
            id has its price: a custom model costs more than its base, and a prompt router's calls
            cost what the model costs that each of them went to.
        tier: `provisioned` for capacity that is paid by the hour, else `default`: then the call
            itself says its tier.
        region: The region in the ARN; None if there is none.
        model_units: Units of a provisioned model.
        commitment: Its commitment as AWS says it, `OneMonth` or `SixMonths`; None without one.
    """

    base: str
    resolved_id: str | None = None
    tier: PriceTier = "default"
    region: str | None = None
    model_units: int | None = None
    commitment: str | None = None


_Lookup = Callable[[Any, ModelId], Resolution]


def _provisioned(control: Any, model_id: ModelId) -> Resolution:
    response = control.get_provisioned_model_throughput(provisionedModelId=model_id.raw)
    base = bare_model_id(response["foundationModelArn"])
    return Resolution(
        base=base,
        resolved_id=base,
        tier="provisioned",
        region=model_id.region,
        model_units=response.get("modelUnits"),
        commitment=response.get("commitmentDuration"),
    )


def _application_profile(control: Any, model_id: ModelId) -> Resolution:
    response = control.get_inference_profile(inferenceProfileIdentifier=model_id.raw)
    arns = [str(model["modelArn"]) for model in response["models"]]
    base = bare_model_id(arns[0])
    scope = _scope_of({_region_of(arn) for arn in arns})
    # Regions of no geography that is known have no price rather than a wrong one.
    resolved = None if scope is None else f"{scope}.{base}" if scope else base
    return Resolution(base=base, resolved_id=resolved, region=model_id.region)


def _prompt_router(control: Any, model_id: ModelId) -> Resolution:
    # A router's models are of one family, so any of them stands for what it can do.
    response = control.get_prompt_router(promptRouterArn=model_id.raw)
    base = bare_model_id(response["fallbackModel"]["modelArn"])
    return Resolution(base=base, region=model_id.region)


def _custom_model(control: Any, model_id: ModelId) -> Resolution:
    return _tuned(control, model_id.raw, model_id)


def _custom_deployment(control: Any, model_id: ModelId) -> Resolution:
    deployment = control.get_custom_model_deployment(
        customModelDeploymentIdentifier=model_id.raw,
    )
    return _tuned(control, deployment["modelArn"], model_id)


def _tuned(control: Any, arn: str, model_id: ModelId) -> Resolution:
    response = control.get_custom_model(modelIdentifier=arn)
    return Resolution(base=bare_model_id(response["baseModelArn"]), region=model_id.region)


_LOOKUPS: Final[Mapping[ModelIdKind, _Lookup]] = {
    ModelIdKind.PROVISIONED_MODEL: _provisioned,
    ModelIdKind.APPLICATION_INFERENCE_PROFILE: _application_profile,
    ModelIdKind.PROMPT_ROUTER: _prompt_router,
    ModelIdKind.DEFAULT_PROMPT_ROUTER: _prompt_router,
    ModelIdKind.CUSTOM_MODEL: _custom_model,
    ModelIdKind.CUSTOM_MODEL_DEPLOYMENT: _custom_deployment,
}

# Geographies by the regions they route to, the narrower first. `us.` profiles called from Canada
# route there as well; a region by itself never gets here.
_GEOGRAPHIES: Final = (
    ("us-gov", ("us-gov-",)),
    ("us", ("us-", "ca-")),
    ("eu", ("eu-",)),
    ("jp", ("ap-northeast-1", "ap-northeast-3")),
    ("au", ("ap-southeast-2", "ap-southeast-4")),
    ("in", ("ap-south-1", "ap-south-2")),
    ("apac", ("ap-",)),
)


def _scope_of(regions: set[str]) -> str | None:
    """The scope of a profile by its models' regions: empty for one region, None if unknown."""
    if "" in regions:
        return "global"
    if len(regions) == 1:
        return ""
    if all(region.startswith("ca-") for region in regions):
        return "ca"
    for scope, prefixes in _GEOGRAPHIES:
        if all(region.startswith(prefixes) for region in regions):
            return scope
    return None


def _region_of(arn: str) -> str:
    return arn.split(":")[3]


class Resolver:
    """Asks the control plane what ARNs stand for, once each, and remembers.

    What an ARN stands for does not change while it exists, so an answer is kept for good; the
    ARNs in one process are few. A failure is kept for some minutes, so that calls to an ARN
    that may not be looked up don't each ask again.

    Args:
        remember_failure: Seconds for which a failure is kept.
        clock: Seconds, monotonic.

    Example:
        >>> Resolver().resolve("us.amazon.nova-lite-v1:0", None).base
        'amazon.nova-lite-v1:0'
    """

    def __init__(
        self,
        *,
        remember_failure: float = REMEMBER_FAILURE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._remember_failure = remember_failure
        self._clock = clock
        self._known: dict[str, Resolution] = {}
        self._failed: dict[str, tuple[float, str]] = {}
        self._asking: dict[str, threading.Lock] = {}
        when_forked(self)

    def after_fork(self) -> None:
        """In a forked process: locks that nobody holds."""
        self._asking = {}

    def resolve(
        self, model_id: str | ModelId, control: Any, *, ask_again: bool = False
    ) -> Resolution:
        """What a model id stands for. May wait for the control plane.

        Args:
            model_id: Any id or ARN.
            control: A boto3 `bedrock` client; used only if the id does not name its model. None
                if there is none.
            ask_again: Ask even if asking failed a moment ago.

        Raises:
            ConfigurationError: Nothing says which model it is (an imported model, a marketplace
                endpoint, no permission to ask): the user must.
            ModelIdError: The text is no model id.
        """
        parsed = parse_model_id(model_id) if isinstance(model_id, str) else model_id
        if parsed.base is not None:
            return Resolution(
                base=parsed.base, resolved_id=parsed.scoped_base, region=parsed.region
            )
        known = self._known.get(parsed.raw)
        if known is not None:
            return known
        # One question an ARN at a time: threads that start together ask once, and one slow answer
        # holds up no other ARN.
        with self._asking.setdefault(parsed.raw, threading.Lock()):
            known = self._known.get(parsed.raw)
            if known is None:
                known = self._ask(parsed, control, ask_again=ask_again)
            return known

    def known(self, arn: str) -> Resolution | None:
        """What an ARN stands for if it was resolved before; never asks."""
        return self._known.get(arn)

    def remember(self, arn: str, resolution: Resolution) -> None:
        """Take down what an ARN stands for, in place of asking."""
        self._known[arn] = resolution

    def _ask(self, model_id: ModelId, control: Any, *, ask_again: bool) -> Resolution:
        lookup = _LOOKUPS.get(model_id.kind)
        if lookup is None:
            raise ConfigurationError(_advice(model_id, "this kind of ARN does not say"))
        if control is None:
            raise ConfigurationError(_advice(model_id, "there is no control-plane client to ask"))
        failed = self._failed.get(model_id.raw)
        if failed is not None and not ask_again:
            when, why = failed
            if self._clock() - when < self._remember_failure:
                raise ConfigurationError(why)
        try:
            resolution = lookup(control, model_id)
        except (ClientError, BotoCoreError, KeyError, IndexError) as error:
            why = _advice(model_id, f"asking AWS failed: {error}")
            self._failed[model_id.raw] = (self._clock(), why)
            raise ConfigurationError(why) from error
        self._failed.pop(model_id.raw, None)
        self._known[model_id.raw] = resolution
        return resolution


_shared: Final = Resolver()


def resolve(model_id: str | ModelId, control: Any) -> Resolution:
    """What a model id stands for, by what this process knows or its control plane says.

    Args:
        model_id: Any id or ARN.
        control: A boto3 `bedrock` client; used only if the id does not name its model and was
            not resolved before. None if there is none.

    Raises:
        ConfigurationError: Nothing says which model it is. For `REMEMBER_FAILURE` seconds it is
            raised again without asking.
        ModelIdError: The text is no model id.

    Example:
        >>> resolve("global.anthropic.claude-sonnet-5", None).resolved_id
        'global.anthropic.claude-sonnet-5'
    """
    return _shared.resolve(model_id, control)


def known_resolution(arn: str) -> Resolution | None:
    """What an ARN stands for if this process has resolved it before; nobody is asked."""
    return _shared.known(arn)


def remember_resolution(arn: str, resolution: Resolution) -> None:
    """Take down what an ARN stands for, so that nobody in this process asks AWS about it.

    Args:
        arn: An ARN that hides its model.
        resolution: What the control plane has said of it, in another answer.
    """
    _shared.remember(arn, resolution)


def base_model_of(model_id: ModelId, control: Any) -> str:
    """The foundation model id behind a model id, asked of the control plane if need be, once.

    It is asked when a chat model is made, which is seldom, so a failure a moment ago does not
    keep it from asking again.

    Args:
        model_id: A parsed id.
        control: A boto3 `bedrock` client; used only if the id does not name its model. None if
            there is none.

    Returns:
        A bare id, such as `anthropic.claude-3-haiku-20240307-v1:0`.

    Raises:
        ConfigurationError: Nothing says which model it is (an imported model, a marketplace
            endpoint, no permission to ask): the user must.
    """
    return _shared.resolve(model_id, control, ask_again=True).base


def bare_model_id(arn: str) -> str:
    """The model id in an ARN that the control plane gave, as catalogs know it.

    Args:
        arn: Of a foundation model or an inference profile. The context length behind the id of a
            provisioned variant is left out.

    Example:
        >>> bare_model_id("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0:24k")
        'amazon.nova-lite-v1:0'
    """
    name = arn.rpartition("/")[2]
    versioned, _, length = name.rpartition(":")
    # What follows a version is a context length, such as the 512 of Cohere's embeddings.
    return versioned if length.endswith("k") or ":" in versioned else name


def _advice(model_id: ModelId, why: str) -> str:
    return (
        f"Which model is behind {model_id.raw}? ({why}.) Pass "
        'base_model="anthropic.claude-haiku-4-5-20251001-v1:0", or whichever it is, or a '
        "bedrock_client= that may be asked."
    )
