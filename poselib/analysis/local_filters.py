"""Poses before and after local-global adaptation, and the local filters that adapt them.

LOGO-CAP, Fig. 1 shows a pose as regressed and as adapted beside the annotated one, and the keypoint
attraction maps, "local filters", with which the heatmaps are convolved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
from poselib.engine.inference import PredictOptions, infer, present
from poselib.engine.predict import predict_variants
from poselib.engine.variants import with_options
from poselib.metrics.matching import matched_people
from poselib.ops.oks import object_keypoint_similarity
from poselib.plots.local_filters import FilterPanel
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.systems import System

_DETECTED = 0.5  # OKS from which AP counts a person as detected


def can_adapt(system: System) -> bool:
    """Return whether a system was built with adaptation of poses."""
    adapts = isinstance(system.decode_options, LocalGlobalOptions)
    return adapts and bool(system.options.get("adaptation"))


def before_and_after(system: System) -> dict[str, System]:
    """Return two decoders of one network, ``"regressed"`` and ``"adapted"``.

    Both return the same detections with the same scores; see ``decode_without_adaptation``.

    Raises:
        ValueError: the system cannot adapt poses.
    """
    if not can_adapt(system):
        raise ValueError(f"system {system.name!r} was built without adaptation of poses")
    adapted = with_options(system, adapt=True)
    plain = partial(decode_without_adaptation, options=adapted.decode_options)
    return {"regressed": replace(adapted, decode=plain), "adapted": adapted}


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


def extreme_people(gains: pd.DataFrame) -> dict[str, pd.Series]:
    """Select the people whose OKS gains most, gains the median and loses most.

    They were detected without adaptation, or if no one was, are any people.

    Returns:
        Rows of the table by the reason for their selection, see ``extremes``.

    Raises:
        ValueError: the table is empty.
    """
    if gains.empty:
        raise ValueError("no annotated person has a detection whose adaptation could be shown")
    detected = gains[gains["before"] >= _DETECTED]
    selected = extremes((detected if len(detected) else gains)["gain"])
    return {reason: gains.loc[label] for reason, labels in selected.items() for label in labels}


def adapted_person(
    system: System, sample: Sample, options: PredictOptions, person: int, reason: str = ""
) -> FilterPanel:
    """Return the pose of one annotated person before and after adaptation, with its filters.

    Args:
        system: one that ``can_adapt``; its model is put into evaluation mode.
        options: how it is presented, at one scale.
        reason: of the selection, for the title.

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
    decoding: LocalGlobalOptions = adapted.decode_options
    truth = view.keypoints[person].astype(np.float64)
    poses = np.stack([before.keypoints[row], after.keypoints[row]]).astype(np.float64)
    oks = object_keypoint_similarity(
        poses, truth[None], view.areas[[person]], system.skeleton.sigmas
    )
    cell = decoding.expansion.step * decoding.expansion.rates.double().numpy()[:, None]
    return FilterPanel(
        image=view.image,
        truth=truth,
        poses=poses,
        oks=(float(oks[0, 0]), float(oks[0, 1])),
        filters=attraction_maps_of_detections(outputs, decoding)[row].double().cpu().numpy(),
        places=np.where(truth[:, 2:] > 0, (truth[:, :2] - poses[0]) / cell, np.nan),
        title=f"{reason}, image {sample.image_id}",
    )


def measure_adaptation(
    system: System,
    dataset: SampleSource,
    options: PredictOptions,
    *,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> tuple[list[FilterPanel], pd.DataFrame]:
    """Measure the gain by adaptation over a dataset, and inspect the people of ``extreme_people``.

    Returns:
        A panel for each of the people, and the table of ``person_gains``.

    Raises:
        ValueError: the system cannot adapt poses, or no annotated person has a detection.
    """
    decoders = list(before_and_after(system).values())
    before, after = predict_variants(decoders, dataset, options, device=device, progress=progress)
    gains = person_gains(dataset, before, after, system.skeleton)
    panels = []
    for reason, line in extreme_people(gains).items():
        sample, person = dataset[int(line["index"])], int(line["person"])
        panels.append(adapted_person(system, sample, options, person, reason))
    return panels, gains


def summarize_filters(panels: Sequence[FilterPanel], gains: pd.DataFrame) -> str:
    """Summarize in one line the gain by adaptation, of the people shown and of all detected."""
    shown = "; ".join(
        f"{panel.title}: OKS {panel.oks[0]:.3f}, adapted {panel.oks[1]:.3f} ({panel.gain:+.3f})"
        for panel in panels
    )
    better, worse = int((gains["gain"] > 0).sum()), int((gains["gain"] < 0).sum())
    return (
        f"{shown}; of {len(gains)} people detected {better} gain and {worse} lose, "
        f"{gains['gain'].mean():+.3f} on average"
    )
