"""Poses in videos: precision over thresholds of several methods, and joints over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from poselib.plots import style
from poselib.plots.style import GRAY, INK, LINES

_DASHES: tuple[Any, ...] = ("", (4, 1.5), (1, 1), (5, 1, 1, 1))
_PANEL = 2.3  # inches


@style.theme
def show_thresholds(
    curves: pd.DataFrame,
    groups: Mapping[str, Sequence[str]],
    *,
    methods: Sequence[str],
    title: str = "",
) -> Figure:
    """Draw PCK over the threshold: a color a method, a line style a part (RPSTN/JRE, Fig. 11).

    A column of panels is a group of parts, a row the length by which distances are measured. Lines
    are means over seeds, bands their standard deviation.

    Args:
        curves: one line a ``method``, ``seed``, ``reference``, ``part`` and ``threshold``, with
            ``PCK`` in percent, NaN where a part has no labeled joint.
        groups: the parts of each column, up to four, by its heading.
        methods: in the order of the legend; those without a line are left out.

    Raises:
        ValueError: a column is missing, or there are more methods or parts than line styles.
    """
    style.require_columns(curves, "method", "seed", "reference", "part", "threshold", "PCK")
    if len(methods) > len(LINES) or max(map(len, groups.values())) > len(_DASHES):
        most = f"at most {len(LINES)} methods and {len(_DASHES)} parts a panel can be drawn"
        raise ValueError(f"{most}, not {list(methods)} and {dict(groups)}")
    palette = dict(zip(methods, LINES, strict=False))
    drawn = [method for method in methods if method in set(curves["method"])]
    references = list(curves["reference"].unique())
    figure = style.new_figure(_PANEL * len(references) + 0.8, style.WIDTH, title)
    axes = figure.subplots(len(references), len(groups), sharex=True, sharey="row", squeeze=False)
    for line, reference in zip(axes, references, strict=True):
        for ax, (heading, parts) in zip(line, groups.items(), strict=True):
            chosen = curves["part"].isin(parts) & (curves["reference"] == reference)
            sns.lineplot(
                curves[chosen], x="threshold", y="PCK", hue="method", style="part",
                hue_order=drawn, style_order=list(parts), palette=palette,
                dashes=dict(zip(parts, _DASHES, strict=False)), errorbar="sd", linewidth=1.6,
                err_kws={"alpha": 0.15, "linewidth": 0}, legend=False, ax=ax,
            )  # fmt: skip
            ax.set(title=heading if ax in axes[0] else "", xlabel="", ylabel="")
            if len(parts) > 1 and ax in axes[-1]:
                keys = [
                    Line2D([], [], color=INK, dashes=dash or (1, 0), label=part)
                    for part, dash in zip(parts, _DASHES, strict=False)
                ]
                ax.legend(handles=keys, loc="lower right", handlelength=2.6)
        line[0].set(ylim=(0, 102), ylabel=f"PCK by {reference} size, %")
    for ax in axes[-1]:
        ax.set_xlabel("threshold")
    style.legend_below(figure, {name: {"color": palette[name], "linewidth": 2} for name in drawn})
    return figure


@style.theme
def show_joint_paths(
    times: ArrayLike,
    truth: Mapping[str, ArrayLike],
    found: Mapping[str, Mapping[str, ArrayLike]],
    *,
    title: str = "",
) -> Figure:
    """Draw where joints of one person are over time: x on the left, y on the right.

    Args:
        times: (T,) of the frames, s.
        truth: (T, 2) px of each joint by its name, NaN where it is not labeled.
        found: the same of each way of finding and smoothing, NaN where a joint is missing.

    Raises:
        ValueError: there is no joint, there are more ways than colors, or a way lacks a joint or
            frames.
    """
    if not truth or len(found) > len(LINES):
        raise ValueError(
            f"a joint or more and up to {len(LINES)} ways can be drawn, not {list(truth)} and "
            f"{list(found)}"
        )
    seconds = np.asarray(times, float)
    figure = style.new_figure(1.7 * len(truth) + 0.9, style.WIDTH, title)
    axes = figure.subplots(len(truth), 2, sharex=True, squeeze=False)
    styles: dict[str, dict[str, Any]] = {
        "annotated": {"color": style.blend(GRAY, style.WHITE, 0.5), "linewidth": 5}
    }
    for number, way in enumerate(found):
        styles[way] = {"color": LINES[number], "linewidth": 1.2 if number else 0.9}
    for line, joint in zip(axes, truth, strict=True):
        for way, look in styles.items():
            path = np.asarray(truth[joint] if way == "annotated" else _path(found[way], joint, way))
            if path.shape != (len(seconds), 2):
                raise ValueError(f"{way}: {joint} must be {(len(seconds), 2)}, not {path.shape}")
            for ax, values in zip(line, path.T, strict=True):
                ax.plot(seconds, values, **look, solid_capstyle="round")
        for ax, name in zip(line, "xy", strict=True):
            ax.set_ylabel(f"{name}, px")
            ax.set_title(style.display_name(joint))
    for ax in axes[-1]:
        ax.set_xlabel("time, s")
    style.legend_below(figure, styles)
    return figure


def _path(paths: Mapping[str, ArrayLike], joint: str, way: str) -> ArrayLike:
    if joint not in paths:
        raise ValueError(f"{way}: there is no path of {joint}, only of {list(paths)}")
    return paths[joint]
