"""What adapting regressed poses does to each person, and the local filters that do it.

LOGO-CAP, Fig. 1: a pose as it is regressed and as it is adapted, how far both are from the truth,
and the keypoint attraction maps, "local filters", by which the heat was convolved.
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
    """Somebody who was found, before and after adaptation.

    Attributes:
        sample: image and annotated people, px of the network input.
        person: the annotated person.
        regressed, adapted: (K, 2) px of the network input.
        filters: (K, r, r) from 0 to 1, rows first, the attraction maps.
        spacing: (K,) px between neighboring places of the maps.
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
        """(K, 3) px of the network input and visibility."""
        return self.sample.keypoints[self.person].astype(np.float64)

    @property
    def places_of_truth(self) -> FloatArray:
        """(K, 2) where the truth lies in the maps, in places from the middle; NaN if unlabeled."""
        places = (self.truth[:, :2] - self.regressed) / self.spacing[:, None]
        places[self.truth[:, 2] == 0] = np.nan
        return places


def local_global_options(system: System) -> LocalGlobalOptions:
    """Return the options a system adapts poses with.

    Raises:
        ValueError: it has nothing to adapt poses with.
    """
    options = system.decode_options
    if not isinstance(options, LocalGlobalOptions) or not system.options.get("adaptation"):
        raise ValueError(f"system {system.name!r} as it was built cannot adapt poses")
    return options


def can_adapt(system: System) -> bool:
    """Return whether a system has what it takes to adapt the poses that it regresses."""
    try:
        local_global_options(system)
    except ValueError:
        return False
    return True


def before_and_after(system: System) -> dict[str, System]:
    """Return two decodings of one network, ``"regressed"`` and ``"adapted"``.

    Both find the same people with the same scores, row for row: see ``decode_without_adaptation``.

    Raises:
        ValueError: the system cannot adapt poses.
    """
    local_global_options(system)  # refused here, not as an unknown option
    adapted = with_options(system, adapt=True)
    unmoved = replace(
        adapted, decode=partial(decode_without_adaptation, options=local_global_options(adapted))
    )
    return {BEFORE: unmoved, AFTER: adapted}


def person_gains(
    dataset: SampleSource, before: Sequence[Poses], after: Sequence[Poses], skeleton: Skeleton
) -> pd.DataFrame:
    """Return what adaptation gains for each annotated person who was found.

    Args:
        dataset: labeled images.
        before, after: the people of each image by the decodings of ``before_and_after``, px of
            the image.
        skeleton: of all.

    Returns:
        Columns ``index`` (the image's place), ``person``, ``before`` and ``after``, the OKS of both
        poses with the annotated person to whom the adapted one is matched, and ``gain``.

    Raises:
        ValueError: a number of poses is not that of the images.
    """
    if not len(before) == len(after) == len(dataset):
        raise ValueError(f"{len(before)} and {len(after)} predictions for {len(dataset)} images")
    lines = []
    for index in range(len(dataset)):
        sample = dataset[index]
        partners, later = matched_people(after[index], sample, skeleton)
        earlier = object_keypoint_similarity(
            before[index].keypoints, sample.keypoints, sample.areas, skeleton.sigmas
        )
        for person in np.flatnonzero(partners >= 0):
            was, is_now = float(earlier[person, partners[person]]), float(later[person])
            lines.append((index, int(person), was, is_now, is_now - was))
    return pd.DataFrame(lines, columns=["index", "person", "before", "after", "gain"])


def extreme_people(gains: pd.DataFrame, min_oks: float = _DETECTED) -> dict[str, pd.Series]:
    """Select the people whose OKS gains most, gains the median and loses most.

    Args:
        gains: of ``person_gains``.
        min_oks: OKS as regressed from which on people are selected, so that they were detected
            without adaptation; if nobody reaches it, all are.

    Returns:
        Rows of the table by the reason for their selection, see ``extremes``.

    Raises:
        ValueError: the table is empty.
    """
    if gains.empty:
        raise ValueError("nobody was found whose adaptation could be shown")
    detected = gains[gains["before"] >= min_oks]
    selected = extremes((detected if len(detected) else gains)["gain"])
    return {reason: gains.loc[label] for reason, labels in selected.items() for label in labels}


def adapted_person(
    system: System, sample: Sample, options: PredictOptions, person: int
) -> AdaptedPerson:
    """Look closely at how one person of an image is adapted.

    Args:
        system: one that ``can_adapt``; its model is put into evaluation mode.
        sample: the image and its annotated people.
        options: how it is presented; ``scales`` but the first are left out.
        person: the annotated person.

    Raises:
        ValueError: the system cannot adapt poses, or the person is not found.
    """
    unmoved, adapted = before_and_after(system).values()
    adapted.model.eval()
    views = present(adapted, sample, replace(options, scales=(1.0,)))
    seen, outputs = views[0], infer(adapted, [views], options.flip)
    after, before = adapted.decode(outputs)[0], unmoved.decode(outputs)[0]
    row = int(matched_people(after, seen, system.skeleton)[0][person])
    if row < 0:
        raise ValueError(f"image {sample.image_id}: person {person} is not found")
    adapting = local_global_options(adapted)
    expansion = adapting.expansion
    both = np.stack([before.keypoints[row], after.keypoints[row]]).astype(np.float64)
    truth, areas = seen.keypoints[[person]], seen.areas[[person]]
    similar = object_keypoint_similarity(both, truth, areas, system.skeleton.sigmas)[0]
    return AdaptedPerson(
        sample=seen,
        person=person,
        regressed=both[0],
        adapted=both[1],
        filters=attraction_maps_of_detections(outputs, adapting)[row].double().cpu().numpy(),
        spacing=expansion.step * expansion.rates.double().numpy(),
        before=float(similar[0]),
        after=float(similar[1]),
    )


def measure_adaptation(
    system: System,
    dataset: SampleSource,
    options: PredictOptions,
    *,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> tuple[dict[str, AdaptedPerson], pd.DataFrame]:
    """Adapt everybody in a dataset, and look closely at those whom ``extreme_people`` chooses.

    Args:
        system: one that ``can_adapt``.
        dataset: labeled images.
        options: how they are presented.
        device: where the network runs; where its weights are if not given.
        progress: show a bar, since it may be of thousands of images.

    Returns:
        The people by why they were chosen, and the table of ``person_gains``.

    Raises:
        ValueError: the system cannot adapt poses, or nobody is found.
    """
    ways = list(before_and_after(system).values())
    before, after = predict_variants(ways, dataset, options, device=device, progress=progress)
    gains = person_gains(dataset, before, after, system.skeleton)
    people = {
        reason: adapted_person(system, dataset[int(line["index"])], options, int(line["person"]))
        for reason, line in extreme_people(gains).items()
    }
    return people, gains


def filter_panels(people: Mapping[str, AdaptedPerson]) -> list[FilterPanel]:
    """Return what is drawn of some people, by why they were chosen."""
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
            places=one.places_of_truth,
            title=f"{reason}, image {one.sample.image_id}",
        )
        for reason, one in people.items()
    ]


def summarize_filters(people: Mapping[str, AdaptedPerson], gains: pd.DataFrame) -> str:
    """Say in one line what adaptation changes for the people shown and for all who are found."""
    shown = "; ".join(
        f"{reason}: OKS {one.before:.3f}, adapted {one.after:.3f} ({one.after - one.before:+.3f})"
        for reason, one in people.items()
    )
    better, worse = int((gains["gain"] > 0).sum()), int((gains["gain"] < 0).sum())
    return (
        f"{shown}; of {len(gains)} people found {better} gain and {worse} lose, "
        f"{gains['gain'].mean():+.3f} in the mean"
    )
