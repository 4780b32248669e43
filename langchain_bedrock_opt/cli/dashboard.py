"""`bedrock-opt dashboard`: a CloudWatch dashboard and alarms, as JSON or applied."""

from __future__ import annotations

import argparse
from typing import Any, Final

from langchain_bedrock_opt.cli import values
from langchain_bedrock_opt.cli.codes import ExitCode
from langchain_bedrock_opt.cli.output import emit, note
from langchain_bedrock_opt.errors import ConfigurationError

_PRINTED: Final = "us-east-1"
"""The region of what is only printed, where there is no other."""


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("dashboard", help="a CloudWatch dashboard and alarms")
    parser.set_defaults(run=_run)
    parser.add_argument(
        "--name", default=None, help="the dashboard's name; by default bedrock, or bedrock-SERVICE"
    )
    parser.add_argument("--region", default=None, help="the region of the metrics")
    parser.add_argument("--namespace", default="LangChainBedrock", help="as the sink's")
    parser.add_argument("--service", default=None, help="as the sink's")
    parser.add_argument(
        "--model", action="append", default=[], metavar="ID", help="a model; may be repeated"
    )
    parser.add_argument(
        "--guide", action="store_true", help="over the guide's metrics, without alarms"
    )
    parser.add_argument(
        "--cost-per-hour", type=values.amount, metavar="USD", help="alarm if an hour costs more"
    )
    parser.add_argument(
        "--daily-budget", type=values.amount, metavar="USD", help="alarm at 80 and 100 %% of it"
    )
    parser.add_argument(
        "--ttft-p95", type=values.speed, metavar="MS", help="alarm if the first token is later"
    )
    parser.add_argument(
        "--action", action="append", default=[], metavar="ARN", help="what alarms do; repeatable"
    )
    parser.add_argument(
        "--apply", action="store_true", help="write them to CloudWatch with your credentials"
    )
    parser.add_argument(
        "--json", action="store_true", help="with --apply: print what was written as JSON"
    )


def _run(options: argparse.Namespace) -> int:
    from langchain_bedrock_opt.usage.cloudwatch.alarms import alarm_requests, apply
    from langchain_bedrock_opt.usage.cloudwatch.dashboard import (
        check_dashboard,
        dashboard_body,
        guide_dashboard_body,
    )

    client, region = _place(options)
    name = options.name or "-".join(filter(None, ("bedrock", options.service)))
    alarms: list[dict[str, Any]] = []
    if options.guide and not options.model:
        raise ConfigurationError("--guide shows metrics by model: name one with --model ID.")
    if options.guide:
        body = guide_dashboard_body(region=region, models=options.model)
    else:
        place = {"namespace": options.namespace, "service": options.service}
        body = dashboard_body(region=region, models=options.model, **place)
        alarms = alarm_requests(
            **place,
            prefix=name,
            cost_per_hour_usd=options.cost_per_hour,
            daily_budget_usd=options.daily_budget,
            ttft_p95_ms=options.ttft_p95,
            actions=options.action,
        )
    check_dashboard(name, body)
    if client is None:
        note(f"There is no AWS region: the dashboard is of {region}. Name yours with --region.")
    if not options.apply:
        emit({"dashboard": body, "alarms": alarms}, "", as_json=True)
        return ExitCode.DONE
    apply(name, body, alarms, client)
    names = [alarm["AlarmName"] for alarm in alarms]
    emit(
        {"dashboard": name, "alarms": names, "region": region},
        f"Wrote dashboard {name} and {len(alarms)} alarms in {region}.",
        as_json=options.json,
    )
    if alarms and not options.action:
        note("The alarms notify nobody: name an SNS topic with --action ARN.")
    return ExitCode.DONE


def _place(options: argparse.Namespace) -> tuple[Any, str]:
    """A client that writes there, if it is to, and the region of the metrics.

    Raises:
        ConfigurationError: It is to be written, and there is no region.
    """
    from langchain_bedrock_opt.aws.clients import service_client

    try:
        client = service_client("cloudwatch", region_name=options.region)
    except ConfigurationError:
        if options.apply or options.region is not None:
            raise
        return None, _PRINTED
    return client, client.meta.region_name
