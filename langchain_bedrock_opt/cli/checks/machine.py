"""Checks of this machine: versions, extras, folders, open files. Nobody is asked."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final

from langchain_bedrock_opt import __version__
from langchain_bedrock_opt.aws.clients import DEFAULT_CONCURRENCY
from langchain_bedrock_opt.catalog.price_book import default_price_file
from langchain_bedrock_opt.cli.checks.bench import Bench
from langchain_bedrock_opt.cli.checks.finding import Finding

_PACKAGE: Final = "langchain-bedrock-opt"
_OLDEST_PYTHON: Final = (3, 10)
_EXTRA: Final = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
_SPARE_FILES: Final = 64
"""Files that a process has open besides its connections."""


def versions(_: Bench) -> Iterator[Finding]:
    """Python, this package, and what it needs, within the bounds that it was tested in."""
    python = platform.python_version()
    if sys.version_info < _OLDEST_PYTHON:
        yield Finding(
            check="versions",
            status="failure",
            said=f"Python {python} is too old",
            fix="Install Python 3.10 or newer.",
        )
    found = [f"Python {python}", f"{_PACKAGE} {__version__}"]
    wrong = []
    for requirement in _requirements():
        name, has, wanted = requirement
        if has is None or wanted:
            wrong.append(requirement)
        else:
            found.append(f"{name} {has}")
    yield Finding(check="versions", status="ok", said=", ".join(found))
    for name, has, wanted in wrong:
        yield Finding(
            check="versions",
            status="failure",
            said=f"{name} {has} is not {wanted}" if has else f"{name} is not installed",
            fix=f'pip install "{name}{wanted}"',
        )


def _requirements() -> Iterator[tuple[str, str | None, str]]:
    """What the core needs: its name, the version there is, and the bounds if they are not met."""
    from packaging.requirements import Requirement  # langchain-core needs it, too

    for line in requires(_PACKAGE) or ():
        requirement = Requirement(line)
        if _EXTRA.search(line):
            continue
        has = _version(requirement.name)
        is_met = has is not None and requirement.specifier.contains(has, prereleases=True)
        yield requirement.name, has, "" if is_met else str(requirement.specifier)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def extras(_: Bench) -> Iterator[Finding]:
    """Which extras are installed. One that is missing is no fault."""
    from packaging.requirements import Requirement

    needed: dict[str, list[str]] = {}
    for line in requires(_PACKAGE) or ():
        if match := _EXTRA.search(line):
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": match[1]}):
                needed.setdefault(match[1], []).append(requirement.name)
    missing = [
        extra for extra, names in needed.items() if any(_version(name) is None for name in names)
    ]
    there = [extra for extra in needed if extra not in missing]
    said = f"installed: {', '.join(there) or 'none'}"
    yield Finding(
        check="extras",
        status="ok",
        said=f"{said}; not installed: {', '.join(missing)}" if missing else said,
        fix=f'Where you need one: pip install "{_PACKAGE}[{missing[0]}]"' if missing else "",
    )


def folders(bench: Bench) -> Iterator[Finding]:
    """Whether files can be written where prices and, if one is named, a cache are kept."""
    yield _writable("folder of prices", default_price_file().parent, "Set BEDROCK_OPT_PRICES.")
    if bench.cache is not None:
        yield _writable("cache folder", Path(bench.cache).expanduser(), "Choose another folder.")


def _writable(check: str, folder: Path, fix: str) -> Finding:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        said = f"{folder} can't be written: {error.strerror}"
        return Finding(check=check, status="failure", said=said, fix=fix)
    return Finding(check=check, status="ok", said=f"{folder} can be written")


def open_files(_: Bench) -> Iterator[Finding]:
    """Whether a process may have as many connections as a chat model's pool has places."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = DEFAULT_CONCURRENCY + _SPARE_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        said = f"{DEFAULT_CONCURRENCY} calls at once fit into the limit of open files"
        yield Finding(check="connections", status="ok", said=said)
        return
    yield Finding(
        check="connections",
        status="warning",
        said=f"a process may have {soft} open files, and {DEFAULT_CONCURRENCY} calls at once need "
        f"{needed}",
        fix=f"Raise it with `ulimit -n {needed}`, or give chat models a smaller max_concurrency.",
    )


def redirections() -> list[str]:
    """The names of variables that send calls elsewhere than to AWS."""
    return sorted(name for name in os.environ if name.startswith("AWS_ENDPOINT_URL"))


def environment(_: Bench) -> Iterator[Finding]:
    """Settings that send calls elsewhere than to AWS."""
    redirected = redirections()
    for name in redirected:
        yield Finding(
            check="endpoint",
            status="warning",
            said=f"{name} sends calls to {os.environ[name]}",
            fix=f"To call AWS itself: unset {name}",
        )
    if not redirected:
        yield Finding(check="endpoint", status="ok", said="calls go to AWS itself")
