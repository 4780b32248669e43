"""The control plane's five operations, each asked until there is an answer."""

from __future__ import annotations

import random as random_module
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from langchain_bedrock_opt.aws.backoff import Backoff
from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS
from langchain_bedrock_opt.aws.layers import region_of
from langchain_bedrock_opt.aws.trouble import error_code, trouble_of
from langchain_bedrock_opt.capacity.provisioned.hints import refusal
from langchain_bedrock_opt.capacity.provisioned.records import ProvisionedThroughput, throughput_of
from langchain_bedrock_opt.errors import CapacityError

_T = TypeVar("_T")

TRIES: Final = 8
"""How often a call is made that comes to no answer: for about three minutes."""

LOOKS: Final = 6
"""How often something is looked for that was made a moment ago: for about half a minute."""

_PAGE: Final = 1000
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_NOT_FOUND: Final = "ResourceNotFoundException"


class ThroughputCalls:
    """Asks one account and region about its provisioned throughputs.

    Args:
        client: A boto3 client of `bedrock`.
        sleep: Waits for so many seconds.
        random: Numbers from 0 to 1, by which waits differ.
    """

    def __init__(
        self,
        client: Any,
        *,
        sleep: Callable[[float], object],
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._random = random

    @property
    def region(self) -> str:
        """The client's region, for messages."""
        return region_of(self._client) or "this region"

    def create(self, request: dict[str, Any]) -> str:
        """Send a purchase once; its ARN. botocore's errors come through.

        Args:
            request: Of `Purchase.request`.
        """
        arn: str = self._client.create_provisioned_model_throughput(**request)[
            "provisionedModelArn"
        ]
        return arn

    def delete(self, arn: str) -> bool:
        """Send a deletion once. botocore's other errors come through.

        Returns:
            Whether there was one.
        """
        try:
            self._client.delete_provisioned_model_throughput(provisionedModelId=arn)
        except BOTOCORE_ERRORS as error:
            if error_code(error) != _NOT_FOUND:
                raise
            return False
        return True

    def get(self, identifier: str) -> ProvisionedThroughput | None:
        """Ask for one; None if there is none.

        Args:
            identifier: Its ARN or its name.

        Raises:
            CapacityError: Bedrock refuses, or gave no answer for minutes.
        """
        return self._ask(lambda: self.look(identifier), identifier)

    def look(self, identifier: str) -> ProvisionedThroughput | None:
        """Ask for one once; None if there is none. botocore's other errors come through."""
        try:
            answer = self._client.get_provisioned_model_throughput(provisionedModelId=identifier)
        except BOTOCORE_ERRORS as error:
            if error_code(error) != _NOT_FOUND:
                raise
            return None
        return throughput_of(answer)

    def named(self, name: str) -> list[ProvisionedThroughput]:
        """Those of exactly this name: one, unless AWS lets two have it.

        Raises:
            CapacityError: Bedrock refuses, or gave no answer for minutes.
        """
        return [each for each in self.listed({"nameContains": name}) if each.name == name]

    def listed(self, filters: dict[str, Any]) -> list[ProvisionedThroughput]:
        """All pages, newest first.

        Args:
            filters: Arguments of boto3's `list_provisioned_model_throughputs`.

        Raises:
            CapacityError: Bedrock refuses, or gave no answer for minutes.
        """
        # All pages or none: a page that is asked for again is not given twice.
        return self._ask(lambda: [*self._pages(filters)])

    def update(
        self,
        arn: str,
        changes: dict[str, Any],
        is_made: Callable[[ProvisionedThroughput], bool],
    ) -> ProvisionedThroughput | None:
        """Rename one, or move it to another model.

        Args:
            arn: Which.
            changes: `desiredProvisionedModelName` or `desiredModelId`.
            is_made: Whether one has them.

        Returns:
            It; None if there is none any more.

        Raises:
            CapacityError: Bedrock refuses, or gave no answer for minutes.
        """
        update = self._client.update_provisioned_model_throughput
        try:
            self._ask(lambda: update(provisionedModelId=arn, **changes), arn)
        except CapacityError:
            # Refused may be what an earlier try, or one of botocore's own, has made already.
            found = self.get(arn)
            if found is None or not is_made(found):
                raise
            return found
        return self.get(arn)

    def backoff(self) -> Backoff:
        """Waits between tries."""
        return Backoff(
            first=_FIRST_PAUSE, longest=_LONGEST_PAUSE, sleep=self._sleep, random=self._random
        )

    def _pages(self, filters: dict[str, Any]) -> Iterator[ProvisionedThroughput]:
        request = {
            "maxResults": _PAGE,
            "sortBy": "CreationTime",
            "sortOrder": "Descending",
            **filters,
        }
        while True:
            page = self._client.list_provisioned_model_throughputs(**request)
            yield from map(throughput_of, page.get("provisionedModelSummaries", ()))
            if not page.get("nextToken"):
                return
            request["nextToken"] = page["nextToken"]

    def _ask(self, question: Callable[[], _T], about: str = "") -> _T:
        """Ask until there is an answer, for some minutes."""
        backoff = self.backoff()
        while True:
            try:
                return question()
            except BOTOCORE_ERRORS as error:
                passes = trouble_of(error) in ("throttled", "outage")
                if not passes or backoff.pauses >= TRIES - 1:
                    raise CapacityError(refusal(error), arn=_arn(about)) from error
            backoff.pause()


def _arn(identifier: str) -> str | None:
    return identifier if identifier.startswith("arn:") else None
