"""A fresh file of prices from the AWS Price List: fetch, check, replace.

Two ways to the same list: the bulk offers, which need no credentials, and `GetProducts` of a
boto3 `pricing` client. Nothing is fetched unless it is asked for.

Unverified against AWS: the form of the offers is known from what others read and quote.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from langchain_bedrock_opt.aws.errors import BOTOCORE_ERRORS
from langchain_bedrock_opt.catalog.price_book import default_price_file
from langchain_bedrock_opt.catalog.price_rows import UNIT, RateCard, read_rows, shipped_rows
from langchain_bedrock_opt.catalog.price_skus import ReadPrices, read_products
from langchain_bedrock_opt.errors import ConfigurationError

OFFERS: Final = ("AmazonBedrock", "AmazonBedrockFoundationModels")
"""Where the prices are: Amazon's own and open models, and those sold through the Marketplace."""

BULK_URL: Final = "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws"
"""AWS's address of the bulk offers."""

MAX_BYTES: Final = 64 * 1024 * 1024
"""The largest file that is read. A region's offer has one or two megabytes."""

_TIMEOUT: Final = 30.0
_KEPT: Final = 2 / 3
"""The share of its rows that a new file must have, to take an old one's place."""

_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
_FETCH_ERRORS: Final = (OSError, HTTPException, ValueError, *BOTOCORE_ERRORS)

Clock = Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class RefreshReport:
    """What a refresh found and did.

    Attributes:
        path: The file.
        written: True if it was written; else the one that was there is untouched.
        problem: Why it was not written; empty if it was.
        rows: Rows in what was fetched.
        new: Models, scopes, tiers and regions that the old file had no price for.
        changed: Those that cost something else than in the old file.
        gone: Those that only the old file has.
        unmapped: Names in the Price List that this package does not know. They have no price.
        left_out: Models whose prices could not be read for sure, and why.
        poorer: Places that say less than the rows that come with this package, such as no price
            of the prompt cache: calls with such tokens are unpriced.
    """

    path: str
    written: bool
    problem: str = ""
    rows: int = 0
    new: int = 0
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    poorer: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The report as a JSON-ready dict."""
        return asdict(self)

    def __str__(self) -> str:
        """The report for people, in a few lines."""
        lines = [
            f"{self.path}: {self.rows} rows written, {self.new} new, {len(self.changed)} changed, "
            f"{len(self.gone)} gone"
            if self.written
            else f"{self.path}: not written, {self.problem}"
        ]
        for title, items in (
            ("changed", self.changed),
            ("gone", self.gone),
            ("unmapped", self.unmapped),
            ("left out", self.left_out),
            ("poorer", self.poorer),
        ):
            lines += [f"  {title}: {item}" for item in items]
        return "\n".join(lines)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def refresh_prices(
    path: str | os.PathLike[str] | None = None,
    *,
    client: Any = None,
    regions: Sequence[str] | None = None,
    base_url: str = BULK_URL,
    clock: Clock = _now,
) -> RefreshReport:
    """Write a file of prices from the AWS Price List, for `PriceBook`'s second layer.

    The file is replaced in one step, and only by one that can be read and has at least two thirds
    of its rows: a list that is empty, broken or cut short leaves the last good one.
    A book that was made before does not see the new file.

    Args:
        path: The file; by default where a `PriceBook` looks for it (`default_price_file`).
        client: A boto3 `pricing` client. Without one the bulk offers are read, which needs no
            credentials.
        regions: The regions to read; by default all.
        base_url: Where the bulk offers are, such as a mirror of your own.
        clock: The time, in UTC, which rows say they were checked at.

    Returns:
        What was found, and whether it was written. A failure to fetch is a report too.

    Raises:
        ConfigurationError: A region or the address is none.
    """
    file = Path(path) if path is not None else default_price_file()
    if not base_url.startswith(("https://", "http://")):
        raise ConfigurationError(f"base_url={base_url!r} must start with https:// or http://.")
    for region in regions or ():
        if not _REGION.fullmatch(region):
            raise ConfigurationError(f"regions: {region!r} is not a region such as 'us-east-1'.")
    now = clock().date().isoformat()
    try:
        items = (
            _bulk_products(base_url, regions) if client is None else _api_products(client, regions)
        )
        read = read_products(items, source=f"AWS Price List {now}", checked=now)
        fresh = RateCard(read.rows, "refreshed")
    except _FETCH_ERRORS as error:
        return RefreshReport(path=str(file), written=False, problem=f"can't be fetched: {error}")
    except (KeyError, TypeError, AttributeError) as error:
        return RefreshReport(
            path=str(file), written=False, problem=f"the list has another form: {error!r}"
        )
    return _replace(file, read, fresh)


def _replace(file: Path, read: ReadPrices, fresh: RateCard) -> RefreshReport:
    """Put new rows in a file's place, if they are good enough."""
    old = _rows_by_place(_old_rows(file))
    new = _rows_by_place(read.rows)
    problem = ""
    if not read.rows:
        problem = "the list has no prices"
    elif len(new) < len(old) * _KEPT:
        problem = f"the list has prices for {len(fresh)} places, and the file for {len(old)}"
    else:
        try:
            _write(file, read.rows)
        except OSError as error:
            problem = f"can't be written: {error}"
    return RefreshReport(
        path=str(file),
        written=not problem,
        problem=problem,
        rows=len(read.rows),
        new=len(new.keys() - old.keys()),
        changed=tuple(
            sorted(place for place in new.keys() & old.keys() if new[place] != old[place])
        ),
        gone=tuple(sorted(old.keys() - new.keys())),
        unmapped=read.unmapped,
        left_out=read.left_out,
        poorer=tuple(_poorer(new)),
    )


def _old_rows(file: Path) -> list[dict[str, Any]]:
    try:
        rows = read_rows(file.read_text("utf-8"))
        RateCard(rows, "refreshed")
    except (OSError, ValueError):
        return []  # none, or a broken one: anything is better
    return rows


def _rows_by_place(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Prices by model, scope, tier and region, without their source and date."""
    places: dict[str, dict[str, Any]] = {}
    for row in rows:
        prices = {
            name: value
            for name, value in row.items()
            if name not in ("model", "scope", "tier", "regions", "source", "checked")
        }
        for region in row.get("regions", ("everywhere",)):
            tier = row.get("tier", "default")
            places[f"{row['model']}, {row['scope']}, {tier}, {region}"] = prices
    return places


def _poorer(new: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Places with fewer kinds of prices than the shipped rows have there."""
    shipped = _rows_by_place(shipped_rows())
    for place in sorted(new.keys() & shipped.keys()):
        missing = (shipped[place].keys() - new[place].keys()) - {"max_prompt_tokens"}
        if missing:
            yield f"{place}: no {', '.join(sorted(missing))}"


def _write(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"unit": UNIT, "prices": rows}, indent=1)
    # A reader sees the old file or the new one, never half of one.
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as target:
            target.write(text)
            target.flush()
            os.fsync(target.fileno())
        Path(name).replace(file)
    except OSError:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _api_products(client: Any, regions: Sequence[str] | None) -> Iterator[Mapping[str, Any]]:
    for offer in OFFERS:
        pages = client.get_paginator("get_products").paginate(
            ServiceCode=offer, FormatVersion="aws_v1"
        )
        for page in pages:
            for text in page["PriceList"]:
                item = json.loads(text)
                # Filters of `GetProducts` are all met at once, so they can't name two regions.
                if regions is None or item["product"]["attributes"].get("regionCode") in regions:
                    yield item


def _bulk_products(base_url: str, regions: Sequence[str] | None) -> Iterator[Mapping[str, Any]]:
    for offer in OFFERS:
        root = f"{base_url.rstrip('/')}/{offer}/current"
        offered = sorted(_fetch(f"{root}/region_index.json")["regions"])
        for region in offered if regions is None else regions:
            if region in offered and _REGION.fullmatch(region):
                yield from _products(_fetch(f"{root}/{region}/index.json"))


def _products(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """An offer's products, each with its terms, as `GetProducts` has them."""
    terms = document["terms"].get("OnDemand", {})
    for sku, product in document["products"].items():
        yield {"product": product, "terms": {"OnDemand": terms.get(sku, {})}}


def _fetch(url: str) -> dict[str, Any]:
    """A JSON document.

    Raises:
        OSError: It can't be fetched.
        ValueError: It is larger than it may be, or not JSON.
    """
    with urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310 - refresh_prices checks the scheme
        body = response.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise ValueError(f"{url} has more than {MAX_BYTES} bytes")
    document: dict[str, Any] = json.loads(body)
    return document
