"""Published numbers beside measured ones, never mixed."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poselib.plots.figure import TEXT, WIDTH, new_sheet, wrapped
from poselib.plots.palette import INK

# Inches: the height of a row, and the least widths of a column, of a letter of a name and of one
# of a bold number.
_ROW, _COLUMN, _LETTER, _DIGIT = 0.27, 0.43, 0.078, 0.09
_UNKNOWN = "–"


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


def show_comparison(
    published: pd.DataFrame,
    measured: pd.DataFrame,
    *,
    published_on: str,
    measured_on: str,
    title: str = "",
    digits: int = 1,
) -> Figure:
    """Draw ``comparison_table`` as a figure; a dash where a number is not given.

    Args:
        published: one row a method, one column a metric.
        measured: the same.
        published_on: data and scale of the published numbers.
        measured_on: data and scale of the measured ones.
        title: heading of the figure.
        digits: of each number behind the point.

    Raises:
        ValueError: as ``comparison_table``.
    """
    table = comparison_table(
        published, measured, published_on=published_on, measured_on=measured_on
    )
    widest = max((len(str(name)) for name in table.index), default=0)
    names, columns = _LETTER * widest + 0.2, max(table.shape[1], 1)
    written = table.map(lambda value: _written(value, digits))
    longest = max((len(str(name)) for name in table.columns.get_level_values(1)), default=0)
    figures = max(map(len, written.to_numpy().ravel()), default=0)
    column = max(_COLUMN, _LETTER * longest, _DIGIT * figures)
    width = max(WIDTH, names + column * columns)
    left, step = names / width, (1 - names / width) / columns
    headings = _headings(table, width * step)
    top = 1.4 + 0.6 * max(heading.count("\n") + 1 for heading in headings.values())
    height = _ROW * (len(table) + top) + (0.35 if title else 0.1)
    sheet = new_sheet(height, width, title)
    ax = sheet.subplots()
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(len(table) - 0.45, -top))
    _draw_headings(ax, table, headings, left, step)
    blocks = [str(name) for name in table.columns.get_level_values(0)]
    for row, (name, values) in enumerate(written.iterrows()):
        if row % 2 == 0:
            ax.axhspan(row - 0.5, row + 0.5, color="0.955", linewidth=0)
        ax.text(0.01, row, str(name), fontsize=TEXT, va="center", color=INK)
        for column, (block, text) in enumerate(zip(blocks, values, strict=True)):
            known, ours = text != _UNKNOWN, block.startswith("measured")
            ax.text(
                left + (column + 0.5) * step,
                row,
                text,
                fontsize=TEXT,
                ha="center",
                va="center",
                color="0.75" if not known else INK if ours else "0.35",
                fontweight="bold" if ours and known else "normal",
            )
    return sheet


def _written(value: object, digits: int) -> str:
    known = isinstance(value, (int, float)) and not pd.isna(value)
    return f"{value:.{digits}f}" if known else _UNKNOWN


def _headings(table: pd.DataFrame, column: float) -> dict[str, str]:
    """Return the heading of each block of columns, ``column`` inches each, in lines that fit."""
    blocks = [str(name) for name in table.columns.get_level_values(0)]
    texts = {}
    for block in dict.fromkeys(blocks):
        source, _, data = block.partition(": ")
        texts[block] = f"{source}\n{wrapped(data, column * blocks.count(block))}"
    return texts


def _draw_headings(
    ax: Axes, table: pd.DataFrame, headings: dict[str, str], left: float, step: float
) -> None:
    blocks = [str(name) for name in table.columns.get_level_values(0)]
    for block, text in headings.items():
        places = [i for i, name in enumerate(blocks) if name == block]
        start, end = left + places[0] * step, left + (places[-1] + 1) * step
        ax.text((start + end) / 2, -1.2, text, fontsize=TEXT, ha="center", va="bottom", color=INK)
        ax.plot([start + 0.01, end - 0.01], [-1.05] * 2, color=INK, linewidth=0.8)
    for column, metric in enumerate(table.columns.get_level_values(1)):
        x = left + (column + 0.5) * step
        ax.text(x, -0.75, str(metric), fontsize=TEXT, ha="center", va="center", color=INK)
    ax.plot([0, 1], [-0.5] * 2, color=INK, linewidth=0.8)
