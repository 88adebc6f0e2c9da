"""How much a search near the keypoints found could gain, and how near they are to the truth.

That is LOGO-CAP's empirical observation, Sec. 1 and Figs. 1 and 2; how the oracle searches is said
in ``poselib.metrics.oracle_search``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from poselib.data.transforms import letterbox_scale
from poselib.engine.evaluate import Evaluation, LabeledImages, score
from poselib.engine.predict import PredictOptions
from poselib.metrics.localization_errors import classify_localization
from poselib.metrics.oracle_search import candidate_spacing, offset_in_steps, search_locally
from poselib.papers.published import published_table
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.systems import System
from poselib.typing import FloatArray

WINDOWS = (1, 3, 7, 11, 15, 19)
ALL = "all"

# The published window is of whole px of inputs whose short side has 512 px.
_SIZE = 512
_PUBLISHED_WINDOWS = {"Center-offset": 1, "Local search, 11x11": 11}
PUBLISHED_ON = "2346 images of COCO val2017, HRNet-W32"


def published_bound() -> pd.DataFrame:
    """Return the three numbers of LOGO-CAP, Sec. 1 and Fig. 2, AP in per cent.

    Returns:
        One line a number: ``row``, what it is of, ``window``, NaN for what is predicted without
        an oracle, and ``AP``.
    """
    printed = published_table("logocap", "Fig. 2").reset_index()
    return printed.assign(window=printed["row"].map(_PUBLISHED_WINDOWS))[["row", "window", "AP"]]


def search_step(size: int) -> float:
    """Return how far apart candidates lie, px of a network input of this size.

    One px as published from 512 px on; less in proportion where people are drawn smaller.

    Args:
        size: px of the short side.
    """
    return min(1.0, size / _SIZE)


def measure_oracle_search(
    system: System,
    dataset: LabeledImages,
    ways: Mapping[str, Sequence[Poses]],
    options: PredictOptions,
    *,
    step: float,
    windows: Sequence[int] = WINDOWS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure people found before and after a perfect search of windows of several sizes.

    Args:
        system: gives the skeleton.
        dataset: labeled images of that skeleton.
        ways: the people found in each image, as ``predict`` returns them or as they were stored,
            px of the image files, by the name of what found them.
        options: how the network saw the images; its size tells how large its px are in the files.
        step: px of the network input between neighboring candidates of the keypoint of least
            sigma.
        windows: odd sides of the square of candidates; 1, as predicted, is added if need be.

    Returns:
        One line a way and window, the smallest first: ``row``, the way, ``window``, the fields of
        ``APResult``, from 0 to 1, and ``gain``, what of AP is gained over window 1. And as
        ``window_fractions``, with the way in a column ``row`` in front.

    Raises:
        ValueError: nobody is annotated, there is no way, a number of poses is not that of the
            images, a window is not odd and positive, or the step is not positive.
    """
    if not ways:
        raise ValueError("expected the people found in one way or more")
    sides = sorted({1, *windows})
    wrong = [side for side in sides if side < 1 or side % 2 == 0]
    if wrong:
        raise ValueError(f"windows must have odd positive sides, not {wrong}")
    skeleton = system.skeleton
    candidate_spacing(skeleton.sigmas, step)  # refuses a step before anything is measured
    side = options.size_for(system)
    people = [_in_file(dataset[index], side, step) for index in range(len(dataset))]
    steps = [px for _, _, px in people]
    lines, shares = [], []
    for name, poses in ways.items():
        found = score(system, dataset, poses, explain=False)
        told = window_fractions(steps_to_ground_truth(found, steps, skeleton), skeleton, sides)
        told.insert(0, "row", name)
        shares.append(told)
        for side in sides:
            moved = [
                search_locally(each, truth, areas, skeleton.sigmas, side, px)
                for each, (truth, areas, px) in zip(poses, people, strict=True)
            ]
            after = score(system, dataset, moved, explain=False).ap if side > 1 else found.ap
            gain = after.AP - found.ap.AP
            lines.append({"row": name, "window": side, **after.as_dict(), "gain": gain})
    return pd.DataFrame(lines), pd.concat(shares, ignore_index=True)


def steps_to_ground_truth(
    found: Evaluation, steps: Sequence[float], skeleton: Skeleton
) -> FloatArray:
    """Return how far the keypoints of people found are from the truth, in spacings.

    People are those whom COCO's evaluation matches to an annotated one, from an OKS of 0.1 on.

    Args:
        found: an evaluation of a dataset.
        steps: px of each image file between candidates of the keypoint of least sigma.
        skeleton: of both.

    Returns:
        (R, K) as ``offset_in_steps``; NaN where nothing is labeled, infinite where nothing was
        found.
    """
    judged = classify_localization(found.comparison)
    both = judged.comparison
    here = np.array(steps)[both.positions][both.found.images[judged.found]]
    spacing = here[:, None] * candidate_spacing(skeleton.sigmas, 1.0)
    predicted, annotated = both.found.keypoints[judged.found], both.truth.keypoints[judged.truth]
    apart = offset_in_steps(predicted[..., :2], annotated[..., :2], spacing)
    apart[~both.found.present[judged.found]] = np.inf
    apart[~both.truth.labeled[judged.truth]] = np.nan
    return apart


def window_fractions(steps: FloatArray, skeleton: Skeleton, windows: Sequence[int]) -> pd.DataFrame:
    """Return how many keypoints have their truth inside windows of several sizes, by type.

    Args:
        steps: (R, K) of ``steps_to_ground_truth``.
        skeleton: names the keypoints.
        windows: sides of the square of candidates.

    Returns:
        One row a keypoint, and a last one ``"all"``: ``keypoint``, ``counted``, labeled keypoints
        of people who were found, and in per cent of them ``within_1`` and so on for each window,
        and ``missing``, which were not found; NaN where none is counted.
    """
    counted = (~np.isnan(steps)).sum(axis=0)
    hits = {f"within_{side}": (steps <= side / 2).sum(axis=0) for side in windows}
    hits["missing"] = np.isinf(steps).sum(axis=0)
    table = pd.DataFrame({"counted": counted, **hits}, index=[*skeleton.keypoints])
    table.loc[ALL] = table.sum()
    whole = table["counted"].where(table["counted"] > 0)
    for name in hits:
        table[name] = 100 * table[name] / whole
    return table.rename_axis("keypoint").reset_index()


def search_table(table: pd.DataFrame, measured_on: str) -> pd.DataFrame:
    """Return published and measured numbers as lines of one table, in columns of their own.

    Args:
        table: from ``measure_oracle_search``, in per cent.
        measured_on: on what.

    Returns:
        Lines of ``published_bound``, with ``published_on`` and ``published_AP``, and those of
        ``table`` with ``measured_on``.
    """
    printed = published_bound().rename(columns={"AP": "published_AP"})
    printed.insert(0, "published_on", PUBLISHED_ON)
    lines = pd.concat([printed, table.assign(measured_on=measured_on)], ignore_index=True)
    return lines.astype({"window": "Int64"})


def summarize_search(table: pd.DataFrame, shares: pd.DataFrame, window: int) -> str:
    """Say in one line what the search of a window could gain, and how many keypoints are in it.

    Args:
        table, shares: from ``measure_oracle_search``, AP in per cent.
        window: one of those measured.
    """
    told = []
    for name, part in table.groupby("row", sort=False):
        ap = part.set_index("window")["AP"]
        inside = shares[shares["row"] == name].set_index("keypoint")[f"within_{window}"]
        each = inside.drop(ALL).dropna()
        words = f"{name}: AP {ap[1]:.1f}, {ap[window]:.1f} at best within {window}x{window}"
        if len(each):
            words += (
                f"; truth inside for {inside[ALL]:.1f} % of the keypoints of people found, from "
                f"{each.min():.1f} % ({each.idxmin()}) to {each.max():.1f} % ({each.idxmax()})"
            )
        told.append(words)
    return "; ".join(told)


def _in_file(sample: Sample, side: int, step: float) -> tuple[FloatArray, FloatArray, float]:
    """Annotated people, their areas and the step between candidates, px of the image file."""
    truth = sample.keypoints.astype(np.float64)
    truth[..., :2] = sample.to_original(truth[..., :2])
    length = sample.to_original.scale  # of a px of the sample
    areas = sample.areas.astype(np.float64) * length**2
    return truth, areas, step * length / letterbox_scale(sample.size, side)
