"""Poses over images: in figures, as contact sheets, or painted into the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from poselib.plots import style
from poselib.plots.shapes import PersonShapes, people_shapes
from poselib.plots.style import ALERT, GRAY, WHITE, Color, person_colors
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample, Size
from poselib.wording import people_label

_SUBPIXEL_BITS = 4  # OpenCV takes polygon corners in 1/16 px

# Decoders that fill in missing keypoints put each where it is least unlikely: below this score
# they are often far away, and a limb drawn to them would hide the others.
MIN_SCORE = 0.2
_TRACK_COLORS = 24
_NUMBER = MarkerStyle("$99$")  # set as a formula here, beyond the theme, where nothing is one


@style.theme
def draw_poses(
    image: ArrayLike,
    poses: Poses,
    skeleton: Skeleton,
    *,
    ax: Axes | None = None,
    min_score: float = MIN_SCORE,
    min_person_score: float = 0.0,
    colors: Sequence[Color] | None = None,
    weight: float = 1.0,
    title: str = "",
) -> Figure:
    """Draw the people found in an image, one color each.

    The left side is lighter with round markers, the right side darker with squares.

    Args:
        image: (3, H, W) uint8 RGB.
        poses: people in px of ``image``; missing keypoints are left out.
        ax: where to draw; a new figure with a legend if None.
        min_score: keypoints at or below it are left out; by default those that are mere guesses.
        min_person_score: people below it are left out.
        weight: factor of line widths and markers.

    Raises:
        ValueError: the image is not (3, H, W) uint8 or the keypoints are not the skeleton's.
    """
    pixels = style.as_image(image)
    shapes = _shapes_of(
        poses, skeleton, pixels.shape[1:], min_score, min_person_score, colors, weight
    )
    if ax is None:
        figure, (ax,) = style.panel_grid([pixels.shape[1:]], 1)
        style.legend_below(figure, style.SIDES)
    style.show_image(ax, pixels, title)
    add_people(ax, shapes)
    return ax.figure  # type: ignore[return-value]


@style.theme
def draw_truth(
    image: ArrayLike,
    keypoints: ArrayLike,
    skeleton: Skeleton,
    *,
    ax: Axes | None = None,
    colors: Sequence[Color] | None = None,
    weight: float = 1.0,
    title: str = "",
) -> Figure:
    """Draw annotated people: filled markers are visible keypoints, rings are hidden ones.

    Args:
        keypoints: (N, K, 3) px of ``image`` and visibility 0 (not drawn), 1 (ring) or 2.
        image, ax, weight: as in ``draw_poses``.

    Raises:
        ValueError: the image is not (3, H, W) uint8 or the keypoints are not the skeleton's.
    """
    pixels, people = style.as_image(image), as_people(keypoints, skeleton)
    if ax is None:
        figure, (ax,) = style.panel_grid([pixels.shape[1:]], 1)
        style.legend_below(figure, style.VISIBILITY)
    style.show_image(ax, pixels, title)
    xy, visibility, colors = people[..., :2], people[..., 2], colors or person_colors(len(people))
    size, shown = pixels.shape[1:], visibility > 0
    add_people(ax, people_shapes(xy, shown, visibility == 1, skeleton, colors, size, weight=weight))
    return ax.figure  # type: ignore[return-value]


def paint_poses(image: ArrayLike, poses: Poses, skeleton: Skeleton) -> NDArray[np.uint8]:
    """Return a copy of an image with poses painted into it, (H, W, 3) uint8 RGB.

    It is drawn as by ``draw_poses``, at the image's own resolution, and raises the same errors.
    People of a video keep their colors.
    """
    pixels = style.as_image(image)
    canvas = np.array(pixels.transpose(1, 2, 0), order="C")
    colors: list[Color] | None = None
    if poses.tracks is not None:
        palette = person_colors(_TRACK_COLORS)
        colors = [palette[track % _TRACK_COLORS] for track in poses.tracks.tolist()]
    return paint_people(canvas, _shapes_of(poses, skeleton, pixels.shape[1:], colors=colors))


def paint_truth(
    image: ArrayLike, keypoints: ArrayLike, skeleton: Skeleton, *, weight: float = 1.0
) -> NDArray[np.uint8]:
    """Return a copy of an image with annotated people painted into it, (H, W, 3) uint8 RGB.

    They are drawn as by ``draw_truth``, at the image's own resolution.

    Raises:
        ValueError: the image is not (3, H, W) uint8 or the keypoints are not the skeleton's.
    """
    pixels, people = style.as_image(image), as_people(keypoints, skeleton)
    canvas = np.array(pixels.transpose(1, 2, 0), order="C")
    xy, visibility, colors = people[..., :2], people[..., 2], person_colors(len(people))
    shown, hollow, size = visibility > 0, visibility == 1, canvas.shape[:2]
    return paint_people(
        canvas, people_shapes(xy, shown, hollow, skeleton, colors, size, weight=weight)
    )


def paint_people(canvas: NDArray[np.uint8], people: Sequence[PersonShapes]) -> NDArray[np.uint8]:
    """Paint the polygons of people into pixels (H, W, 3), and return these."""
    # OpenCV puts the center of a pixel at an integer; poselib at integer + 0.5. The bounds keep
    # far-away points within OpenCV's 32-bit fixed-point numbers.
    bound = 4.0 * max(canvas.shape)
    line: dict[str, Any] = {"lineType": cv2.LINE_AA, "shift": _SUBPIXEL_BITS}
    shapes = [shape for person in people for shape in (*person.limbs, *person.keypoints)]
    if not shapes:
        return canvas
    corners = np.concatenate([points for points, _ in shapes])
    fixed = (np.clip(corners - 0.5, -bound, bound) * 2**_SUBPIXEL_BITS).round().astype(np.int32)
    ends = np.cumsum([len(points) for points, _ in shapes])
    for outline, (_, color) in zip(np.split(fixed, ends[:-1]), shapes, strict=True):
        cv2.fillPoly(canvas, [outline], [round(255 * part) for part in color], **line)
    return canvas


@style.theme
def show_poses(
    images: Sequence[ArrayLike],
    poses: Sequence[Poses],
    skeleton: Skeleton,
    titles: Sequence[str] | None = None,
    *,
    columns: int = 3,
    min_score: float = MIN_SCORE,
    min_person_score: float = 0.0,
    title: str = "",
) -> Figure:
    """Draw the people found in each of several images.

    Args:
        images: each (3, H, W) uint8 RGB.
        poses: one ``Poses`` per image, in px of its image.
        min_score, min_person_score: as in ``draw_poses``.

    Raises:
        ValueError: the sequences differ in length or are empty, or an entry has a wrong shape.
    """
    names = [""] * len(images) if titles is None else list(titles)
    if not len(images) == len(poses) == len(names):
        counts = f"not {len(poses)} and {len(names)} for {len(images)}"
        raise ValueError(f"as many poses and titles as images are needed, {counts}")
    sizes = [style.as_image(image).shape[1:] for image in images]
    figure, axes = style.panel_grid(sizes, columns, title=title)
    options: dict[str, Any] = {"min_score": min_score, "min_person_score": min_person_score}
    options["weight"] = style.line_weight(min(columns, len(images)))
    for ax, image, found, name in zip(axes, images, poses, names, strict=True):
        draw_poses(image, found, skeleton, ax=ax, title=name, **options)
    style.legend_below(figure, style.SIDES)
    return figure


def drawn_label(poses: Poses, min_score: float) -> str:
    """Return how many people are drawn, if some are left out because of their scores."""
    drawn = len(poses.above(min_score))
    left_out = f"{drawn} of {len(poses)} drawn: score {min_score:g} or more"
    return left_out if drawn < len(poses) else ""


@style.theme
def contact_sheet(
    samples: Sequence[Sample],
    skeleton: Skeleton,
    *,
    columns: int = 4,
    show_areas: bool = True,
    titles: Sequence[str] | None = None,
    title: str = "",
) -> Figure:
    """Draw samples side by side with their annotations.

    Args:
        samples: what to draw; each keeps its own aspect.
        show_areas: write the square root of each person's area, px, above the person.
        titles: one per sample; the image's number and its people if None.

    Raises:
        ValueError: there are no samples, or a sample does not fit the skeleton.
    """
    names = titles or [
        f"#{sample.image_id} · {people_label(labeled_people(sample.keypoints))}"
        for sample in samples
    ]
    if len(names) != len(samples):
        raise ValueError(f"contact_sheet got {len(names)} titles for {len(samples)} samples")
    figure, axes = style.panel_grid([sample.size for sample in samples], columns, title=title)
    weight = style.line_weight(min(columns, len(samples)))
    outline = [patheffects.withStroke(linewidth=2.0, foreground="black")]
    label: dict[str, Any] = {"fontweight": "bold", "ha": "center", "path_effects": outline}
    for ax, sample, name in zip(axes, samples, names, strict=True):
        draw_truth(sample.image, sample.keypoints, skeleton, ax=ax, weight=weight, title=name)
        height, width = sample.size
        margin, colors = 0.03 * height, person_colors(len(sample.keypoints))
        for person, area, color in zip(sample.keypoints, sample.areas, colors, strict=True):
            points = person[person[:, 2] > 0, :2]
            if show_areas and len(points):
                top = points[points[:, 1].argmin()]
                x, y = np.clip(top[0], margin, width - margin), max(top[1] - margin, 3 * margin)
                ax.text(x, y, f"{np.sqrt(area):.0f}", color=color, **label, clip_on=True, zorder=5)
        if sample.ignore_mask.any():
            # A border of false closes regions that reach the edge of the image.
            padded = np.pad(sample.ignore_mask.astype(float), 1)
            xs, ys = np.arange(-0.5, width + 1), np.arange(-0.5, height + 1)
            pale: dict[str, Any] = {"colors": [(*WHITE, 0.35)], "hatches": ["////"]}
            region = ax.contourf(xs, ys, padded, levels=[0.5, 1.5], **pale, zorder=2)
            region.set(edgecolor=ALERT, linewidth=0.0, gid="ignore")
    entries: dict[str, Any] = dict(style.VISIBILITY)
    if show_areas:
        entries["√area, px (s of OKS)"] = style.marker_style(_NUMBER, 11, GRAY, GRAY)
    if any(sample.ignore_mask.any() for sample in samples):
        entries["ignored region"] = Patch(fc="white", ec=ALERT, hatch="////", linewidth=0.5)
    style.legend_below(figure, entries)
    return figure


def as_people(keypoints: ArrayLike, skeleton: Skeleton) -> NDArray[np.float32]:
    """Return annotated people as an array; raises ValueError unless it is (N, K, 3)."""
    people = np.asarray(keypoints, dtype=np.float32)
    if people.ndim != 3 or people.shape[1:] != (len(skeleton), 3):
        expected = f"(people, {len(skeleton)}, 3) for skeleton {skeleton.name!r}"
        raise ValueError(f"keypoints must be {expected}, not {people.shape}")
    return people


def labeled_people(keypoints: NDArray[np.float32]) -> int:
    """Return how many of the people (N, K, 3) have a labeled keypoint."""
    return int((keypoints[..., 2] > 0).any(axis=-1).sum())


def _shapes_of(
    poses: Poses,
    skeleton: Skeleton,
    size: Size,
    min_score: float = MIN_SCORE,
    min_person_score: float = 0.0,
    colors: Sequence[Color] | None = None,
    weight: float = 1.0,
) -> list[PersonShapes]:
    colors = colors or person_colors(len(poses))
    keep = poses.person_scores >= min_person_score
    shown = (poses.scores > max(min_score, 0.0)) & keep[:, None]
    hollow = np.zeros_like(shown)
    return people_shapes(poses.keypoints, shown, hollow, skeleton, colors, size, weight=weight)


def add_people(ax: Axes, people: Sequence[PersonShapes]) -> None:
    """Add the polygons of people to an axes that shows their image."""
    for n, person in enumerate(people):
        for kind, shapes in (("limbs", person.limbs), ("keypoints", person.keypoints)):
            if shapes:
                points, colors = zip(*shapes, strict=True)
                polygons = PolyCollection(points, facecolors=colors, linewidths=0, zorder=3)
                polygons.set_gid(f"person {n} {kind}")
                ax.add_collection(polygons, autolim=False)
