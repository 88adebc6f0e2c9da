"""Poses before and after local-global adaptation, and the local filters that adapt them.

LOGO-CAP, Fig. 1 shows a pose as regressed and as adapted beside the annotated one, and the keypoint
attraction maps, "local filters", with which the heatmaps are convolved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch

from poselib.analysis.select_images import extremes
from poselib.data.loaders import SampleSource
from poselib.decoders.local_global import (
    LocalGlobalOptions,
    attraction_maps_of_detections,
    decode_without_adaptation,
)
from poselib.engine.predict import PredictOptions, infer, predict_variants, present
from poselib.engine.variants import with_options
from poselib.metrics.matching import matched_people
from poselib.ops.oks import object_keypoint_similarity
from poselib.plots.local_filters import FilterPanel
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.systems import System
from poselib.typing import FloatArray

BEFORE, AFTER = "regressed", "adapted"
_DETECTED = 0.5  # OKS from which AP counts a person as detected


@dataclass(frozen=True)
class AdaptedPerson:
    """The pose of an annotated person before and after adaptation.

    Attributes:
        sample: image and annotated people, px of the network input.
        person: index of the annotated person.
        regressed, adapted: (K, 2) px of the network input.
        filters: (K, r, r) attraction maps, from 0 to 1, rows first.
        spacing: (K,) distance of neighboring cells of the maps, px of the network input.
        before, after: OKS of both poses with the annotated person.
    """

    sample: Sample
    person: int
    regressed: FloatArray
    adapted: FloatArray
    filters: FloatArray
    spacing: FloatArray
    before: float
    after: float

    @property
    def truth(self) -> FloatArray:
        """(K, 3) annotated keypoints, px of the network input, and visibility."""
        return self.sample.keypoints[self.person].astype(np.float64)

    @property
    def cells_of_truth(self) -> FloatArray:
        """(K, 2) annotated keypoints in cells from the center of the maps; NaN if unlabeled."""
        cells = (self.truth[:, :2] - self.regressed) / self.spacing[:, None]
        cells[self.truth[:, 2] == 0] = np.nan
        return cells


def local_global_options(system: System) -> LocalGlobalOptions:
    """Return the decoding options of a system that adapts poses.

    Raises:
        ValueError: the system was built without adaptation.
    """
    options = system.decode_options
    if not isinstance(options, LocalGlobalOptions) or not system.options.get("adaptation"):
        raise ValueError(f"system {system.name!r} was built without adaptation of poses")
    return options


def can_adapt(system: System) -> bool:
    """Return whether a system was built with adaptation of poses."""
    try:
        local_global_options(system)
    except ValueError:
        return False
    return True


def before_and_after(system: System) -> dict[str, System]:
    """Return two decoders of one network, ``"regressed"`` and ``"adapted"``.

    Both return the same detections with the same scores; see ``decode_without_adaptation``.

    Raises:
        ValueError: the system cannot adapt poses.
    """
    local_global_options(system)  # before ``adapt`` is refused as an unknown option
    adapted = with_options(system, adapt=True)
    regressed = replace(
        adapted, decode=partial(decode_without_adaptation, options=local_global_options(adapted))
    )
    return {BEFORE: regressed, AFTER: adapted}


def person_gains(
    dataset: SampleSource, before: Sequence[Poses], after: Sequence[Poses], skeleton: Skeleton
) -> pd.DataFrame:
    """Return the gain of OKS by adaptation for each annotated person with a detection.

    Args:
        before, after: detections of each image by the decoders of ``before_and_after``, px of the
            image.

    Returns:
        Columns ``index`` (of the image), ``person``, ``before`` and ``after``, the OKS of both
        poses with the annotated person that the adapted one is matched to, and ``gain``.

    Raises:
        ValueError: a number of poses is not that of the images.
    """
    if not len(before) == len(after) == len(dataset):
        raise ValueError(f"{len(before)} and {len(after)} predictions for {len(dataset)} images")
    rows = []
    for index in range(len(dataset)):
        sample = dataset[index]
        partners, later = matched_people(after[index], sample, skeleton)
        earlier = object_keypoint_similarity(
            before[index].keypoints, sample.keypoints, sample.areas, skeleton.sigmas
        )
        for person in np.flatnonzero(partners >= 0):
            was, is_now = float(earlier[person, partners[person]]), float(later[person])
            rows.append((index, int(person), was, is_now, is_now - was))
    return pd.DataFrame(rows, columns=["index", "person", "before", "after", "gain"])


def extreme_people(gains: pd.DataFrame, min_oks: float = _DETECTED) -> dict[str, pd.Series]:
    """Select the people whose OKS gains most, gains the median and loses most.

    Args:
        gains: of ``person_gains``.
        min_oks: OKS as regressed from which on people are selected, so that they were detected
            without adaptation; if no one reaches it, all are.

    Returns:
        Rows of the table by the reason for their selection, see ``extremes``.

    Raises:
        ValueError: the table is empty.
    """
    if gains.empty:
        raise ValueError("no annotated person has a detection whose adaptation could be shown")
    detected = gains[gains["before"] >= min_oks]
    selected = extremes((detected if len(detected) else gains)["gain"])
    return {reason: gains.loc[label] for reason, labels in selected.items() for label in labels}


def adapted_person(
    system: System, sample: Sample, options: PredictOptions, person: int
) -> AdaptedPerson:
    """Return the pose of one annotated person before and after adaptation, with its filters.

    Args:
        system: one that ``can_adapt``; its model is put into evaluation mode.
        sample: the image and its annotated people.
        options: how it is presented, at one scale.
        person: index of the annotated person.

    Raises:
        ValueError: the system cannot adapt poses, or the person has no detection.
    """
    regressed, adapted = before_and_after(system).values()
    adapted.model.eval()
    views = present(adapted, sample, replace(options, scales=(1.0,)))
    view, outputs = views[0], infer(adapted, [views], options.flip)
    after, before = adapted.decode(outputs)[0], regressed.decode(outputs)[0]
    row = int(matched_people(after, view, system.skeleton)[0][person])
    if row < 0:
        raise ValueError(f"image {sample.image_id}: person {person} has no detection")
    decoding = local_global_options(adapted)
    expansion = decoding.expansion
    both = np.stack([before.keypoints[row], after.keypoints[row]]).astype(np.float64)
    truth, areas = view.keypoints[[person]], view.areas[[person]]
    oks = object_keypoint_similarity(both, truth, areas, system.skeleton.sigmas)[0]
    return AdaptedPerson(
        sample=view,
        person=person,
        regressed=both[0],
        adapted=both[1],
        filters=attraction_maps_of_detections(outputs, decoding)[row].double().cpu().numpy(),
        spacing=expansion.step * expansion.rates.double().numpy(),
        before=float(oks[0]),
        after=float(oks[1]),
    )


def measure_adaptation(
    system: System,
    dataset: SampleSource,
    options: PredictOptions,
    *,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> tuple[dict[str, AdaptedPerson], pd.DataFrame]:
    """Measure the gain by adaptation over a dataset, and inspect the people of ``extreme_people``.

    Args:
        system: one that ``can_adapt``.
        options: how they are presented.
        device: where the network runs; where its weights are if not given.

    Returns:
        The people by the reason for their selection, and the table of ``person_gains``.

    Raises:
        ValueError: the system cannot adapt poses, or no annotated person has a detection.
    """
    decoders = list(before_and_after(system).values())
    before, after = predict_variants(decoders, dataset, options, device=device, progress=progress)
    gains = person_gains(dataset, before, after, system.skeleton)
    people = {
        reason: adapted_person(system, dataset[int(line["index"])], options, int(line["person"]))
        for reason, line in extreme_people(gains).items()
    }
    return people, gains


def filter_panels(people: Mapping[str, AdaptedPerson]) -> list[FilterPanel]:
    """Return the panels of people, given by the reason for their selection."""
    return [
        FilterPanel(
            image=one.sample.image,
            truth=one.truth,
            poses=np.stack([one.regressed, one.adapted]),
            headings=(
                f"{BEFORE}: OKS {one.before:.3f}",
                f"{AFTER}: OKS {one.after:.3f} ({one.after - one.before:+.3f})",
            ),
            filters=one.filters,
            places=one.cells_of_truth,
            title=f"{reason}, image {one.sample.image_id}",
        )
        for reason, one in people.items()
    ]


def summarize_filters(people: Mapping[str, AdaptedPerson], gains: pd.DataFrame) -> str:
    """Summarize in one line the gain by adaptation, of the people shown and of all detected."""
    shown = "; ".join(
        f"{reason}: OKS {one.before:.3f}, adapted {one.after:.3f} ({one.after - one.before:+.3f})"
        for reason, one in people.items()
    )
    better, worse = int((gains["gain"] > 0).sum()), int((gains["gain"] < 0).sum())
    return (
        f"{shown}; of {len(gains)} people detected {better} gain and {worse} lose, "
        f"{gains['gain'].mean():+.3f} on average"
    )
