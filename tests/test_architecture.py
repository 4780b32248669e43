"""The house rules that a machine can check: floors, the door to boto3, sizes, public API only."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import langchain_bedrock_opt
from langchain_bedrock_opt import errors

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "langchain_bedrock_opt"
SOURCES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
MAX_LINES = 500
MAX_FUNCTION_LINES = 60


def imports_of(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Each imported module of a file, with the names taken from it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", [alias.name for alias in node.names]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_floors_hold() -> None:
    """A room imports the floors below it and never a neighbour: import-linter says so."""
    lint_imports = Path(sys.executable).parent / "lint-imports"
    command = str(lint_imports) if lint_imports.exists() else shutil.which("lint-imports")
    assert command, "import-linter is not installed: make test installs it"

    found = subprocess.run([command], cwd=ROOT, capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stdout


def test_boto3_has_one_door() -> None:
    """Only `aws` and the emulator import boto3 or botocore."""
    strangers = {
        name_of(path)
        for path in SOURCES
        for module, _ in imports_of(path)
        if module.partition(".")[0] in {"boto3", "botocore"}
        and path.relative_to(PACKAGE).parts[0] not in {"aws", "emulator"}
    }

    assert strangers == set()


def test_nothing_private_of_langchain_is_imported() -> None:
    """No module or name with a leading underscore comes from langchain-core or langchain-aws."""
    private = {
        f"{name_of(path)}: {module} {names}"
        for path in SOURCES
        for module, names in imports_of(path)
        if module.partition(".")[0].startswith("langchain")
        and not module.startswith("langchain_bedrock_opt")
        and any(part.startswith("_") for part in [*module.split("."), *names])
    }

    assert private == set()


def test_files_hold_one_idea() -> None:
    """No file of the package, its tests or its benchmarks has more than 500 lines."""
    paths = [*SOURCES, *TESTS, *(ROOT / "benchmarks").rglob("*.py")]

    too_long = {
        name_of(path): lines
        for path in paths
        if (lines := len(path.read_text("utf-8").splitlines())) > MAX_LINES
    }

    assert too_long == {}


def test_functions_fit_in_the_head() -> None:
    """No function of the package is longer than 60 lines without its docstring."""
    too_long = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                docstring = ast.get_docstring(node, clean=False) or ""
                lines = (node.end_lineno or 0) - node.lineno - docstring.count("\n")
                if lines > MAX_FUNCTION_LINES:
                    too_long.add(f"{name_of(path)}:{node.name}")

    assert too_long == set()


def test_nothing_is_pickled() -> None:
    """No module of the package imports pickle or a kin of it."""
    picklers = {
        name_of(path)
        for path in SOURCES
        for module, _ in imports_of(path)
        if module.partition(".")[0] in {"pickle", "cPickle", "dill", "cloudpickle", "shelve"}
    }

    assert picklers == set()


def test_every_room_has_its_card() -> None:
    """Each room's docstring says what lives here and where its tests are."""
    rooms = [path.parent for path in PACKAGE.glob("*/__init__.py")]

    cards = {
        room.name: ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8")))
        for room in rooms
    }

    assert [name for name, card in cards.items() if not card or "Lives here" not in card] == []
    assert [name for name, card in cards.items() if not card or "tests/" not in card] == []


def test_every_test_says_what_it_shows() -> None:
    """Each test function has a docstring of one sentence."""
    silent = set()
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            if is_function and node.name.startswith("test_"):  # type: ignore[attr-defined]
                docstring = ast.get_docstring(node) or ""  # type: ignore[arg-type]
                if not docstring.rstrip().endswith("."):
                    silent.add(f"{name_of(path)}:{node.name}")  # type: ignore[attr-defined]

    assert silent == set()


def test_the_public_names_are_the_ones_that_are_listed() -> None:
    """Every name in `__all__` can be imported, is sorted, and no other name is an attribute."""
    names = langchain_bedrock_opt.__all__

    assert names[:-1] == sorted(names[:-1])
    assert names[-1] == "BedrockRoutingMiddleware"  # which needs an extra
    for name in names:
        assert getattr(langchain_bedrock_opt, name).__name__ == name
    assert set(names) <= set(dir(langchain_bedrock_opt))
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = langchain_bedrock_opt.Nonsense


@pytest.mark.parametrize("module", ["langchain_bedrock_opt", "langchain_bedrock_opt.routing"])
def test_everything_can_be_imported_without_an_extra(module: str) -> None:
    """`import *` works where no extra is installed, and the name that needs one says so."""
    code = (
        "import sys; sys.modules['langchain'] = sys.modules['redis'] = None\n"
        f"from {module} import *\nimport {module} as m\n"
        "assert {'ChatBedrockRouter', 'RoutingPolicy'} <= set(globals())\n"
        "try: m.BedrockRoutingMiddleware\n"
        "except ImportError as error: print(error)"
    )

    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert out.returncode == 0, out.stderr
    assert "langchain-bedrock-opt[agents]" in out.stdout


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    """Each exception class stands in the drawing of `errors`, under its parent."""
    classes = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.BedrockOptError)
    }
    drawing = (errors.__doc__ or "").partition("```")[2].partition("```")[0]

    for name, kind in classes.items():
        assert name in drawing
        assert issubclass(kind, errors.BedrockOptError)


def test_importing_the_package_imports_no_room() -> None:
    """`import langchain_bedrock_opt` alone loads neither langchain-aws nor boto3."""
    code = (
        "import sys, langchain_bedrock_opt;"
        "heavy = {'boto3', 'langchain_aws', 'numpy', 'diskcache', 'redis'};"
        "print(sorted(heavy & set(sys.modules)))"
    )

    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert out.stdout.strip() == "[]"


def test_every_module_imports_alone() -> None:
    """No module depends on another one having been imported before it."""
    for path in SOURCES:
        if path.name != "__main__.py":
            parts = path.relative_to(ROOT).with_suffix("").parts
            import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
