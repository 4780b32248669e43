"""`bedrock-opt prices`: what models cost, and whether that is still true."""

from __future__ import annotations

import argparse
from typing import Any

from langchain_bedrock_opt.cli.codes import ExitCode
from langchain_bedrock_opt.cli.output import emit


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("prices", help="show, refresh and compare prices")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="what a model costs, and who says so")
    show.set_defaults(run=_show)
    show.add_argument("model", metavar="MODEL", help="a model id or ARN")
    show.add_argument("--region", default=None, help="the region that is called")
    show.add_argument("--json", action="store_true", help="print the prices as JSON")
    refresh = actions.add_parser("refresh", help="write a file of prices from the AWS Price List")
    refresh.set_defaults(run=_refresh)
    refresh.add_argument("--file", default=None, help="where to; by default the cache folder")
    refresh.add_argument("--region", action="append", help="only this region; may be repeated")
    refresh.add_argument(
        "--api",
        action="store_true",
        help="ask the API with your credentials, not the public bulk offers",
    )
    refresh.add_argument("--json", action="store_true", help="print the report as JSON")
    drift = actions.add_parser("drift", help="compare with LiteLLM's map and genai-prices")
    drift.set_defaults(run=_drift)
    drift.add_argument("--litellm", metavar="FILE", help="LiteLLM's model_prices JSON file")
    drift.add_argument("--json", action="store_true", help="print the report as JSON")


def _show(options: argparse.Namespace) -> int:
    from langchain_bedrock_opt.catalog.price_book import default_prices
    from langchain_bedrock_opt.catalog.price_text import price_lines, price_tiers

    book = default_prices()
    document = {
        "model": options.model,
        "region": options.region,
        "usd_per_million_tokens": price_tiers(book, options.model, region=options.region),
    }
    lines = price_lines(book, options.model, region=options.region)
    place = f" in {options.region}" if options.region else ""
    if not lines:
        said = f"{options.model}{place} has no known price: its calls count as unpriced."
        emit(document, said, as_json=options.json)
        return ExitCode.NOT_WELL
    heading = f"{options.model}{place}, USD per million tokens:"
    emit(document, "\n  ".join([heading, *lines]), as_json=options.json)
    return ExitCode.DONE


def _refresh(options: argparse.Namespace) -> int:
    from langchain_bedrock_opt.aws.clients import service_client
    from langchain_bedrock_opt.aws.price_list import refresh_prices

    # The Price List is served in a few regions only, whatever the user's own.
    client = service_client("pricing", region_name="us-east-1") if options.api else None
    report = refresh_prices(options.file, client=client, regions=options.region)
    emit(report.as_dict(), report, as_json=options.json)
    if report.written:
        return ExitCode.DONE
    return ExitCode.REFUSED if report.problem.startswith("can't be fetched") else ExitCode.NOT_WELL


def _drift(options: argparse.Namespace) -> int:
    from importlib.util import find_spec

    from langchain_bedrock_opt.catalog.price_drift import drift

    report = drift(litellm=options.litellm, genai_prices=find_spec("genai_prices") is not None)
    emit(report.as_dict(), report, as_json=options.json)
    return ExitCode.DONE
