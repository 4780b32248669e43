"""All checks, one after the other; none of them can end the examination."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from langchain_bedrock_opt.cli.checks import account, machine, models, quotas
from langchain_bedrock_opt.cli.checks.bench import Bench
from langchain_bedrock_opt.cli.checks.finding import Finding

Check: TypeAlias = Callable[[Bench], Iterator[Finding]]

_HERE: Final[tuple[Check, ...]] = (
    machine.versions,
    machine.extras,
    machine.folders,
    machine.open_files,
    machine.environment,
)
_NEEDED: Final[tuple[Check, ...]] = (account.region, account.credentials)
_THERE: Final[tuple[Check, ...]] = (models.models, quotas.quotas)


def examine(bench: Bench) -> Iterator[Finding]:
    """Make all checks.

    Args:
        bench: What they work with.

    Yields:
        What is found. Without a region or credentials AWS is not asked about models and quotas.
    """
    for check in _HERE:
        yield from _made(check, bench)
    is_ready = True
    for check in _NEEDED:
        for finding in _made(check, bench):
            is_ready = is_ready and finding.status != "failure"
            yield finding
    if not is_ready:
        yield Finding(
            check="models",
            status="unknown",
            said="not looked at without a region and valid credentials",
        )
        return
    for check in _THERE:
        yield from _made(check, bench)
    if not bench.is_offline:
        yield from _made(account.clock, bench)


def _made(check: Check, bench: Bench) -> Iterator[Finding]:
    try:
        yield from check(bench)
    except Exception as error:  # noqa: BLE001 - one check must not keep the others from being made
        said = f"the check could not be made: {type(error).__name__}: {error}"
        yield Finding(check=check.__name__, status="unknown", said=" ".join(said.split()))
