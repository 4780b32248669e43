"""The usage report, and every way of showing it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from rich.console import Console

from langchain_bedrock_opt.contracts import RouteDecision, TokenUsage, UsageRecord
from langchain_bedrock_opt.usage.reporting.report import UsageReport, usage_report
from langchain_bedrock_opt.usage.reporting.totals import total

CHEAP = "us.amazon.nova-lite-v1:0"
DEAR = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
HOSTILE = "<script>alert(1)</script>&\"'|[red]{}"
MAX_BYTES = 30_000
Make = Callable[..., UsageRecord]


@pytest.fixture
def report(week: list[UsageRecord]) -> UsageReport:
    return usage_report(week)


@pytest.fixture
def crowd(record: Make) -> UsageReport:
    """Hundreds of models, tags and nodes with long and hostile names."""
    start = record().started_at
    return usage_report(
        record(
            run_id=str(number),
            started_at=start + timedelta(hours=7 * number),
            model_id=f"{HOSTILE} {'&' * 90} {number}",
            status=("ok", "ok", "aborted")[number % 3],
            usage=(TokenUsage(input=9), TokenUsage(input=9), None)[number % 3],
            cost_pico_usd=(10**12 * number, None, None)[number % 3],
            price_source="shipped",
            price_checked=f"2026-11-{number % 30:02}",
            stop_reason="max_tokens",
            tags=(f"{HOSTILE}:{number}",),
            path=("agent", f"{HOSTILE} {number}"),
            route=RouteDecision(tier=f"{HOSTILE} {number}", model_id=CHEAP, score=0.5),
        )
        for number in range(300)
    )


class Html(HTMLParser):
    """Notes tags, and sees that each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(report: UsageReport) -> Html:
    html = Html()
    html.feed(report._repr_html_())
    html.close()
    assert html.open == []
    return html


def test_report_of_nothing_says_so() -> None:
    """Without calls, every form says that there are none, and data is empty."""
    report = usage_report([])
    console = Console(file=io.StringIO())
    console.print(report)
    assert str(report) == "No calls."
    assert report._repr_html_() == "<p>No calls.</p>"
    assert report.to_markdown() == "No calls.\n"
    assert console.file.getvalue() == "No calls.\n"  # type: ignore[attr-defined] # it is a StringIO
    assert json.loads(report.to_json())["timeline"]["starts"] == []


def test_report_adds_up(week: list[UsageRecord], report: UsageReport) -> None:
    """Each section's sums are those of the records."""
    whole = total(week)
    assert report.totals == whole
    for groups in (report.models, report.nodes):
        assert sum(each.cost_pico_usd for each in groups.values()) == whole.cost_pico_usd
        assert sum(each.calls for each in groups.values()) == len(week)
    assert sum(report.timeline.columns) == whole.cost_pico_usd
    assert sum(each.cost_pico_usd for each in report.prices) == whole.cost_pico_usd
    assert report.savings.actual_pico_usd == whole.cost_pico_usd
    assert (report.first, report.last) == (week[0].started_at, week[-1].started_at)


def test_report_tells_what_is_not_known(report: UsageReport) -> None:
    """Unpriced calls are counted by model and never shown as free; estimates stand apart."""
    assert report.unpriced == {"acme.frontier-v9": 1}
    assert report.unmetered[DEAR].estimate == TokenUsage(input=1000, output=400)
    text = str(report)
    assert re.search(r"acme\.frontier-v9 +1 +no price", text)
    assert "+ 1 unpriced" in text
    assert "Calls whose tokens nobody said" in text


def test_report_tells_what_is_billed_by_the_hour(record: Make) -> None:
    """Calls on provisioned throughput are counted in each form, and never shown as free."""
    bought = record(
        model_id="arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefabcdef",
        resolved_id=CHEAP,
        usage=TokenUsage(input=9),
        price_tier="provisioned",
        price_source="hourly",
        cost_pico_usd=0,
    )
    shared = replace(bought, run_id="a", price_source="override", cost_pico_usd=10**12)
    hit = replace(bought, run_id="b", cache_hit=True)
    report = usage_report([bought, replace(bought, run_id="c"), hit, shared])

    said = "2 calls, in no cost here"
    assert report.to_dict()["hourly_calls"] == 2
    assert re.search(f"^billed by the hour +{said}$", str(report), re.MULTILINE)
    assert said in report.to_markdown()
    assert said in parsed(report).text
    assert re.search(r"nova-lite-v1:0 +1 +by the hour", str(usage_report([bought])))
    assert "by the hour" not in str(usage_report([record(usage=TokenUsage(input=9))]))


def test_sections_stand_in_order(report: UsageReport) -> None:
    """Text and Markdown hold the sections, from the headline figures to the findings."""
    titles = ["Usage", "Cost by model", "Cost by tag", "Cost by chain node", "Savings", "Latency",
              "Tokens", "Routes", "Prices", "Calls without a price", "Calls whose tokens",
              "Findings"]  # fmt: skip
    for text in (str(report), report.to_markdown()):
        places = [re.search(rf"^(## )?{title}", text, re.MULTILINE) for title in titles]
        starts = [place.start() for place in places if place is not None]
        assert starts == sorted(starts)
        assert len(starts) == len(titles)
    assert "complex (escalated from simple)" in str(report)


def test_models_go_by_what_their_arn_stands_for(record: Make) -> None:
    """Calls of an application profile that was resolved count under its model."""
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    report = usage_report([record(model_id=arn, resolved_id=CHEAP), record(model_id=CHEAP)])
    assert list(report.models) == [CHEAP]


def test_markdown_is_a_table_whatever_names_are(crowd: UsageReport) -> None:
    """A name with a bar or a tag in it breaks no table and is no markup."""
    text = crowd.to_markdown()
    assert "<" not in text
    rows = [line for line in text.splitlines() if "alert(1)" in line]
    assert rows
    assert all(row.startswith("| ") and row.endswith(" |") for row in rows)


def test_json_holds_no_float_of_money(report: UsageReport) -> None:
    """JSON holds money as whole pico-dollars, exact, and comes back as the same data."""
    values = json.loads(report.to_json(indent=None))
    assert values == report.to_dict()
    assert values["totals"]["cost_pico_usd"] == report.totals.cost_pico_usd
    assert values["models"][DEAR]["usage"]["cache_read"] == 3000
    assert "records" not in values


def test_notebook_gets_charts_and_tables(report: UsageReport) -> None:
    """HTML holds the figures, two charts that say in words what they show, and the tables."""
    html = report._repr_html_()
    assert {"svg", "table", "title"} <= parsed(report).seen
    assert html.count('role="img" aria-label="') == 2
    assert "Savings: without optimisation $" in html
    assert "Cost by chain node" in html


def test_html_is_small_and_safe(crowd: UsageReport) -> None:
    """With hundreds of long hostile names it stays below 30 KB, without script or address."""
    html = crowd._repr_html_()
    seen = parsed(crowd)
    assert len(html.encode()) <= MAX_BYTES
    assert seen.seen.isdisjoint({"script", "style", "link", "img", "iframe", "a", "red"})
    assert not re.search(r"https?:|url\(| on\w+=|javascript:", html)
    assert "other (292)" in seen.text


def test_html_suits_light_and_dark(report: UsageReport) -> None:
    """Text takes the notebook's own colour, so that it can be read on any ground."""
    html = report._repr_html_()
    assert 'fill="currentColor"' in html
    assert not re.search(r"(?<!-)color:|<text[^>]*fill|background", html)


def test_terminal_shows_tables(crowd: UsageReport, report: UsageReport) -> None:
    """Rich shows every section, and takes no name for markup."""
    console = Console(file=io.StringIO(), width=200)
    console.print(report)
    console.print(crowd)
    shown = console.file.getvalue()  # type: ignore[attr-defined] # it is a StringIO
    assert "Cost by chain node" in shown
    assert "[red]{}" in shown


def test_japanese_names_line_up(record: Make) -> None:
    """A wide character takes two columns, so that figures stand below each other."""
    text = str(usage_report([record(tags=("夜間",), run_id="a"), record(tags=("ab",), run_id="b")]))
    wide, narrow = (line for line in text.splitlines() if line.startswith(("夜間 ", "ab ")))
    assert wide.index("1") + 2 == narrow.index("1")


def test_charts_can_be_empty(record: Make) -> None:
    """Calls that cost nothing give a report without charts, not an error."""
    report = usage_report([record(status="error", error="ValidationException")])
    assert "svg" not in parsed(report).seen
    assert "100.0%" in str(report)


def test_report_loads_nothing_for_plots() -> None:
    """Reporting to a notebook or as text imports neither a plotting nor a table package."""
    script = (
        "import sys\n"
        "from langchain_bedrock_opt import UsageLedger\n"
        "report = UsageLedger().report()\n"
        "str(report), report._repr_html_(), report.to_json(), report.to_markdown()\n"
        "found = {'matplotlib', 'pandas', 'rich', 'plotly', 'altair'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
