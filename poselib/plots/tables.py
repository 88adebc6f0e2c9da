"""Tables of published numbers beside measured ones, never mixed."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from poselib.plots import style
from poselib.plots.style import INK

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
    """Draw ``comparison_table`` as a figure; a dash where a number is not given.

    Args:
        published, measured, published_on, measured_on: as in ``comparison_table``.
        digits: of each number behind the point.

    Raises:
        ValueError: as ``comparison_table``.
    """
    table = comparison_table(
        published, measured, published_on=published_on, measured_on=measured_on
    )
    texts = table.map(lambda value: _UNKNOWN if pd.isna(value) else f"{value:.{digits}f}")
    blocks, metrics = ([str(name) for name in level] for level in zip(*table.columns, strict=True))
    names = _LETTER * max(len(str(name)) for name in table.index) + 0.2
    longest = max(len(text) for text in texts.to_numpy().ravel())
    column = max(_COLUMN, _LETTER * max(map(len, metrics)), _DIGIT * longest)
    width = max(style.WIDTH, names + column * len(metrics))
    left, step = names / width, (1 - names / width) / len(metrics)
    headings = {}
    for block in dict.fromkeys(blocks):
        source, _, data = block.partition(": ")
        headings[block] = f"{source}\n{style.wrapped(data, width * step * blocks.count(block))}"
    top = 1.4 + 0.6 * max(heading.count("\n") + 1 for heading in headings.values())
    figure = style.new_figure(_ROW * (len(table) + top) + (0.35 if title else 0.1), width, title)
    ax = figure.subplots()
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(len(table) - 0.45, -top))
    for row in range(0, len(table), 2):
        ax.axhspan(row - 0.5, row + 0.5, color="0.955", linewidth=0)
    for row, name in enumerate(table.index):
        ax.text(0.01, row, str(name), fontsize=style.TEXT, va="center")
    for n, (block, metric) in enumerate(zip(blocks, metrics, strict=True)):
        x = left + (n + 0.5) * step
        ax.text(x, -0.75, metric, fontsize=style.TEXT, ha="center", va="center")
        for row, text in enumerate(texts.iloc[:, n]):
            ours = block.startswith("measured") and text != _UNKNOWN
            color = "0.75" if text == _UNKNOWN else INK if ours else "0.35"
            weight = "bold" if ours else "normal"
            options: dict[str, Any] = {"fontsize": style.TEXT, "color": color, "fontweight": weight}
            ax.text(x, row, text, ha="center", va="center", **options)
    for block, heading in headings.items():
        start = left + blocks.index(block) * step
        end = start + blocks.count(block) * step
        ax.text((start + end) / 2, -1.2, heading, fontsize=style.TEXT, ha="center", va="bottom")
        ax.plot([start + 0.01, end - 0.01], [-1.05] * 2, color=INK, linewidth=0.8)
    ax.plot([0, 1], [-0.5] * 2, color=INK, linewidth=0.8)
    return figure
