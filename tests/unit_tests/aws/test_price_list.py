"""A file of prices from the AWS Price List, over HTTP on loopback.

The offers have the form that readers of the list quote; AWS itself is out of reach here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from langchain_bedrock_opt.aws import price_list
from langchain_bedrock_opt.aws.clients import ClientSettings, shared_client
from langchain_bedrock_opt.aws.price_list import OFFERS, RefreshReport, refresh_prices
from langchain_bedrock_opt.catalog.price_book import PRICES_VARIABLE, PriceBook
from langchain_bedrock_opt.errors import ConfigurationError

PAGE = 3
Products = list[tuple[str, str, str, str, str]]
"""Region, name, usage type, unit and price."""


class PriceListServer(ThreadingHTTPServer):
    """Both ways to the Price List: bulk offers by GET, `GetProducts` by POST."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.offers: dict[str, Products] = {offer: [] for offer in OFFERS}
        self.broken: dict[str, bytes] = {}
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer_get(self, path: str) -> bytes | None:
        if path in self.broken:
            return self.broken[path]
        offer, _, rest = path.strip("/").partition("/current/")
        regions = sorted({region for region, *_ in self.offers.get(offer, [])})
        if rest == "region_index.json":
            return json.dumps({"regions": {region: {} for region in regions}}).encode()
        products, terms = {}, {}
        for sku, item in self._items(offer):
            if item["product"]["attributes"]["regionCode"] == rest.partition("/")[0]:
                products[sku], terms[sku] = item["product"], item["terms"]["OnDemand"]
        if not products:
            return None
        return json.dumps({"products": products, "terms": {"OnDemand": terms}}).encode()

    def answer_post(self, request: dict[str, Any]) -> bytes:
        items = [json.dumps(item) for _, item in self._items(request["ServiceCode"])]
        start = int(request.get("NextToken") or 0)
        answer: dict[str, Any] = {"PriceList": items[start : start + PAGE]}
        if start + PAGE < len(items):
            answer["NextToken"] = str(start + PAGE)
        return json.dumps(answer).encode()

    def _items(self, offer: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for number, (region, name, usage_type, unit, usd) in enumerate(self.offers[offer]):
            sku = f"SKU{number}"
            key = "model" if offer == OFFERS[0] else "servicename"
            value = name if offer == OFFERS[0] else f"{name} (Amazon Bedrock Edition)"
            dimension = {"unit": unit, "pricePerUnit": {"USD": usd}}
            yield (
                sku,
                {
                    "product": {
                        "sku": sku,
                        "attributes": {"regionCode": region, "usagetype": usage_type, key: value},
                    },
                    "terms": {"OnDemand": {f"{sku}.T": {"priceDimensions": {"d": dimension}}}},
                },
            )


class _Handler(BaseHTTPRequestHandler):
    server: PriceListServer

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        body = self.server.answer_get(self.path)
        self._send(404 if body is None else 200, body or b"")

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(self.headers["X-Amz-Target"])
        self._send(200, self.server.answer_post(request))

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def nova(name: str, price: str, region: str = "us-east-1") -> Products:
    """Input and output of a Nova model; output costs four times as much."""
    usage = f"X-{name.replace(' ', '')}"
    output = f"{float(price) * 4:.10f}"
    return [
        (region, name, f"{usage}-input-tokens", "1K tokens", price),
        (region, name, f"{usage}-output-tokens", "1K tokens", output),
    ]


def claude(name: str, prices: tuple[str, str], region: str = "us-east-1") -> Products:
    kinds = zip(("input", "output"), prices, strict=True)
    return [
        (region, name, f"X-MP:X_{kind}_tokens_standard-Units", "1M tokens", price)
        for kind, price in kinds
    ]


@pytest.fixture
def server() -> Iterator[PriceListServer]:
    server = PriceListServer()
    server.offers[OFFERS[0]] = [
        *nova("Nova Lite", "0.0000500000"),
        *nova("Nova Lite", "0.0000690000", "eu-west-1"),
        *nova("Nova Pro", "0.0008000000"),
    ]
    server.offers[OFFERS[1]] = claude("Claude Opus 5.5", ("4.4", "22"))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def refresh(server: PriceListServer, path: Path, **kwargs: Any) -> RefreshReport:
    return refresh_prices(
        path,
        base_url=server.url,
        clock=lambda: datetime(2026, 11, 23, 1, tzinfo=timezone.utc),
        **kwargs,
    )


def input_price(path: Path, model_id: str, region: str | None = None) -> int | None:
    price = PriceBook(file=path, genai_prices=False).price_of(model_id, region=region)
    return None if price is None else price.input


def test_a_refreshed_file_is_read_by_a_price_book(server: PriceListServer, tmp_path: Path) -> None:
    """What the Price List says is what calls are priced at from then on."""
    path = tmp_path / "new" / "prices.json"
    report = refresh(server, path)
    assert report.written, str(report)
    assert (report.rows, report.new, report.changed) == (4, 4, ())
    price = PriceBook(file=path).price_of("us.amazon.nova-lite-v1:0", region="us-east-1")
    assert price is not None
    # The shipped row of the us profile is older than the list, and does not hide it.
    assert (price.input, price.layer, price.checked) == (50_000, "refreshed", "2026-11-23")
    assert input_price(path, "amazon.nova-lite-v1:0", "eu-west-1") == 69_000
    assert input_price(path, "us.anthropic.claude-opus-5-5") == 4_400_000


def test_a_pricing_client_reads_the_same_list_by_pages(
    server: PriceListServer, tmp_path: Path
) -> None:
    """boto3's GetProducts and the bulk offers come to one file."""
    client = shared_client(
        ClientSettings(
            service="pricing",
            region_name="us-east-1",
            endpoint_url=server.url,
            access_key_id="test",
            secret_access_key="test",
        )
    )
    bulk, api = tmp_path / "bulk.json", tmp_path / "api.json"
    refresh(server, bulk)
    report = refresh(server, api, client=client)
    assert report.written, str(report)
    assert api.read_text() == bulk.read_text()
    # Six products of one offer and two of the other, three on a page.
    assert server.requests.count("AWSPriceListService.GetProducts") == 3


def test_only_the_regions_that_are_asked_for_are_read(
    server: PriceListServer, tmp_path: Path
) -> None:
    """A user of one region need not fetch all of them."""
    path = tmp_path / "prices.json"
    report = refresh(server, path, regions=["eu-west-1", "us-gov-west-1"])
    assert report.rows == 1
    assert not any("us-east-1" in request for request in server.requests)


def test_changes_are_listed(server: PriceListServer, tmp_path: Path) -> None:
    """The report says what became dearer, what is new and what is gone."""
    path = tmp_path / "prices.json"
    refresh(server, path)
    server.offers[OFFERS[0]] = [
        *nova("Nova Lite", "0.0000550000"),
        *nova("Nova Lite", "0.0000690000", "eu-west-1"),
        *nova("Nova Micro", "0.0000350000"),
        *nova("Nova Nano", "0.0000100000"),
    ]
    report = refresh(server, path)
    assert report.written
    assert report.changed == ("amazon.nova-lite-v1:0, in-region, default, us-east-1",)
    assert report.new == 1
    assert report.gone == ("amazon.nova-pro-v1:0, in-region, default, us-east-1",)
    assert report.unmapped == ("Nova Nano",)
    assert "unmapped: Nova Nano" in str(report)
    assert json.loads(json.dumps(report.as_dict()))["unmapped"] == ["Nova Nano"]


def test_a_list_that_lost_a_third_of_its_prices_is_not_taken(
    server: PriceListServer, tmp_path: Path
) -> None:
    """A list that was cut short leaves the last good file as it is."""
    path = tmp_path / "prices.json"
    refresh(server, path)
    before = path.read_bytes()
    server.offers[OFFERS[0]] = nova("Nova Lite", "0.0001")
    report = refresh(server, path)
    assert not report.written
    assert "prices for 2 places, and the file for 4" in report.problem
    assert path.read_bytes() == before


def test_an_empty_list_is_not_taken(server: PriceListServer, tmp_path: Path) -> None:
    """Nothing is written where nothing was read."""
    server.offers = {offer: [] for offer in OFFERS}
    report = refresh(server, tmp_path / "prices.json")
    assert (report.written, report.problem) == (False, "the list has no prices")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"products": {"A": {}}, "terms": {}}', b"\xff\xfe"]
)
def test_a_broken_list_is_a_report_and_no_file(
    body: bytes, server: PriceListServer, tmp_path: Path
) -> None:
    """Whatever comes back, the last good file stays and the report says why."""
    path = tmp_path / "prices.json"
    refresh(server, path)
    before = path.read_bytes()
    server.broken[f"/{OFFERS[0]}/current/us-east-1/index.json"] = body
    report = refresh(server, path)
    assert not report.written
    assert report.problem
    assert path.read_bytes() == before


def test_a_server_that_does_not_answer_is_a_report(tmp_path: Path) -> None:
    """No network is no crash."""
    report = refresh_prices(tmp_path / "prices.json", base_url="http://127.0.0.1:9")
    assert "can't be fetched" in report.problem


def test_a_file_that_is_far_too_large_is_not_read(
    server: PriceListServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong address does not fill the memory."""
    monkeypatch.setattr(price_list, "MAX_BYTES", 1000)
    server.broken[f"/{OFFERS[0]}/current/region_index.json"] = b" " * 1001
    assert "more than 1000 bytes" in refresh(server, tmp_path / "prices.json").problem


def test_a_broken_file_is_replaced(server: PriceListServer, tmp_path: Path) -> None:
    """A file that can't be read is no last good one."""
    path = tmp_path / "prices.json"
    path.write_text("{")
    assert refresh(server, path).written
    assert input_price(path, "amazon.nova-lite-v1:0") == 50_000


def test_a_folder_that_can_t_be_written_is_a_report(
    server: PriceListServer, tmp_path: Path
) -> None:
    """Where the file can't be put, the report says so."""
    (tmp_path / "file").write_text("")
    report = refresh(server, tmp_path / "file" / "prices.json")
    assert "can't be written" in report.problem


def test_nothing_is_left_of_a_write_that_failed(
    server: PriceListServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up leaves the old file, and no half of a new one beside it."""
    path = tmp_path / "prices.json"
    refresh(server, path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert "No space left" in refresh(server, path).problem
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["prices.json"]


def test_the_default_place_is_where_a_book_looks(
    server: PriceListServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a path the file goes where the next book finds it."""
    monkeypatch.setenv(PRICES_VARIABLE, str(tmp_path / "prices.json"))
    assert refresh_prices(base_url=server.url).path == str(tmp_path / "prices.json")
    price = PriceBook().price_of("amazon.nova-lite-v1:0")
    assert price is not None
    assert price.layer == "refreshed"


@pytest.mark.parametrize(
    "arguments", [{"base_url": "file:///etc/passwd"}, {"regions": ["us-west-2/../../x"]}]
)
def test_a_wrong_argument_is_told(arguments: dict[str, Any], tmp_path: Path) -> None:
    """Only HTTP addresses and regions are taken."""
    with pytest.raises(ConfigurationError, match=r"file:///|us-west-2/"):
        refresh_prices(tmp_path / "prices.json", **arguments)
