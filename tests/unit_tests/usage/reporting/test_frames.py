"""The report as pandas frames and as a matplotlib figure."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from langchain_bedrock_opt.contracts import UsageRecord
from langchain_bedrock_opt.errors import MissingExtraError
from langchain_bedrock_opt.usage.reporting.report import usage_report

pytest.importorskip("pandas")
pytest.importorskip("matplotlib")

DEAR = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


def test_frames_hold_records_and_tables(week: list[UsageRecord]) -> None:
    """The records' frame has a row a call, by time; the others a row a group."""
    report = usage_report(reversed(week))
    frames = report.to_pandas()
    records = frames["records"]
    assert list(records["run_id"]) == [record.run_id for record in week]
    assert str(records.index.tz) == "UTC"
    assert records["cost_usd"].sum() == pytest.approx(float(report.totals.cost_usd))
    assert records["cost_usd"].isna().sum() == 3  # unpriced, failed and broken off: not 0
    assert records["usage_cache_read"].sum() == 3000
    assert frames["models"].loc[DEAR, "calls"] == 6
    assert frames["timeline"].to_numpy().sum() == pytest.approx(float(report.totals.cost_usd))
    saved = report.savings.total_saved_pico_usd / 1e12
    assert frames["savings"]["saved_usd"].sum() == pytest.approx(saved)
    assert set(frames["findings"]["kind"]) == {found.kind for found in report.findings}


def test_frames_of_nothing_are_empty() -> None:
    """Without calls every frame is there, and empty."""
    frames = usage_report([]).to_pandas()
    assert len(frames) == 9
    assert all(frame.empty for name, frame in frames.items() if name != "savings")


@pytest.mark.parametrize("calls", [0, 1, 9])
def test_figure_is_drawn_without_a_display(week: list[UsageRecord], calls: int) -> None:
    """The figure has three plots and can be saved, whatever there is to show."""
    figure = usage_report(week[:calls]).plot()
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Cost over time", "Savings", "Calls done within"]
    assert picture.getvalue().startswith(b"\x89PNG")
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize(("package", "method"), [("pandas", "to_pandas"), ("matplotlib", "plot")])
def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, package: str, method: str) -> None:
    """Without the extra, the error says how to get it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    show: Callable[[], object] = getattr(usage_report([]), method)
    with pytest.raises(MissingExtraError, match=r"langchain-bedrock-opt\[report\]"):
        show()
