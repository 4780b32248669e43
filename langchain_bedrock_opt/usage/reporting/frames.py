"""The report as pandas frames. Needs the extra `report`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import MissingExtraError
from langchain_bedrock_opt.usage.reporting.totals import UsageTotals

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

    from langchain_bedrock_opt.usage.reporting.latency import LatencyTable
    from langchain_bedrock_opt.usage.reporting.report import UsageReport

_PICO: Final = "_pico_usd"


def frames(report: UsageReport) -> dict[str, pd.DataFrame]:
    """Frames of the records and of the tables. Money is in US dollars, as floats.

    Args:
        report: The report.

    Returns:
        `records`, one row a call, by time; `models`, `tags`, `nodes`, `routes` and `unmetered`,
        one row a group; `timeline`, one column a model; `savings`, one row a step; `findings`.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    pandas = _pandas()
    groups = {
        name: getattr(report, name) for name in ("models", "tags", "nodes", "routes", "unmetered")
    }
    savings, line = report.savings, report.timeline
    return {
        "records": records_frame(report.records),
        **{name: _totals_frame(pandas, totals) for name, totals in groups.items()},
        "timeline": pandas.DataFrame(
            {model: [cost / 1e12 for cost in costs] for model, costs in line.cost_pico_usd.items()},
            index=pandas.DatetimeIndex(line.starts, name="start", tz="UTC"),
        ),
        "savings": pandas.DataFrame(
            {"saved_usd": [saved / 1e12 for saved in savings.saved_pico_usd.values()]},
            index=pandas.Index(list(savings.saved_pico_usd), name="step"),
        ),
        "findings": pandas.DataFrame([_in_dollars(asdict(each)) for each in report.findings]),
    }


def records_frame(records: Iterable[UsageRecord]) -> pd.DataFrame:
    """One row a record, by time. Money is in US dollars, as floats; tokens have a column a kind.

    Args:
        records: Any records.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    pandas = _pandas()
    rows = [_flat(record) for record in records]
    frame = pandas.DataFrame(rows, columns=None if rows else ["started_at"])
    frame["started_at"] = pandas.to_datetime(frame["started_at"], utc=True)
    return frame.set_index("started_at").sort_index(kind="stable")


def latency_frame(table: LatencyTable) -> pd.DataFrame:
    """One row a row of a table of latencies. Times are in milliseconds.

    Args:
        table: The table.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    pandas = _pandas()
    columns = {
        "calls": [row.calls for row in table],
        "streams": [len(row.ttfts_ms) for row in table],
        "ttft_p50_ms": [row.ttft_ms(50) for row in table],
        "ttft_p95_ms": [row.ttft_ms(95) for row in table],
        "latency_p50_ms": [row.latency_ms(50) for row in table],
        "latency_p95_ms": [row.latency_ms(95) for row in table],
        "tokens_per_second": [row.tokens_per_second for row in table],
        "throttled_share": [row.throttled_share for row in table],
    }
    served = ("service_tier", "performance", "capacity")
    places = {name: [getattr(row, name) for row in table] for name in ("group", *served)}
    frame: pd.DataFrame = pandas.DataFrame({**places, **columns})
    return frame.set_index("group")


def _pandas() -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("pandas frames", "report") from error
    return pd


def _flat(record: UsageRecord) -> dict[str, Any]:
    """A record as a row: what it does not say is missing, and its parts are columns."""
    values = {name: getattr(record, name) for name in UsageRecord.__dataclass_fields__}
    route = values.pop("route")
    for name in ("usage", "estimate", "saved"):
        usage = values.pop(name)
        counts = {} if usage is None else usage.as_dict()
        values |= {f"{name}_{kind}": count for kind, count in counts.items()}
    values["tier"] = None if route is None else route.tier
    # Tuples and a mapping: they stay together in a cell.
    values["metadata"] = dict(values["metadata"])
    return _in_dollars(values)


def _totals_frame(pandas: Any, groups: Mapping[str, UsageTotals]) -> pd.DataFrame:
    rows = []
    for totals in groups.values():
        values = asdict(totals)
        for name in ("usage", "saved", "estimate"):
            counts = values.pop(name)
            values |= {f"{name}_{kind}": count for kind, count in counts.items()}
        rows.append(_in_dollars(values))
    frame: pd.DataFrame = pandas.DataFrame(rows, index=pandas.Index(list(groups), name="group"))
    return frame


def _in_dollars(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.replace(_PICO, "_usd"): value / 1e12 if _PICO in name and value is not None else value
        for name, value in values.items()
    }
