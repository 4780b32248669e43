"""What is to be bought, and the token by which AWS knows that it is bought once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, TypeAlias, get_args

from langchain_bedrock_opt.aws.resolution import bare_model_id
from langchain_bedrock_opt.capacity.provisioned.records import ProvisionedThroughput
from langchain_bedrock_opt.catalog.model_ids import ModelId, ModelIdKind, parse_model_id
from langchain_bedrock_opt.errors import ConfigurationError, UnconfirmedPurchaseError

Commitment: TypeAlias = Literal["OneMonth", "SixMonths"]
"""For how long a provisioned throughput can't be deleted, in AWS's words."""

TEMPORARY: Final = "bedrock-opt-temporary-"
"""How the names of temporary ones begin, and of nothing else: what is forgotten can be found, and
what is somebody's for good is never deleted with it."""

# botocore's patterns (1.44.5), and the longest name.
_NAME: Final = re.compile("([0-9a-zA-Z][_-]?)+")
_LONGEST_NAME: Final = 63
_TOKEN: Final = re.compile("[a-zA-Z0-9]([-a-zA-Z0-9]{0,254}[a-zA-Z0-9])?")

_TERMS: Final[Mapping[str | None, str]] = {
    None: "no commitment",
    "OneMonth": "a commitment of one month, within which it can't be deleted",
    "SixMonths": "a commitment of six months, within which it can't be deleted",
}
_SOLD: Final = (ModelIdKind.FOUNDATION_MODEL, ModelIdKind.CUSTOM_MODEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """A provisioned throughput that is to be bought.

    Attributes:
        model: A model id, with its context length where it is sold by that, such as
            `amazon.nova-lite-v1:0:24k`; or the ARN of a foundation model or a custom model.
        name: Its name, one of its own in the account and region.
        units: Model units.
        commitment: `OneMonth`, `SixMonths` or None.
        tags: Tags for cost allocation. They are no part of what makes two purchases the same.

    Raises:
        ConfigurationError: One of them can't be.
        ModelIdError: The model is no model id.

    Example:
        >>> purchase = Purchase(model="amazon.nova-lite-v1:0:24k", name="prod")
        >>> purchase.token() == Purchase(model="amazon.nova-lite-v1:0:24k", name="prod").token()
        True
    """

    model: str
    name: str
    units: int = 1
    commitment: Commitment | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what AWS would refuse, before anything is sent."""
        model_of(self.model)
        checked_name(self.name)
        if isinstance(self.units, bool) or not isinstance(self.units, int) or self.units < 1:
            raise ConfigurationError(f"units={self.units!r} is not a whole number from 1 on.")
        if self.commitment is not None and self.commitment not in get_args(Commitment):
            raise ConfigurationError(
                f"commitment={self.commitment!r}: pass 'OneMonth', 'SixMonths', or None to be able "
                "to delete it at any time."
            )

    @property
    def is_temporary(self) -> bool:
        """Whether it is for a `with` block."""
        return self.name.startswith(TEMPORARY)

    def token(self) -> str:
        """The `clientRequestToken`: the same for the same purchase, also after a crash."""
        # Divided by what none of the parts can contain, so that no two purchases have one text.
        parts = (self.name, model_of(self.model), str(self.units), self.commitment or "")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def request(self, token: str) -> dict[str, Any]:
        """The arguments of boto3's `create_provisioned_model_throughput`.

        Args:
            token: The `clientRequestToken`. With one of ours, botocore makes up none, and its own
                retries send this one.
        """
        request: dict[str, Any] = {
            "clientRequestToken": token,
            "provisionedModelName": self.name,
            "modelId": self.model,
            "modelUnits": self.units,
        }
        if self.commitment is not None:
            request["commitmentDuration"] = self.commitment
        if self.tags:
            request["tags"] = [{"key": key, "value": value} for key, value in self.tags.items()]
        return request

    def differences(self, existing: ProvisionedThroughput) -> str:
        """What an existing one has that this purchase would not; empty if it is what is wanted.

        Args:
            existing: A provisioned throughput.
        """
        found = []
        if existing.name != self.name:
            found.append(f"is called {existing.name}")
        if not is_model(existing.model_id, model_of(self.model)):
            found.append(f"serves {existing.model_id}, not {self.model}")
        if existing.units != self.units:
            found.append(f"has {existing.units} units, not {self.units}")
        if existing.commitment != self.commitment:
            found.append(f"has commitment {existing.commitment}, not {self.commitment}")
        return ", ".join(found)

    def confirmed(
        self, confirm: object, region: str, unit_price: Decimal | int | str | None
    ) -> None:
        """Make sure that the user knows what will be billed.

        Args:
            confirm: `True` and nothing else.
            region: Where it is bought.
            unit_price: USD an hour for one unit; None if the user did not say.

        Raises:
            UnconfirmedPurchaseError: They have not said so.
            ConfigurationError: The price is no price.
        """
        price = _price(unit_price)
        if confirm is True:
            return
        plural = "unit" if self.units == 1 else "units"
        costs = ""
        if price is not None:
            hourly = price * self.units
            costs = f": {hourly:,.2f} USD an hour, {hourly * 24 * 30:,.2f} USD in 30 days"
        raise UnconfirmedPurchaseError(
            f"confirm={confirm!r}: this would buy {self.units} model {plural} of {self.model} in "
            f"{region} as {self.name!r}, with {_TERMS[self.commitment]}. It bills by the hour, "
            f"used or not, until it is deleted{costs}. Pass confirm=True to buy it."
        )


def model_of(text: str) -> str:
    """The name of a model that provisioned throughput is sold for: an id, or a custom model's ARN.

    Args:
        text: A model id or ARN.

    Raises:
        ConfigurationError: It is sold for none such.
        ModelIdError: The text is no model id.

    Example:
        >>> model_of("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0:24k")
        'amazon.nova-lite-v1:0:24k'
    """
    parsed = parse_model_id(text)
    if parsed.kind not in _SOLD:
        raise ConfigurationError(_no_model(parsed))
    return parsed.base or parsed.raw


def checked_name(name: str) -> str:
    """A name, if a provisioned throughput can have it.

    Raises:
        ConfigurationError: It can't.
    """
    if isinstance(name, str) and len(name) <= _LONGEST_NAME and _NAME.fullmatch(name):
        return name
    raise ConfigurationError(
        f"name={name!r}: a name is made of up to {_LONGEST_NAME} letters and digits, with single "
        "'-' or '_' between them, such as 'nova-lite-prod'."
    )


def checked_token(token: str) -> str:
    """A user's own `clientRequestToken`.

    Raises:
        ConfigurationError: AWS would refuse it.
    """
    if _TOKEN.fullmatch(token):
        return token
    raise ConfigurationError(
        f"token={token!r}: a token is made of up to 256 letters, digits and '-', and begins and "
        "ends with a letter or a digit."
    )


def is_model(existing: str, wanted: str) -> bool:
    """Whether an existing one's model is the wanted one, as far as both name a context length.

    Example:
        >>> is_model("amazon.nova-lite-v1:0:24k", "amazon.nova-lite-v1:0")
        True
        >>> is_model("cohere.embed-english-v3:0", "cohere.embed-english-v3:0:512")
        True
        >>> is_model("amazon.nova-lite-v1:0:24k", "amazon.nova-lite-v1:0:300k")
        False
    """
    # AWS may name the context length that it has chosen for an id without one, or leave out the
    # one that was bought (both unverified).
    bare = bare_model_id(wanted)
    return existing == wanted or (bare == bare_model_id(existing) and bare in (existing, wanted))


def _no_model(parsed: ModelId) -> str:
    if parsed.base is not None:
        return (
            f"model={parsed.raw!r} is an inference profile: provisioned throughput is bought for a "
            f"model in one region, such as {parsed.base!r}."
        )
    return (
        f"model={parsed.raw!r} is a {parsed.kind.value}: provisioned throughput is bought for a "
        "foundation model or the ARN of a custom model."
    )


def _price(unit_price: Decimal | int | str | None) -> Decimal | None:
    if unit_price is None:
        return None
    try:
        price = Decimal(str(unit_price))
    except InvalidOperation:
        price = Decimal(-1)
    if not (price.is_finite() and price >= 0):
        raise ConfigurationError(
            f"unit_price={unit_price!r} is not a price: pass the USD that one model unit costs an "
            "hour, such as Decimal('20.50')."
        )
    return price
