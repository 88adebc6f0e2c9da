"""Upper bound of a local search around predicted keypoints (LOGO-CAP, Sec. 1 and Fig. 2).

An oracle, see ``poselib.metrics.oracle_search``, moves each predicted keypoint to the candidate of
a window that is nearest to the annotated one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from poselib.data.transforms import letterbox_scale
from poselib.engine.evaluate import Evaluation, LabeledImages, evaluate_poses
from poselib.engine.inference import PredictOptions
from poselib.metrics.bootstrap import APGain, ap_gain
from poselib.metrics.localization_errors import classify_localization
from poselib.metrics.oracle_search import candidate_spacing, offset_in_steps, oracle_search
from poselib.papers.published import published_table
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.systems import System
from poselib.typing import FloatArray

WINDOWS = (1, 3, 7, 11, 15, 19)
ALL = "all"

# The published step of 1 px in units of the OKS tolerance s * k, where k = 0.05 is COCO's smallest
# and s = 100 px a usual size, the root of the area, of people in images of 512 px.
TOLERANCE = 0.2
_PUBLISHED_WINDOWS = {"Center-offset": 1, "Local search, 11x11": 11}
PUBLISHED_ON = "2346 images of COCO val2017, HRNet-W32"


def published_bound() -> pd.DataFrame:
    """Return the published numbers of LOGO-CAP, Fig. 2, AP in percent.

    Returns:
        One row per number: ``row``, its name; ``window``, NaN for predictions without an oracle;
        and ``AP``.
    """
    printed = published_table("logocap", "Fig. 2").reset_index()
    return printed.assign(window=printed["row"].map(_PUBLISHED_WINDOWS))[["row", "window", "AP"]]


def search_step(
    dataset: LabeledImages, skeleton: Skeleton, size: int, tolerance: float = TOLERANCE
) -> float:
    """Return the distance of neighboring candidates that is a fraction of the OKS tolerance.

    The tolerance is the distance s * k, k = 2 sigma, at which a keypoint's similarity falls to
    exp(-1/2): here of a person of median size and the keypoint type with the smallest sigma. Other
    types have proportionally larger distances (LOGO-CAP, Algorithm 1), so that the fraction holds
    for all.

    Args:
        dataset: labeled images.
        skeleton: gives the sigmas.
        size: short side of the network input, px.
        tolerance: the fraction; by default that of the published 1 px for images of 512 px.

    Returns:
        px of the network input.

    Raises:
        ValueError: the fraction is not positive, or no annotated person has an area.
    """
    samples = (dataset[index] for index in range(len(dataset)))
    sizes = [letterbox_scale(each.size, size) * np.sqrt(each.areas) for each in samples]
    counted = np.concatenate([*sizes, np.zeros(1)])
    if not (counted > 0).any() or not 0 < tolerance < np.inf:
        raise ValueError(
            "the step of a search needs people with an area and a positive fraction of their "
            f"tolerance, not {int((counted > 0).sum())} people and {tolerance}"
        )
    return float(tolerance * 2 * min(skeleton.sigmas) * np.median(counted[counted > 0]))


def measure_oracle_search(
    system: System,
    dataset: LabeledImages,
    detections: Mapping[str, Sequence[Poses]],
    options: PredictOptions,
    *,
    step: float,
    windows: Sequence[int] = WINDOWS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Evaluate detections before and after an oracle search in windows of several sizes.

    Args:
        system: predicted the detections; gives skeleton and input size.
        detections: of each image, px of the image files, by a name, such as those before and after
            adaptation.
        options: how images were presented to the network; its size relates px of the network input
            to those of the files.
        step: distance of neighboring candidates, px of the network input, for the keypoint type
            with the smallest sigma.
        windows: odd sides of the square of candidates; 1, as predicted, is always added.

    Returns:
        The evaluations and ``window_fractions``, each with the name of the detections in a column
        ``row``. The former have one row per name and window, the smallest first: ``window``, the
        fields of ``APResult``, from 0 to 1, and ``AP_gain``, the gain of AP over window 1, with the
        ends of its interval over images, ``AP_gain_low`` and ``AP_gain_high``: see ``ap_gain``.

    Raises:
        ValueError: the dataset has no annotations, ``detections`` are empty or of another number of
            images, a window is not odd and positive, or the step is not positive.
    """
    if not detections:
        raise ValueError("expected the detections of at least one system")
    sides = sorted({1, *windows})
    if wrong := [side for side in sides if side < 1 or side % 2 == 0]:
        raise ValueError(f"windows must have odd positive sides, not {wrong}")
    skeleton, short_side = system.skeleton, options.size_for(system)
    candidate_spacing(skeleton.sigmas, step)  # refuses a step before anything is measured
    people = [_in_file(dataset[index], short_side, step) for index in range(len(dataset))]
    steps = [px for _, _, px in people]
    tables, fractions = [], []
    for name, poses in detections.items():
        predicted = evaluate_poses(dataset, poses, skeleton, explain=False)
        ap, more = [predicted.ap], [APGain(0.0, 0.0, 0.0)]
        for side in sides[1:]:
            moved = [
                oracle_search(each, truth, areas, skeleton.sigmas, side, px)
                for each, (truth, areas, px) in zip(poses, people, strict=True)
            ]
            searched = evaluate_poses(dataset, moved, skeleton, explain=False)
            ap.append(searched.ap)
            more.append(ap_gain(predicted.comparison, searched.comparison))
        table = pd.DataFrame([each.as_dict() for each in ap])
        table.insert(0, "row", name)
        table.insert(1, "window", sides)
        table[["AP_gain", "AP_gain_low", "AP_gain_high"]] = more
        tables.append(table)
        within = window_fractions(
            steps_to_ground_truth(predicted, steps, skeleton), skeleton, sides
        )
        within.insert(0, "row", name)
        fractions.append(within)
    return pd.concat(tables, ignore_index=True), pd.concat(fractions, ignore_index=True)


def steps_to_ground_truth(
    evaluation: Evaluation, steps: Sequence[float], skeleton: Skeleton
) -> FloatArray:
    """Return the offsets of predicted from annotated keypoints, in steps of the search.

    Detections are those that COCO's evaluation matches to an annotated person, from an OKS of 0.1.

    Args:
        steps: distance of neighboring candidates in each image file, px, for the keypoint type
            with the smallest sigma.

    Returns:
        (R, K) as ``offset_in_steps``; NaN where not labeled, infinite where not predicted.
    """
    errors = classify_localization(evaluation.comparison)
    pairs = errors.comparison
    step = np.array(steps)[pairs.positions][pairs.found.images[errors.found]]
    spacing = step[:, None] * candidate_spacing(skeleton.sigmas, 1.0)
    predicted, annotated = pairs.found.keypoints[errors.found], pairs.truth.keypoints[errors.truth]
    offsets = offset_in_steps(predicted[..., :2], annotated[..., :2], spacing)
    offsets[~pairs.found.present[errors.found]] = np.inf
    offsets[~pairs.truth.labeled[errors.truth]] = np.nan
    return offsets


def window_fractions(steps: FloatArray, skeleton: Skeleton, windows: Sequence[int]) -> pd.DataFrame:
    """Return the fraction of keypoints whose annotated location is within a window, by type.

    Args:
        steps: (R, K) of ``steps_to_ground_truth``.
        windows: sides of the square of candidates.

    Returns:
        One row per keypoint type, and a last one ``"all"``: ``keypoint``; ``counted``, the labeled
        keypoints of matched people; in percent of them ``within_1`` and so on for each window, and
        ``missing``, not predicted; NaN where none is counted.
    """
    counted = (~np.isnan(steps)).sum(axis=0)
    hits = {f"within_{side}": (steps <= side / 2).sum(axis=0) for side in windows}
    hits["missing"] = np.isinf(steps).sum(axis=0)
    table = pd.DataFrame({"counted": counted, **hits}, index=[*skeleton.keypoints])
    table.loc[ALL] = table.sum()
    total = table["counted"].where(table["counted"] > 0)
    for name in hits:
        table[name] = 100 * table[name] / total
    return table.rename_axis("keypoint").reset_index()


def search_table(table: pd.DataFrame, measured_on: str) -> pd.DataFrame:
    """Return published and measured numbers in one table, in different columns.

    Args:
        table: from ``measure_oracle_search``, in percent.

    Returns:
        Rows of ``published_bound``, with ``published_on`` and ``published_AP``, and those of
        ``table`` with ``measured_on``.
    """
    published = published_bound().rename(columns={"AP": "published_AP"})
    published.insert(0, "published_on", PUBLISHED_ON)
    rows = pd.concat([published, table.assign(measured_on=measured_on)], ignore_index=True)
    return rows.astype({"window": "Int64"})


def summarize_search(table: pd.DataFrame, fractions: pd.DataFrame, window: int) -> str:
    """Summarize in one line the gain of an oracle search and the keypoints within its window.

    Args:
        table, fractions: from ``measure_oracle_search``, AP in percent.
        window: one of those measured.
    """
    sentences = []
    for name, part in table.groupby("row", sort=False):
        ap = part.set_index("window")["AP"]
        inside = fractions[fractions["row"] == name].set_index("keypoint")[f"within_{window}"]
        types = inside.drop(ALL).dropna()
        sentence = f"{name}: AP {ap[1]:.1f}, {ap[window]:.1f} at best within {window}x{window}"
        if len(types):
            sentence += (
                f"; truth inside for {inside[ALL]:.1f} % of the keypoints of matched people, from "
                f"{types.min():.1f} % ({types.idxmin()}) to {types.max():.1f} % ({types.idxmax()})"
            )
        sentences.append(sentence)
    return "; ".join(sentences)


def _in_file(sample: Sample, side: int, step: float) -> tuple[FloatArray, FloatArray, float]:
    """Return annotated people, their areas and the step of the search, px of the image file."""
    truth = sample.keypoints.astype(np.float64)
    truth[..., :2] = sample.to_original(truth[..., :2])
    scale = sample.to_original.scale
    areas = sample.areas.astype(np.float64) * scale**2
    return truth, areas, step * scale / letterbox_scale(sample.size, side)
