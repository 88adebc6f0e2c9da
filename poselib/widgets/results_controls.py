"""The controls of the results explorer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as ipw

from poselib.analysis.image_errors import KINDS

VIEWS = {
    "training curves and results": "training",
    "comparison of two runs": "comparison",
    "worst images": "images",
    "published numbers": "published",
}
SECTIONS = {
    "Show": ["view"],
    "Runs": ["filter", "run", "against", "reload"],
    "Images": ["errors", "number", "min_score"],
    "Table": ["columns", "add", "sort", "descending", "page", "data_dir"],
}
_LATER = {"continuous_update": False}


def result_controls(reload: Callable[..., None]) -> dict[str, Any]:
    """Return the controls by the names of their settings, with ``add`` and ``reload``."""
    named = {"missed": "missed people", "false": "false detections", "wrong_person": "wrong person"}
    kinds = {"lowest OKS": "oks", **{named.get(kind, kind): kind for kind in KINDS}}
    controls: dict[str, Any] = {
        "view": ipw.RadioButtons(options=list(VIEWS.items()), value="training"),
        "filter": ipw.Text(
            "", description="filter", placeholder="words, system=hae, AP>=0.5, lr!=0.001"
        ),
        "run": ipw.Combobox(value="", description="run", placeholder="the newest", **_LATER),
        "against": ipw.Combobox(value="", description="against", placeholder="none", **_LATER),
        "errors": ipw.Dropdown(options=list(kinds.items()), description="errors"),
        "number": ipw.IntText(1, description="number"),
        "min_score": ipw.FloatSlider(
            0.1, min=0, max=1, step=0.05, description="min. score", **_LATER
        ),
        "columns": ipw.Text("AP AR", description="columns", **_LATER),
        "add": ipw.Dropdown(options=("",), description="add column"),
        "sort": ipw.Text("started", description="sort by", **_LATER),
        "descending": ipw.Checkbox(True, description="highest or latest first", indent=False),
        "page": ipw.IntText(1, description="page"),
        "data_dir": ipw.Text(
            "", description="data folder", placeholder="of a dataset known by name", **_LATER
        ),
        "reload": ipw.Button(description="Read the folder again", icon="refresh"),
    }
    controls["filter"].tooltip = "words, and terms such as name=train, AP>=0.5, lr!=0.001"

    def added(change: dict[str, Any]) -> None:
        if name := change["new"]:
            names = controls["columns"].value.split()
            kept = [each for each in names if each != name]
            controls["columns"].value = " ".join(kept if name in names else [*names, name])
            controls["add"].value = ""

    controls["add"].observe(added, "value")
    controls["reload"].on_click(reload)
    return controls
