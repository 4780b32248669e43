"""`bedrock-opt batch`: runs of invocation jobs, from their plan to their results."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from typing import Any, Final
from uuid import uuid4

from langchain_bedrock_opt.cli import values
from langchain_bedrock_opt.cli.clients import LOOKS, Patience, watched_client
from langchain_bedrock_opt.cli.codes import ExitCode
from langchain_bedrock_opt.cli.output import (
    emit,
    error_document,
    if_it_fails,
    note,
    replaced,
    say,
    table,
    to_json_line,
)
from langchain_bedrock_opt.cli.progress import progress
from langchain_bedrock_opt.cli.signals import ended_like_ctrl_c

_WELL: Final = frozenset({"Completed", "OnDemand"})
"""Ends of jobs that leave nothing to be looked at."""

_CLIENTS: Final = ("bedrock", "s3")
"""Services by which a run is sent."""

_ANY_BUCKET: Final = "s3://bucket/"
_ANY_ROLE: Final = "arn:aws:iam::111122223333:role/bedrock-batch"


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser("batch", help="runs of invocation jobs, at half the price")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    _add_sending(actions)
    for name, run, what in (
        ("status", _status, "how far a run is; exit code 1 if a job of it failed"),
        ("wait", _wait, "wait until a run is over; exit code 1 if inputs have no answer"),
        ("results", _results, "a run's results as JSON lines; exit code 1 if some failed"),
        ("cancel", _cancel, "stop a run's jobs; what they have done can still be read"),
    ):
        verb = actions.add_parser(name, help=what)
        verb.set_defaults(run=run)
        verb.add_argument("uri", metavar="URI", help="the run, as `submit` prints it")
        _add_common(verb)
        if name == "wait":
            verb.add_argument(
                "--timeout", type=values.seconds, metavar="S", help="wait at most so many seconds"
            )
        if name == "results":
            verb.add_argument("--output", metavar="FILE", help="write the lines here")
    jobs = actions.add_parser("list", help="invocation jobs of the account, newest first")
    jobs.set_defaults(run=_list)
    jobs.add_argument("--name", default="", metavar="PART", help="a part of their names")
    jobs.add_argument(
        "--limit", type=values.positive, default=100, metavar="N", help="at most so many"
    )
    jobs.add_argument("--since", type=values.moment, help="created after this date or time, in UTC")
    _add_common(jobs)


def _add_sending(actions: Any) -> None:
    """Add what makes a run of a file of prompts, or foretells one."""
    for name, run, what in (
        ("plan", _plan, "jobs, tokens and cost of a run, sent to nobody; exit code 1 if refused"),
        ("submit", _submit, "send prompts off as a run of jobs"),
    ):
        verb = actions.add_parser(name, help=what)
        verb.set_defaults(run=run)
        is_sent = name == "submit"
        verb.add_argument(
            "prompts", metavar="FILE", help="JSON lines with `prompt`, or a prompt a line"
        )
        verb.add_argument("--model", required=True, metavar="ID", help="the model that is asked")
        verb.add_argument(
            "--s3",
            required=is_sent,
            default=None if is_sent else _ANY_BUCKET,
            metavar="URI",
            help="s3://bucket/prefix/ for what runs need, in the model's region",
        )
        verb.add_argument(
            "--role",
            required=is_sent,
            default=None if is_sent else _ANY_ROLE,
            metavar="ARN",
            help="the service role of the jobs (see `bedrock-opt policy batch-role`)",
        )
        verb.add_argument("--system", metavar="TEXT", help="a system prompt for all of them")
        verb.add_argument(
            "--max-tokens", type=values.positive, metavar="N", help="the longest answer"
        )
        verb.add_argument(
            "--min-records", type=values.positive, metavar="N", help="the least that a job takes"
        )
        verb.add_argument(
            "--below-minimum",
            choices=("error", "on_demand", "flex"),
            default="error",
            help="prompts too few for a job: refuse them, or ask one by one at the full price",
        )
        verb.add_argument(
            "--max-cost",
            type=values.amount,
            metavar="USD",
            help="refuse a run that could cost more",
        )
        if is_sent:
            verb.add_argument(
                "--run-id", metavar="NAME", help="names the run: sent again, it goes on"
            )
        _add_common(verb)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--region", default=None, help="the AWS region")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _plan(options: argparse.Namespace) -> int:
    plan = _model(options).plan(_inputs(options))
    document = asdict(plan) | {
        "jobs": plan.jobs,
        "refused": {place: error_document(error) for place, error in plan.refused.items()},
    }
    emit(document, plan, as_json=options.json)
    is_too_small = options.below_minimum == "error" and any(k.below_minimum for k in plan.kinds)
    return ExitCode.NOT_WELL if plan.refused or is_too_small else ExitCode.DONE


def _submit(options: argparse.Namespace) -> int:
    run_id = options.run_id or f"run-{uuid4().hex[:16]}"
    clients = {f"{service}_client": watched_client(service, options.region) for service in _CLIENTS}
    model, inputs = _model(options, **clients), _inputs(options)
    # Before anything is sent: sent again under another name, all of it would be paid for twice.
    again = f"go on with: bedrock-opt batch submit {options.prompts} … --run-id {run_id}"
    note(f"Run {run_id}. If this is cut short, {again}")
    if_it_fails(
        f"Jobs that were sent go on by themselves: {again}",
        run_id=run_id,
        uri=f"{options.s3.rstrip('/')}/runs/{run_id}/",
    )
    with ended_like_ctrl_c():
        run = model.submit(inputs, run_id=run_id)
    document = {"run_id": run.run_id, "uri": run.uri}
    emit(document, run.uri, as_json=options.json)
    if not options.json:
        note(f"The run goes on by itself: bedrock-opt batch wait {run.uri}")
    return ExitCode.DONE


def _status(options: argparse.Namespace) -> int:
    status = _run(options, Patience(tries=LOOKS)).status()
    emit(asdict(status), status, as_json=options.json)
    return _code_of(status)


def _wait(options: argparse.Namespace) -> int:
    run = _run(options, Patience(timeout=options.timeout))
    if_it_fails(f"Its jobs go on by themselves: bedrock-opt batch wait {run.uri}", uri=run.uri)
    with _shown() as told, ended_like_ctrl_c():
        run.wait(progress=told, timeout=options.timeout)
    summary = run.summary()
    emit(asdict(summary), summary, as_json=options.json)
    return ExitCode.NOT_WELL if summary.error or summary.missing else ExitCode.DONE


def _results(options: argparse.Namespace) -> int:
    run = _run(options, Patience(tries=LOOKS))
    status = run.status()
    if not status.is_over:
        raise TimeoutError(
            f"The run is not over ({status.done:,} of {status.total:,} records): wait for it with "
            f"`bedrock-opt batch wait {run.uri}`."
        )
    rows = map(_row, run.results())
    if options.output is not None:
        with replaced(options.output) as file:
            failed, total = _write_rows(rows, lambda line: file.write(line + "\n"))
        document = {"file": options.output, "results": total, "failed": failed}
        said = f"Wrote {total:,} results to {options.output}, {failed:,} of them without an answer."
        emit(document, said, as_json=options.json)
    elif options.json:
        kept = list(rows)
        failed = sum("error" in row for row in kept)
        emit({"results": kept, "failed": failed}, "", as_json=True)
    else:
        failed, _ = _write_rows(rows, say)
    if failed:
        note(f"{failed:,} inputs have no answer.")
    return ExitCode.NOT_WELL if failed else ExitCode.DONE


def _cancel(options: argparse.Namespace) -> int:
    run = _run(options, Patience())
    run.cancel()
    said = f"The jobs of {run.uri} are being stopped; what they have done can be read."
    emit({"uri": run.uri, "cancelled": True}, said, as_json=options.json)
    return ExitCode.DONE


def _list(options: argparse.Namespace) -> int:
    from langchain_bedrock_opt.batching.jobs.states import list_jobs

    bedrock = watched_client("bedrock", options.region, Patience(tries=LOOKS))
    found = list_jobs(bedrock, name_contains=options.name, since=options.since)
    jobs = list(islice(found, options.limit))
    rows = [("job", "status", "model", "submitted", "records", "run")]
    for job in jobs:
        when = f"{job.submitted_at:%Y-%m-%d %H:%M}" if job.submitted_at else ""
        count = "" if job.total is None else f"{job.processed or 0:,}/{job.total:,}"
        model = job.model_id.rpartition("/")[2]
        rows.append((job.name, job.status, model, when, count, job.run_uri))
    text = table(rows) if jobs else "There are no jobs."
    emit([job._asdict() | {"run_uri": job.run_uri} for job in jobs], text, as_json=options.json)
    return ExitCode.DONE


def _model(options: argparse.Namespace, **clients: Any) -> Any:
    """The batch model that a command line describes."""
    from langchain_bedrock_opt.batching import BedrockBatch
    from langchain_bedrock_opt.chat_model import ChatBedrockOptimized

    # Without a limit no bound on the cost is known.
    limit = {} if options.max_tokens is None else {"max_tokens": options.max_tokens}
    least = {} if options.min_records is None else {"min_records": options.min_records}
    return BedrockBatch(
        model=ChatBedrockOptimized(model=options.model, region_name=options.region, **limit),
        s3_uri=options.s3,
        role_arn=options.role,
        below_minimum=options.below_minimum,
        max_cost_usd=options.max_cost,
        **least,
        **clients,
    )


def _inputs(options: argparse.Namespace) -> list[Any]:
    from langchain_bedrock_opt.demo.workload import read_prompts

    prompts = read_prompts(options.prompts)
    if options.system is None:
        return list(prompts)
    return [[("system", options.system), ("human", prompt)] for prompt in prompts]


def _run(options: argparse.Namespace, patience: Patience) -> Any:
    """The run that a command line names."""
    from langchain_bedrock_opt.aws.clients import ClientSettings, LazyClient
    from langchain_bedrock_opt.batching import BatchRun

    runtime = ClientSettings(service="bedrock-runtime", region_name=options.region)
    return BatchRun.attach(
        options.uri,
        bedrock_client=watched_client("bedrock", options.region, patience),
        s3_client=watched_client("s3", options.region, patience),
        client=LazyClient(runtime),
    )


@contextmanager
def _shown() -> Iterator[Callable[[Any], object]]:
    """Shows the statuses that it is told."""
    with progress() as show:

        def tell(status: Any) -> None:
            shards = (shard.status for stage in status.stages for shard in stage.shards)
            jobs = ", ".join(f"{count} {name}" for name, count in Counter(shards).items())
            eta = f", about {status.eta} left" if status.eta is not None else ""
            show(status.done, status.total, f"{status.run_id}: {jobs}{eta}")

        yield tell


def _code_of(status: Any) -> ExitCode:
    ends = {shard.status for stage in status.stages for shard in stage.shards if shard.is_over}
    return ExitCode.NOT_WELL if ends - _WELL else ExitCode.DONE


def _row(result: Any) -> dict[str, Any]:
    """A result as data."""
    if result.error is not None:
        return {"index": result.index, "error": error_document(result.error)}
    message = result.output
    row = {"index": result.index, "text": message.text, "usage": message.usage_metadata}
    reason = message.response_metadata.get("stopReason")
    return row | ({"stop_reason": reason} if reason else {})


def _write_rows(rows: Iterator[dict[str, Any]], write: Callable[[str], object]) -> tuple[int, int]:
    """Write rows, a line each; how many are failures, and how many there are."""
    failed = total = 0
    for row in rows:
        write(to_json_line(row))
        total += 1
        failed += "error" in row
    return failed, total
