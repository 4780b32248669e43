"""`ProvisionedThroughputManager`: buys, waits for, uses and deletes provisioned throughput."""

from __future__ import annotations

import random as random_module
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

from langchain_bedrock_opt.aws.clients import service_client
from langchain_bedrock_opt.aws.resolution import Resolution, remember_resolution
from langchain_bedrock_opt.capacity.provisioned.buying import Buyer, Trail
from langchain_bedrock_opt.capacity.provisioned.calls import ThroughputCalls
from langchain_bedrock_opt.capacity.provisioned.deleting import Deleter
from langchain_bedrock_opt.capacity.provisioned.purchase import (
    TEMPORARY,
    Commitment,
    Purchase,
    checked_name,
    checked_token,
    is_model,
    model_of,
)
from langchain_bedrock_opt.capacity.provisioned.records import (
    STATUSES,
    ProvisionedThroughput,
    ThroughputTable,
)
from langchain_bedrock_opt.capacity.provisioned.temporary import Parts, TemporaryThroughput
from langchain_bedrock_opt.capacity.provisioned.timeouts import checked_timeout
from langchain_bedrock_opt.capacity.provisioned.waiting import Progress, Waiter
from langchain_bedrock_opt.catalog.model_ids import ModelIdKind, parse_model_id
from langchain_bedrock_opt.errors import CapacityError, ConfigurationError, UnitsFixedError

if TYPE_CHECKING:
    from langchain_bedrock_opt.chat_model import ChatBedrockOptimized


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class ProvisionedThroughputManager:
    """Buys model units for a model, waits until they take calls, and deletes them.

    Provisioned throughput bills by the hour from its purchase until it is deleted, used or not.
    So nothing is bought without `confirm=True`, and nothing twice: the account is looked through
    by name first, and all tries of one purchase, also those of a process that was killed and of
    its successor, send AWS the same token.

    All methods wait for AWS, and for throttles and outages some minutes. In asyncio, call them by
    `asyncio.to_thread`. Wherever one is to be named, its ARN, its name or the object will do.

    Args:
        client: A boto3 client of `bedrock`.
        region_name: The region, without a client; boto3's chain if None.
        clock: The time, aware of its zone.
        sleep: Waits for so many seconds.
        random: Numbers from 0 to 1, by which waits differ.
        poll_seconds: Between two looks at one that is waited for.

    Raises:
        ConfigurationError: There is no region, or `poll_seconds` is not above 0.

    Example:
        ```python
        from langchain_bedrock_opt import ProvisionedThroughputManager

        manager = ProvisionedThroughputManager(region_name="us-east-1")
        bought = manager.create("amazon.nova-lite-v1:0:24k", name="prod", confirm=True)
        model = manager.chat_model(manager.wait(bought, progress=print))
        model.invoke("What is the capital of Japan?").content
        manager.delete("prod")
        ```
    """

    def __init__(
        self,
        client: Any = None,
        *,
        region_name: str | None = None,
        clock: Callable[[], datetime] = _utc_now,
        sleep: Callable[[float], object] = time.sleep,
        random: Callable[[], float] = random_module.random,
        poll_seconds: float = 30.0,
    ) -> None:
        if not poll_seconds > 0:
            raise ConfigurationError(f"poll_seconds={poll_seconds!r} is not above 0.")
        if client is None:
            client = service_client("bedrock", region_name=region_name)
        calls = ThroughputCalls(client, sleep=sleep, random=random)
        waiter = Waiter(calls, clock=clock, sleep=sleep, poll_seconds=poll_seconds)
        self._clock = clock
        self._calls = calls
        self._parts = Parts(
            calls=calls,
            buyer=Buyer(calls),
            waiter=waiter,
            deleter=Deleter(calls, clock=clock),
        )

    def create(
        self,
        model: str,
        *,
        name: str,
        units: int = 1,
        commitment: Commitment | None = None,
        tags: Mapping[str, str] | None = None,
        token: str | None = None,
        confirm: bool = False,
        unit_price: Decimal | int | str | None = None,
    ) -> ProvisionedThroughput:
        """Buy provisioned throughput, or find what the same call has bought before.

        Args:
            model: A model id, with its context length where it is sold by that, such as
                `amazon.nova-lite-v1:0:24k`; or the ARN of a custom model.
            name: Its name, one of its own in the account and region.
            units: Model units. They can't be changed later.
            commitment: `"OneMonth"` or `"SixMonths"`, in which it can't be deleted; None: it can
                be deleted at any time.
            tags: Tags for cost allocation.
            token: The `clientRequestToken`, for a purchase that AWS takes for an earlier one of
                the same name, model, units and commitment. None: it follows from these.
            confirm: `True`: it may be bought. It bills until it is deleted.
            unit_price: USD an hour for one unit, for the message without `confirm`.

        Returns:
            It, still `Creating`; see `wait`.

        Raises:
            UnconfirmedPurchaseError: Without `confirm=True`. Says what would be bought.
            PurchaseError: AWS refuses, the name is taken by another one, or a purchase with this
                token was made before and is gone.
            CapacityError: The account can't be looked through; nothing was bought.
            ConfigurationError: An argument can't be.
        """
        purchase = Purchase(
            model=model,
            name=_lasting_name(name),
            units=units,
            commitment=commitment,
            tags=tags or {},
        )
        token = purchase.token() if token is None else checked_token(token)
        purchase.confirmed(confirm, self._calls.region, unit_price)
        return self._parts.buyer.buy(purchase, token, Trail())

    def wait(
        self,
        throughput: ProvisionedThroughput | str,
        *,
        timeout: float = 3600.0,
        progress: Progress | None = None,
    ) -> ProvisionedThroughput:
        """Wait until one takes calls.

        Args:
            throughput: Which.
            timeout: Seconds to wait at most; `math.inf` waits as long as it takes.
            progress: Called with it at each look, such as `print`.

        Returns:
            It, `InService`.

        Raises:
            PurchaseError: It has failed; says why, as far as AWS does, and what to do.
            CapacityError: It is not in service in time, or there is none.
            ConfigurationError: The timeout is no number of seconds.
        """
        seconds = checked_timeout(timeout)
        return self._parts.waiter.wait(self._seen(throughput), seconds, progress)

    def get(self, throughput: ProvisionedThroughput | str) -> ProvisionedThroughput:
        """One as it is now.

        Args:
            throughput: Which.

        Raises:
            CapacityError: There is none, or AWS refuses.
        """
        found = self._calls.get(_identifier(throughput))
        if found is None:
            raise self._missing(throughput)
        return found

    def list(
        self,
        *,
        status: str | None = None,
        name_contains: str | None = None,
        model: str | None = None,
    ) -> ThroughputTable:
        """All of the account and region, newest first; printed, a table.

        Args:
            status: `Creating`, `InService`, `Updating` or `Failed`.
            name_contains: A part of their names.
            model: A model id, with or without a context length, or an ARN.

        Raises:
            CapacityError: AWS refuses.
            ConfigurationError: There is no such status.
        """
        filters: dict[str, Any] = {}
        if status is not None:
            if status not in STATUSES:
                raise ConfigurationError(f"status={status!r} is none of {', '.join(STATUSES)}.")
            filters["statusEquals"] = status
        if name_contains:
            filters["nameContains"] = name_contains
        found = self._calls.listed(filters)
        if model is not None:
            wanted = model_of(model)
            found = [each for each in found if is_model(each.model_id, wanted)]
        return ThroughputTable(found)

    def rename(self, throughput: ProvisionedThroughput | str, name: str) -> ProvisionedThroughput:
        """Give one another name. Calls go to its ARN, which stays.

        Args:
            throughput: Which.
            name: Its new name.

        Raises:
            CapacityError: AWS refuses, or there is none.
            ConfigurationError: It can't be a name.
        """
        changes = {"desiredProvisionedModelName": _lasting_name(name)}
        return self._updated(self.get(throughput), changes, lambda now: now.name == name)

    def move_model(
        self, throughput: ProvisionedThroughput | str, model: str
    ) -> ProvisionedThroughput:
        """Have one that serves a custom model serve another one of the same base, or the base.

        Args:
            throughput: Which.
            model: The ARN of a custom model, or the id of their base model.

        Returns:
            It, `Updating`; see `wait`.

        Raises:
            ConfigurationError: It serves a foundation model, which AWS does not let it leave.
            CapacityError: AWS refuses, or there is none.
        """
        wanted = model_of(model)
        found = self.get(throughput)
        if not found.model_id.startswith("arn:"):
            raise ConfigurationError(
                f"{found.name} serves {found.model_id}, and only those of custom models can be "
                f"moved: buy one for {model} with create(), then delete this one."
            )
        return self._updated(
            found,
            {"desiredModelId": model},
            lambda now: is_model(now.desired_model_id, wanted),
        )

    def resize(self, throughput: ProvisionedThroughput | str, units: int) -> NoReturn:
        """Say what to do in place of changing units, which Bedrock's API can't.

        Args:
            throughput: Which.
            units: How many it should have.

        Raises:
            UnitsFixedError: Always.
        """
        name = throughput if isinstance(throughput, str) else throughput.name
        raise UnitsFixedError(
            f"The units of {name} can't be changed to {units}: Bedrock's API has no way to. For "
            "more, buy a second one beside it with create() under another name and spread calls "
            f"over both. For other units in one, buy one of {units} under another name, wait(), "
            "change over to its ARN, and delete() the old one as soon as its commitment allows. "
            "AWS's account team can change the units of a commitment."
        )

    def delete(
        self,
        throughput: ProvisionedThroughput | str,
        *,
        missing_ok: bool = False,
        timeout: float = 3600.0,
    ) -> None:
        """Delete one, so that it bills no more.

        Args:
            throughput: Which.
            missing_ok: It is no error if there is none.
            timeout: Seconds for which throttles and outages are waited for, and one that is still
                being made until it can be deleted.

        Raises:
            CommitmentError: Its commitment does not allow it; says until when.
            CapacityError: AWS refuses, or there is none: it may still bill.
            ConfigurationError: The timeout is no number of seconds.
        """
        seconds = checked_timeout(timeout)
        found = self._calls.get(_identifier(throughput))
        if found is not None:
            self._parts.deleter.delete(found, seconds)
            self._parts.buyer.gone.add(found.arn)
        elif not missing_ok:
            raise self._missing(throughput)

    def temporary(
        self,
        model: str,
        *,
        name: str,
        units: int = 1,
        tags: Mapping[str, str] | None = None,
        confirm: bool = False,
        unit_price: Decimal | int | str | None = None,
        timeout: float = 3600.0,
        progress: Progress | None = None,
    ) -> TemporaryThroughput:
        """Provisioned throughput for a `with` block: bought on entry, deleted on exit.

        It is deleted after an exception too, after Ctrl-C, and where buying or waiting fails half
        way. SIGTERM ends a process without any of that, unless it is made an exception:
        `signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))`. After SIGKILL it stays in the
        account and bills: the next block of the same name takes it over and deletes it, and
        `leftovers` lists it. So two blocks that run side by side need two names.

        Args:
            model: As for `create`.
            name: Its name; in the account it begins with `bedrock-opt-temporary-`.
            units: Model units.
            tags: Tags for cost allocation.
            confirm: `True`: it may be bought.
            unit_price: As for `create`.
            timeout: Seconds to wait for it on entry, and for AWS to delete it on exit, or at the
                end of the process; `math.inf` waits as long as it takes.
            progress: Called with it at each look while it is waited for.

        Returns:
            A context manager; `as` gives the provisioned throughput, `InService`.

        Raises:
            UnconfirmedPurchaseError: Without `confirm=True`.
            ConfigurationError: An argument can't be.

        Example:
            ```python
            with manager.temporary("amazon.nova-lite-v1:0", name="load", confirm=True) as bought:
                manager.chat_model(bought).batch(prompts)
            ```
        """
        purchase = Purchase(model=model, name=f"{TEMPORARY}{name}", units=units, tags=tags or {})
        seconds = checked_timeout(timeout)
        purchase.confirmed(confirm, self._calls.region, unit_price)
        return TemporaryThroughput(purchase, self._parts, timeout=seconds, progress=progress)

    def leftovers(self, *, older_than: timedelta = timedelta(0)) -> ThroughputTable:
        """Temporary ones that are in the account: forgotten, or in use just now by somebody.

        Args:
            older_than: Only those that were bought longer ago than this.

        Raises:
            CapacityError: AWS refuses.

        Example:
            ```python
            for forgotten in manager.leftovers(older_than=timedelta(days=1)):
                manager.delete(forgotten)
            ```
        """
        before = self._clock() - older_than
        return ThroughputTable(
            each
            for each in self.list(name_contains=TEMPORARY)
            if each.name.startswith(TEMPORARY) and each.created_at <= before
        )

    def chat_model(
        self,
        throughput: ProvisionedThroughput | str,
        *,
        overflow: str | None = None,
        **model_kwargs: Any,
    ) -> ChatBedrockOptimized:
        """A chat model whose calls go to one, with streaming and tools as its model has them.

        Its calls cost no more by the token, and their records say so: price tier `provisioned`,
        price source `hourly`.

        Args:
            throughput: Which. Given as an object, AWS is asked nothing.
            overflow: A model id or an inference profile that answers on-demand what this one has
                no room for, at once; None retries as botocore does. See `overflow_model`.
            **model_kwargs: Arguments of `ChatBedrockOptimized` (and of `overflow_model`). Its
                client has the region of the ARN, and boto3's usual credentials; where the manager
                has others, pass `client` or `credentials_profile_name`.

        Raises:
            CapacityError: There is none, or AWS refuses.
            ConfigurationError: As of `ChatBedrockOptimized`.
        """
        # Here, since langchain-aws takes a second to import, and only this needs it.
        from langchain_bedrock_opt.capacity.lanes.overflow_model import overflow_model
        from langchain_bedrock_opt.chat_model import ChatBedrockOptimized

        found = self._seen(throughput)
        base, region = found.foundation_model_id, parse_model_id(found.arn).region
        remember_resolution(
            found.arn,
            Resolution(
                base=base,
                resolved_id=base,
                tier="provisioned",
                region=region,
                model_units=found.units,
                commitment=found.commitment,
            ),
        )
        settings = {"base_model": base, "region_name": region, **model_kwargs}
        if overflow is not None:
            return overflow_model(found.arn, on_demand=overflow, **settings)
        return ChatBedrockOptimized(model=found.arn, **settings)

    def _seen(self, throughput: ProvisionedThroughput | str) -> ProvisionedThroughput:
        return self.get(throughput) if isinstance(throughput, str) else throughput

    def _updated(
        self,
        found: ProvisionedThroughput,
        changes: dict[str, Any],
        is_made: Callable[[ProvisionedThroughput], bool],
    ) -> ProvisionedThroughput:
        updated = self._calls.update(found.arn, changes, is_made)
        if updated is None:
            raise self._missing(found)
        return updated

    def _missing(self, throughput: ProvisionedThroughput | str) -> CapacityError:
        identifier = _identifier(throughput)
        return CapacityError(
            f"There is no provisioned throughput {identifier} in {self._calls.region} for this "
            "account: see manager.list(), or pass the region_name it was bought in.",
            arn=identifier if identifier.startswith("arn:") else None,
        )


def _lasting_name(name: str) -> str:
    """A name for one that no `temporary` block takes over and deletes.

    Raises:
        ConfigurationError: It can't be a name, or is one of theirs.
    """
    if checked_name(name).startswith(TEMPORARY):
        raise ConfigurationError(
            f"name={name!r}: names that begin with {TEMPORARY!r} are those of temporary()."
        )
    return name


def _identifier(throughput: ProvisionedThroughput | str) -> str:
    """What AWS knows one by.

    Raises:
        ConfigurationError: It is neither a name nor the ARN of one.
    """
    if isinstance(throughput, ProvisionedThroughput):
        return throughput.arn
    if not throughput.startswith("arn:"):
        return checked_name(throughput)
    if parse_model_id(throughput).kind is not ModelIdKind.PROVISIONED_MODEL:
        raise ConfigurationError(
            f"{throughput!r} is not the ARN of a provisioned throughput, which has "
            "':provisioned-model/' in it."
        )
    return throughput
