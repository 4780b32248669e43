"""What a sink does its work with: the table of series, the delivery and the boto3 client."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any, Final

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.usage.cloudwatch.datums import count_datum, datums_of
from langchain_bedrock_opt.usage.cloudwatch.delivery import Delivery
from langchain_bedrock_opt.usage.cloudwatch.limits import MAX_PAST, datum_problem
from langchain_bedrock_opt.usage.cloudwatch.metrics import HEALTH_METRICS
from langchain_bedrock_opt.usage.cloudwatch.series import SECONDS, Dimensions, Row, SeriesTable
from langchain_bedrock_opt.usage.inbox import Inbox

_TIMEOUT: Final = 5.0  # to connect, and for an answer
_MAX_LIVE: Final = 5_000  # combinations by minute, before they are packed
_CHECK_EVERY: Final = 256  # records


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How a sink comes to its client, as in the sink's constructor."""

    namespace: str
    client: Any
    session: Any
    region_name: str | None
    endpoint_url: str | None

    def build(self) -> Any:
        """The user's client, or a new one: it never sends a request twice by itself."""
        if self.client is not None:
            return self.client
        # Imported here: most programs that use this room never talk to CloudWatch.
        from langchain_bedrock_opt.aws.clients import client_config, service_client

        return service_client(
            "cloudwatch",
            region_name=self.region_name,
            endpoint_url=self.endpoint_url,
            session=self.session,
            config=client_config(max_concurrency=1, timeout=_TIMEOUT, max_retries=0),
        )


class Sender:
    """Adds records up and sends them; `flusher.Flusher` says when.

    Args:
        options: How to come to a client.
        table: Adds records up.
        health: Dimensions of the metrics about itself; None sends none.
        max_bytes: As in the sink's constructor, and so are all the others.
        at_least_once: See there.
        clock: See there.
        monotonic: See there.
        sleep: See there.
        rng: See there.
    """

    def __init__(
        self,
        options: ClientOptions,
        table: SeriesTable,
        *,
        health: Dimensions | None,
        max_bytes: int,
        at_least_once: bool,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
        rng: random.Random,
    ) -> None:
        self._options = options
        self._health = health
        self._clock = clock
        self._monotonic = monotonic
        self._rng = rng
        self._new_delivery = partial(
            Delivery,
            self._send,
            probe=self._probe,
            max_bytes=max_bytes,
            at_least_once=at_least_once,
            monotonic=monotonic,
            sleep=sleep,
            rng=rng,
        )
        self.table = table
        self._reset()

    def _reset(self) -> None:
        self.inbox: Inbox[UsageRecord] = Inbox(self._add)
        self.delivery = self._new_delivery()
        self._flush_lock = threading.Lock()
        self._reported: tuple[int, ...] = (0,) * len(HEALTH_METRICS)
        self._client: Any = None
        self._added = 0

    def forget(self) -> None:
        """Start empty: this is a fork, and what was held is the parent's."""
        list(self.table.take())
        self.table.folded = 0
        self._rng.seed()  # else all children of a server would flush at the same moments
        self._reset()

    def _add(self, record: UsageRecord) -> None:
        self.table.add(record)
        self._added += 1
        if self._added % _CHECK_EVERY == 0 and len(self.table) > _MAX_LIVE:
            self._pack_early()

    def _pack_early(self) -> None:
        """Pack what is held, for nobody has flushed for long: what is packed has a bound."""
        # Not waited for: who holds the lock takes it all anyway.
        if self._flush_lock.acquire(blocking=False):
            try:
                self._pack(list(self.table.take()))
            finally:
                self._flush_lock.release()

    def flush_now(self, timeout: float) -> None:
        """Send all there is, the first attempt at once.

        Args:
            timeout: Seconds to go on after an error; 0 makes one attempt.
        """
        self._flush(timeout, at_once=True)

    def flush_due(self) -> None:
        """Take over what has been added up, and send it if it is time."""
        self._flush(0.0, at_once=False)

    def _flush(self, timeout: float, *, at_once: bool) -> None:
        if not self._flush_lock.acquire(timeout=max(timeout, 0.0)):
            return
        try:
            rows: list[Row] = []
            self.inbox.exclusively(lambda: rows.extend(self.table.take()))
            self._pack(rows)
            self._drain(timeout, at_once=at_once)
        finally:
            self._flush_lock.release()

    def retry(self) -> float | None:
        """Send what waits, if it is time; seconds until the next attempt, None if none waits."""
        if not len(self.delivery):
            return None
        with self._flush_lock:
            if self._drain(0.0, at_once=False):
                return None
            return max(0.0, self.delivery.retry_at - self._monotonic())

    def _drain(self, timeout: float, *, at_once: bool) -> bool:
        is_empty = self.delivery.drain(timeout, at_once=at_once)
        if (close := getattr(self._client, "close", None)) is not None:
            # A minute later the server may have closed an idle connection: a request on it would
            # fail as one that may have arrived. Nor should a fork inherit one.
            close()
        return is_empty

    def _pack(self, rows: list[Row]) -> None:
        now = datetime.fromtimestamp(self._clock(), timezone.utc)
        data = [datum for row in rows for datum in datums_of(row)]
        problems = [datum_problem(datum, now=now) for datum in data]
        good = [datum for datum, problem in zip(data, problems, strict=True) if problem is None]
        for problem in problems:
            if problem is not None:
                self.delivery.drop(1, problem)
        self.delivery.put(good + self._health_data())

    def _health_data(self) -> list[dict[str, Any]]:
        """What has gone wrong since the last time this was asked for."""
        health = self.delivery.health
        counts = (health.dropped, self.table.folded, health.errors, health.ambiguous)
        before, self._reported = self._reported, counts
        return [
            self._health_datum(name, count - reported)
            for name, count, reported in zip(HEALTH_METRICS, counts, before, strict=True)
            if count > reported and self._health is not None
        ]

    def _probe(self) -> list[dict[str, Any]]:
        """A metric that adds nothing to its sum, however often it arrives."""
        return [] if self._health is None else [self._health_datum("FlushErrors", 0)]

    def _health_datum(self, name: str, count: int) -> dict[str, Any]:
        return count_datum(name, count, self._health or (), int(self._clock()) // SECONDS)

    def _send(self, data: list[dict[str, Any]]) -> None:
        if self._client is None:
            self._client = self._options.build()
        oldest = datetime.fromtimestamp(self._clock(), timezone.utc) - MAX_PAST
        fresh = [datum for datum in data if datum["Timestamp"] >= oldest]
        if fresh:
            self._client.put_metric_data(Namespace=self._options.namespace, MetricData=fresh)
        self.delivery.drop(len(data) - len(fresh), "it waited for over 14 days")
