"""Where explorers are shown: the column of their controls, and whether there is a page at all."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ipywidgets as ipw

from poselib.experiments.parameters import CALLER

_SIDE = "21em"  # width of the column of controls
_LABEL = "7.5em"  # of which the texts beside them


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
            rows += _fold(heading, section)
            continue
        if heading:
            rows.append(ipw.HTML(f"<b>{html.escape(heading)}</b>"))
        rows += section
    for control in controls.values():
        control.layout.width = "auto"
        if hasattr(control.style, "description_width"):
            control.style.description_width = _LABEL
        if not control.tooltip:  # a page shows "null"
            control.tooltip = control.description
    return ipw.VBox(rows, layout=ipw.Layout(width=_SIDE, flex="0 0 auto"))


def _fold(heading: str, section: Sequence[ipw.Widget]) -> list[ipw.Widget]:
    """Return a heading that folds a section by mouse or keys, unlike an accordion, and it."""
    button = ipw.ToggleButton(False, description=heading, icon="caret-right")
    button.layout.width = "auto"
    content = ipw.VBox(section, layout=ipw.Layout(display="none"))

    def turn(change: dict[str, Any]) -> None:
        button.icon = "caret-down" if change["new"] else "caret-right"
        content.layout.display = None if change["new"] else "none"

    button.observe(turn, "value")
    return [button, content]


def close_all(values: Iterable[Any]) -> None:
    """Close the widgets among values, with all that belong to them.

    ipywidgets keeps each one that is open, and with it whatever observes it.
    """
    for each in values:
        if isinstance(each, list | tuple):
            close_all(each)
        elif isinstance(each, ipw.Widget) and each.comm is not None:
            each.close()
            close_all([getattr(each, name) for name in each.keys])


def is_batch() -> bool:
    """Return whether there is no page: papermill or nbconvert executes, or no notebook runs."""
    from IPython.core.getipython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None or CALLER in os.environ:
        return True
    request = kernel.get_parent("shell")
    # Clients with a page say which cell they ask for; those that execute files do not.
    return "cellId" not in request.get("metadata", {})
