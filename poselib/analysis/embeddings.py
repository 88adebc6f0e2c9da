"""Measure how well tags separate people, at annotated keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from poselib.analysis.inspect_image import inspect_image
from poselib.data.loaders import SampleSource
from poselib.engine.predict import PredictOptions
from poselib.losses.associative import tags_at_keypoints
from poselib.losses.hard_keypoints import iqr_outlier_weights
from poselib.outputs import TagOutputs
from poselib.structures import Sample
from poselib.systems import System


@dataclass(frozen=True)
class PeopleTags:
    """The tags of the N people of one image.

    Attributes:
        values: (N, K) float64, tag at each keypoint.
        present: (N, K) bool, labeled and inside the image.
    """

    values: NDArray[np.float64]
    present: NDArray[np.bool_]

    @property
    def references(self) -> NDArray[np.float64]:
        """(N,) mean tag of each person (HAE, Eq. 6); NaN without keypoints."""
        count = self.present.sum(axis=1)
        total = np.where(self.present, self.values, 0.0).sum(axis=1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@dataclass(frozen=True)
class Separation:
    """How well tags separate the people of images with two people or more.

    Attributes:
        images, people, keypoints: how many were measured.
        between: mean distance of a person's reference embedding to the nearest other one.
        within: root mean square distance of a keypoint's tag to its person's reference embedding.
        ratio: ``between / within``, which does not depend on the scale of the tags.
        own: fraction of keypoints whose own person has the nearest reference embedding.
        outliers: fraction of keypoints beyond the IQR fences of their person (HAE, Sec. III-D).
    """

    images: int
    people: int
    keypoints: int
    between: float
    within: float
    ratio: float
    own: float
    outliers: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def read_people_tags(sample: Sample, outputs: TagOutputs) -> PeopleTags:
    """Read the first embedding at every annotated keypoint of an image.

    Args:
        sample: people in px of the network input.
        outputs: of this one image.
    """
    keypoints = torch.from_numpy(sample.keypoints)[None].to(outputs.tags.device)
    values, present = tags_at_keypoints(outputs.tags, keypoints, outputs.image_size)
    return PeopleTags(values[0, ..., 0].double().cpu().numpy(), present[0].cpu().numpy())


def read_dataset_tags(
    system: System, dataset: SampleSource, options: PredictOptions, count: int
) -> list[PeopleTags]:
    """Read the tags of the people in the first ``count`` images of a dataset."""
    tags = []
    for index in range(min(count, len(dataset))):
        inspection = inspect_image(system, dataset[index], options)
        tags.append(read_people_tags(inspection.sample, inspection.outputs))
    return tags


def measure_separation(images: Sequence[PeopleTags]) -> Separation:
    """Measure how well tags separate people, over the images with two people or more.

    Raises:
        ValueError: there is no such image.
    """
    counted = [tags for tags in images if tags.present.any(axis=1).sum() >= 2]
    if not counted:
        raise ValueError(f"none of {len(images)} images has two labeled people")
    gaps, spreads, own, beyond = zip(*(_measures(tags) for tags in counted), strict=True)
    between = float(np.concatenate(gaps).mean())
    within = float(np.sqrt((np.concatenate(spreads) ** 2).mean()))
    return Separation(
        images=len(counted),
        people=sum(len(gap) for gap in gaps),
        keypoints=sum(len(spread) for spread in spreads),
        between=between,
        within=within,
        ratio=between / max(within, 1e-12),
        own=float(np.concatenate(own).mean()),
        outliers=float(np.concatenate(beyond).mean()),
    )


def _measures(tags: PeopleTags) -> tuple[NDArray[np.generic], ...]:
    """Return the gap of each person; of each keypoint its distance, if nearest, if an outlier."""
    here = tags.present.any(axis=1)
    values, present, references = tags.values[here], tags.present[here], tags.references[here]
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
        table: one row a model, by name: the fields of ``Separation`` and ``AP``.
    """
    parts = [
        f"{name}: outliers {row.outliers:.1%}, distance to others over own spread {row.ratio:.2f}, "
        f"AP {row.AP:.1%}"
        for name, row in table.iterrows()
    ]
    return "; ".join(parts)
