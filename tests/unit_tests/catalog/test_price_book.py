"""Layers of prices: the first that has one wins, and what no layer knows is unpriced."""

from __future__ import annotations

import json
import logging
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_bedrock_opt.catalog.model_ids import parse_model_id
from langchain_bedrock_opt.catalog.model_price import KINDS, ModelPrice, PriceStep
from langchain_bedrock_opt.catalog.price_book import (
    PRICES_VARIABLE,
    PriceBook,
    default_price_file,
    default_prices,
)
from langchain_bedrock_opt.catalog.price_genai import genai_price
from langchain_bedrock_opt.catalog.price_rows import RateCard
from langchain_bedrock_opt.contracts import TokenUsage
from langchain_bedrock_opt.errors import ConfigurationError
from tests.extras import needs_genai_prices

NOVA = "us.amazon.nova-lite-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012:{}"
PROVISIONED = ARN.format("provisioned-model/abcdefghij12")
APPLICATION = ARN.format("application-inference-profile/abcdefghij12")

MULTIPLIERS = st.fractions(min_value=Fraction(1, 1000), max_value=3)
PRICES = st.builds(
    ModelPrice,
    **{kind: st.integers(0, 10**9) for kind in KINDS},
    steps=st.lists(
        st.builds(
            PriceStep,
            above=st.integers(1, 10**6),
            **{kind: st.integers(0, 10**9) for kind in KINDS},
        ),
        max_size=3,
        unique_by=lambda step: step.above,
    ).map(lambda steps: tuple(sorted(steps, key=lambda step: step.above))),
    source=st.just("test"),
    checked=st.just("2026-11-22"),
)
USAGE = st.builds(TokenUsage, **{kind: st.integers(0, 10**6) for kind in KINDS})


def book(*args: Any, **kwargs: Any) -> PriceBook:
    return PriceBook(*args, **{"file": None, "genai_prices": False, **kwargs})


def write_file(path: Path, **row: Any) -> Path:
    full = {"model": "amazon.nova-lite-v1:0", "scope": "us", "input": "7", "output": "8"}
    rows = [{**full, "source": "AWS Price List", "checked": "2026-11-23", **row}]
    path.write_text(json.dumps({"unit": "USD per million tokens", "prices": rows}))
    return path


def layer_of(prices: PriceBook, model_id: str, **kwargs: Any) -> str | None:
    price = prices.price_of(model_id, **kwargs)
    return None if price is None else price.layer


def test_an_override_wins_over_every_list(tmp_path: Path) -> None:
    """What the user says a model costs is what it costs."""
    prices = book({NOVA: {"input": "0.05", "output": "0.2"}}, file=write_file(tmp_path / "p.json"))
    price = prices.price_of(NOVA)
    assert price is not None
    assert (price.input, price.output, price.layer) == (50_000, 200_000, "override")


def test_a_refreshed_file_wins_over_shipped_rows(tmp_path: Path) -> None:
    """A fresher price is taken, and what the file does not have comes from the shipped rows."""
    prices = book(file=write_file(tmp_path / "p.json"))
    price = prices.price_of(NOVA)
    assert price is not None
    assert (price.input, price.layer, price.checked) == (7_000_000, "refreshed", "2026-11-23")
    assert layer_of(prices, "us.amazon.nova-pro-v1:0") == "shipped"


def test_what_nobody_knows_is_unpriced() -> None:
    """A model of no layer has no price, rather than a free one."""
    assert book().price_of("acme.frontier-v9") is None
    assert PriceBook(file=None).price_of("acme.frontier-v9") is None
    assert book().price_of("no model id at all") is None


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        (NOVA, NOVA),
        (NOVA, ARN.format(f"inference-profile/{NOVA}")),
        (ARN.format(f"inference-profile/{NOVA}"), NOVA),
        (APPLICATION, APPLICATION),
        ("my-gateway-model", "my-gateway-model"),
    ],
)
def test_an_override_is_found_by_id_and_by_arn(key: str, asked: str) -> None:
    """A profile and its ARN are one; an application profile is known by its own ARN."""
    assert layer_of(book({key: {"input": 1, "output": 2}}), asked) == "override"


def test_an_arn_is_priced_by_what_it_stands_for() -> None:
    """An application profile costs what its model and scope cost, in the region it is in."""
    prices = book()
    assert prices.price_of(APPLICATION) is None
    assert prices.price_of(APPLICATION, resolved_id=NOVA) == prices.price_of(
        NOVA, region="us-east-1"
    )
    tokyo = APPLICATION.replace("us-east-1", "ap-northeast-1")
    price = prices.price_of(tokyo, resolved_id="amazon.nova-lite-v1:0")
    assert price is not None
    assert price.input == 72_000


def test_an_override_of_an_arn_wins_over_what_it_stands_for() -> None:
    """The user may price one application profile by itself, or all calls of its model."""
    one = book({APPLICATION: {"input": 1, "output": 1}})
    every = book({NOVA: {"input": 1, "output": 1}})
    for prices in (one, every):
        assert layer_of(prices, APPLICATION, resolved_id=NOVA) == "override"


def test_an_override_without_a_tier_is_no_batch_price() -> None:
    """A price of the user's own holds for the tier it was given for."""
    prices = book(
        {
            NOVA: {"input": "0.05", "output": "0.2"},
            (NOVA, "flex"): {"input": "0.01", "output": "0.1"},
        }
    )
    assert layer_of(prices, NOVA, tier="batch") == "shipped"
    assert layer_of(prices, NOVA, tier="flex") == "override"


def test_provisioned_throughput_costs_nothing_a_token_and_says_so() -> None:
    """Hours are paid for anyway, so the price is 0, in a layer of its own, for that tier alone."""
    price = book().price_of(PROVISIONED, tier="provisioned")
    assert price is not None
    assert price.layer == "hourly"
    everything = TokenUsage(**dict.fromkeys(KINDS, 10))
    assert price.cost(everything) == 0
    assert book().price_of(PROVISIONED) is None


def test_provisioned_throughput_may_have_a_price_of_the_users() -> None:
    """A share of the hourly price that a token bears wins over 0."""
    prices = book({PROVISIONED: {"input": "0.4", "output": "1.6"}})
    assert layer_of(prices, PROVISIONED, tier="provisioned") == "override"


def test_an_override_may_be_about_a_tag() -> None:
    """Runs with a tag have prices of their own, and others have not."""
    prices = book(by_tag={"team:research": {NOVA: {"input": "0.03", "output": "0.12"}}})
    tagged = prices.price_of(NOVA, tags=["x", "team:research"])
    assert tagged is not None
    assert tagged.input == 30_000
    assert layer_of(prices, NOVA, tags=["team:other"]) == "shipped"
    assert layer_of(prices, "us.amazon.nova-pro-v1:0", tags=["team:research"]) == "shipped"


def test_a_multiplier_is_for_lists_and_not_for_overrides() -> None:
    """An account's discount is taken off list prices; the user's own are final."""
    prices = book({NOVA: {"input": "0.05", "output": "0.2"}}, multiplier=Decimal("0.9"))
    own, listed = prices.price_of(NOVA), prices.price_of("us.amazon.nova-pro-v1:0")
    assert own is not None
    assert listed is not None
    assert own.input == 50_000
    assert (listed.input, listed.output) == (720_000, 2_880_000)
    assert listed.layer == "shipped"
    assert "9/10" in listed.source


@given(PRICES, MULTIPLIERS)
def test_a_multiplier_is_rounded_once_a_price(price: ModelPrice, multiplier: Fraction) -> None:
    """Each price is its list price times the factor, to the nearest pico-dollar, halves to even."""
    scaled = price.scaled(multiplier)
    for before, after in ((price, scaled), *zip(price.steps, scaled.steps, strict=True)):
        for kind in KINDS:
            exact = Fraction(getattr(before, kind)) * multiplier
            error = abs(getattr(after, kind) - exact)
            assert error <= Fraction(1, 2)
            assert error < Fraction(1, 2) or getattr(after, kind) % 2 == 0


@given(PRICES, USAGE, MULTIPLIERS)
def test_costs_add_up_whatever_the_multiplier(
    price: ModelPrice, usage: TokenUsage, multiplier: Fraction
) -> None:
    """The prices of one length of prompt add up, kind by kind, to the last pico-dollar."""
    scaled = price.scaled(multiplier)
    prompt = usage.total - usage.output
    rates: ModelPrice | PriceStep = scaled
    for step in scaled.steps:
        if prompt > step.above:
            rates = step
    assert scaled.cost(usage) == sum(getattr(usage, kind) * getattr(rates, kind) for kind in KINDS)


@given(PRICES, USAGE)
def test_a_step_starts_behind_its_length(price: ModelPrice, usage: TokenUsage) -> None:
    """A prompt of exactly a step's length costs the price below it."""
    for step in price.steps:
        at = TokenUsage(input=step.above)
        over = TokenUsage(input=step.above + 1)
        assert price.cost(over) == (step.above + 1) * step.input
        below = [other for other in price.steps if other.above < step.above]
        expected = below[-1].input if below else price.input
        assert price.cost(at) == step.above * expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"multiplier": 0.9}, r"multiplier=0\.9 is not exact"),
        ({"multiplier": "0"}, "must be above 0"),
        ({"multiplier": "ten"}, "is not a number"),
        ({"overrides": {NOVA: {"input": 0.1, "output": "1"}}}, "is not exact"),
        ({"overrides": {NOVA: {"input": "-1", "output": "1"}}}, "must not be negative"),
        ({"overrides": {NOVA: {"input": "0.0000001", "output": "1"}}}, "be whole in millionths"),
        ({"overrides": {NOVA: {"output": "1"}}}, "it needs input"),
        ({"overrides": {NOVA: {"input": "1", "cached": "1"}}}, "has cached, input"),
        ({"overrides": {NOVA: {"input": "1"}}}, "it needs input and output"),
        ({"overrides": {NOVA: "1"}}, "give its prices"),
        ({"by_tag": {"team:a": {"input": "1"}}}, "give its prices"),
        ({"by_tag": {"a": {NOVA: {}}}}, "has nothing"),
        ({"file": "/no/such/file.json"}, "is no file of prices.*prices refresh"),
    ],
)
def test_a_mistake_is_told_at_construction(arguments: dict[str, Any], message: str) -> None:
    """A wrong price is refused at once, with the value and the fix."""
    with pytest.raises(ConfigurationError, match=message):
        book(**arguments)


def test_the_environment_names_a_refreshed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an argument the file that BEDROCK_OPT_PRICES names is read."""
    monkeypatch.setenv(PRICES_VARIABLE, str(write_file(tmp_path / "prices.json")))
    assert default_price_file() == tmp_path / "prices.json"
    assert layer_of(PriceBook(), NOVA) == "refreshed"


def test_the_users_cache_folder_is_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was refreshed into the default place is found, and none is made."""
    monkeypatch.delenv(PRICES_VARIABLE, raising=False)
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    assert layer_of(PriceBook(), NOVA) == "shipped"
    assert not list(tmp_path.iterdir())
    default_price_file().parent.mkdir()
    write_file(default_price_file())
    assert layer_of(PriceBook(), NOVA) == "refreshed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"unit": "USD per thousand tokens", "prices": [{}]}',
        '{"unit": "USD per million tokens", "prices": []}',
        '{"unit": "USD per million tokens", "prices": [{"model": "a.b"}]}',
        '{"unit": "USD per million tokens", "prices": [3]}',
    ],
)
def test_a_broken_file_is_passed_over(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that can't be read costs a line in the log, and no call."""
    path = tmp_path / "prices.json"
    path.write_text(text)
    monkeypatch.setenv(PRICES_VARIABLE, str(path))
    with caplog.at_level(logging.WARNING):
        assert layer_of(PriceBook(), NOVA) == "shipped"
    assert len(caplog.records) == 1


def test_a_file_that_is_named_and_missing_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A variable that names no file costs a line in the log."""
    monkeypatch.setenv(PRICES_VARIABLE, str(tmp_path / "none.json"))
    with caplog.at_level(logging.WARNING):
        assert layer_of(PriceBook(), NOVA) == "shipped"
    assert "shipped ones are used" in caplog.text


def test_the_process_has_one_book() -> None:
    """The default book is made once, so that its files are read once."""
    assert default_prices() is default_prices()


@needs_genai_prices
def test_genai_prices_answers_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that only genai-prices knows is priced, and says by whom."""
    # Sonic charges for audio too, so its price of text alone is not taken.
    assert PriceBook(file=None).price_of("amazon.nova-sonic-v1:0") is None
    model = "global.anthropic.claude-haiku-5-5"
    assert layer_of(PriceBook(file=None), model) == "shipped"
    monkeypatch.setattr(
        "langchain_bedrock_opt.catalog.price_book.shipped_rates", lambda: RateCard([], "shipped")
    )
    assert layer_of(PriceBook(file=None), model) == "genai-prices"
    assert layer_of(book(), model) is None


@needs_genai_prices
def test_genai_prices_are_ours_exactly() -> None:
    """Its price, long prompts and 1-hour writes included, is the shipped one to the pico-dollar."""
    model = parse_model_id("global.anthropic.claude-haiku-5-5")
    theirs, ours = genai_price(model, "default", None), book().price_of(model.raw)
    assert theirs is not None
    assert ours is not None
    assert theirs.steps == ours.steps
    assert [getattr(theirs, kind) for kind in KINDS] == [getattr(ours, kind) for kind in KINDS]


@pytest.mark.parametrize(
    ("model_id", "tier", "region"),
    [
        ("eu.amazon.nova-lite-v1:0", "default", None),
        ("amazon.nova-lite-v1:0", "default", "eu-west-1"),
        ("amazon.nova-lite-v9:0", "default", None),
        ("anthropic.claude-sonnet-4-5-20990101-v1:0", "default", None),
        ("anthropic.claude-haiku-5-5", "batch", None),
        ("us-gov.anthropic.claude-haiku-5-5", "default", None),
        ("anthropic.claude-haiku-5-5", "default", "us-gov-west-1"),
        ("jp.amazon.nova-2-lite-v1:0", "default", None),
        (PROVISIONED, "default", None),
    ],
)
def test_genai_prices_is_not_believed_where_it_guesses(
    model_id: str, tier: str, region: str | None
) -> None:
    """Ids are matched by parts there: another model, region or tier is no result."""
    assert genai_price(parse_model_id(model_id), tier, region) is None


def test_without_genai_prices_the_book_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that is not installed is no layer; asked for by name it is missed at once."""
    monkeypatch.setattr("langchain_bedrock_opt.catalog.price_book.find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert PriceBook(file=None).price_of("acme.unheard-of-v7") is None
    with pytest.raises(ConfigurationError, match=r"langchain-bedrock-opt\[prices\]"):
        PriceBook(file=None, genai_prices=True)


@pytest.mark.parametrize(
    ("model_id", "region", "usd"),
    [
        ("amazon.nova-lite-v1:0", None, "0.06"),
        ("amazon.nova-lite-v1:0", "us-west-2", "0.06"),
        ("amazon.nova-lite-v1:0", "eu-west-2", "0.084"),
        ("amazon.nova-lite-v1:0", "me-central-1", None),
        ("eu.amazon.nova-lite-v1:0", None, "0.078"),
        ("eu.amazon.nova-lite-v1:0", "eu-central-1", "0.078"),
        ("eu.amazon.nova-lite-v1:0", "eu-west-3", "0.088"),
        ("eu.amazon.nova-lite-v1:0", "eu-south-1", None),
        ("us.amazon.nova-2-lite-v1:0", "us-west-1", "0.429"),
        ("us.amazon.nova-2-lite-v1:0", "ca-central-1", "0.352"),
        ("global.amazon.nova-2-lite-v1:0", "ap-southeast-1", "0.41"),
        ("global.amazon.nova-2-lite-v1:0", "sa-east-1", None),
        ("anthropic.claude-sonnet-5", "eu-south-1", "2.2"),
        ("global.anthropic.claude-sonnet-5", "sa-east-1", "2"),
        ("anthropic.claude-sonnet-5", "us-gov-west-1", "2.4"),
        ("us.writer.palmyra-x5-v1:0", "us-west-1", "0.6"),
        ("arn:aws:bedrock:eu-west-2::foundation-model/amazon.nova-lite-v1:0", None, "0.084"),
    ],
)
def test_a_region_has_its_own_list_price_or_none(
    model_id: str, region: str | None, usd: str | None
) -> None:
    """A profile costs what its calling region lists; a region that nobody quotes is unpriced."""
    price = book().price_of(model_id, region=region)
    assert (None if price is None else Decimal(price.input) / 10**6) == (usd and Decimal(usd))
