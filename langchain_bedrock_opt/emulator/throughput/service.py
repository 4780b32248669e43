"""The provisioned throughputs of a local Bedrock: bought, shown, listed, changed, deleted."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_bedrock_opt.emulator.models.control_plane import page
from langchain_bedrock_opt.emulator.models.directory import (
    ModelDirectory,
    ProvisionedModel,
    not_found,
)
from langchain_bedrock_opt.emulator.throughput.eligible import (
    moved_model,
    provided_model,
    registered_model,
)
from langchain_bedrock_opt.emulator.throughput.faults import ThroughputFaultPlan
from langchain_bedrock_opt.emulator.throughput.lifecycle import Lifecycle
from langchain_bedrock_opt.emulator.throughput.settings import ThroughputSettings
from langchain_bedrock_opt.emulator.throughput.throughput import (
    Throughput,
    ThroughputState,
    moment,
)
from langchain_bedrock_opt.emulator.throughput.units import Allowance, UnitMeter
from langchain_bedrock_opt.emulator.types import ServiceFailure

Params = Mapping[str, Any]
Result = dict[str, Any]

# Unverified against AWS: without maxResults a list is not endless.
_PAGE: Final = 100

_MOST_TAGS: Final = 50
_ANSWERING: Final = ("InService", "Updating")


class ThroughputService:
    """The provisioned throughputs of one emulator. Safe to use from several threads.

    Each is known in the region it was bought in, and nowhere else, as are tokens and names.
    Nothing runs in the background: a throughput goes on when somebody looks at it or calls it.
    What the directory has registered counts as InService, and can be changed like all others.

    Args:
        settings: Their clock and pace, and what their units can do.
        directory: The models. A throughput is called by its ARN there while it answers.

    Attributes:
        faults: Faults to come: `emulator.throughput.faults.add(ThroughputFault(message="…"))`.
        units: Admits calls by model units: `units.remaining(arn)` says what is left of a minute.
    """

    def __init__(self, settings: ThroughputSettings, directory: ModelDirectory) -> None:
        self.faults = ThroughputFaultPlan()
        self.units = UnitMeter(self._allowance, clock=settings.clock)
        self._settings = settings
        self._directory = directory
        self._lifecycle = Lifecycle(settings.pace, self.faults)
        self._lock = threading.RLock()  # a custom model is looked up by way of `_base_of`
        self._throughputs: dict[str, Throughput] = {}
        directory.add_source(self._base_of)

    def list(self) -> tuple[ThroughputState, ...]:
        """The throughputs that exist, in the order of their creation, as they are now."""
        with self._lock:
            return tuple(throughput.state() for throughput in self._existing())

    @property
    def purchases(self) -> int:
        """How many were ever bought, those that are deleted or Failed among them."""
        with self._lock:
            return sum(each.request is not None for each in self._throughputs.values())

    def create(self, params: Params, region: str) -> Result:
        """CreateProvisionedModelThroughput.

        Raises:
            ServiceFailure: Bedrock would refuse it.
        """
        token = params.get("clientRequestToken")
        request = {key: value for key, value in params.items() if key != "clientRequestToken"}
        with self._lock:
            same = self._with_token(token, request, region)
            if same is not None:
                return {"provisionedModelArn": same.arn}
            model = provided_model(self._directory, params["modelId"], region)
            self._check_name(params["provisionedModelName"], region)
            self._check_units(params["modelUnits"], region)
            now = self._settings.clock()
            throughput = Throughput(
                arn=self._new_arn(params["provisionedModelName"], region),
                name=params["provisionedModelName"],
                model=model,
                units=params["modelUnits"],
                created=now,
                modified=now,
                commitment=params.get("commitmentDuration"),
                request=request,
                token=token,
            )
            _add_tags(throughput, params.get("tags", ()))
            self._lifecycle.create(throughput)
            self._throughputs[throughput.arn] = throughput
            return {"provisionedModelArn": throughput.arn}

    def get(self, params: Params, region: str) -> Result:
        """GetProvisionedModelThroughput.

        Raises:
            ServiceFailure: There is none.
        """
        with self._lock:
            return self._named(params["provisionedModelId"], region).described()

    def list_throughputs(self, params: Params, region: str) -> Result:
        """ListProvisionedModelThroughputs.

        Raises:
            ServiceFailure: The token of the page is none.
        """
        with self._lock:
            told = [each.described() for each in self._existing(region)]
        told.sort(
            key=lambda each: each["creationTime"], reverse=params.get("sortOrder") == "Descending"
        )
        found = [_summary(each) for each in told if _passes(each, params)]
        return page("provisionedModelSummaries", found, {"maxResults": _PAGE, **params})

    def update(self, params: Params, region: str) -> Result:
        """UpdateProvisionedModelThroughput.

        Raises:
            ServiceFailure: There is none, or Bedrock would refuse it.
        """
        name, model_id = params.get("desiredProvisionedModelName"), params.get("desiredModelId")
        with self._lock:
            throughput = self._named(params["provisionedModelId"], region)
            model = None
            if model_id is not None:
                model = moved_model(self._directory, throughput.model, model_id, region)
            if name not in (None, throughput.name):
                self._check_name(name, region)
            if throughput.status != "InService":
                # Update has no ConflictException in botocore's model; the text is unverified.
                raise ServiceFailure("ValidationException", _busy(throughput, "updated"))
            throughput.name = name or throughput.name
            self._lifecycle.update(throughput, model, self._settings.clock())
            return {}

    def delete(self, params: Params, region: str) -> Result:
        """DeleteProvisionedModelThroughput. It is gone at once, as AWS's user guide says.

        Raises:
            ServiceFailure: There is none, it is not ready, or its commitment is not over.
        """
        with self._lock:
            throughput = self._named(params["provisionedModelId"], region)
            # Codes and texts are unverified against AWS, but for the rule on commitments.
            if throughput.status in ("Creating", "Updating"):
                raise ServiceFailure("ConflictException", _busy(throughput, "deleted"))
            until = throughput.committed_until
            is_held = until is not None and until > moment(self._settings.clock())
            if is_held and throughput.status != "Failed":
                raise ServiceFailure(
                    "ConflictException",
                    f"The provisioned throughput can't be deleted before its commitment term is "
                    f"over, on {until:%Y-%m-%dT%H:%M:%SZ}.",
                )
            throughput.is_deleted = True
            return {}

    def tag(self, params: Params, region: str) -> Result:
        """TagResource, of a provisioned throughput.

        Raises:
            ServiceFailure: There is none, or it would have too many tags.
        """
        with self._lock:
            _add_tags(self._named(params["resourceARN"], region), params["tags"])
            return {}

    def untag(self, params: Params, region: str) -> Result:
        """UntagResource, of a provisioned throughput.

        Raises:
            ServiceFailure: There is none.
        """
        with self._lock:
            throughput = self._named(params["resourceARN"], region)
            for key in params["tagKeys"]:
                throughput.tags.pop(key, None)
            return {}

    def tags(self, params: Params, region: str) -> Result:
        """ListTagsForResource, of a provisioned throughput.

        Raises:
            ServiceFailure: There is none.
        """
        with self._lock:
            tags = self._named(params["resourceARN"], region).tags
            return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}

    def _base_of(self, arn: str, region: str) -> str | None:
        """The bare id of the model behind an ARN; None for the ARN of something else.

        Raises:
            ServiceFailure: It does not answer.
        """
        with self._lock:
            self._adopt()
            throughput = self._throughputs.get(arn)
            if throughput is None:
                return None
            if throughput.is_deleted or throughput.region != region:
                raise not_found()
            self._lifecycle.advance(throughput, self._settings.clock())
            if throughput.status not in _ANSWERING:
                # The ARN is known, so it is not ResourceNotFoundException; unverified against AWS.
                raise ServiceFailure("ValidationException", _busy(throughput, "called"))
            return throughput.model.base

    def _allowance(self, arn: str) -> Allowance | None:
        with self._lock:
            self._adopt()
            throughput = self._throughputs.get(arn)
            if throughput is None:
                return None
            capacity = self._settings.capacity_of(throughput.model.base)
            return None if capacity is None else Allowance(throughput.units, capacity)

    def _existing(self, region: str | None = None) -> tuple[Throughput, ...]:
        """All that are not deleted, of one region or of all, brought up to date."""
        self._adopt()
        now = self._settings.clock()
        existing = tuple(
            each
            for each in self._throughputs.values()
            if not each.is_deleted and region in (None, each.region)
        )
        for throughput in existing:
            self._lifecycle.advance(throughput, now)
        return existing

    def _adopt(self) -> None:
        """Take over what was registered at the directory since the last time."""
        for registered in self._directory.provisioned:
            if registered.arn not in self._throughputs:
                self._throughputs[registered.arn] = self._adopted(registered)

    def _adopted(self, registered: ProvisionedModel) -> Throughput:
        created = registered.created_at.timestamp()
        return Throughput(
            arn=registered.arn,
            name=registered.name,
            model=registered_model(self._directory, registered),
            units=registered.model_units,
            created=created,
            modified=created,
        )

    def _named(self, identifier: str, region: str) -> Throughput:
        for throughput in self._existing(region):
            if identifier in (throughput.name, throughput.arn):
                return throughput
        raise not_found()

    def _with_token(self, token: str | None, request: Params, region: str) -> Throughput | None:
        """The throughput that a token has bought.

        That its ARN comes back, even if it is deleted, and that other parameters are refused, is
        unverified against AWS; botocore's model says that such a request is ignored.
        """
        if token is None:
            return None
        for throughput in self._throughputs.values():
            if throughput.token == token and throughput.region == region:
                if throughput.request != request:
                    raise ServiceFailure(
                        "ValidationException",
                        "The clientRequestToken was used before, with other parameters.",
                    )
                return throughput
        return None

    def _check_name(self, name: str, region: str) -> None:
        if any(throughput.name == name for throughput in self._existing(region)):
            # Neither Create nor Update has a ConflictException in botocore's model. Unverified.
            raise ServiceFailure(
                "ValidationException",
                f"The provisioned model name {name} is already in use: choose another one.",
            )

    def _check_units(self, units: int, region: str) -> None:
        most = self._settings.account_units
        if most is None:
            return
        used = sum(each.units for each in self._existing(region) if each.status != "Failed")
        if used + units > most:
            # Unverified against AWS: the text, and that those Failed do not count.
            raise ServiceFailure(
                "ServiceQuotaExceededException",
                f"The account has {most} model units for provisioned throughput in {region}, "
                f"{used} of them in use; {units} were requested. By default, your account has no "
                "model units: request them from the AWS support center.",
            )

    def _new_arn(self, name: str, region: str) -> str:
        # Derived from the name, so that a test or a notebook sees the same ARN in every run; and
        # from its number, as a name may be taken again.
        seed = f"{name}/{len(self._throughputs)}"
        identifier = hashlib.sha256(seed.encode()).hexdigest()[:12]
        return f"arn:aws:bedrock:{region}:{self._directory.account}:provisioned-model/{identifier}"


def _add_tags(throughput: Throughput, tags: Sequence[Mapping[str, str]]) -> None:
    merged = throughput.tags | {tag["key"]: tag["value"] for tag in tags}
    if len(merged) > _MOST_TAGS:
        raise ServiceFailure(
            "TooManyTagsException",
            f"The resource would have {len(merged)} tags; it can have {_MOST_TAGS}.",
        )
    throughput.tags = merged


def _busy(throughput: Throughput, done: str) -> str:
    return (
        f"The provisioned throughput {throughput.name} is in status {throughput.status} and can't "
        f"be {done}."
    )


def _summary(told: Result) -> Result:
    """What a list tells of a throughput: all but why it failed."""
    return {key: value for key, value in told.items() if key != "failureMessage"}


def _passes(told: Result, params: Params) -> bool:
    """Whether a throughput passes a list's filters."""
    after, before = params.get("creationTimeAfter"), params.get("creationTimeBefore")
    return (
        params.get("statusEquals") in (None, told["status"])
        and params.get("modelArnEquals") in (None, told["modelArn"])
        and params.get("nameContains", "") in told["provisionedModelName"]
        and (after is None or told["creationTime"] > after)
        and (before is None or told["creationTime"] < before)
    )
