"""`bedrock-opt report`: what a ledger adds up to."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from langchain_bedrock_opt.cli import values
from langchain_bedrock_opt.errors import ConfigurationError


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("report", help="what the calls in a usage ledger cost and saved")
    parser.set_defaults(run=_run)
    parser.add_argument("ledger", metavar="LEDGER", help="a file of UsageLedger's")
    parser.add_argument("--since", type=values.moment, help="from this date or time on, in UTC")
    parser.add_argument("--until", type=values.moment, help="before this date or time, in UTC")
    parser.add_argument("--baseline", metavar="MODEL", help="what routed calls are compared with")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--by", metavar="PROPERTY", help="only totals by model, tag, node, day, …")
    form.add_argument("--json", action="store_true", help="print it as JSON")
    form.add_argument("--html", metavar="FILE", help="write it as a page")


def _run(options: argparse.Namespace) -> int:
    from langchain_bedrock_opt.usage import UsageLedger

    if not Path(options.ledger).exists():
        raise ConfigurationError(f"There is no ledger {options.ledger!r}: check the path.")
    ledger = UsageLedger(options.ledger)
    since, until = options.since, options.until
    if options.by:
        for name, totals in ledger.totals(options.by, since=since, until=until).items():
            print(f"{name}\t{totals.calls} calls\t{totals.cost_usd:f} USD")
        return 0
    report = ledger.report(baseline=options.baseline, since=since, until=until)
    if options.html:
        Path(options.html).write_text(report.to_html_page(), "utf-8")
        print(f"Wrote {options.html}.")
    elif options.json:
        print(json.dumps(report.to_dict(), ensure_ascii=False, indent=2))
    else:
        _show(report)
    return 0


def _show(report: Any) -> None:
    """Print a report, in colours where rich is installed."""
    try:
        from rich import print as rich_print
    except ImportError:
        print(report)
    else:
        rich_print(report)
