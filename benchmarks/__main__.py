"""`python -m benchmarks [NAME …] [--json]`: run the benchmarks and print what they found."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

NAMES = (
    "import_time",
    "call_overhead",
    "routing_overhead",
    "concurrency",
    "emulator_http",
    "routing",
    "escalation",
    "cache_hits",
    "cache_codec",
    "cache_stores",
    "cache_index",
    "cache_similarity",
    "usage_overhead",
    "usage_rivals",
    "usage_ledger",
    "price_card",
    "cloudwatch_add",
    "cloudwatch_delivery",
    "budget_race",
    "batch_records",
    "batch_submit",
    "batch_collect",
    "batch_results",
    "batch_memory",
    "batch_agents",
    "throughput_plan",
    "token_quota",
    "lanes",
    "token_estimates",
    "optimize_prompt",
    "optimize_documents",
    "limit_context",
)


def main() -> int:
    """Run the named benchmarks, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(NAMES)}")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}; there are {NAMES}")
    for name in arguments.names or NAMES:
        result = import_module(f"benchmarks.{name}").run()
        print(result.as_json() if arguments.json else result.as_table(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
