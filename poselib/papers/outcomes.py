"""Tables and figures of a paper: which notebook makes each, on what data, what came out."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from poselib.ops.io import read_json
from poselib.papers.catalog import PAPERS

_FOLDER = Path(__file__).with_name("published") / "items"


def listed_papers() -> list[str]:
    """Return the papers that have a list of their tables and figures."""
    return [name for name in PAPERS if (_FOLDER / f"{name}.csv").is_file()]


def paper_items(paper: str) -> pd.DataFrame:
    """Return the tables and figures of a paper that are rebuilt here.

    Returns:
        Columns ``item`` (as the paper counts it), ``about``, ``notebook``, its ``parameters`` as
        ``name=value`` pairs, and ``artifact``, the stem of the file in ``figures`` whose sidecar
        has the outcome; empty where there is none.

    Raises:
        ValueError: the paper is unknown; the message lists those that are known.
    """
    known = sorted(path.stem for path in _FOLDER.glob("*.csv"))
    if paper not in known:
        raise ValueError(f"no list of tables and figures of {paper!r}; there are those of {known}")
    return pd.read_csv(_FOLDER / f"{paper}.csv", dtype=str, keep_default_na=False)


def outcomes(paper: str, figures_dir: Path | str) -> pd.DataFrame:
    """Return what came out for each table and figure of a paper, from the sidecars.

    Returns:
        Columns ``item``, ``about``, ``notebook``, ``parameters``, ``artifact`` (see
        ``paper_items``), ``data`` (what it was run on), ``preset``, ``what came out`` and ``made``
        (the day). An absent artifact reads ``"not run
        yet"``, an item that needs none ``"shown in the notebook"``.

    Raises:
        ValueError: the paper is unknown, or a sidecar is not JSON.
    """
    lines = []
    for item in paper_items(paper).to_dict("records"):
        made = _from_sidecar(Path(figures_dir), str(item["artifact"]))
        lines.append({**{str(key): value for key, value in item.items()}, **made})
    return pd.DataFrame(lines)


def _from_sidecar(folder: Path, artifact: str) -> dict[str, str]:
    absent = {"data": "", "preset": "", "what came out": "", "made": ""}
    if not artifact:
        return {**absent, "what came out": "shown in the notebook"}
    path = folder / f"{artifact}.json"
    if not path.is_file():
        return {**absent, "what came out": "not run yet"}
    content = read_json(path)
    parameters = content.get("parameters", {})
    if not isinstance(parameters, dict):
        raise ValueError(f"{path}: parameters: expected an object, found {parameters!r}")
    return {
        "data": str(parameters.get("data", "")),
        "preset": str(parameters.get("preset", "")),
        "what came out": str(content.get("outcome", "")),
        "made": str(content.get("created", ""))[:10],
    }
