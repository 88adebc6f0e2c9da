"""Which cell of an executed notebook failed, and why, in one line."""

from __future__ import annotations

import textwrap
from pathlib import Path

from poselib.ops.io import read_json

_WIDTH = 200
# Cells that papermill puts between those of the notebook.
_ADDED = {"injected-parameters", "papermill-error-cell-tag"}


def failed_cell(copy: Path, error: BaseException) -> str:
    """Return the number, the first line and the error of the cell at which an execution ended.

    Args:
        copy: the partly executed notebook, as papermill leaves it; it may be absent.
        error: that ended it.

    Returns:
        As ``cell 3 (run.finish(scores)): KeyError: 'AP'``; the number is the cell's in the
        notebook, the first being 1. What was raised alone where no cell had begun.
    """
    cells = read_json(copy)["cells"] if copy.is_file() else []
    cells = [cell for cell in cells if not _ADDED & {*cell["metadata"].get("tags", [])}]
    # The last one that began: of a kernel that died papermill says that all are completed.
    begun = [number for number, cell in enumerate(cells, 1) if cell.get("execution_count")]
    if not begun:
        return _short(_words(error))
    cell = cells[begun[-1] - 1]
    code = "".join(cell["source"]).strip().splitlines()
    return f"cell {begun[-1]} ({_short(code[0] if code else '', 60)}): {_short(_words(error))}"


def _words(error: BaseException) -> str:
    if name := getattr(error, "ename", ""):  # what the cell raised, as papermill repeats it
        return f"{name}: {getattr(error, 'evalue', '')}"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _short(text: str, width: int = _WIDTH) -> str:
    return textwrap.shorten(text, width, placeholder=" ...")
