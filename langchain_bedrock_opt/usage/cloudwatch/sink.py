"""`CloudWatchMetricsSink`: usage as CloudWatch metrics, aggregated before it is sent."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, TypeAlias

from typing_extensions import Self

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.cloudwatch.aggregate import Aggregate
from langchain_bedrock_opt.usage.cloudwatch.limits import (
    cut,
    datum_problem,
    dimension_problem,
    namespace_problem,
)
from langchain_bedrock_opt.usage.cloudwatch.metrics import (
    DEFAULT_METRICS,
    GUIDE_METRICS,
    Metric,
    MetricSet,
)

logger = logging.getLogger(__name__)

Dimensions: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values of a metric's dimensions."""

_SECONDS = 60  # CloudWatch's standard resolution


@dataclass(frozen=True, slots=True)
class _Row:
    """What one data point stands for."""

    minute: int
    metric: Metric
    dimensions: Dimensions


class CloudWatchMetricsSink:
    """Adds usage up by minute and model, and sends it to CloudWatch when flushed.

    `add` only adds up, in memory, so it never keeps a model run waiting. `flush` sends, in as few
    requests as CloudWatch's limits allow: one for a thousand metrics, however many calls are in
    them. There is no thread behind it: call `flush` every now and then and at the end, or use the
    sink in a `with` block. What could not be sent is kept and sent by the next flush, with its
    original minutes. A request whose answer was lost may have arrived, and counts twice then.

    Sums, counts, minima and maxima are exact. Percentiles can't be had from such metrics.
    Each pair of a metric and a model is one custom metric on the AWS bill.

    Args:
        namespace: The CloudWatch namespace.
        client: A boto3 CloudWatch client. Without one it is built at the first flush.
        session: A boto3 session to build it from; None takes the default one.
        region_name: Its region; None takes the session's.
        endpoint_url: Its endpoint; None takes AWS's.
        service: Value of a `Service` dimension on all metrics; None leaves it out.
        metrics: Which metrics to send.
        clock: Seconds since the epoch.

    Attributes:
        flush_errors: Requests that failed. Their data is kept.
        dropped_metrics: Data points that CloudWatch would refuse, such as those of calls that
            are more than 14 days past.

    Raises:
        ConfigurationError: CloudWatch would refuse the namespace or the service.

    Example:
        >>> class Client:
        ...     def put_metric_data(self, Namespace, MetricData):
        ...         print(Namespace, sorted(datum["MetricName"] for datum in MetricData)[:2])
        >>> from datetime import datetime, timezone
        >>> with CloudWatchMetricsSink(client=Client(), service="search") as sink:
        ...     at = datetime.now(timezone.utc)
        ...     sink.add(UsageRecord(run_id="r", started_at=at, model_id="m", status="ok"))
        LangChainBedrock ['CacheHits', 'CacheHits']
    """

    def __init__(
        self,
        namespace: str = "LangChainBedrock",
        *,
        client: Any = None,
        session: Any = None,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        service: str | None = None,
        metrics: MetricSet = DEFAULT_METRICS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        problem = namespace_problem(namespace)
        if problem is None and service is not None:
            problem = dimension_problem("Service", service)
        if problem is not None:
            raise ConfigurationError(
                f"CloudWatch does not take this: {problem}. A namespace such as "
                "'LangChainBedrock' and a service such as 'search' are taken."
            )
        self.namespace = namespace
        self.flush_errors = 0
        self.dropped_metrics = 0
        self._client = client
        self._session = session
        self._region_name = region_name
        self._endpoint_url = endpoint_url
        self._service: Dimensions = () if service is None else (("Service", service),)
        self._metrics = metrics
        self._clock = clock
        self._live: dict[tuple[int, str], list[Aggregate]] = {}
        self._live_lock = threading.Lock()
        self._unsent: dict[_Row, Aggregate] = {}
        self._flush_lock = threading.Lock()  # guards `_unsent`, and is held while sending
        self._failing = False

    @classmethod
    def guide_preset(
        cls,
        *,
        client: Any = None,
        session: Any = None,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """The metrics of the common example, for dashboards that have them already.

        In the namespace `Custom/Bedrock`, by `ModelId`: `InferenceLatency` in milliseconds and
        `TokensProcessed`, the input and output tokens. Only calls that a model answered count.

        Args:
            client: As in the constructor.
            session: As in the constructor.
            region_name: As in the constructor.
            endpoint_url: As in the constructor.
            clock: As in the constructor.
        """
        return cls(
            "Custom/Bedrock",
            client=client,
            session=session,
            region_name=region_name,
            endpoint_url=endpoint_url,
            metrics=GUIDE_METRICS,
            clock=clock,
        )

    def __enter__(self) -> Self:
        """The sink itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Flush, also after an error."""
        self.flush()

    def add(self, record: UsageRecord) -> None:
        """Add one record up. It counts in the minute in which the call started."""
        minute = int(record.started_at.timestamp() // _SECONDS)
        values = [metric.value(record) for metric in self._metrics.metrics]
        with self._live_lock:
            key = (minute, record.model_id)
            aggregates = self._live.get(key)
            if aggregates is None:
                aggregates = self._live[key] = [Aggregate() for _ in values]
            for aggregate, value in zip(aggregates, values, strict=True):
                if value is not None:
                    aggregate.add(value)

    def flush(self) -> None:
        """Send what has been added up. Never raises: a failure is logged and counted."""
        with self._flush_lock:
            with self._live_lock:
                live, self._live = self._live, {}
            self._collect(live)
            data = self._data()
            rows, start = list(data), 0
            for part in cut(data.values()):
                end = start + len(part)
                if self._send(part):
                    for row in rows[start:end]:
                        del self._unsent[row]
                start = end

    def _collect(self, live: Mapping[tuple[int, str], list[Aggregate]]) -> None:
        """Turn sums by model into rows by model and over all models."""
        for (minute, model_id), aggregates in live.items():
            by_model = (*self._service, (self._metrics.model_dimension, model_id))
            for metric, aggregate in zip(self._metrics.metrics, aggregates, strict=True):
                if not aggregate.count:
                    continue
                if metric.by_model:
                    self._merge(_Row(minute, metric, by_model), aggregate)
                if metric.overall:
                    self._merge(_Row(minute, metric, self._service), aggregate)

    def _merge(self, row: _Row, aggregate: Aggregate) -> None:
        self._unsent.setdefault(row, Aggregate()).merge(aggregate)

    def _data(self) -> dict[_Row, dict[str, Any]]:
        """The unsent rows as CloudWatch takes them; those it would refuse are dropped."""
        now = datetime.fromtimestamp(self._clock(), timezone.utc)
        data = {row: _datum(row, aggregate) for row, aggregate in self._unsent.items()}
        for row, datum in list(data.items()):
            if (problem := datum_problem(datum, now=now)) is not None:
                if not self.dropped_metrics:
                    logger.warning("CloudWatch would refuse a metric, dropped: %s", problem)
                self.dropped_metrics += 1
                del self._unsent[row], data[row]
        return data

    def _send(self, part: list[Mapping[str, Any]]) -> bool:
        try:
            if self._client is None:
                self._client = self._build_client()
            self._client.put_metric_data(Namespace=self.namespace, MetricData=part)
        except Exception as error:  # noqa: BLE001 - telemetry never raises into the program
            self.flush_errors += 1
            if not self._failing:  # once an outage, not once a flush
                logger.warning("CloudWatch took no metrics; they are kept: %s", error)
            self._failing = True
            return False
        self._failing = False
        return True

    def _build_client(self) -> Any:
        # Imported here: most programs that use this room never talk to CloudWatch.
        from langchain_bedrock_opt.aws.clients import service_client

        return service_client(
            "cloudwatch",
            region_name=self._region_name,
            endpoint_url=self._endpoint_url,
            session=self._session,
        )


def _datum(row: _Row, aggregate: Aggregate) -> dict[str, Any]:
    per_unit = row.metric.per_unit
    return {
        "MetricName": row.metric.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in row.dimensions],
        "Timestamp": datetime.fromtimestamp(row.minute * _SECONDS, timezone.utc),
        "Unit": row.metric.unit,
        "StatisticValues": {
            "SampleCount": float(aggregate.count),
            "Sum": aggregate.total / per_unit,
            "Minimum": aggregate.minimum / per_unit,
            "Maximum": aggregate.maximum / per_unit,
        },
    }
