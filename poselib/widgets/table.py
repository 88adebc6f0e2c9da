"""A table whose columns sort, whose rows are chosen, and whose pages turn, by mouse or keyboard."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import anywidget
import traitlets

from poselib.widgets.canvas import source_of


class Table(anywidget.AnyWidget):
    """A page of a table; what is asked of it is for its owner to do.

    Arrow keys move from row to row, Enter chooses one, with Shift the other one to compare it with;
    Page Up and Page Down turn pages. The headings are buttons.

    Attributes:
        columns: (name, title, whether it holds numbers) of each.
        rows: (id, cells as text) of the rows of this page.
        chosen, second: ids of rows that are marked.
        pairs: whether a second row may be chosen.
        order, descending: the name of the column by which it is sorted, and how.
        page, pages: from 1.
        caption: above it.
        picked: (id, whether as the second, n) of the n-th choice; empty before the first.
        asked: (name of a column, n) of the n-th click on a heading.
        turned: (page, n) of the n-th turn.
    """

    _esm = source_of("table.js")
    _css = source_of("table.css")
    columns: traitlets.List[Any] = traitlets.List([]).tag(sync=True)
    rows: traitlets.List[Any] = traitlets.List([]).tag(sync=True)
    chosen = traitlets.Unicode("").tag(sync=True)
    second = traitlets.Unicode("").tag(sync=True)
    pairs = traitlets.Bool(False).tag(sync=True)
    order = traitlets.Unicode("").tag(sync=True)
    descending = traitlets.Bool(False).tag(sync=True)
    page = traitlets.Int(1).tag(sync=True)
    pages = traitlets.Int(1).tag(sync=True)
    caption = traitlets.Unicode("").tag(sync=True)
    picked: traitlets.List[Any] = traitlets.List([]).tag(sync=True)
    asked: traitlets.List[Any] = traitlets.List([]).tag(sync=True)
    turned: traitlets.List[Any] = traitlets.List([]).tag(sync=True)

    def show(self, **values: Any) -> None:
        """Set several attributes in one message."""
        with self.hold_sync():
            for name, value in values.items():
                setattr(self, name, value)


def as_html(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str = "",
    note: str = "",
) -> str:
    """Return a small table as HTML that is legible in any theme.

    Args:
        rows: cells as text, the first of each its name; a row of one cell is a heading.
        note: below it.
    """
    head = "".join(f"<th>{html.escape(title)}</th>" for title in columns)
    body = ""
    for row in rows:
        name, *cells = (html.escape(cell) for cell in row)
        if not cells:
            body += f'<tr><th colspan="{len(columns)}" class="poselib-span">{name}</th></tr>'
            continue
        values = "".join(f"<td>{cell}</td>" for cell in cells)
        body += f'<tr><th scope="row" title="{name}">{name}</th>{values}</tr>'
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    below = f'<div class="poselib-note-below">{html.escape(note)}</div>' if note else ""
    return (
        f'<table class="poselib-table poselib-small">{title}<thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{below}"
    )
