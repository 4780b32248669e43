"""`bedrock-opt throughput`: provisioned throughput, from its plan to its deletion."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from langchain_bedrock_opt.cli import values
from langchain_bedrock_opt.cli.clients import LOOKS, Patience, watched_client
from langchain_bedrock_opt.cli.codes import ExitCode
from langchain_bedrock_opt.cli.output import emit, if_it_fails, note
from langchain_bedrock_opt.cli.progress import progress
from langchain_bedrock_opt.cli.signals import ended_like_ctrl_c
from langchain_bedrock_opt.errors import ConfigurationError

_COMMITMENTS: Final = {"none": None, "one-month": "OneMonth", "six-months": "SixMonths"}


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("throughput", help="provisioned throughput: plan, buy, delete")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    _add_plan(actions)
    listing = actions.add_parser("list", help="all of the account and region, newest first")
    listing.set_defaults(run=_list)
    listing.add_argument("--status", metavar="STATUS", help="Creating, InService, Updating, Failed")
    listing.add_argument("--name", metavar="PART", help="a part of their names")
    listing.add_argument("--model", metavar="ID", help="a model id or ARN")
    listing.add_argument(
        "--leftovers", action="store_true", help="only temporary ones, in use or forgotten"
    )
    _add_common(listing)
    _add_create(actions)
    for name, run, what in (
        ("show", _show, "one as it is now; exit code 1 if it failed"),
        ("wait", _wait, "wait until one takes calls"),
        ("delete", _delete, "delete one, so that it bills no more"),
    ):
        verb = actions.add_parser(name, help=what)
        verb.set_defaults(run=run)
        verb.add_argument("throughput", metavar="NAME", help="its name or ARN")
        if name == "wait":
            _add_timeout(verb)
        if name == "delete":
            verb.add_argument("--yes", action="store_true", help="yes, calls to it will fail")
        _add_common(verb)


def _add_plan(actions: Any) -> None:
    parser = actions.add_parser(
        "plan",
        help="how many model units would cost the least, by a usage ledger",
        description="What a unit takes and costs only AWS's account manager knows; without "
        "--capacity-… the example of the guide is taken where it has the model.",
    )
    parser.set_defaults(run=_plan)
    parser.add_argument("--ledger", required=True, metavar="FILE", help="a file of UsageLedger's")
    parser.add_argument("--model", required=True, metavar="ID", help="whose calls are planned for")
    for name, what in (
        ("in", "tokens of prompts"),
        ("out", "tokens of answers"),
        ("total", "tokens of both together"),
    ):
        parser.add_argument(
            f"--capacity-{name}",
            type=values.positive,
            metavar="N",
            help=f"{what} that a unit takes a minute",
        )
    parser.add_argument(
        "--unit-price",
        required=True,
        type=values.amount,
        metavar="USD",
        help="a unit's price an hour without a commitment",
    )
    for name in ("one-month", "six-months"):
        parser.add_argument(
            f"--unit-price-{name}",
            type=values.amount,
            metavar="USD",
            help=f"the same with a commitment of {name.replace('-', ' ')}",
        )
    parser.add_argument(
        "--headroom", type=values.number, default=0.0, help="the share of a unit to keep free"
    )
    parser.add_argument(
        "--growth", type=values.number, default=1.0, help="what the load is multiplied by"
    )
    parser.add_argument("--since", type=values.moment, help="from this date or time on, in UTC")
    parser.add_argument("--until", type=values.moment, help="before this date or time, in UTC")
    parser.add_argument("--region", default=None, help="the region that on-demand prices are of")
    parser.add_argument("--plot", metavar="FILE", help="also draw it, as PNG, SVG or PDF")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_create(actions: Any) -> None:
    parser = actions.add_parser("create", help="buy model units; they bill until they are deleted")
    parser.set_defaults(run=_create)
    parser.add_argument(
        "model", metavar="MODEL", help="a model id with its context length, or a custom model"
    )
    parser.add_argument("--name", required=True, help="its name, one of its own in the account")
    parser.add_argument(
        "--units", type=values.positive, default=1, metavar="N", help="model units, for good"
    )
    parser.add_argument(
        "--commitment",
        choices=tuple(_COMMITMENTS),
        default="none",
        help="for how long it can't be deleted",
    )
    parser.add_argument(
        "--tag", type=values.pair, action="append", default=[], metavar="KEY=VALUE", help="a tag"
    )
    parser.add_argument("--token", help="a request token of your own")
    parser.add_argument(
        "--unit-price", type=values.amount, metavar="USD", help="an hour, to be told what it costs"
    )
    parser.add_argument("--confirm", action="store_true", help="buy it; else it is only told")
    parser.add_argument("--wait", action="store_true", help="wait until it takes calls")
    _add_timeout(parser)
    _add_common(parser)


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=values.seconds,
        default=3600.0,
        metavar="S",
        help="wait at most so many seconds",
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--region", default=None, help="the AWS region")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _plan(options: argparse.Namespace) -> int:
    from langchain_bedrock_opt.capacity.planning import minute_load, plan_throughput
    from langchain_bedrock_opt.catalog.price_book import default_prices
    from langchain_bedrock_opt.usage import UsageLedger

    price = default_prices().price_of(options.model, region=options.region)
    if price is None:
        raise ConfigurationError(
            f"{options.model} has no known price on demand, to compare with: run "
            "`bedrock-opt prices refresh`."
        )
    capacity = _capacity(options)
    if not Path(options.ledger).exists():
        raise ConfigurationError(f"There is no ledger {options.ledger!r}: check the path.")
    since, until = options.since, options.until
    records = UsageLedger(options.ledger).records(since=since, until=until)
    unit_prices: dict[Any, Any] = {
        None: options.unit_price,
        "OneMonth": options.unit_price_one_month,
        "SixMonths": options.unit_price_six_months,
    }
    plan = plan_throughput(
        minute_load(records, options.model, since=since, until=until),
        capacity,
        {name: amount for name, amount in unit_prices.items() if amount is not None},
        price,
        headroom=options.headroom,
        growth=options.growth,
    )
    if options.plot:
        _draw(plan, options.plot)
    emit(plan.to_dict(), plan, as_json=options.json)
    return ExitCode.DONE


def _capacity(options: argparse.Namespace) -> Any:
    """What a unit takes, as the command line says; else the guide's example."""
    from langchain_bedrock_opt.catalog.model_units import UnitCapacity, guide_capacity

    given = (options.capacity_in, options.capacity_out, options.capacity_total)
    if any(given):
        return UnitCapacity(
            input_per_minute=given[0], output_per_minute=given[1], total_per_minute=given[2]
        )
    example = guide_capacity(options.model)
    if example is None:
        raise ConfigurationError(
            f"What a unit of {options.model} takes a minute only your account manager knows: say "
            "--capacity-in and --capacity-out, or --capacity-total."
        )
    note("No --capacity-… was given: a unit takes what the guide's example says.")
    return example


def _draw(plan: Any, path: str) -> None:
    try:
        plan.plot().savefig(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"--plot {path!r} can't be drawn: {error}.") from error
    note(f"Drew {path}.")


def _list(options: argparse.Namespace) -> int:
    manager = _manager(options, Patience(tries=LOOKS))
    if options.leftovers:
        found = manager.leftovers()
    else:
        found = manager.list(status=options.status, name_contains=options.name, model=options.model)
    emit([asdict(each) for each in found], found, as_json=options.json)
    return ExitCode.DONE


def _show(options: argparse.Namespace) -> int:
    found = _manager(options, Patience(tries=LOOKS)).get(options.throughput)
    emit(asdict(found), found, as_json=options.json)
    return ExitCode.NOT_WELL if found.status == "Failed" else ExitCode.DONE


def _create(options: argparse.Namespace) -> int:
    with ended_like_ctrl_c():
        return _bought(options, _manager(options, Patience()))


def _bought(options: argparse.Namespace, manager: Any) -> int:
    if options.confirm:
        again = f"The same command finds {options.name} if it was bought, and buys none twice."
        if_it_fails(again, name=options.name)
    bought = manager.create(
        options.model,
        name=options.name,
        units=options.units,
        commitment=_COMMITMENTS[options.commitment],
        tags=dict(options.tag),
        token=options.token,
        confirm=options.confirm,
        unit_price=options.unit_price,
    )
    note(f"{bought.name} ({bought.arn}) is bought, and {bought.status}.")
    delete = f"bedrock-opt throughput delete {bought.name} --yes"
    if_it_fails(f"It bills until it is deleted: {delete}", arn=bought.arn)
    if options.wait:
        bought = _waited(manager, bought, options.timeout)
    emit(asdict(bought), bought, as_json=options.json)
    note(f"It bills until it is deleted: {delete}")
    return ExitCode.DONE


def _wait(options: argparse.Namespace) -> int:
    manager = _manager(options, Patience(timeout=options.timeout))
    with ended_like_ctrl_c():
        found = _waited(manager, options.throughput, options.timeout)
    emit(asdict(found), found, as_json=options.json)
    return ExitCode.DONE


def _delete(options: argparse.Namespace) -> int:
    if not options.yes:
        raise ConfigurationError(
            f"Calls to {options.throughput} fail once it is deleted: say --yes to delete it."
        )
    _manager(options, Patience()).delete(options.throughput)
    emit(
        {"throughput": options.throughput, "deleted": True},
        f"{options.throughput} is deleted, and bills no more.",
        as_json=options.json,
    )
    return ExitCode.DONE


def _waited(manager: Any, throughput: Any, timeout: float) -> Any:
    """One in service, with its statuses shown until then."""
    with progress() as show:
        return manager.wait(
            throughput,
            timeout=timeout,
            progress=lambda found: show(0, None, f"{found.name}: {found.status}"),
        )


def _manager(options: argparse.Namespace, patience: Patience) -> Any:
    from langchain_bedrock_opt.capacity.provisioned.manager import ProvisionedThroughputManager

    client = watched_client("bedrock", options.region, patience)
    return ProvisionedThroughputManager(client)
