"""Views of one run or two: training curves, a comparison, and published numbers beside."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as ipw
import pandas as pd
from matplotlib.axes import Axes

from poselib.experiments.published_beside import PublishedBeside
from poselib.experiments.run_table import differing, numbers_of, text_of
from poselib.plots.bars import draw_image_gains
from poselib.plots.curves import draw_losses, draw_validation, training_lines
from poselib.plots.style import INK
from poselib.widgets.charts import Chart
from poselib.widgets.run_reader import Found
from poselib.widgets.table import as_html

_NAMED = 400  # images whose bars are named at the mouse


class TrainingView:
    """Curves of a training, which grow while it runs, beside its parameters and results."""

    def __init__(self) -> None:
        self.loss = Chart(4.6, 3.3, "weighted training loss")
        self.validation = Chart(4.0, 3.3, "validation")
        self.about = ipw.HTML()
        self._entries: list[str] = []
        row = ipw.HBox([self.loss, self.validation], layout=ipw.Layout(flex_flow="row wrap"))
        self.box = ipw.VBox([row, self.about])

    def draw(self, found: Found) -> str:
        """Draw the run as far as it is; return how far that is."""
        run, lines = found.runs[0], found.curves[0].lines
        known = _has_loss(lines)
        validated = False
        if known:
            training, validation = training_lines(lines)
            validated = not validation.empty
            others = [curve.lines for curve in found.curves[1:] if _has_loss(curve.lines)]
            # Legends that have the same entries need the same room.
            entries = [*training, *validation, *map(str, others and found.names)]
            room, self._entries = entries != self._entries, entries
            self.loss.redraw(lambda ax: _losses(ax, training, others, found.names), layout=room)
            if validated:
                self.validation.redraw(lambda ax: _validation(ax, validation), layout=room)
        self.loss.layout.display = None if known else "none"
        self.validation.layout.display = None if validated else "none"
        parameters = {k: text_of(v) for k, v in run.params.items() if text_of(v)}
        metrics = {k: text_of(v) for k, v in numbers_of(run.metrics).items()}
        self.about.value = _side_by_side(
            as_html(["parameter", ""], [*parameters.items()], caption="Parameters"),
            as_html(["metric", ""], [*metrics.items()], caption="Results") if metrics else "",
        )
        if not known and not run.finished:
            return f"{run.id}: nothing is measured yet; it appears as soon as it is"
        if not known:
            return f"{run.id}: no training curves, as it did not train"
        last = lines[-1]
        state = "finished" if run.finished else "not finished; new lines appear as they are written"
        return f"{run.id}: step {last.get('step')}, {state}"


class ComparisonView:
    """What differs between two runs, and which images each of them wins."""

    def __init__(self) -> None:
        self.tables = ipw.HTML()
        self._found: Found | None = None
        self.gains = Chart(7.0, 2.9, "gain in each image: click a bar to see the image")
        self.box = ipw.VBox([self.tables, self.gains])

    def draw(self, found: Found) -> str:
        """Draw the comparison; return which run wins, in words."""
        if found is self._found and found.pairs is not None:
            return summary_of(found.pairs)
        self._found = found
        self.gains.layout.display = "none"
        if len(found.runs) < 2:
            self.tables.value = ""
            return "choose a second run: compare in its row, or Shift and Enter"
        first, second = found.runs
        head = ["", "A", "B"]
        changed = [
            (name, text_of(a), text_of(b))
            for name, a, b in differing(first.params, second.params).itertuples()
            if text_of(a) != text_of(b)
        ]
        numbers = [numbers_of(run.metrics) for run in found.runs]
        self.tables.value = _side_by_side(
            as_html(
                head, changed, caption="Parameters that differ", note="" if changed else "none"
            ),
            as_html([*head, "B − A"], _metrics(*numbers), caption="Results"),
        )
        if found.pairs is None:
            return found.fault or "the two runs are not paired by image"
        pairs = found.pairs
        gains = pairs["gain"]
        names = [
            (n + 1.0, gain, f"image {image}: A {a:.2f}, B {b:.2f}")
            for n, (image, a, b, gain) in enumerate(
                pairs[["image", "first", "second", "gain"]].itertuples(index=False)
            )
        ]
        self.gains.layout.display = None
        named = names if len(names) <= _NAMED else ()
        self.gains.redraw(lambda ax: draw_image_gains(ax, gains, "A", "B"), named)
        return summary_of(pairs)


class PublishedView:
    """Tables of the paper of a run's system, with the run's row apart."""

    def __init__(self) -> None:
        self.tables = ipw.HTML()
        self.box = ipw.VBox([self.tables])

    def draw(self, found: Found, about: str) -> str:
        """Show the tables; return what they are.

        Args:
            about: a published number of the run's own weights, in words; empty if there is none.
        """
        blocks = [_published(each) for each in found.beside]
        self.tables.value = "".join([f"<p>{html.escape(about)}</p>" if about else "", *blocks])
        if not blocks:
            return about or "no table of a paper is known for the system and dataset of this run"
        same = [each for each in found.beside if each.comparable]
        where = "the same images" if same else "other images: not to be compared number by number"
        return f"{len(blocks)} published table{'s' * (len(blocks) > 1)}, measured on {where}"


def summary_of(pairs: pd.DataFrame) -> str:
    """Return which of two runs wins how many images, in words."""
    wins = int((pairs["gain"] < 0).sum()), int((pairs["gain"] > 0).sum())
    people = pairs["people"]
    means = [float((people * pairs[name]).sum() / people.sum()) for name in ("first", "second")]
    return (
        f"of {len(pairs)} images A wins {wins[0]}, B {wins[1]}, and {len(pairs) - sum(wins)} are "
        f"equal; mean OKS of people: A {means[0]:.3f}, B {means[1]:.3f}"
    )


def _has_loss(lines: Sequence[Mapping[str, Any]]) -> bool:
    return any(line.get("loss") is not None for line in lines)


def _losses(
    ax: Axes, training: pd.DataFrame, others: Sequence[list[dict[str, Any]]], names: Sequence[str]
) -> None:
    for lines in others:
        loss = training_lines(lines)[0]["loss"]
        ax.plot(loss.index, loss, color=INK, linewidth=1.0, linestyle=":", label=names[-1])
    draw_losses(ax, training)
    ax.set(xlabel="optimizer step", title="")


def _validation(ax: Axes, validation: pd.DataFrame) -> None:
    draw_validation(ax, validation)
    ax.set(xlabel="optimizer step", title="")


def _metrics(first: Mapping[str, float], second: Mapping[str, float]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name in dict.fromkeys([*first, *second]):
        a, b = first.get(name), second.get(name)
        gain = "" if a is None or b is None else f"{b - a:+.4f}"
        rows.append((name, text_of(a), text_of(b), gain))
    return rows


def _published(beside: PublishedBeside) -> str:
    metrics = [str(name) for name in beside.published]
    rows: list[tuple[str, ...]] = []
    for heading, table in (
        (f"measured: {beside.measured_on}", beside.measured),
        (f"published: {beside.published_on}", beside.published),
    ):
        rows.append((heading,))
        rows += [
            (str(name), *("" if value != value else f"{value:.1f}" for value in row))
            for name, row in zip(table.index, table[metrics].to_numpy(float), strict=True)
        ]
    return as_html(["percent", *metrics], rows, caption=beside.heading)


def _side_by_side(*blocks: str) -> str:
    columns = "".join(
        f'<div style="max-height:24em;overflow:auto">{block}</div>' for block in blocks if block
    )
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px 32px">{columns}</div>'
