"""The views of the results explorer as figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from poselib.analysis.image_errors import KINDS, worst_images
from poselib.plots import style
from poselib.plots.bars import draw_image_gains
from poselib.plots.curves import show_training
from poselib.plots.panels import show_panels
from poselib.plots.tables import show_comparison
from poselib.widgets.run_images import image_panels
from poselib.widgets.run_panels import summary_of
from poselib.widgets.run_reader import Found

_IMAGES = 4  # of the worst ones, or of the two ends of a comparison


def run_figure(values: Mapping[str, Any], found: Found) -> Figure:
    """Return a view as a figure; what cannot be shown is said in it.

    Args:
        values: the settings of the explorer.
        found: what they are drawn from.
    """
    view = values["view"]
    if view == "training" and any("loss" in line for line in found.curves[0].lines):
        return show_training(found.curves[0].lines, title=found.runs[0].id)
    if view == "images" and found.results:
        figure = _images(values, found)
        if figure is not None:
            return figure
    if view == "comparison" and found.pairs is not None:
        return _gains(found)
    if view == "published" and found.beside:
        first = found.beside[0]
        return show_comparison(
            first.published,
            first.measured,
            published_on=first.published_on,
            measured_on=first.measured_on,
            title=first.heading,
        )
    return style.sentence(found.fault or f"{found.runs[0].id}: nothing to draw in this view")


def _images(values: Mapping[str, Any], found: Found) -> Figure | None:
    results, kind = found.results[0], values["errors"]
    ranked = worst_images(results.errors, kind)
    start = min(max(values["number"], 1), max(len(ranked), 1)) - 1
    positions = [int(n) for n in ranked.index[start : start + _IMAGES]]
    if not positions:
        return None
    about = "the lowest OKS" if kind == "oks" else f"most {KINDS[kind]}"
    panels = image_panels(found.runs[0].id, results, positions, kind)
    title = f"Images with {about}: {found.runs[0].id}, {results.about}"
    return show_panels(panels, results.dataset.skeleton, marked="wrong", title=title)


@style.theme
def _gains(found: Found) -> Figure:
    assert found.pairs is not None
    figure = style.new_figure(3.2, title=f"A {found.runs[0].id}, B {found.runs[1].id}")
    ax = figure.subplots()
    draw_image_gains(ax, found.pairs["gain"], "A", "B")
    ax.set_title(summary_of(found.pairs))
    return figure
