"""`OpenTelemetrySink`: usage as OpenTelemetry metrics, by the GenAI conventions and our own."""

from __future__ import annotations

from typing import Any, Final

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import MissingExtraError
from langchain_bedrock_opt.usage.recording.seen import SeenRuns
from langchain_bedrock_opt.usage.reporting.totals import is_unpriced
from langchain_bedrock_opt.usage.waiting import ttft_of, waited_for_job, without_wait

DURATION_BUCKETS: Final = tuple(0.01 * 2**power for power in range(14))
"""Bounds in seconds, from 0.01 to 81.92, that the conventions advise for durations."""

TOKEN_BUCKETS: Final = tuple(float(4**power) for power in range(14))
"""Bounds that the conventions advise for tokens, from 1 to 67,108,864."""

_USAGE: Final = "gen_ai.client.inference.usage"
_OWN: Final = "langchain_bedrock_opt"


class OpenTelemetrySink:
    """Records usage on OpenTelemetry instruments; exporting is the SDK's, as you set it up.

    Names are those of the GenAI semantic conventions (in development, as of November 2026), with
    `gen_ai.provider.name` `aws.bedrock`. Input tokens include the cached ones, as the conventions
    say. What they have no name for is under `langchain_bedrock_opt`: `cost` and `cache.savings`
    in 10⁻¹² US dollars, as whole numbers, and `cache.hits`, `calls.unpriced`, `calls.unmetered`,
    `retries`, `throttles`. Needs the extra `otel`.

    Args:
        meter: An OpenTelemetry `Meter`; None takes that of the global provider.

    Raises:
        MissingExtraError: OpenTelemetry's API is not installed.

    Example:
        >>> from datetime import datetime, timezone
        >>> sink = OpenTelemetrySink()
        >>> at = datetime(2026, 11, 22, tzinfo=timezone.utc)
        >>> sink.add(UsageRecord(run_id="r", started_at=at, model_id="m", status="ok"))
    """

    def __init__(self, meter: Any = None) -> None:
        self._seen = SeenRuns()
        meter = _global_meter() if meter is None else meter
        self._tokens = {
            kind: meter.create_counter(f"{_USAGE}.{kind}", unit="{token}")
            for kind in (
                "input_tokens",
                "output_tokens",
                "cache_read.input_tokens",
                "cache_write.input_tokens",
                "reasoning.output_tokens",
            )
        }
        self._tokens_by_call = {
            kind: meter.create_histogram(
                f"gen_ai.client.inference.operation.{kind}",
                unit="{token}",
                explicit_bucket_boundaries_advisory=TOKEN_BUCKETS,
            )
            for kind in ("input_tokens", "output_tokens")
        }
        self._duration, self._first_chunk = (
            meter.create_histogram(
                f"gen_ai.client.operation.{name}",
                unit="s",
                explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
            )
            for name in ("duration", "time_to_first_chunk")
        )
        self._cost, self._savings = (
            meter.create_counter(f"{_OWN}.{name}", unit="{pico_usd}")
            for name in ("cost", "cache.savings")
        )
        self._hits, self._unpriced, self._unmetered = (
            meter.create_counter(f"{_OWN}.{name}", unit="{call}")
            for name in ("cache.hits", "calls.unpriced", "calls.unmetered")
        )
        self._retries, self._throttles = (
            meter.create_counter(f"{_OWN}.{name}", unit="{attempt}")
            for name in ("retries", "throttles")
        )

    def add(self, record: UsageRecord) -> None:
        """Record one call, once a run. A failed one has no tokens and an `error.type`."""
        if not self._seen.is_new(record.run_id):
            return
        attributes = _attributes(record)
        self._add_tokens(record, attributes)
        if not waited_for_job(record):
            self._duration.record(without_wait(record, record.latency_ms) / 1000, attributes)
        if (ttft := ttft_of(record)) is not None:
            self._first_chunk.record(ttft / 1000, attributes)
        for counter, count in (
            (self._cost, record.cost_pico_usd),
            (self._savings, record.saved_pico_usd if record.cache_hit else None),
            (self._hits, int(record.cache_hit)),
            (self._unpriced, int(is_unpriced(record))),
            (self._unmetered, int(record.unmetered)),
            (self._retries, record.retries),
            (self._throttles, record.throttles),
        ):
            if count:
                counter.add(count, attributes)

    def _add_tokens(self, record: UsageRecord, attributes: dict[str, str]) -> None:
        usage = record.usage
        if usage is None:
            if record.status == "error":  # the conventions ask for a 0; unmetered is no 0
                self._tokens["input_tokens"].add(0, attributes)
                self._tokens["output_tokens"].add(0, attributes)
            return
        written = usage.cache_write_5m + usage.cache_write_1h
        whole_input = usage.input + usage.cache_read + written
        self._tokens["input_tokens"].add(whole_input, attributes)
        self._tokens["output_tokens"].add(usage.output, attributes)
        self._tokens_by_call["input_tokens"].record(whole_input, attributes)
        self._tokens_by_call["output_tokens"].record(usage.output, attributes)
        for kind, count in (
            ("cache_read.input_tokens", usage.cache_read),
            ("cache_write.input_tokens", written),
            ("reasoning.output_tokens", usage.reasoning),
        ):
            if count:
                self._tokens[kind].add(count, attributes)

    def flush(self) -> None:
        """Nothing to do: the SDK's readers export by themselves."""


def _attributes(record: UsageRecord) -> dict[str, str]:
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": record.model_id,
    }
    if record.resolved_id is not None:
        attributes["gen_ai.response.model"] = record.resolved_id
    if record.region is not None:
        attributes["cloud.region"] = record.region
    if record.status != "ok":
        attributes["error.type"] = record.error or record.status
    return attributes


def _global_meter() -> Any:
    try:
        from opentelemetry.metrics import get_meter
    except ImportError as error:
        raise MissingExtraError("OpenTelemetry metrics", "otel") from error
    return get_meter(_OWN)
