"""Tables of published numbers beside measured ones, never mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poselib.plots import style
from poselib.plots.style import INK

# Inches: the height of a row, and the least widths of a column, of a letter of a name and of one
# of a bold number.
_ROW, _COLUMN, _LETTER, _DIGIT = 0.27, 0.43, 0.078, 0.09
_UNKNOWN = "–"
# Rows above the first: the middle of the names of columns, and a line and a heading above these.
_NAMES, _LINE, _ABOVE = -0.82, -1.2, -1.35


def comparison_table(
    published: pd.DataFrame, measured: pd.DataFrame, *, published_on: str, measured_on: str
) -> pd.DataFrame:
    """Join published and measured numbers under two headings that name their data.

    Args:
        published: one row a method, one column a metric.
        measured: the same; methods and metrics may differ from those of ``published``.
        published_on: data and scale of the published numbers, such as ``"COCO val2017, 512 px"``.
        measured_on: data and scale of the measured ones.

    Raises:
        ValueError: a description is empty, or a method has two rows.
    """
    if not (published_on.strip() and measured_on.strip()):
        raise ValueError("say on which data and at what scale both sets of numbers were obtained")
    for name, table in (("published", published), ("measured", measured)):
        if not table.index.is_unique:
            twice = sorted(set(table.index[table.index.duplicated()]))
            raise ValueError(f"{name}: more than one row for {twice}")
    rows = [*published.index, *(name for name in measured.index if name not in published.index)]
    headed = {
        f"published: {published_on}": published.reindex(rows),
        f"measured: {measured_on}": measured.reindex(rows),
    }
    return pd.concat(headed, axis=1)


@style.theme
def show_comparison(
    published: pd.DataFrame,
    measured: pd.DataFrame,
    *,
    published_on: str,
    measured_on: str,
    title: str = "",
    digits: int = 1,
) -> Figure:
    """Draw published and measured numbers as a figure; a dash where a number is not given.

    If they share a method they stand side by side, as in ``comparison_table``, else measured ones
    stand below the published ones.

    Args:
        published, measured, published_on, measured_on: as in ``comparison_table``.
        digits: of each number behind the point.

    Raises:
        ValueError: as ``comparison_table``.
    """
    table = comparison_table(
        published, measured, published_on=published_on, measured_on=measured_on
    )
    headings = table.columns.get_level_values(0).unique()
    shared = bool(published.index.isin(measured.index).any())
    texts = {
        heading: (part.reindex(table.index) if shared else part).map(
            lambda value: _UNKNOWN if pd.isna(value) else f"{value:.{digits}f}"
        )
        for heading, part in zip(headings, (published, measured), strict=True)
    }
    return (_side_by_side if shared else _one_below_the_other)(texts, title)


@dataclass(frozen=True)
class _Columns:
    """Where columns are drawn.

    Attributes:
        width: of the figure, inches.
        left: where the first begins, a fraction of the width.
        step: from each to the next, a fraction of the width.
    """

    width: float
    left: float
    step: float

    def middle(self, number: int) -> float:
        """Return the middle of a column, a fraction of the width."""
        return self.left + (number + 0.5) * self.step


def _columns(parts: Mapping[str, pd.DataFrame], count: int) -> _Columns:
    """Divide the width of a figure into the names of the rows and some columns."""
    tables = list(parts.values())
    names = _LETTER * max(len(str(name)) for table in tables for name in table.index) + 0.2
    longest = max(len(text) for table in tables for text in table.to_numpy().ravel())
    metric = max(len(str(metric)) for table in tables for metric in table.columns)
    column = max(_COLUMN, _LETTER * metric, _DIGIT * longest)
    width = max(style.WIDTH, names + column * count)
    return _Columns(width, names / width, (1 - names / width) / count)


def _side_by_side(parts: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Draw tables of the same rows side by side, each under its heading."""
    columns = _columns(parts, sum(len(part.columns) for part in parts.values()))
    headings = {}
    for heading, part in parts.items():
        source, _, data = heading.partition(": ")
        room = columns.width * columns.step * len(part.columns)
        headings[heading] = f"{source}\n{style.wrapped(data, room)}"
    top = 1.55 + 0.6 * max(text.count("\n") + 1 for text in headings.values())
    rows = [str(name) for name in next(iter(parts.values())).index]
    ax = _new_table(len(rows), top, columns, title)
    _draw_names(ax, rows, 0)
    first = 0
    for heading, part in parts.items():
        _draw_metrics(ax, list(part.columns), columns, first)
        _draw_numbers(ax, part, columns, first, ours=heading.startswith("measured"))
        start, end = (columns.left + n * columns.step for n in (first, first + len(part.columns)))
        place = (start + end) / 2, _ABOVE
        ax.text(*place, headings[heading], fontsize=style.TEXT, ha="center", va="bottom")
        ax.plot([start + 0.01, end - 0.01], [_LINE] * 2, color=INK, linewidth=0.8)
        first += len(part.columns)
    return ax.get_figure(root=True)  # type: ignore[return-value]


def _one_below_the_other(parts: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Draw tables of different rows one below the other, each under its heading."""
    metrics = list(dict.fromkeys(metric for part in parts.values() for metric in part.columns))
    columns = _columns(parts, len(metrics))
    headings = [style.wrapped(heading, columns.width) for heading in parts]
    heights = [0.4 + 0.6 * (heading.count("\n") + 1) for heading in headings]
    count = sum(len(part) for part in parts.values())
    ax = _new_table(count + sum(heights), 1.2, columns, title)
    _draw_metrics(ax, metrics, columns, 0)
    row = 0.0
    for (name, part), heading, height in zip(parts.items(), headings, heights, strict=True):
        ax.text(0.01, row + height - 0.6, heading, fontsize=style.TEXT, va="bottom", style="italic")
        row += height
        ax.plot([0, 1], [row - 0.5] * 2, color="0.6", linewidth=0.6)
        _draw_names(ax, [str(name) for name in part.index], row)
        numbers = part.reindex(columns=metrics, fill_value=_UNKNOWN)
        _draw_numbers(ax, numbers, columns, 0, row, ours=name.startswith("measured"))
        row += len(part)
    return ax.get_figure(root=True)  # type: ignore[return-value]


def _new_table(rows: float, top: float, columns: _Columns, title: str) -> Axes:
    height = _ROW * (rows + top) + (0.35 if title else 0.1)
    ax = style.new_figure(height, columns.width, title).subplots()
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(rows - 0.45, -top))
    return ax


def _draw_names(ax: Axes, names: Sequence[str], first: float) -> None:
    """Draw names of rows from row ``first`` on, and shade every second row."""
    for n, name in enumerate(names):
        if n % 2 == 0:
            ax.axhspan(first + n - 0.5, first + n + 0.5, color="0.955", linewidth=0)
        ax.text(0.01, first + n, name, fontsize=style.TEXT, va="center")


def _draw_metrics(ax: Axes, metrics: Sequence[str], columns: _Columns, first: int) -> None:
    """Draw names of columns from column ``first`` on."""
    for n, metric in enumerate(metrics, first):
        place = columns.middle(n), _NAMES
        ax.text(*place, str(metric), fontsize=style.TEXT, ha="center", va="center")
    ax.plot([0, 1], [-0.5] * 2, color=INK, linewidth=0.8)


def _draw_numbers(
    ax: Axes, texts: pd.DataFrame, columns: _Columns, column: int, row: float = 0, *, ours: bool
) -> None:
    """Draw numbers from a column and a row on: measured ones are bold, unknown ones faint."""
    for m, line in enumerate(texts.to_numpy()):
        for n, text in enumerate(line, column):
            known = text != _UNKNOWN
            ax.text(
                columns.middle(n),
                row + m,
                text,
                fontsize=style.TEXT,
                fontweight="bold" if ours and known else "normal",
                color="0.75" if not known else INK if ours else "0.35",
                ha="center",
                va="center",
            )
