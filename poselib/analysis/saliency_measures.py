"""Quantify how concentrated the saliency of the offset regression is around each keypoint."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from poselib.analysis.saliency import CenterAnalysis, analyze_center
from poselib.data.loaders import SampleSource
from poselib.engine.inference import PredictOptions
from poselib.ops.oks import MIN_AREA
from poselib.plots.saliency import FocusPanel
from poselib.plots.style import display_name
from poselib.structures import Sample
from poselib.systems import System
from poselib.typing import FloatArray


def energy_within(maps: ArrayLike, points: ArrayLike, radius: float) -> FloatArray:
    """Return the fraction of each map's sum within a radius of a point.

    Args:
        maps: (J, H, W), not negative.
        points: (J, 2) px.
        radius: px, to the centers of the pixels that count.

    Returns:
        (J,) from 0 to 1; NaN for a map of zeros.
    """
    values, xy = np.asarray(maps, dtype=np.float64), np.asarray(points, dtype=np.float64)
    total = values.sum(axis=(1, 2))
    part = np.where(_disc(values.shape[1:], xy, radius), values, 0.0).sum(axis=(1, 2))
    return np.divide(part, total, out=np.full(len(values), np.nan), where=total > 0)


def _disc(size: tuple[int, ...], points: FloatArray, radius: float) -> NDArray[np.bool_]:
    """Return (J, H, W), true for pixels with their center within ``radius`` of each point."""
    y, x = (np.arange(n) + 0.5 for n in size)
    dx, dy = x - points[:, :1], y - points[:, 1:]
    near: NDArray[np.bool_] = dx[:, None] ** 2 + dy[:, :, None] ** 2 <= radius**2
    return near


def measure_saliency(
    system: System,
    dataset: SampleSource,
    options: PredictOptions,
    *,
    count: int,
    radius: float,
    guided: bool = False,
) -> pd.DataFrame:
    """Measure saliency and sampling points around the keypoints of people that a cell regresses.

    Args:
        system: regresses poses from centers.
        count: number of images, from the first on.
        radius: of the region around a keypoint, in √area of the person.

    Returns:
        One row per labeled keypoint: ``index`` of the image, ``person`` and ``keypoint``; fractions
        of the saliency ``near`` the keypoint and ``at_center``, within the same radius of the
        person's center; ``chance``, the fraction of the image near the keypoint; and the mean
        distance to the keypoint of the sampling points, ``taps``, and of those of ordinary
        convolutions, ``regular_taps``, in √area of the person.

    Raises:
        ValueError: as ``analyze_center``.
    """
    tables, types = [], np.array(system.skeleton.keypoints)
    for index in range(min(count, len(dataset))):
        view = analyze_center(system, dataset[index], options)
        points, regular = view.sampling_points(), view.regular_points()
        for person in view.people:
            truth = view.sample.keypoints[person].astype(np.float64)
            which = np.flatnonzero(truth[:, 2] > 0)
            saliency = view.saliency(person, which.tolist(), guided=guided)
            targets, size = truth[which, :2], person_size(view.sample, person)
            center, px = np.broadcast_to(view.centers[person], targets.shape), radius * size
            columns = {
                "index": index,
                "person": person,
                "keypoint": types[which],
                "near": energy_within(saliency, targets, px),
                "at_center": energy_within(saliency, center, px),
                "chance": _disc(view.sample.size, targets, px).mean(axis=(1, 2)),
                "taps": _distances(points[person, which], targets[:, None]) / size,
                "regular_taps": _distances(regular[person], targets[:, None]) / size,
            }
            tables.append(pd.DataFrame(columns))
    if not tables:
        measures = ("near", "at_center", "chance", "taps", "regular_taps")
        return pd.DataFrame(columns=("index", "person", "keypoint", *measures))
    return pd.concat(tables, ignore_index=True)


def _distances(points: FloatArray, targets: FloatArray) -> FloatArray:
    """Return mean distances (J,) of points (J, P, 2) or (1, P, 2) to targets (J, 1, 2)."""
    mean: FloatArray = np.linalg.norm(points - targets, axis=-1).mean(axis=-1)
    return mean


def person_size(sample: Sample, person: int) -> float:
    """Return a person's size, the square root of the area that OKS uses, px."""
    return float(np.sqrt(max(float(sample.areas[person]), MIN_AREA)))


def select_visible_people(
    system: System,
    dataset: SampleSource,
    options: PredictOptions,
    keypoints: Collection[str],
    count: int,
) -> list[tuple[int, int]]:
    """Select the largest person of each image with all of the given keypoints visible.

    Args:
        system: regresses the people from their centers.
        count: number of people, from the first images that have one; fewer if there are fewer.

    Returns:
        Index of the image in the dataset and of the person in the image.
    """
    which = [system.skeleton.index(name) for name in keypoints]
    selected: list[tuple[int, int]] = []
    for index in range(len(dataset)):
        if len(selected) == count:
            break
        view = analyze_center(system, dataset[index], options)
        visible = (view.sample.keypoints[:, which, 2] == 2).all(axis=1)
        people = [person for person in view.people if visible[person]]
        if people:
            selected.append((index, max(people, key=lambda person: view.sample.areas[person])))
    return selected


def saliency_panels(
    view: CenterAnalysis,
    person: int,
    names: Sequence[str],
    *,
    radius: float,
    title: str,
    guided: bool = False,
) -> list[FocusPanel]:
    """Return a panel for each keypoint of a person, with the fraction of saliency near it.

    Args:
        person: one of ``view.people``.
        radius: of the region around a keypoint, in √area of the person.
    """
    which = [view.system.skeleton.index(name) for name in names]
    points = view.sample.keypoints[person, which, :2].astype(np.float64)
    maps = view.saliency(person, which, guided=guided)
    px = radius * person_size(view.sample, person)
    return [
        FocusPanel(
            view.sample.image,
            view.centers[person],
            point[None],
            saliency=values,
            radius=px,
            title=f"{title}\n{display_name(name)}: {fraction:.0%}",
        )
        for name, point, values, fraction in zip(
            names, points, maps, energy_within(maps, points, px), strict=True
        )
    ]


def activation_panels(
    view: CenterAnalysis, person: int, names: Sequence[str], *, title: str
) -> list[FocusPanel]:
    """Return a panel for each keypoint of a person, with the sampling points of its regression.

    Arguments are those of ``saliency_panels``.
    """
    which = [view.system.skeleton.index(name) for name in names]
    points = view.sample.keypoints[person, which, None, :2].astype(np.float64)
    sampled = view.sampling_points()[person, which]
    distances = _distances(sampled, points) / person_size(view.sample, person)
    return [
        FocusPanel(
            view.sample.image,
            view.centers[person],
            point,
            activated=locations,
            title=f"{title}\n{display_name(name)}: {distance:.2f} sizes away",
        )
        for name, point, locations, distance in zip(names, points, sampled, distances, strict=True)
    ]
