"""Measure how well tags separate people, at annotated keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from poselib.analysis.inspect_image import Inspection
from poselib.losses.associative import tags_at_keypoints
from poselib.losses.hard_keypoints import iqr_outlier_weights


@dataclass(frozen=True)
class PeopleTags:
    """The tags of the N people of one image.

    Attributes:
        values: (N, K) float64, tag at each keypoint.
        present: (N, K) bool, labeled and inside the image.
    """

    values: NDArray[np.float64]
    present: NDArray[np.bool_]


def read_people_tags(inspection: Inspection) -> PeopleTags:
    """Read the first embedding at every annotated keypoint of an inspected image."""
    outputs = inspection.outputs
    keypoints = torch.from_numpy(inspection.sample.keypoints)[None].to(outputs.tags.device)
    values, present = tags_at_keypoints(outputs.tags, keypoints, outputs.image_size)
    return PeopleTags(values[0, ..., 0].double().cpu().numpy(), present[0].cpu().numpy())


def measure_separation(images: Sequence[PeopleTags]) -> dict[str, float]:
    """Measure how well tags separate people, over the images with two people or more.

    Returns:
        ``images``, ``people`` and ``keypoints``, how many were measured; ``between``, the mean
        distance of a person's reference embedding, the mean of its tags (HAE, Eq. 6), to the next
        one; ``within``, the root mean square distance of a keypoint's tag to its person's reference
        embedding; ``ratio``, ``between / within``, which does not depend on the scale of the tags;
        ``own``, the fraction of keypoints whose own person has the nearest reference embedding;
        ``outliers``, that of keypoints beyond the IQR fences of their person (HAE, Sec. III-D).

    Raises:
        ValueError: there is no such image.
    """
    counted = [tags for tags in images if tags.present.any(axis=1).sum() >= 2]
    if not counted:
        raise ValueError(f"none of {len(images)} images has two labeled people")
    measured = zip(*(_measures(tags) for tags in counted), strict=True)
    gaps, spreads, own, beyond = (np.concatenate(parts) for parts in measured)
    between, within = float(gaps.mean()), float(np.sqrt((spreads**2).mean()))
    return {
        "images": len(counted),
        "people": len(gaps),
        "keypoints": len(spreads),
        "between": between,
        "within": within,
        "ratio": between / max(within, 1e-12),
        "own": float(own.mean()),
        "outliers": float(beyond.mean()),
    }


def _measures(tags: PeopleTags) -> tuple[NDArray[np.generic], ...]:
    """Return the gap of each person; of each keypoint its distance, if nearest, if an outlier."""
    here = tags.present.any(axis=1)
    values, present = tags.values[here], tags.present[here]
    references = np.average(values, axis=1, weights=present)
    apart = np.abs(references[:, None] - references)
    np.fill_diagonal(apart, np.inf)
    distances = np.abs(values[:, :, None] - references)  # (N, K, N)
    nearest = distances.argmin(axis=-1) == np.arange(len(values))[:, None]
    spread = np.abs(values - references[:, None])
    batch = torch.from_numpy(values)[None, ..., None]
    weights = iqr_outlier_weights(batch, torch.from_numpy(present)[None], None, alpha=2.0)
    beyond = weights[0].numpy() == 2
    return apart.min(axis=1), spread[present], nearest[present], beyond[present]


def summarize_separation(table: pd.DataFrame) -> str:
    """Summarize in one line how well the tags of several models separate people.

    Args:
        table: one row a model, by name: those of ``measure_separation`` and ``AP``.
    """
    parts = [
        f"{name}: outliers {row.outliers:.1%}, distance to others over own spread {row.ratio:.2f}, "
        f"AP {row.AP:.1%}"
        for name, row in table.iterrows()
    ]
    return "; ".join(parts)
