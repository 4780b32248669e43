"""What a plan takes, says and shows."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from langchain_bedrock_opt import BedrockEmulator, ChatBedrockOptimized
from langchain_bedrock_opt.capacity.planning import (
    Load,
    ThroughputPlan,
    minute_load,
    plan_throughput,
)
from langchain_bedrock_opt.catalog.model_price import ModelPrice, PriceStep
from langchain_bedrock_opt.catalog.model_units import UnitCapacity
from langchain_bedrock_opt.catalog.prices import price_of
from langchain_bedrock_opt.contracts import TokenUsage, UsageRecord
from langchain_bedrock_opt.errors import ConfigurationError, MissingExtraError
from langchain_bedrock_opt.usage import BedrockUsageCallbackHandler, UsageLedger

SONNET = UnitCapacity(input_per_minute=180_000, output_per_minute=36_000)
PRICE = ("3", "15")
NOON = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
BURSTS = [(45_000, 9_000)] * 900 + [(450_000, 90_000)] * 540
HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"


def call(minute: float, *, model: str = HAIKU, **more: Any) -> UsageRecord:
    values = {"usage": TokenUsage(input=1000, output=100), **more}
    return UsageRecord(
        run_id=str(minute),
        started_at=NOON + timedelta(minutes=minute),
        model_id=model,
        status="ok",
        **values,
    )


@pytest.fixture(scope="module")
def plan() -> ThroughputPlan:
    return plan_throughput(BURSTS, SONNET, "20", PRICE)


def test_sizing_for_a_percentile_costs_more(plan: ThroughputPlan) -> None:
    """The plan says what units enough for 95 % of the minutes would cost, and costs less."""
    assert plan.units == 2
    assert plan.sized_for(95).units == 3
    assert plan.hourly_cost < plan.sized_for(95).hourly_cost
    assert plan.saving == plan.on_demand_hourly - plan.hourly_cost > 0


def test_a_plan_reads_as_text(plan: ThroughputPlan) -> None:
    """`print` shows what to buy, the rows around it and where a unit begins to pay."""
    text = str(plan)

    assert text.startswith("Buy 2 units without commitment at $20.00 an hour: ")
    assert " 2 *" in text
    assert "The first unit pays below" in text
    assert str(plan_throughput(BURSTS, SONNET, 500, PRICE)).startswith("Buy no unit: ")


def test_many_rows_are_shown_around_the_choice() -> None:
    """Of a plan of many units the text shows some ten rows and says that there are more."""
    plan = plan_throughput([(180_000 * 20, 0), (180_000 * 60, 0)], SONNET, "20", PRICE)

    lines = str(plan).splitlines()

    assert plan.units == 20
    assert len(plan.rows) == 61
    assert len(lines) < 20
    assert sum("…" in line for line in lines) == 2


def test_a_plan_is_json(plan: ThroughputPlan) -> None:
    """`to_json` keeps amounts exact as text and leaves the minutes out."""
    document = json.loads(plan.to_json())

    assert document["units"] == 2
    assert document["capacity"]["input_per_minute"] == 180_000
    assert Decimal(document["saving"]) == plan.saving
    assert [row["units"] for row in document["rows"]] == [0, 1, 2, 3]
    assert "minute_units" not in document


def test_a_plan_is_shown_in_a_notebook(plan: ThroughputPlan) -> None:
    """A notebook shows a table with the choice in bold, without script or anything to fetch."""
    html = plan._repr_html_()

    assert html.count("<tr") == 5
    assert html.count("font-weight:bold") == 1
    assert "<script" not in html
    assert "http" not in html


def test_a_plan_is_a_frame_and_a_figure(plan: ThroughputPlan) -> None:
    """With the extra there are a frame of the rows and a figure of cost and load."""
    pytest.importorskip("matplotlib")
    pd = pytest.importorskip("pandas")

    frame, figure = plan.to_pandas(), plan.plot()
    of_a_frame = plan_throughput(pd.DataFrame(BURSTS), SONNET, "20", PRICE)

    assert of_a_frame == plan
    assert frame.loc[2, "hourly_cost"] == float(plan.hourly_cost)
    costs, load = figure.axes
    assert costs.get_legend() is not None
    assert len(load.get_lines()) == 1 + 2 + 1


@pytest.mark.parametrize(("package", "method"), [("pandas", "to_pandas"), ("matplotlib", "plot")])
def test_a_missing_extra_is_named(
    plan: ThroughputPlan, package: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra, frames and plots say what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.figure", None)

    with pytest.raises(MissingExtraError, match=r"langchain-bedrock-opt\[report\]"):
        getattr(plan, method)()


def test_commitments_need_two_weeks_of_load() -> None:
    """With less than 14 days no commitment is recommended, whatever it saves; the user may."""
    prices = {None: 30, "OneMonth": 20, "SixMonths": 10}
    day = [(90_000, 18_000)] * 1440

    short = plan_throughput(day, SONNET, prices, PRICE)  # type: ignore[arg-type] # literals
    long = plan_throughput(day * 14, SONNET, prices, PRICE)  # type: ignore[arg-type] # likewise
    bold = plan_throughput(
        day,
        SONNET,
        prices,  # type: ignore[arg-type] # likewise
        PRICE,
        min_commitment_days=1,
    )

    assert (short.units, short.commitment) == (1, None)
    assert [option.is_allowed for option in short.options] == [True, False, False]
    assert "OneMonth and SixMonths did not count" in str(short)
    assert (long.units, long.commitment, long.unit_price) == (1, "SixMonths", Decimal("10.00"))
    assert bold.commitment == "SixMonths"
    only = plan_throughput(day, SONNET, {"OneMonth": 20}, PRICE)
    assert (only.units, only.saving) == (0, Decimal(0))
    assert "only units with a commitment would save" in str(only)


def test_equal_prices_take_the_shorter_commitment() -> None:
    """Nobody is bound for longer than it pays."""
    month = [(90_000, 18_000)] * 1440 * 30

    plan = plan_throughput(month, SONNET, {"SixMonths": 20, "OneMonth": 20}, PRICE)

    assert plan.commitment == "OneMonth"


def test_growth_and_headroom_change_what_fits() -> None:
    """A load that doubles fills twice the units, and headroom leaves a share of each free."""
    load = [(90_000, 18_000)] * 60

    assert plan_throughput(load, SONNET, 20, PRICE).minute_units[0] == 0.5
    assert plan_throughput(load, SONNET, 20, PRICE, growth=2).minute_units[0] == 1
    free = plan_throughput(load, SONNET, 20, PRICE, headroom="0.2")
    assert free.minute_units[0] == 0.625
    assert free.rows[1].utilisation == pytest.approx(0.5)


def test_usage_records_are_a_load() -> None:
    """Records count in the minute in which they began, with zeros for minutes without calls."""
    spent = TokenUsage(input=10, output=20, cache_read=30, cache_write_5m=40, cache_write_1h=50)
    records = [call(2.5, usage=spent), call(0.99), call(0), call(2.01)]

    load = minute_load(iter(records))

    assert load.start == NOON
    assert load.tokens.tolist() == [
        [2000, 200, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [1010, 120, 30, 40, 50],
    ]
    assert plan_throughput(records[1:], SONNET, 20, price_of(HAIKU)).minutes == 3


def test_only_what_would_go_to_a_unit_counts() -> None:
    """Hits of a cache, invocation jobs and failures are left out; estimates stand in."""
    records = [
        call(0),
        call(1, cache_hit=True),
        call(2, price_tier="batch"),
        call(3, usage=None),
        call(4, usage=None, unmetered=True, estimate=TokenUsage(input=7, output=3)),
    ]

    load = minute_load(records)

    assert load.tokens[:, :2].tolist() == [[1000, 100], [0, 0], [0, 0], [0, 0], [7, 3]]


def test_a_unit_serves_one_model() -> None:
    """Records of two models need the one to plan for, whose profiles count together."""
    bare = HAIKU.removeprefix("us.")
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    records = [
        call(0),
        call(0, model=bare),
        call(0, model=arn, resolved_id=HAIKU),
        call(0, model="amazon.nova-lite-v1:0"),
    ]

    with pytest.raises(ConfigurationError, match="of 2 models"):
        minute_load(records)
    assert minute_load(records[:3]).tokens[0, 0] == 3000
    assert minute_load(records, arn).tokens[0, 0] == 1000

    assert minute_load(records, bare).tokens[0, 0] == 3000
    assert minute_load(records, [HAIKU, "amazon.nova-lite-v1:0"]).tokens[0, 0] == 4000


def test_a_window_of_time_is_kept_to() -> None:
    """`since` and `until` bound the load, and minutes without calls at its ends count."""
    records = [call(minute) for minute in range(10)]

    load = minute_load(
        records, since=NOON + timedelta(minutes=8), until=NOON + timedelta(minutes=12)
    )

    assert load.tokens[:, 0].tolist() == [1000, 1000, 0, 0]
    assert load.start == NOON + timedelta(minutes=8)


def test_a_ledger_of_real_calls_is_planned() -> None:
    """What a ledger recorded of a model's calls goes into the planner as it is."""
    client = BedrockEmulator().client()
    ledger = UsageLedger()
    model = ChatBedrockOptimized(model=HAIKU, client=client, bedrock_client=client, max_tokens=50)
    handler = BedrockUsageCallbackHandler([ledger])
    for prompt in ("Hello!", "こんにちは、調子はどうですか?"):
        model.invoke(prompt, {"callbacks": [handler]})

    plan = plan_throughput(ledger.records(), SONNET, "20", price_of(HAIKU))

    assert plan.units == 0
    assert plan.on_demand_hourly > 0


@pytest.mark.parametrize(
    ("load", "message"),
    [
        ([], "empty"),
        ([(1, -1)], "output of minute 0 is -1"),
        ([(1, 1), (float("nan"), 1)], "input of minute 1 is nan"),
        ([(float("inf"), 1)], "is inf"),
        ([(1, 2, 3)], "no pair"),
        ([(1, 2), (3,)], "no pair"),
        (np.zeros((0, 2)), "empty"),
        (np.zeros(5), "no pair"),
        ([("a", "b")], "no list of one number"),
        ([call(0, cache_hit=True)], "No call"),
        ([call(0), call(60 * 24 * 365 * 9)], "five years"),
    ],
)
def test_a_load_that_is_none_is_refused(load: Any, message: str) -> None:
    """An empty load, or one that is not of numbers from 0 up, is refused with what is wrong."""
    with pytest.raises(ConfigurationError, match=message):
        plan_throughput(load, SONNET, 20, PRICE)


def _stepped() -> ModelPrice:
    step = PriceStep(above=200_000, input=6, output=6)
    return ModelPrice(input=3, output=3, steps=(step,), source="list", checked="")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: plan_throughput([(1, 1)], None, 20, PRICE), "unit_capacity=None"),  # type: ignore[arg-type]
        (lambda: plan_throughput([(1, 1)], SONNET, 0, PRICE), "unit_price=0 must be above 0"),
        (lambda: plan_throughput([(1, 1)], SONNET, "x", PRICE), "'x' is no number"),
        (lambda: plan_throughput([(1, 1)], SONNET, {"Year": 1}, PRICE), "OneMonth"),  # type: ignore[dict-item]
        (lambda: plan_throughput([(1, 1)], SONNET, {}, PRICE), "OneMonth"),
        (lambda: plan_throughput([(1, 1)], SONNET, 20, price_of("acme.new-v1")), "price=None"),
        (lambda: plan_throughput([(1, 1)], SONNET, 20, ("3", -1)), "price of output=-1"),
        (lambda: plan_throughput([(1, 1)], SONNET, 20, ("0", 0)), "0 a token"),
        (lambda: plan_throughput([(1, 1)], SONNET, 20, PRICE, headroom=1), "headroom=1 must"),
        (lambda: plan_throughput([(1, 1)], SONNET, 20, PRICE, growth=0), "growth=0 must"),
        (lambda: plan_throughput([(1, 1)], SONNET, 20, PRICE, growth=1e300), "at most 1,000,000"),
        (lambda: plan_throughput([(1, 1)], SONNET, "1e30", PRICE), "unit_price='1e30' must be at"),
        (lambda: plan_throughput([(1, 1)], SONNET, 20, ("1e20", 1)), "of input='1e20' must be at"),
        (lambda: plan_throughput([(1, 1)], SONNET, 20, PRICE, cache_read_weight=2), "weight=2"),
        (lambda: plan_throughput([(1, 1)], SONNET, 20, PRICE, max_units=0), "max_units=0"),
        (lambda: plan_throughput([(1, 1)], SONNET, 20, PRICE).row(9), "rows for 0 to 1"),
        (lambda: plan_throughput([(1, 1)], SONNET, 20, PRICE).sized_for(101), "percentile=101"),
        (
            lambda: plan_throughput(Load([1], [1], cache_read=[5]), SONNET, 20, PRICE),
            "5 cache_read tokens",
        ),
        (lambda: Load([1], [1, 2]), "1 minutes of input and 2 of output"),
        (lambda: minute_load([call(0)], since=datetime(2026, 1, 1)), "time zone"),  # noqa: DTZ001
    ],
)
def test_a_mistake_is_named_with_its_fix(wrong: Callable[[], object], message: str) -> None:
    """Each wrong argument is refused before anything is reckoned, with its value."""
    with pytest.raises(ConfigurationError, match=message):
        wrong()


def test_what_the_figures_leave_out_is_noted() -> None:
    """A plan says that long prompts cost more on demand, and that it looked no further."""
    stepped = plan_throughput([(1, 1)], SONNET, 20, _stepped())
    capped = plan_throughput([(10**6, 10**5)] * 9, SONNET, 1, PRICE, max_units=2)

    assert "above 200,000 tokens" in stepped.notes[0]
    assert (capped.units, len(capped.rows)) == (2, 3)
    assert "max_units" in capped.notes[0]
    assert plan_throughput([(360_000, 0)], SONNET, 1, PRICE, max_units=2).notes == ()
    assert capped.rows[2].overflow_cost > 0
