"""The run as a command: on the emulator, or with `--real` on the user's AWS account."""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from langchain_bedrock_opt.aws.clients import require_credentials
from langchain_bedrock_opt.caching import BedrockSemanticCache, DiskCacheStore
from langchain_bedrock_opt.demo.run import DEFAULT_TIERS, Outcome, Parts, SpendingCap, run
from langchain_bedrock_opt.demo.summary import as_text, summarize
from langchain_bedrock_opt.demo.workload import read_prompts, shipped_prompts
from langchain_bedrock_opt.emulator import BedrockEmulator
from langchain_bedrock_opt.errors import MissingExtraError
from langchain_bedrock_opt.routing import ChatBedrockRouter
from langchain_bedrock_opt.usage import (
    BedrockUsageCallbackHandler,
    CloudWatchMetricsSink,
    UsageLedger,
)

Say = Callable[[str], object]

_SHOWN: Final = 120
"""How much of the streamed answer is shown, in characters."""

_OFFLINE_NOTE: Final = (
    "Prices are AWS's list prices; the answers and their token counts are the local Bedrock's "
    "estimates. `--real` runs the same on your AWS account, with a spending cap."
)


def demo(options: Namespace) -> int:
    """Run the main job and print what it came to.

    Args:
        options: `prompts`, `real`, `region`, `cap`, `max_tokens`, `speed` and `json`, as the
            command line gives them.

    Returns:
        The exit status: 0, or 1 if prompts failed or the cap stopped the run.

    Raises:
        ConfigurationError: The prompts can't be read, or credentials or a region are missing.
    """
    prompts = read_prompts(options.prompts) if options.prompts else shipped_prompts()
    # With --json only the result is on standard output; what people read goes beside it.
    say: Say = (lambda text: print(text, file=sys.stderr)) if options.json else print
    ledger = UsageLedger()
    client, metrics = _surroundings(options, say)
    handler = BedrockUsageCallbackHandler(sinks=[ledger, metrics] if metrics else [ledger])
    with _cache() as cache:
        parts = Parts(
            router=_router(options, client, cache),
            ledger=ledger,
            handler=handler,
            cap=SpendingCap(options.cap if options.real else None, options.max_tokens),
        )
        outcome = _run(prompts, say, parts)
    if metrics is not None:
        metrics.close()
        if metrics.flush_errors:
            say(f"{metrics.flush_errors} requests to CloudWatch failed.")
    summary = summarize(ledger.records(), outcome, DEFAULT_TIERS)
    print(json.dumps(summary, ensure_ascii=False) if options.json else as_text(summary))
    if not options.real:
        say(_OFFLINE_NOTE)
    return 1 if outcome.failures or outcome.stopped else 0


def _surroundings(options: Namespace, say: Say) -> tuple[Any, CloudWatchMetricsSink | None]:
    """The client that answers (None: AWS), and where the metrics go (None: nowhere)."""
    if options.real:
        endpoint_url = require_credentials(options.region)
        limit = (
            "without a spending cap" if options.cap is None else f"spending at most ${options.cap}"
        )
        say(f"Running at {endpoint_url}, {limit}.")
        return None, None
    emulator = BedrockEmulator(pace="models", speed=options.speed)
    say(
        f"Running on the local Bedrock, whose models answer {options.speed:g} times as fast "
        "as they would."
    )
    try:
        cloudwatch = emulator.client("cloudwatch")
    except MissingExtraError as error:
        say(f"No CloudWatch in this run. {error}")
        return emulator.client(), None
    return emulator.client(), CloudWatchMetricsSink(client=cloudwatch, service="demo")


def _router(options: Namespace, client: Any, cache: BedrockSemanticCache) -> ChatBedrockRouter:
    arguments: dict[str, Any] = {"max_tokens": options.max_tokens, "region_name": options.region}
    if client is not None:
        arguments.update(client=client, bedrock_client=client)
    return ChatBedrockRouter(tiers=DEFAULT_TIERS, cache=cache, **arguments)


@contextmanager
def _cache() -> Iterator[BedrockSemanticCache]:
    """A cache on disk that lasts as long as the run."""
    with tempfile.TemporaryDirectory(prefix="bedrock-opt-") as folder:
        store = DiskCacheStore(folder)
        try:
            yield BedrockSemanticCache(store=store)
        finally:
            store.close()


def _run(prompts: Sequence[str], say: Say, parts: Parts) -> Outcome:
    # The first prompts of a day are greetings; one from its middle has something to stream.
    index = len(prompts) // 2
    pieces: list[str] = []
    with _progress(len(prompts)) as advance:
        outcome = run(prompts, parts, stream=index, on_progress=advance, on_text=pieces.append)
    if outcome.streamed:
        text = " ".join("".join(pieces).split())
        text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
        say(f"Streamed answer {index + 1} in {outcome.streamed} pieces: {text}\n")
    return outcome


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], object]]:
    """A progress bar on standard error where somebody sees it, else nothing."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield lambda done: print(f"\r{done}/{total}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("prompts", total=total)
        yield lambda done: bar.update(task, completed=done)
