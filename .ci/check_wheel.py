"""Checks on an installed wheel without extras: it imports, changes nothing by it, runs the demo."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import socket
import sys
from importlib.metadata import requires

import boto3
import langchain_aws  # noqa: F401 - it patches boto3 by itself; what it leaves is the baseline


def refuse(*_args: object, **_kwargs: object) -> None:
    """Stand in for a socket: nothing may be connected."""
    raise AssertionError("a connection was opened")


def is_importable(name: str) -> bool:
    """Import a public name; if it needs an extra, the error has to say which."""
    import langchain_bedrock_opt
    from langchain_bedrock_opt.errors import MissingExtraError

    try:
        getattr(langchain_bedrock_opt, name)
    except MissingExtraError as error:
        if "pip install" not in str(error):
            raise
        return False
    return True


def run(*arguments: str) -> str:
    """Run the command in this process, where nothing may be connected; what it printed."""
    from langchain_bedrock_opt.cli import main as command

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = command(arguments)
    assert status == 0, f"bedrock-opt {' '.join(arguments)} ended with {status}"
    return printed.getvalue()


def check_command() -> None:
    """The demo runs on its own prompts, and the doctor finds this installation well."""
    figures = json.loads(run("demo", "--speed", "10000", "--json"))
    assert figures["failures"] == {}, figures["first_messages"]
    assert figures["unpriced_calls"] == 0, figures
    assert figures["cache_hits"] > 0, figures
    os.environ.update(AWS_REGION="us-east-1", AWS_ACCESS_KEY_ID="-", AWS_SECRET_ACCESS_KEY="-")
    found = json.loads(run("doctor", "--offline", "--json"))["counts"]
    assert "unknown" not in found, found
    print(
        f"the demo answers {figures['prompts']} prompts, {figures['cache_hits']} from the cache, "
        f"and saves {figures['saved_percent']:.0f} %; the doctor finds {found['ok']} things well"
    )


def main() -> None:
    """Import everything public, compare the world before and after, and run the demo."""
    socket.socket.connect = refuse  # type: ignore[assignment,method-assign]
    client, session_client = boto3.client, boto3.session.Session.client
    handlers = list(logging.getLogger().handlers)

    import langchain_bedrock_opt

    heavy = {"numpy", "diskcache", "moto", "rich", "redis"} & set(sys.modules)
    assert "langchain_bedrock_opt.chat_model" not in sys.modules, "names are not lazy"
    needing = {"BedrockRoutingMiddleware"}
    for name in {*langchain_bedrock_opt.__all__, *needing}:
        assert is_importable(name) == (name not in needing), name
    exec("from langchain_bedrock_opt import *", {})  # an extra that is missing is no obstacle
    assert boto3.client is client, "boto3.client was replaced"
    assert boto3.session.Session.client is session_client, "Session.client was replaced"
    assert logging.getLogger().handlers == handlers, "a log handler was added"
    assert not logging.getLogger("langchain_bedrock_opt").handlers, "a log handler was added"
    core = [line for line in requires("langchain-bedrock-opt") or () if "extra ==" not in line]
    names = len(langchain_bedrock_opt.__all__)
    print(f"{names} public names import, {len(needing)} says its extra; {len(core)} dependencies")
    assert not heavy & {"moto", "redis"}, heavy
    check_command()


if __name__ == "__main__":
    main()
