"""Every notebook runs from top to bottom on the emulator, and is kept without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))

# nbclient's own event loop and sockets
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    """A reader who runs all cells gets no error, and no AWS account is needed."""
    notebook = nbformat.read(path, as_version=4)

    NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()

    printed = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.outputs]
    assert printed, "a notebook that shows nothing"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    """What is committed is what was written, not what one run printed."""
    notebook = nbformat.read(path, as_version=4)

    assert not [cell.id for cell in notebook.cells if cell.get("outputs")]


def test_there_is_a_notebook() -> None:
    """The tour has a first page."""
    assert next(path.stem for path in NOTEBOOKS) == "01_start"
