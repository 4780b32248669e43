"""`bedrock-opt prices`: what models cost, and whether that is still true."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("prices", help="show, refresh and compare prices")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="what a model costs, and who says so")
    show.set_defaults(run=_show)
    show.add_argument("model", metavar="MODEL", help="a model id or ARN")
    show.add_argument("--region", default=None, help="the region that is called")
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
    from langchain_bedrock_opt.catalog.price_text import price_lines

    lines = price_lines(default_prices(), options.model, region=options.region)
    place = f" in {options.region}" if options.region else ""
    if not lines:
        print(f"{options.model}{place} has no known price: its calls count as unpriced.")
        return 1
    print(f"{options.model}{place}, USD per million tokens:")
    print("\n".join(f"  {line}" for line in lines))
    return 0


def _refresh(options: argparse.Namespace) -> int:
    from langchain_bedrock_opt.aws.clients import service_client
    from langchain_bedrock_opt.aws.price_list import refresh_prices

    # The Price List is served in a few regions only, whatever the user's own.
    client = service_client("pricing", region_name="us-east-1") if options.api else None
    report = refresh_prices(options.file, client=client, regions=options.region)
    print(json.dumps(report.as_dict(), indent=2) if options.json else report)
    return 0 if report.written else 1


def _drift(options: argparse.Namespace) -> int:
    from importlib.util import find_spec

    from langchain_bedrock_opt.catalog.price_drift import drift

    report = drift(litellm=options.litellm, genai_prices=find_spec("genai_prices") is not None)
    print(report.to_json() if options.json else report)
    return 0
