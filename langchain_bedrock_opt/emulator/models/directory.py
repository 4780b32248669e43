"""The directory of a local Bedrock's models and resources: what stands behind an id."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final, TypeAlias, TypeVar

from langchain_bedrock_opt.catalog.model_ids import ModelId, ModelIdKind, parse_model_id
from langchain_bedrock_opt.catalog.profile_regions import destinations, may_call
from langchain_bedrock_opt.catalog.specs import spec_of
from langchain_bedrock_opt.emulator.models.families import is_plausible
from langchain_bedrock_opt.emulator.types import ServiceFailure
from langchain_bedrock_opt.errors import EmulatorError, ModelIdError

DEFAULT_MODEL_ID: Final = "amazon.nova-lite-v1:0"
"""The model that answers behind an ARN nobody registered, unless the user names another."""

LONG_FROM: Final = 50
"""Input tokens from which on a prompt router's fallback model answers, unless it says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedModel:
    """A provisioned throughput: capacity of its own for one model.

    Attributes:
        arn: Its ARN, which is called as a model id.
        name: Its name.
        base_model_id: The bare id of the foundation model.
        created_at: When it was registered, in UTC.
        model_units: How many model units it has.
    """

    arn: str
    name: str
    base_model_id: str
    created_at: datetime
    model_units: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationProfile:
    """An application inference profile: a model or a cross-region profile under a user's name.

    Attributes:
        arn: Its ARN, which is called as a model id.
        name: Its name.
        base_model_id: The bare id of the foundation model.
        model_arns: The ARNs of the model in the regions that requests may go to.
        created_at: When it was registered, in UTC.
        description: The user's description; empty if there is none.
    """

    arn: str
    name: str
    base_model_id: str
    model_arns: tuple[str, ...]
    created_at: datetime
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRouter:
    """An intelligent prompt router.

    Attributes:
        arn: Its ARN, which is called as a model id.
        name: Its name.
        model_arns: The models it chooses from.
        fallback_arn: The model it takes where nothing speaks for another.
        base_model_id: The bare id behind `fallback_arn`.
        created_at: When it was registered, in UTC.
        long_from: The input tokens from which on a prompt goes to the fallback model. The emulator
            does not predict quality: a shorter prompt goes to the first of the others.
    """

    arn: str
    name: str
    model_arns: tuple[str, ...]
    fallback_arn: str
    base_model_id: str
    created_at: datetime
    long_from: int = LONG_FROM

    def choose(self, input_tokens: int) -> str:
        """The ARN of the model that takes a prompt of so many tokens."""
        others = [arn for arn in self.model_arns if arn != self.fallback_arn]
        return others[0] if others and input_tokens < self.long_from else self.fallback_arn


Resource: TypeAlias = "ProvisionedModel | ApplicationProfile | PromptRouter"
Source: TypeAlias = "Callable[[str, str], str | None]"
"""From an ARN and the region of the request to the bare id behind it: None if it is not known here,
a `ServiceFailure` if it is known and does not answer."""

_ResourceT = TypeVar("_ResourceT", ProvisionedModel, ApplicationProfile, PromptRouter)


class ModelDirectory:
    """What a local Bedrock knows of models: resolves ids, and holds the account's resources.

    It is safe to use from several threads.

    Args:
        region: The region the emulator plays.
        account: The account its resources belong to.
        provisioned: Base model ids by the name or the ARN of a provisioned throughput.
        application_profiles: Ids or ARNs to copy from, by the name or the ARN of an application
            inference profile.
        prompt_routers: Model ids by the name or the ARN of a prompt router; the last of them is
            its fallback.
        strict: Accept only models that the catalog has a spec of, and only registered ARNs.
            Otherwise any id that has the shape of one of Bedrock's is accepted, and an unknown
            ARN is answered by `default_model_id`.
        default_model_id: The model behind ARNs that are not registered.
        now: Tells the time, in UTC.

    Example:
        >>> directory = ModelDirectory(provisioned={"chat": "amazon.nova-lite-v1:0"})
        >>> directory.resolve("us.amazon.nova-lite-v1:0")
        'amazon.nova-lite-v1:0'
        >>> directory.resolve(directory.provisioned[0].arn)
        'amazon.nova-lite-v1:0'
    """

    def __init__(
        self,
        region: str = "us-east-1",
        account: str = "123456789012",
        *,
        provisioned: Mapping[str, str] | None = None,
        application_profiles: Mapping[str, str] | None = None,
        prompt_routers: Mapping[str, Sequence[str]] | None = None,
        strict: bool = False,
        default_model_id: str = DEFAULT_MODEL_ID,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self.region = region
        self.account = account
        self.strict = strict
        self.default_model_id = default_model_id
        self._now = now
        self._lock = threading.Lock()
        self._resources: dict[str, Resource] = {}
        self._sources: list[Source] = []
        for name, base_model_id in (provisioned or {}).items():
            self.register_provisioned(base_model_id, name)
        for name, copy_from in (application_profiles or {}).items():
            self.register_application_profile(copy_from, name)
        for name, models in (prompt_routers or {}).items():
            self.register_prompt_router(models, models[-1], name)

    def resolve(self, model_id: str, *, invoke: bool = True, region: str | None = None) -> str:
        """The bare foundation model id that answers for an id.

        Args:
            model_id: An id of any kind, as it stands in a request.
            invoke: Whether the model is to answer. If not, as for CountTokens and the control
                plane, a model that is offered through profiles only may be named by its bare id.
            region: The region of the request, if it is not the directory's.

        Returns:
            The bare id; `default_model_id` for an ARN that is not registered.

        Raises:
            ServiceFailure: The service would not know the model, or not under this id.

        Example:
            >>> ModelDirectory().resolve("us.anthropic.claude-haiku-4-5-20251001-v1:0")
            'anthropic.claude-haiku-4-5-20251001-v1:0'
        """
        base = self.base_of(model_id, invoke=invoke, region=region)
        return self.default_model_id if base is None else base

    def base_of(
        self, model_id: str, *, invoke: bool = True, region: str | None = None
    ) -> str | None:
        """The bare id behind an id, like `resolve`, but None for an ARN that is not registered.

        What is not known can't be checked: with None as its model, `check_converse` applies the
        rules that hold for every model.

        Raises:
            ServiceFailure: The service would not know the model, or not under this id.

        Example:
            >>> arn = "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdef123456"
            >>> ModelDirectory().base_of(arn) is None
            True
        """
        try:
            parsed = parse_model_id(model_id)
        except ModelIdError as error:
            raise invalid_identifier() from error
        if parsed.base is None:
            return self._base_of_resource(parsed, region or self.region)
        self._check_model(parsed, parsed.base, region or self.region)
        if invoke:
            _check_on_demand(parsed)
        return parsed.base

    def add_source(self, source: Source) -> None:
        """Ask somebody else for the models behind ARNs before what is registered.

        Args:
            source: Knows resources that come and go.
        """
        self._sources.append(source)

    def _base_of_resource(self, parsed: ModelId, region: str) -> str | None:
        for source in self._sources:
            base = source(parsed.raw, region)
            if base is not None:
                return base
        resource = self._resources.get(parsed.raw)
        if resource is not None:
            return resource.base_model_id
        if self.strict:
            raise not_found()
        return None

    def _check_model(self, parsed: ModelId, base: str, region: str) -> None:
        spec = spec_of(base)
        if spec is None and (self.strict or not is_plausible(base)):
            raise invalid_identifier()
        if parsed.scope is None:
            return
        if spec is not None and parsed.scope not in spec.profile_scopes:
            raise invalid_identifier()
        if not may_call(parsed.scope, region):
            raise invalid_identifier()

    def register_provisioned(self, base_model_id: str, name: str, *, model_units: int = 1) -> str:
        """Give a model provisioned throughput.

        Args:
            base_model_id: A bare model id.
            name: Its name, unique in the account, or its whole ARN.
            model_units: How many model units it has.

        Returns:
            Its ARN.

        Raises:
            EmulatorError: The model is not known, or the name is taken.
        """
        return self._add(
            ProvisionedModel(
                arn=self._arn(ModelIdKind.PROVISIONED_MODEL, name),
                name=_short_name(name),
                base_model_id=self._known_base(base_model_id),
                created_at=self._now(),
                model_units=model_units,
            )
        )

    def register_application_profile(
        self, copy_from: str, name: str, *, description: str = ""
    ) -> str:
        """Make an application inference profile.

        Args:
            copy_from: The id or ARN of a foundation model or of a cross-region profile.
            name: Its name, unique in the account, or its whole ARN.
            description: A description for `GetInferenceProfile`.

        Returns:
            Its ARN.

        Raises:
            EmulatorError: The model is not known, or the name is taken.
        """
        base = self._known_base(copy_from)
        return self._add(
            ApplicationProfile(
                arn=self._arn(ModelIdKind.APPLICATION_INFERENCE_PROFILE, name),
                name=_short_name(name),
                base_model_id=base,
                model_arns=self.model_arns(copy_from),
                created_at=self._now(),
                description=description,
            )
        )

    def register_prompt_router(
        self, models: Sequence[str], fallback: str, name: str, *, long_from: int = LONG_FROM
    ) -> str:
        """Make a prompt router. It goes by the length of prompts, as it can't tell hard from easy.

        Args:
            models: The ids of the models it chooses from.
            fallback: The one it takes where nothing speaks for another.
            name: Its name, unique in the account, or its whole ARN.
            long_from: The input tokens from which on the fallback takes a prompt.

        Returns:
            Its ARN.

        Raises:
            EmulatorError: A model is not known, or the name is taken.
        """
        for model_id in models:
            self._known_base(model_id)
        return self._add(
            PromptRouter(
                arn=self._arn(ModelIdKind.PROMPT_ROUTER, name),
                name=_short_name(name),
                model_arns=tuple(self.arn_of(model_id) for model_id in models),
                fallback_arn=self.arn_of(fallback),
                base_model_id=self._known_base(fallback),
                created_at=self._now(),
                long_from=long_from,
            )
        )

    def prompt_router(self, model_id: str) -> PromptRouter | None:
        """The prompt router behind an ARN; None if it is none, or not registered."""
        resource = self._resources.get(model_id)
        return resource if isinstance(resource, PromptRouter) else None

    @property
    def provisioned(self) -> tuple[ProvisionedModel, ...]:
        """The provisioned throughputs, in the order of their registration."""
        return self._of_type(ProvisionedModel)

    @property
    def application_profiles(self) -> tuple[ApplicationProfile, ...]:
        """The application inference profiles, in the order of their registration."""
        return self._of_type(ApplicationProfile)

    @property
    def prompt_routers(self) -> tuple[PromptRouter, ...]:
        """The prompt routers, in the order of their registration."""
        return self._of_type(PromptRouter)

    def arn_of(self, model_id: str, region: str | None = None) -> str:
        """The ARN of a model or of a cross-region profile.

        Args:
            model_id: Its id, or already its ARN.
            region: Where, if it is not the directory's region.

        Example:
            >>> ModelDirectory().arn_of("amazon.nova-lite-v1:0")
            'arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0'
        """
        parsed = parse_model_id(model_id)
        if model_id.startswith("arn:"):
            return model_id
        account = self.account if parsed.kind is ModelIdKind.INFERENCE_PROFILE else ""
        where = region or self.region
        return f"arn:aws:bedrock:{where}:{account}:{parsed.kind.value}/{model_id}"

    def model_arns(self, model_id: str) -> tuple[str, ...]:
        """The foundation model ARNs that a model or a cross-region profile may be served by."""
        parsed = parse_model_id(model_id)
        regions = destinations(parsed.scope, self.region) if parsed.scope else (self.region,)
        return tuple(
            f"arn:aws:bedrock:{region}::foundation-model/{parsed.base}" for region in regions
        )

    def _known_base(self, model_id: str) -> str:
        try:
            base = self.base_of(model_id, invoke=False)
        except ServiceFailure as failure:
            raise EmulatorError(f"{model_id!r} can't be registered: {failure.message}") from failure
        if base is None:
            raise EmulatorError(
                f"{model_id!r} can't be registered: name a model or a profile that names its model."
            )
        return base

    def _add(self, resource: Resource) -> str:
        with self._lock:
            if resource.arn in self._resources:
                raise EmulatorError(
                    f"{resource.name!r} is registered already, as {resource.arn}: "
                    "take another name."
                )
            self._resources[resource.arn] = resource
        return resource.arn

    def _of_type(self, kind: type[_ResourceT]) -> tuple[_ResourceT, ...]:
        with self._lock:
            resources = tuple(self._resources.values())
        return tuple(resource for resource in resources if isinstance(resource, kind))

    def _arn(self, kind: ModelIdKind, name: str) -> str:
        if name.startswith("arn:"):
            return name
        # Derived from the name, so that a test or a notebook sees the same ARN in every run.
        identifier = hashlib.sha256(f"{kind.value}/{name}".encode()).hexdigest()[:12]
        return f"arn:aws:bedrock:{self.region}:{self.account}:{kind.value}/{identifier}"


def invalid_identifier() -> ServiceFailure:
    """The answer to an id that names nothing (recorded: Converse and InvokeModel, 400)."""
    return ServiceFailure("ValidationException", "The provided model identifier is invalid.")


def not_found() -> ServiceFailure:
    """The answer to an ARN that names nothing; its text is unverified against AWS."""
    return ServiceFailure(
        "ResourceNotFoundException",
        "The specified resource ARN was not found. Check the ARN and try your request again.",
    )


def _check_on_demand(parsed: ModelId) -> None:
    spec = spec_of(parsed.raw)
    if parsed.kind is ModelIdKind.FOUNDATION_MODEL and spec is not None and spec.needs_profile:
        # Seen, with this apostrophe, in terricain/aioboto3#352 and bedrock-multi-agents#21.
        raise ServiceFailure(
            "ValidationException",
            f"Invocation of model ID {parsed.base} with on-demand throughput isn\u2019t supported. "
            "Retry your request with the ID or ARN of an inference profile that contains this "
            "model.",
        )


def _short_name(name: str) -> str:
    """The name a resource has: what follows the slash of an ARN."""
    return name.rpartition("/")[2]
