"""Pictures of poses that are regressed from centers: people, maps, arrows and local filters."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from numpy.typing import NDArray

from poselib.analysis.regressed_people import LocalFilter, cells_of
from poselib.plots.style import (
    ALERT,
    BRIGHT,
    GRAY,
    INK,
    WHITE,
    Color,
    display_name,
    person_colors,
)
from poselib.typing import FloatArray
from poselib.widgets.painting import Picture, Pixels
from poselib.widgets.regression_choice import COLORS, FREE, Chosen

FILTER_LEGEND = (
    '<div style="color:var(--jp-ui-font-color1);line-height:1.35;padding-top:1.2em">'
    "Around the keypoint as regressed: its heatmap<br>"
    "in the global window, the learned filter, and<br>"
    "the heatmap convolved with it. Rings:<br>white: as regressed<br>"
    "in the person's color: as decoded<br>green: annotated<br>"
    "The view of the filter frames the global<br>window in black.</div>"
)
_FITS = 0.1  # OKS from which a pose is that of a person
_TOLERANCES = 2.0  # of the largest keypoint, that bars reach
_TOPS = (2.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 75.0, 100.0, 200.0, 500.0)  # px
_SIDE = 150  # px of the picture of a filter


def paint_people(chosen: Chosen) -> Picture:
    """Paint all people over the image; the chosen one with its keypoint ringed, and the truth."""
    picture = Picture(chosen.image.sample.image)
    poses = chosen.people.poses
    whole = replace(poses, scores=np.ones_like(poses.scores), tracks=np.arange(len(poses)))
    picture.add_poses(whole[chosen.shown], chosen.skeleton)
    if chosen.person < 0:
        index = chosen.skeleton.index
        limbs = np.array([[index(a), index(b)] for a, b in chosen.skeleton.limbs]).reshape(-1, 2)
        picture.add_lines(chosen.after[limbs[:, 0]], chosen.after[limbs[:, 1]], FREE)
        picture.add_dots(chosen.after, FREE)
    _paint_truth(picture, chosen)
    return picture.add_rings(chosen.after[[chosen.keypoint]], chosen.color)


def paint_arrows(picture: Picture, chosen: Chosen, *, alone: bool) -> Picture:
    """Paint the offsets from the chosen center, and where the decoder moves their ends.

    Args:
        alone: paint the offset of the chosen keypoint, and of the others no more than the ends.
    """
    center = chosen.image.px_of(chosen.cell)
    colors, k = chosen.colors(), chosen.keypoint
    others = np.delete(np.arange(len(colors)), k)
    starts = np.repeat(center[None], len(colors), axis=0)
    if not alone:
        tones = [colors[index] for index in others]
        picture.add_arrows(starts[others], chosen.before[others], tones, 1)
    picture.add_arrows(starts[[k]], chosen.before[[k]], [colors[k]], 3)
    if chosen.moved:
        moved = [k] if alone else list(range(len(colors)))
        picture.add_lines(chosen.before[moved], chosen.after[moved], WHITE, 2)
    if chosen.moved or alone:
        picture.add_dots(chosen.after, colors, 3.0)
    _paint_truth(picture, chosen, [k] if alone else None)
    picture.add_dots(center[None], WHITE, 4.0)
    return picture.add_rings(chosen.after[[k]], chosen.color)


def paint_centers(picture: Picture, chosen: Chosen) -> Picture:
    """Ring the center of each person in its color, and those of the others in gray."""
    image, palette = chosen.image, person_colors(COLORS)
    for cell in cells_of(chosen.people.suppressed):
        picture.add_rings(image.px_of(cell)[None], GRAY, 3.0, 1)
    for person, cell in enumerate(chosen.people.cells):
        shown = chosen.shown[person]
        color = palette[person % COLORS] if shown else GRAY
        picture.add_rings(image.px_of(cell)[None], color, 7.0 if shown else 3.0, 1 + shown)
    return picture


def paint_taps(picture: Picture, chosen: Chosen) -> Picture:
    """Paint the pixels that the branch of the keypoint samples, and those of a fixed grid."""
    image = chosen.image
    picture.add_dots(image.regular_points(chosen.cell), WHITE, 2.0)
    return picture.add_dots(image.sampling_points(chosen.cell, chosen.keypoint), INK, 2.5)


def paint_filter(picture: Picture, chosen: Chosen, found: LocalFilter) -> Picture:
    """Lay the filter of the keypoint over its expansion map, around the keypoint as regressed."""
    x, y = chosen.before[chosen.keypoint]
    side, unit = len(found.attraction), picture.unit
    half = found.spacing * side / 2
    step = found.spacing * unit
    first = np.array([(x - half) * unit, (y - half) * unit]) + step / 2 - 0.5
    warp = np.array([[step, 0.0, first[0]], [0.0, step, first[1]]])
    height, width = picture.pixels.shape[:2]
    values = found.attraction.astype(np.float32)
    both = np.stack([values, np.ones_like(values)], axis=-1)
    laid = cv2.warpAffine(both, warp, (width, height), flags=cv2.INTER_NEAREST)
    picture.add_map(laid[..., 0], (0.0, max(float(values.max()), 1e-6)), colors="inferno",
                    opacity=0.75 * laid[..., 1])  # fmt: skip
    along = found.spacing * (np.arange(side) - side // 2)
    grid = np.stack(np.meshgrid(x + along, y + along), axis=-1).reshape(-1, 2)
    picture.add_dots(grid, GRAY, 0.5)
    reach = found.step * len(found.heatmap) / 2
    picture.add_box((x - reach, y - reach, x + reach, y + reach), INK, 1)
    return picture.add_box((x - half, y - half, x + half, y + half), WHITE, 1)


def filter_pictures(chosen: Chosen) -> list[tuple[str, Pixels, tuple[int, int]]]:
    """Return title, pixels and size of what moves the keypoint: two factors and their product."""
    found, k = chosen.local_filter(), chosen.keypoint
    moved = chosen.after[k] - chosen.before[k]
    marks = [(np.zeros(2), WHITE), (moved, chosen.color)]
    if chosen.fit is not None and chosen.fit.points[k, 2] > 0:
        marks.append((chosen.fit.points[k, :2] - chosen.before[k], BRIGHT))
    spacing = found.spacing if len(found.response) == len(found.attraction) else found.step
    windows = (
        ("heatmap", found.heatmap, found.step),
        ("attraction map", found.attraction, found.spacing),
        ("response", found.response, spacing),
    )
    return [
        (f"{title}, {len(values) * px:.0f} px", *_window(values, px, marks))
        for title, values, px in windows
    ]


def _window(
    values: FloatArray, spacing: float, marks: list[tuple[FloatArray, Color]]
) -> tuple[Pixels, tuple[int, int]]:
    side = len(values)
    picture = Picture(np.zeros((3, side, side), np.uint8), side=_SIDE)
    limits = (0.0, max(float(values.max()), 1e-6))
    picture.add_map(values, limits, colors="inferno", opacity=np.ones_like(values))
    for offset, color in marks:
        place = offset / spacing + side / 2
        if (np.abs(place - side / 2) <= side / 2).all():
            picture.add_rings(place[None], color, 5.0)
    return picture.pixels, (side, side)


def bar_top(chosen: Chosen) -> float:
    """Return the upper end of the axis of the bars: one for all people of an image.

    Errors of more than some tolerances are cut: they are wrong, however large.
    """
    if chosen.fit is None:
        return 1.0
    areas, sigma = chosen.image.sample.areas, max(chosen.skeleton.sigmas)
    wanted = _TOLERANCES * 2 * sigma * float(np.sqrt(areas.max()))
    return next((top for top in _TOPS if top >= wanted), wanted)


def draw_bar_frame(ax: Axes, chosen: Chosen, top: float) -> None:
    """Name the bars, and their axis up to ``top``."""
    names = [display_name(each) for each in chosen.skeleton.keypoints]
    ax.set_xticks(np.arange(len(names)), names, rotation=35, ha="right")
    label = "heatmap score" if chosen.fit is None else "error, px"
    ax.set(xlim=(-0.6, len(names) - 0.4), ylim=(0.0, top), ylabel=label)
    ax.grid(visible=False, axis="x")


def draw_bars(ax: Axes, chosen: Chosen, top: float) -> None:
    """Draw the error of each keypoint as a bar, or without annotations its score."""
    fit, count = chosen.fit, len(chosen.skeleton)
    if fit is None:
        _add_bars(ax, chosen.scores, 0.0, 0.7, chosen.color, chosen.keypoint)
        return
    shift, width = (0.2, 0.4) if chosen.moved else (0.0, 0.7)
    if chosen.moved:
        _add_bars(ax, fit.errors[0], -shift, width, GRAY, chosen.keypoint)
    _add_bars(ax, fit.errors[-1], shift, width, chosen.color, chosen.keypoint)
    places = np.arange(count)
    ax.hlines(chosen.tolerances, places - 0.4, places + 0.4, color=INK, lw=1.2, zorder=3)
    (rivals,) = np.nonzero(fit.rivals >= 0)
    ax.plot(rivals, np.full(len(rivals), 0.95 * top), "v", color=ALERT, ms=6)


def _add_bars(
    ax: Axes, heights: FloatArray, shift: float, width: float, color: Color, outlined: int
) -> None:
    left, tops = np.arange(len(heights)) + shift - width / 2, np.nan_to_num(heights)
    corners = [(x, 0.0, x + width, top) for x, top in zip(left, tops, strict=True)]
    outlines = [[(a, b), (a, d), (c, d), (c, b)] for a, b, c, d in corners]
    widths = [1.5 if bar == outlined else 0.0 for bar in range(len(heights))]
    bars = PolyCollection(outlines, facecolors=color, edgecolors=INK, linewidths=widths, zorder=2)
    ax.add_collection(bars, autolim=False)


def _paint_truth(picture: Picture, chosen: Chosen, keypoints: list[int] | None = None) -> None:
    """Paint annotated keypoints, and lines to them from a pose that is that person's at all."""
    if chosen.fit is None:
        return
    labeled = chosen.fit.points[:, 2] > 0
    if keypoints is not None:
        labeled &= np.isin(np.arange(len(labeled)), keypoints)
    truth: NDArray[np.float64] = chosen.fit.points[labeled, :2]
    if chosen.person >= 0 or chosen.fit.oks[-1] >= _FITS:
        picture.add_lines(chosen.after[labeled], truth, BRIGHT, 1)
    picture.add_crosses(truth, BRIGHT)
