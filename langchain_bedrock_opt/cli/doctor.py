"""`bedrock-opt doctor`: what keeps calls from working, each with its fix."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import asdict
from typing import Any, Final

from langchain_bedrock_opt.cli.codes import ExitCode
from langchain_bedrock_opt.cli.output import emit, is_terminal, say

_MARKS: Final = {"ok": "ok", "warning": "WARN", "failure": "FAIL", "unknown": "?"}
_COLOURS: Final = {"ok": "32", "warning": "33", "failure": "31", "unknown": "36"}


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "doctor",
        help="check versions, credentials, region, model access and quotas, each with its fix",
        description="Exit code 1 if a check failed; what could not be checked is no failure. Its "
        "IAM policy is that of `bedrock-opt policy doctor`; of `invoke`, too, with --call, and of "
        "`resolve` for ARNs that hide their model.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="ID",
        help="a model to look at; may be repeated; by default the demo's",
    )
    parser.add_argument("--region", default=None, help="the AWS region")
    parser.add_argument("--cache", metavar="FOLDER", help="a cache folder to look at")
    parser.add_argument(
        "--call", action="store_true", help="also call each model once, for a token or two"
    )
    parser.add_argument("--offline", action="store_true", help="ask nobody")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def _run(options: argparse.Namespace) -> int:
    from langchain_bedrock_opt.cli.checks.bench import Bench
    from langchain_bedrock_opt.cli.checks.examination import examine
    from langchain_bedrock_opt.demo.run import DEFAULT_TIERS

    bench = Bench(
        region=options.region,
        models=tuple(options.model) or tuple(DEFAULT_TIERS.values()),
        is_offline=options.offline,
        may_call=options.call and not options.offline,
        cache=options.cache,
    )
    findings = []
    for finding in examine(bench):
        findings.append(finding)
        if not options.json:
            say(_text(finding))
    counts = Counter(finding.status for finding in findings)
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    document = {"findings": [asdict(finding) for finding in findings], "counts": counts}
    emit(document, f"\n{said}", as_json=options.json)
    return ExitCode.NOT_WELL if counts["failure"] else ExitCode.DONE


def _text(finding: Any) -> str:
    mark = f"{_MARKS[finding.status]:<4}"
    if is_terminal(sys.stdout):
        mark = f"\033[{_COLOURS[finding.status]}m{mark}\033[0m"
    fix = f"\n       -> {finding.fix}" if finding.fix else ""
    return f"{mark} {finding.check}: {finding.said}{fix}"
