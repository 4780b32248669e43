"""`CloudWatchMetricsSink`: usage as CloudWatch metrics, aggregated before it is sent."""

from __future__ import annotations

import random
import time
import weakref
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from typing_extensions import Self

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError
from langchain_bedrock_opt.usage.cloudwatch.flusher import Flusher
from langchain_bedrock_opt.usage.cloudwatch.limits import dimension_problem, namespace_problem
from langchain_bedrock_opt.usage.cloudwatch.metrics import (
    DEFAULT_METRICS,
    GUIDE_METRICS,
    MetricSet,
)
from langchain_bedrock_opt.usage.cloudwatch.sender import ClientOptions, Sender
from langchain_bedrock_opt.usage.cloudwatch.series import SeriesTable
from langchain_bedrock_opt.usage.cloudwatch.sigterm import flush_on_sigterm as hook_sigterm
from langchain_bedrock_opt.usage.recording.seen import SeenRuns


class CloudWatchMetricsSink:
    """Adds usage up by minute and dimensions, and sends it to CloudWatch once a minute.

    `add` only adds up, in memory, so it never keeps a model run waiting. A daemon thread sends,
    from the first record on: one request for a thousand metrics, however many calls are in them.
    What could not be sent is kept and sent later, with its original minutes; if that outgrows
    `max_bytes`, the oldest is dropped and counted. At the end of the process, also after an
    exception, what is left is sent within three seconds; a fork starts empty. Only a process that
    is killed loses what came since the last flush.

    Sums, counts, minima and maxima are exact, and percentiles of latencies are at most 1 % off.
    Each metric with each combination of dimension values is one custom metric on the AWS bill, so
    there are at most `max_series`; what goes beyond is folded into `__other__`.

    Args:
        namespace: The CloudWatch namespace.
        client: A boto3 CloudWatch client. Without one it is built at the first flush, with short
            timeouts and without retries of its own, which could count a request twice.
        session: A boto3 session to build it from; None takes the default one.
        region_name: Its region; None takes the session's.
        endpoint_url: Its endpoint; None takes AWS's.
        service: Value of the dimension `Service`; None leaves it out.
        metrics: Which metrics to send.
        dimensions: Sets of dimensions to split metrics by, such as
            `[("Service", "Model"), ("Service", "metadata:tenant")]`; `dimensions` lists the
            names. None takes those of `metrics`. `metadata:KEY` needs the handler's
            `metadata_keys=["KEY"]`: other metadata is not recorded.
        max_series: The most series of this process, up to 2,000.
        top_values: How many values of each tag or metadata key get series of their own: the most
            frequent ones.
        flush_interval: Seconds between two flushes, up to a fifth later each; None has no thread:
            call `flush`.
        max_bytes: The most memory for what could not be sent.
        at_least_once: Whether a request that was not answered in time is sent again. It may
            count twice then; else it may be lost, which `FlushAmbiguous` counts.
        flush_on_sigterm: Whether to flush on SIGTERM too, and then do what was done on it before.
        clock: Seconds since the epoch.
        monotonic: Seconds on a clock that never goes back.
        sleep: Waits so many seconds before another attempt.
        rng: Where jitter comes from.

    Attributes:
        namespace: The namespace.

    Raises:
        ConfigurationError: CloudWatch would refuse the namespace, the service or a dimension, or
            a number is out of range.

    Example:
        >>> class Client:
        ...     def put_metric_data(self, Namespace, MetricData):
        ...         print(Namespace, [datum["MetricName"] for datum in MetricData])
        >>> from datetime import datetime, timezone
        >>> with CloudWatchMetricsSink(client=Client(), service="search") as sink:
        ...     at = datetime.now(timezone.utc)
        ...     sink.add(UsageRecord(run_id="r", started_at=at, model_id="m", status="error"))
        LangChainBedrock ['Calls', 'Errors', 'Errors', 'Calls', 'Errors']
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
        dimensions: Sequence[Sequence[str]] | None = None,
        max_series: int = 200,
        top_values: int = 20,
        flush_interval: float | None = 60.0,
        max_bytes: int = 16_000_000,
        at_least_once: bool = False,
        flush_on_sigterm: bool = False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        check_names(namespace, service)
        if (flush_interval is not None and flush_interval < 1) or max_bytes < 1:
            raise ConfigurationError(
                f"flush_interval={flush_interval!r} must be None or 1 second or more, and "
                f"max_bytes={max_bytes!r} positive: 60 seconds and 16,000,000 bytes suit most."
            )
        self.namespace = namespace
        table = SeriesTable(
            metrics,
            service=service,
            dimensions=dimensions,
            max_series=max_series,
            top_values=top_values,
        )
        rng = rng or random.Random()  # noqa: S311 - jitter
        self._sender = Sender(
            ClientOptions(namespace, client, session, region_name, endpoint_url),
            table,
            health=(() if service is None else (("Service", service),)) if metrics.health else None,
            max_bytes=max_bytes,
            at_least_once=at_least_once,
            clock=clock,
            monotonic=monotonic,
            sleep=sleep,
            rng=rng,
        )
        self._flusher = Flusher(self._sender, flush_interval, rng)
        self._seen = SeenRuns()
        # A sink that is dropped without `close` leaves its records to the thread.
        weakref.finalize(self, self._flusher.retire).atexit = False
        if flush_on_sigterm:
            hook_sigterm()

    @classmethod
    def guide_preset(cls, **settings: Any) -> Self:
        """The metrics of the common example, for dashboards that have them already.

        In the namespace `Custom/Bedrock`, by `ModelId`: `InferenceLatency` in milliseconds and
        `TokensProcessed`, the input and output tokens. Only calls that a model answered count.

        Args:
            settings: As in the constructor, save `namespace`, `metrics`, `service` and
                `dimensions`.
        """
        return cls("Custom/Bedrock", metrics=GUIDE_METRICS, **settings)

    def __enter__(self) -> Self:
        """The sink itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close, also after an error."""
        self.close()

    @property
    def flush_errors(self) -> int:
        """Requests that failed, whatever became of their metrics."""
        return self._sender.delivery.health.errors

    @property
    def ambiguous_flushes(self) -> int:
        """Requests that were sent and not answered: CloudWatch may have counted them."""
        return self._sender.delivery.health.ambiguous

    @property
    def dropped_metrics(self) -> int:
        """Metrics that were given up: refused, too old, or too many while nothing could be sent."""
        return self._sender.delivery.health.dropped

    @property
    def unsent_requests(self) -> int:
        """Requests that wait: after a flush, those that CloudWatch did not take."""
        return len(self._sender.delivery)

    @property
    def folded_values(self) -> int:
        """Values that went into a series of `__other__`."""
        return self._sender.table.folded

    def add(self, record: UsageRecord) -> None:
        """Add one record up, once a run. It counts in the minute in which the call started."""
        if self._seen.is_new(record.run_id):
            self._sender.inbox.put(record)
            self._flusher.start()

    def flush(self, timeout: float = 10.0) -> None:
        """Send what has been added up, and wait for it. Never raises: failures are counted.

        What is left afterwards, as `unsent_requests` tells, is sent later.

        Args:
            timeout: Seconds to wait and, after an error, to try again; 0 makes one attempt. The
                first is made at once, however long ago the last one failed.
        """
        self._flusher.flush(timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Flush, and end the thread when all has been sent. A later `add` starts it again.

        Args:
            timeout: As for `flush`.
        """
        self.flush(timeout)
        self._flusher.retire()


def check_names(namespace: str, service: str | None) -> None:
    """Check what CloudWatch would refuse in every request.

    Raises:
        ConfigurationError: It would refuse the namespace or the service.
    """
    problem = namespace_problem(namespace)
    if problem is None and service is not None:
        problem = dimension_problem("Service", service)
    if problem is not None:
        raise ConfigurationError(
            f"CloudWatch does not take this: {problem}. A namespace such as "
            "'LangChainBedrock' and a service such as 'search' are taken."
        )
