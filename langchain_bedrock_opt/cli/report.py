"""`bedrock-opt report`: what a ledger adds up to."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from langchain_bedrock_opt.cli import values
from langchain_bedrock_opt.cli.codes import ExitCode
from langchain_bedrock_opt.cli.output import emit, is_terminal, say, write_file
from langchain_bedrock_opt.errors import ConfigurationError


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("report", help="what the calls in a usage ledger cost and saved")
    parser.set_defaults(run=_run)
    parser.add_argument("ledger", metavar="LEDGER", help="a file of UsageLedger's")
    parser.add_argument("--since", type=values.moment, help="from this date or time on, in UTC")
    parser.add_argument("--until", type=values.moment, help="before this date or time, in UTC")
    parser.add_argument("--baseline", metavar="MODEL", help="what routed calls are compared with")
    parser.add_argument(
        "--by",
        metavar="PROPERTY",
        help="only totals, by model, tag:NAME, day, … or model,day",
    )
    parser.add_argument("--html", metavar="FILE", help="write it as a page")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def _run(options: argparse.Namespace) -> int:
    from langchain_bedrock_opt.usage import UsageLedger

    if not Path(options.ledger).exists():
        raise ConfigurationError(f"There is no ledger {options.ledger!r}: check the path.")
    ledger = UsageLedger(options.ledger)
    since, until = options.since, options.until
    if options.by:
        groups = ledger.totals(options.by.split(","), since=since, until=until)
        _show_totals(groups, as_json=options.json)
        return ExitCode.DONE
    report = ledger.report(baseline=options.baseline, since=since, until=until)
    if options.html:
        write_file(options.html, report.to_html_page())
        emit({"file": options.html}, f"Wrote {options.html}.", as_json=options.json)
    elif options.json:
        emit(report.to_dict(), "", as_json=True)
    else:
        _show(report)
    return ExitCode.DONE


def _show_totals(groups: Mapping[tuple[str, ...], Any], *, as_json: bool) -> None:
    """Print a line for each group, or all as JSON."""
    if as_json:
        rows = [{"group": list(group), **asdict(totals)} for group, totals in groups.items()]
        emit(rows, "", as_json=True)
        return
    for group, totals in groups.items():
        cells = [*group, f"{totals.calls} calls", f"{totals.cost_usd:f} USD"]
        if totals.unpriced_calls:
            cells.append(f"{totals.unpriced_calls} unpriced")
        say("\t".join(cells))


def _show(report: Any) -> None:
    """Print a report: in colours on a terminal where rich is installed, else whole and plain."""
    if is_terminal(sys.stdout) and find_spec("rich") is not None:
        from rich import print as rich_print

        rich_print(report)
    else:
        emit({}, report, as_json=False)
