"""How near the keypoints their regression looks, over many people, and the people to show it on."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from poselib.analysis.saliency import CenterAnalysis, analyze_center
from poselib.data.loaders import SampleSource
from poselib.engine.predict import PredictOptions
from poselib.ops.oks import MIN_AREA
from poselib.plots.figure import readable
from poselib.plots.saliency import FocusPanel
from poselib.structures import Sample
from poselib.systems import System
from poselib.typing import FloatArray


def energy_within(maps: ArrayLike, points: ArrayLike, radius: float) -> FloatArray:
    """Return the share of each map's sum that lies around a point.

    Args:
        maps: (J, H, W), not negative.
        points: (J, 2) px.
        radius: px to the middles of the pixels that count.

    Returns:
        (J,) from 0 to 1; NaN for a map of zeros.
    """
    values, xy = np.asarray(maps, dtype=np.float64), np.asarray(points, dtype=np.float64)
    total = values.sum(axis=(1, 2))
    part = np.where(_disc(values.shape[1:], xy, radius), values, 0.0).sum(axis=(1, 2))
    return np.divide(part, total, out=np.full(len(values), np.nan), where=total > 0)


def _disc(size: tuple[int, ...], points: FloatArray, radius: float) -> NDArray[np.bool_]:
    """(J, H, W) true in pixels whose middles are not farther than ``radius`` from each point."""
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
    keypoints: Collection[str] | None = None,
) -> pd.DataFrame:
    """Measure how near the keypoints the regression looks, for people whom a cell regresses.

    Args:
        system: regresses poses from centers.
        dataset: labeled images.
        options: see ``analyze_center``.
        count: images, from the first on.
        radius: what is near, in sizes of the person, its √area.
        guided: see ``CenterAnalysis.saliency``.
        keypoints: names of those to measure; all if None. Each costs two gradients a person.

    Returns:
        One row a labeled keypoint. ``index``, ``person``, ``keypoint`` say
        which. Of the saliency, the shares ``near`` the keypoint and ``at_center``, as near to the
        person's center, and ``chance``, the part of the image that is near the keypoint. Of the
        activated pixels, the mean distance to the keypoint, ``taps``, and what it would be with
        ordinary convolutions, ``unmoved``, in sizes of the person.

    Raises:
        ValueError: as ``analyze_center``, or a keypoint is unknown.
    """
    skeleton = system.skeleton
    names = skeleton.keypoints if keypoints is None else tuple(keypoints)
    asked = np.isin(np.arange(len(skeleton)), [skeleton.index(name) for name in names])
    tables = []
    for index in range(min(count, len(dataset))):
        view = analyze_center(system, dataset[index], options)
        activated, unmoved = view.activated(), view.unmoved()
        for person in view.people:
            truth = view.sample.keypoints[person].astype(np.float64)
            which = np.flatnonzero((truth[:, 2] > 0) & asked)
            if len(which):
                columns = _measured(view, person, which, radius, guided)
                size, points = person_size(view.sample, person), truth[which, None, :2]
                columns["taps"] = _distances(activated[person, which], points) / size
                columns["unmoved"] = _distances(unmoved[person], points) / size
                place = {"index": index, "person": person}
                named = {"keypoint": [skeleton.keypoints[k] for k in which]}
                tables.append(pd.DataFrame({**place, **named, **columns}))
    names_of = ("index", "person", "keypoint", "near", "at_center", "chance", "taps", "unmoved")
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=names_of)


def _measured(
    view: CenterAnalysis, person: int, which: NDArray[np.intp], radius: float, guided: bool
) -> dict[str, FloatArray]:
    """The shares of saliency of some of a person's keypoints, (J,) each."""
    saliency = view.saliency(person, which.tolist(), guided=guided)
    points = view.sample.keypoints[person, which, :2].astype(np.float64)
    center = np.broadcast_to(view.centers[person], points.shape)
    px = radius * person_size(view.sample, person)
    return {
        "near": energy_within(saliency, points, px),
        "at_center": energy_within(saliency, center, px),
        "chance": _disc(view.sample.size, points, px).mean(axis=(1, 2)),
    }


def _distances(places: FloatArray, points: FloatArray) -> FloatArray:
    """Mean distances (J,) of places (J, P, 2) or (1, P, 2) to points (J, 1, 2)."""
    mean: FloatArray = np.linalg.norm(places - points, axis=-1).mean(axis=-1)
    return mean


def person_size(sample: Sample, person: int) -> float:
    """Return a person's size in px, the square root of the area that OKS goes by."""
    return float(np.sqrt(max(float(sample.areas[person]), MIN_AREA)))


def select_visible_people(
    system: System,
    dataset: SampleSource,
    options: PredictOptions,
    keypoints: Collection[str],
    count: int,
) -> list[tuple[int, int]]:
    """Choose people to show: of each image the largest on whom all keypoints can be seen.

    Args:
        system: regresses them from their centers.
        dataset: labeled images.
        options: see ``analyze_center``.
        keypoints: names of the keypoints.
        count: people to return, of the first images that have one; fewer if there are fewer.

    Returns:
        The image's place in the dataset and the person's in the image.
    """
    which = [system.skeleton.index(name) for name in keypoints]
    chosen: list[tuple[int, int]] = []
    for index in range(len(dataset)):
        if len(chosen) == count:
            break
        view = analyze_center(system, dataset[index], options)
        seen = (view.sample.keypoints[:, which, 2] == 2).all(axis=1)
        people = [person for person in view.people if seen[person]]
        if people:
            chosen.append((index, max(people, key=lambda person: view.sample.areas[person])))
    return chosen


def saliency_panels(
    view: CenterAnalysis,
    person: int,
    names: Sequence[str],
    *,
    radius: float,
    title: str,
    guided: bool = False,
) -> list[FocusPanel]:
    """Return a panel for each keypoint of a person, with the share of its saliency near it.

    Args:
        view: an image, as one system sees it.
        person: one of ``view.people``.
        names: of the keypoints.
        radius: what is near, in sizes of the person.
        title: what the system is called.
        guided: see ``CenterAnalysis.saliency``.
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
            title=f"{title}\n{readable(name)}: {share:.0%}",
        )
        for name, point, values, share in zip(
            names, points, maps, energy_within(maps, points, px), strict=True
        )
    ]


def activation_panels(
    view: CenterAnalysis, person: int, names: Sequence[str], *, title: str
) -> list[FocusPanel]:
    """Return a panel for each keypoint of a person, with the pixels that its regression activates.

    Arguments are those of ``saliency_panels``.
    """
    which = [view.system.skeleton.index(name) for name in names]
    points = view.sample.keypoints[person, which, None, :2].astype(np.float64)
    activated = view.activated()[person, which]
    apart = _distances(activated, points) / person_size(view.sample, person)
    return [
        FocusPanel(
            view.sample.image,
            view.centers[person],
            point,
            activated=places,
            title=f"{title}\n{readable(name)}: {distance:.2f} sizes away",
        )
        for name, point, places, distance in zip(names, points, activated, apart, strict=True)
    ]
