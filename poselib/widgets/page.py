"""Where explorers are shown: the column of their controls, and whether there is a page at all."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as ipw

from poselib.experiments.parameters import CALLER

_SIDE = "21em"  # width of the column of controls


def controls_column(
    controls: Mapping[str, Any], sections: Mapping[str, Sequence[str]], folded: Sequence[str]
) -> ipw.Widget:
    """Return controls below each other.

    Args:
        sections: headings, each with the names of its controls.
        folded: headings whose sections are closed until they are clicked.
    """
    rows: list[ipw.Widget] = []
    for heading, names in sections.items():
        section = [controls[name] for name in names]
        if heading in folded:
            rows.append(ipw.Accordion([ipw.VBox(section)], titles=(heading,)))
            continue
        if heading:
            rows.append(ipw.HTML(f"<b>{html.escape(heading)}</b>"))
        rows += section
    for control in controls.values():
        control.layout.width = "auto"
    return ipw.VBox(rows, layout=ipw.Layout(width=_SIDE, flex="0 0 auto"))


def is_batch() -> bool:
    """Whether nobody looks: a notebook that papermill or nbconvert executes, or no notebook."""
    from IPython.core.getipython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None or CALLER in os.environ:
        return True
    request = kernel.get_parent("shell")
    # Clients with a page say which cell they ask for; those that execute files do not.
    return "cellId" not in request.get("metadata", {})
