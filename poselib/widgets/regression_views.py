"""The views of a regressed pose: a map, what is seen of it in numbers, and a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from poselib.analysis.regressed_people import RegressedImage
from poselib.analysis.saliency_measures import energy_within
from poselib.ops.oks import AREA_OF_BOX
from poselib.plots.local_filters import FilterPanel, show_local_filters
from poselib.plots.regression import OffsetPanel, show_offsets
from poselib.plots.style import person_colors
from poselib.typing import FloatArray
from poselib.widgets.painting import over_image
from poselib.widgets.regression_choice import COLORS, Chosen
from poselib.widgets.regression_controls import ACTIVATED, FILTER, HEATMAP, SALIENCY
from poselib.wording import counted

_BLUR, _BRIGHTEST = 2.0, 99.5  # px, and percent of pixels below the brightest: plots.saliency
NEAR = 0.25  # of a person's size: the region around a keypoint, as in saliency_measures


@dataclass(frozen=True, eq=False)
class Seen:
    """What the pictures are drawn from: the outputs of a network, and if asked, saliency (H, W)."""

    image: RegressedImage
    saliency: NDArray[np.float32] | None = None


def view_map(
    chosen: Chosen, saliency: NDArray[np.float32] | None, view: str
) -> tuple[FloatArray | None, str, str]:
    """Return what a view lays over the image (h, w), None for marks alone; its title, and words."""
    outputs, name = chosen.image.outputs, chosen.name
    laid = partial(over_image, size=chosen.image.sample.size, frame=chosen.image.frame)
    if view == HEATMAP:
        values = outputs.heatmaps[0, chosen.keypoint].double().clamp(min=0).cpu().numpy()
        peak = f"heatmap of {name}, bright at {values.max():.2f}"
        return laid(values), f"{peak}; arrows: offsets from the center", ""
    if view == SALIENCY and saliency is not None:
        blurred = gaussian_filter(saliency.astype(np.float64), _BLUR, mode="constant")
        top = float(np.percentile(blurred, _BRIGHTEST))
        title = f"saliency: pixels that change the offset to {name} most"
        return np.minimum(blurred, top), title, describe_saliency(chosen, saliency)
    if view == ACTIVATED:
        title = f"pixels sampled for {name}; black: by it, white: by ordinary convolutions"
        return None, title, describe_taps(chosen)
    if view == FILTER:
        title = f"filter of {name} over its expansion map"
        return None, title, ""
    values = outputs.centers[0, 0].double().clamp(min=0).cpu().numpy()
    return laid(values), f"center map, bright at {values.max():.2f}; rings: centers found", ""


def describe(chosen: Chosen) -> str:
    """Return who is looked into, the offset of the keypoint, its error and its adaptation."""
    k, image = chosen.keypoint, chosen.image
    score = round(image.score_of(chosen.cell), 2) + 0.0  # no -0.00
    if chosen.person < 0:
        column, row = chosen.cell
        who = f"cell {column}, {row}: center score {score:.2f}"
    else:
        person_score = chosen.people.poses.person_scores[chosen.person]
        low = "" if person_score >= chosen.min_score else ", below that of those shown"
        who = f"person {chosen.person + 1}: score {person_score:.2f}{low}, center score {score:.2f}"
    center, regressed = image.px_of(chosen.cell), chosen.before[k]
    parts = [
        f"{chosen.name}: offset of {np.linalg.norm(regressed - center):.1f} px, "
        f"{'refined' if chosen.adapts else 'heatmap'} score {chosen.scores[k]:.2f}"
    ]
    if chosen.moved:
        parts[0] += f", moved by {np.linalg.norm(chosen.after[k] - regressed):.1f} px"
    return "; ".join([who, *parts, *_against_truth(chosen)])


def _against_truth(chosen: Chosen) -> list[str]:
    fit, k = chosen.fit, chosen.keypoint
    if fit is None:
        return []
    before, after = fit.errors[0, k], fit.errors[-1, k]
    said = []
    if np.isfinite(after):
        error = f"{before:.1f} → {after:.1f}" if chosen.moved else f"{after:.1f}"
        heat = chosen.heatmap_value(fit.points[k, :2])
        said.append(
            f"error {error} px (similarity {fit.similarities[-1, k]:.2f}), "
            f"heatmap where annotated {heat:.2f}"
        )
    else:
        said.append("not annotated")
    if fit.rivals[k] >= 0:
        said.append(f"nearer to another person's {chosen.name}")
    oks = f"OKS {fit.oks[-1]:.3f}"
    if chosen.moved:
        oks = f"OKS {fit.oks[0]:.3f} → {fit.oks[-1]:.3f} ({fit.oks[-1] - fit.oks[0]:+.3f})"
    return [*said, oks]


def describe_saliency(chosen: Chosen, saliency: NDArray[np.float32]) -> str:
    """Return how much of the saliency lies near the keypoint and near the center."""
    place, center = target_of(chosen), chosen.image.px_of(chosen.cell)
    radius = NEAR * person_size(chosen)
    if not saliency.any():
        return "no pixel changes this offset: no unit between is active"
    near, at_center = energy_within(
        np.stack([saliency, saliency]), np.stack([place, center]), radius
    )
    uniform = np.ones((1, *saliency.shape))
    chance = energy_within(uniform, place[None], radius)[0]
    return (
        f"{near:.0%} of the saliency within {radius:.0f} px of the keypoint (by chance "
        f"{chance:.0%}), {at_center:.0%} around the center"
    )


def describe_taps(chosen: Chosen) -> str:
    """Return how far the sampled pixels are from the keypoint, and those of a fixed grid."""
    place = target_of(chosen)
    taps = chosen.image.sampling_points(chosen.cell, chosen.keypoint)
    regular = chosen.image.regular_points(chosen.cell)
    apart, usual = (np.linalg.norm(each - place, axis=1).mean() for each in (taps, regular))
    return (
        f"{counted(len(taps), 'activated pixel')}, on average {apart:.1f} px from the keypoint; "
        f"{usual:.1f} px with ordinary convolutions"
    )


def target_of(chosen: Chosen) -> FloatArray:
    """Return where the keypoint is annotated (2,), px, or else where it was found."""
    k = chosen.keypoint
    if chosen.fit is not None and chosen.fit.points[k, 2] > 0:
        return chosen.fit.points[k, :2]
    return chosen.after[k]


def person_size(chosen: Chosen) -> float:
    """Return the root of the person's area, px: the annotated one, or else of the pose's box."""
    if chosen.fit is not None:
        return float(np.sqrt(max(float(chosen.image.sample.areas[chosen.fit.person]), 1.0)))
    sides = np.ptp(chosen.after, axis=0)
    return float(np.sqrt(max(AREA_OF_BOX * float(sides.prod()), 1.0)))


def regression_figure(chosen: Chosen, values: Mapping[str, Any], seen: Seen) -> Figure:
    """Return the explorer's pictures as a figure."""
    image, view, skeleton = chosen.image, values["view"], chosen.skeleton
    both = np.stack([chosen.before, chosen.after])
    shown, palette = chosen.people.poses[chosen.shown], person_colors(COLORS)
    colors = [palette[person % COLORS] for person in np.flatnonzero(chosen.shown)]
    if view == FILTER and chosen.fit is not None:
        filters = [chosen.local_filter(k) for k in range(len(skeleton))]
        spacings = np.array([[each.spacing] for each in filters])
        fit = chosen.fit
        places = np.where(fit.points[:, 2:] > 0, (fit.points[:, :2] - both[0]) / spacings, np.nan)
        attraction = np.stack([each.attraction for each in filters])
        oks = (float(fit.oks[0]), float(fit.oks[-1]))
        title = f"person {chosen.person + 1}" if chosen.person >= 0 else "the pose of a cell"
        panel = FilterPanel(image.sample.image, fit.points, both, oks, attraction, places, title)
        return show_local_filters([panel], skeleton, title=describe(chosen))
    laid, title, words = view_map(chosen, seen.saliency, view)
    extent: tuple[float, float, float, float] | None = None
    taps: dict[str, Any] = {}
    if view == FILTER:
        found = chosen.local_filter()
        (x, y), half = both[0, chosen.keypoint], found.spacing * len(found.attraction) / 2
        laid, extent = found.attraction, (x - half, x + half, y + half, y - half)
    elif view == ACTIVATED:
        taps["activated"] = image.sampling_points(chosen.cell, chosen.keypoint)
        taps["regular"] = image.regular_points(chosen.cell)
    panel_of = OffsetPanel(
        image.sample.image,
        image.px_of(chosen.cell),
        both[0],
        both[1],
        chosen.keypoint,
        laid,
        view,
        extent,
        None if chosen.fit is None else chosen.fit.points,
        color=chosen.color,
        title=title.partition(";")[0],  # what else is drawn is in the legend
        **taps,
    )
    heading = "; ".join(part for part in (describe(chosen), words) if part)
    return show_offsets(panel_of, shown, skeleton, colors=colors, title=heading)
