"""`bedrock-opt cache`: what a store of answers holds, and what of it is to be forgotten."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from langchain_bedrock_opt.cli import values
from langchain_bedrock_opt.cli.codes import ExitCode
from langchain_bedrock_opt.cli.output import emit, note
from langchain_bedrock_opt.cli.progress import progress
from langchain_bedrock_opt.cli.signals import ended_like_ctrl_c
from langchain_bedrock_opt.errors import ConfigurationError

_DATABASE: Final = "cache.db"
"""What is in the folder of every cache that was used."""
_STORES: Final = "disk:FOLDER (or just the folder), dynamodb:TABLE, redis://HOST:PORT/DATABASE"
_DYNAMODB: Final = "dynamodb:"
_COUNTED: Final = "in the whole table, as DynamoDB last counted (about every six hours)"
_PASSWORD: Final = re.compile(r"(://[^/@]*:).*(@)")
_REDIS: Final = ("redis://", "rediss://", "unix://")


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    parser = verbs.add_parser(
        "cache", help="look into a store of answers, empty it, fill it", epilog=f"stores: {_STORES}"
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    stats = actions.add_parser("stats", help="how many entries a store holds, and their size")
    stats.set_defaults(run=_stats)
    _add_store(stats)
    clear = actions.add_parser("clear", help="forget everything in a store, of all namespaces")
    clear.set_defaults(run=_clear)
    clear.add_argument("--yes", action="store_true", help="yes, the answers were paid for")
    _add_store(clear)
    invalidate = actions.add_parser("invalidate", help="serve some answers no more: one write")
    invalidate.set_defaults(run=_invalidate)
    which = invalidate.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--tag", action="append", metavar="TAG", help="answers with this tag; may be repeated"
    )
    which.add_argument("--tenant", help="this tenant's answers")
    which.add_argument("--all", action="store_true", help="all answers of the namespace")
    _add_store(invalidate, is_of_namespace=True)
    _add_warm_up(actions)
    _add_table(actions)


def _add_warm_up(actions: Any) -> None:
    parser = actions.add_parser(
        "warm-up",
        help="put questions and answers into a store",
        description="Rows without an answer are answered by the model, and paid for. Answers "
        "serve only requests with the same model and limits. A cache with a secret or encryption "
        "is filled in Python, by BedrockSemanticCache.warm_up.",
    )
    parser.set_defaults(run=_warm_up)
    _add_store(parser, is_of_namespace=True)
    parser.add_argument(
        "file", metavar="FILE", help="JSON lines with `prompt`, and `answer`, `tags`, `ttl`"
    )
    parser.add_argument("--model", required=True, metavar="ID", help="the model of the requests")
    parser.add_argument(
        "--max-tokens", type=values.positive, metavar="N", help="the requests' longest answer"
    )
    parser.add_argument(
        "--temperature",
        type=values.number,
        metavar="T",
        help="the requests' temperature, which must be 0",
    )
    parser.add_argument(
        "--ttl", type=values.lifetime, default=3600.0, metavar="S", help="seconds that answers live"
    )
    parser.add_argument("--tenant", default="", help="whose answers they are")


def _add_table(actions: Any) -> None:
    parser = actions.add_parser(
        "table", help="the DynamoDB table of a cache, as CloudFormation's properties"
    )
    parser.set_defaults(run=_table)
    parser.add_argument("table", metavar="TABLE", help="its name")
    parser.add_argument("--create", action="store_true", help="make it, with your credentials")
    parser.add_argument("--region", default=None, help="the AWS region")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_store(parser: argparse.ArgumentParser, *, is_of_namespace: bool = False) -> None:
    parser.add_argument("store", metavar="STORE", help=_STORES)
    parser.add_argument("--prefix", default="bedrock-opt", help="as the store's, where it has one")
    parser.add_argument("--cluster", action="store_true", help="the Redis server is a cluster")
    parser.add_argument("--region", default=None, help="the AWS region")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    if is_of_namespace:
        parser.add_argument("--namespace", default="default", help="as the cache's")


def _stats(options: argparse.Namespace) -> int:
    with _opened(options) as store:
        size = store.size()
    weight = "" if size.bytes is None else f", {size.bytes:,} bytes"
    # DynamoDB counts items of all prefixes and namespaces, and a long answer is several of them.
    counted = _COUNTED if options.store.startswith(_DYNAMODB) else ""
    document = {"store": repr(store), **size._asdict()}
    emit(
        document | ({"counted": counted} if counted else {}),
        f"{store!r}: {size.entries:,} entries{weight}{counted and f', {counted}'}",
        as_json=options.json,
    )
    return ExitCode.DONE


def _clear(options: argparse.Namespace) -> int:
    if not options.yes:
        raise ConfigurationError(
            f"This forgets every answer in {_shown(options.store)}, of all namespaces: say --yes, "
            "or make some of them invalid with `bedrock-opt cache invalidate`."
        )
    with _cache(options) as cache:
        cache.clear()
    emit({"cleared": True}, "Everything in the store is forgotten.", as_json=options.json)
    return ExitCode.DONE


def _invalidate(options: argparse.Namespace) -> int:
    with _cache(options, namespace=options.namespace) as cache:
        cache.invalidate(tags=options.tag, tenant=options.tenant)
    whose = "all answers"
    if options.tag:
        whose = f"answers with {', '.join(options.tag)}"
    elif options.tenant is not None:
        whose = f"answers of tenant {options.tenant!r}"
    emit(
        {"namespace": options.namespace, "tags": options.tag, "tenant": options.tenant},
        f"In namespace {options.namespace!r} {whose} are served no more.",
        as_json=options.json,
    )
    return ExitCode.DONE


def _warm_up(options: argparse.Namespace) -> int:
    from langchain_core.runnables import RunnableLambda

    from langchain_bedrock_opt.chat_model import ChatBedrockOptimized

    if options.temperature:
        raise ConfigurationError(
            f"--temperature {options.temperature:g}: a cache keeps no answers to requests with a "
            "temperature above 0, so they would be paid for in vain. Leave it out, or say 0."
        )
    own = {"max_tokens": options.max_tokens, "temperature": options.temperature}
    given = {name: value for name, value in own.items() if value is not None}
    settings = {"namespace": options.namespace, "tenant": options.tenant, "ttl": options.ttl}
    opened = _cache(options, is_made=True, **settings)
    with ended_like_ctrl_c(), opened as cache, progress() as show:
        model = ChatBedrockOptimized(
            model=options.model, region_name=options.region, cache=cache, **given
        )
        answered = 0

        def count(message: Any) -> Any:
            nonlocal answered
            answered += 1
            show(answered, answered, "answers")
            return message

        done = cache.warm_up(options.file, model | RunnableLambda(count))
    said = f"{done.rows} questions: {done.known} known, {done.stored} stored"
    said = f"{said}, {len(done.unkept)} not kept, {len(done.failed)} failed."
    emit(asdict(done), said, as_json=options.json)
    for number, why in done.failed.items():
        note(f"row {number}: {why}")
    for number in done.unkept:
        note(f"row {number}: answered and not kept: cut by --max-tokens, or stopped by a guardrail")
    return ExitCode.NOT_WELL if done.failed or done.unkept else ExitCode.DONE


def _table(options: argparse.Namespace) -> int:
    from langchain_bedrock_opt.caching import DynamoDBCacheStore

    store = DynamoDBCacheStore(options.table, region_name=options.region)
    if not options.create:
        emit(store.table_definition(), "", as_json=True)
        return ExitCode.DONE
    store.create_table()
    emit(
        {"table": options.table, "created": True},
        f"DynamoDB table {options.table} is there, with its time to live on.",
        as_json=options.json,
    )
    return ExitCode.DONE


@contextmanager
def _cache(options: argparse.Namespace, *, is_made: bool = False, **settings: Any) -> Iterator[Any]:
    """A cache over the store that a command line names, closed at the end."""
    from langchain_bedrock_opt.caching import BedrockSemanticCache

    cache = BedrockSemanticCache(_store(options, is_made=is_made), **settings)
    try:
        yield cache
    finally:
        cache.close()


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[Any]:
    store = _store(options)
    try:
        yield store
    finally:
        store.close()


def _store(options: argparse.Namespace, *, is_made: bool = False) -> Any:
    """The store that a command line names.

    Args:
        options: The command line.
        is_made: Whether a folder that is not there is made.

    Raises:
        ConfigurationError: There is none.
    """
    from langchain_bedrock_opt import caching

    text: str = options.store
    if text.startswith(_REDIS):
        return caching.RedisCacheStore(text, prefix=options.prefix, cluster=options.cluster)
    kind, colon, name = text.partition(":")
    if kind == "dynamodb" and colon:
        return caching.DynamoDBCacheStore(name, region_name=options.region, prefix=options.prefix)
    if colon and kind != "disk" and len(kind) > 1:  # one letter is a drive
        raise ConfigurationError(f"{_shown(text)!r} is no store: write {_STORES}.")
    path = Path(name if kind == "disk" and colon else text).expanduser()
    if not is_made and not path.is_dir():
        raise ConfigurationError(f"There is no folder {str(path)!r}: check the path.")
    if not is_made and not (path / _DATABASE).is_file():
        raise ConfigurationError(
            f"There is no cache in folder {str(path)!r} (no {_DATABASE}): check the path."
        )
    return caching.DiskCacheStore(path)


def _shown(store: str) -> str:
    """A store's name without the password in it."""
    return _PASSWORD.sub(r"\1***\2", store)
