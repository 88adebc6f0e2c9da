"""Two ways of decoding the same maps, compared image by image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import torch

from poselib.analysis.association_errors import association_errors, people_counts
from poselib.analysis.select_images import ranked_images
from poselib.engine.evaluate import LabeledImages, score
from poselib.engine.predict import PredictOptions, predict_variants
from poselib.engine.variants import with_options
from poselib.structures import Poses
from poselib.systems import Switch, System


@dataclass(frozen=True)
class ComparedWays:
    """Two ways of decoding on one dataset.

    Attributes:
        table: one row a way: ``decoding``; ``AP``, ``AP50`` and ``AR`` of the finished poses; and,
            of the groups before refinement, ``mean OKS``, ``higher``, in how many images it is
            higher than by the other way, ``people_counts``, and ``association error``.
        groups: the people of each image by each way, before refinement, px of the image files.
        similarity: one row an image with labeled people, by its place in the dataset, one column a
            way: the mean OKS of the annotated people with the person found of each.
    """

    table: pd.DataFrame
    groups: dict[str, list[Poses]]
    similarity: pd.DataFrame

    @property
    def gain(self) -> pd.Series:
        """The similarity by the second way less that by the first, the least first."""
        first, second = self.similarity
        return (self.similarity[second] - self.similarity[first]).sort_values(kind="stable")


def compare_variants(
    system: System,
    dataset: LabeledImages,
    options: PredictOptions,
    ways: Mapping[str, Mapping[str, Switch]],
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> ComparedWays:
    """Decode a dataset in two ways; the network looks at each image once.

    Args:
        system: its weights and all other switches.
        dataset: labeled images of its skeleton.
        options: how images are presented.
        ways: the switches of each of the two ways, by its name.
        device: where the network runs; where its weights are if not given.
        progress: show a bar.

    Raises:
        ValueError: there are not two ways, or a switch is unknown.
    """
    if len(ways) != 2:
        raise ValueError(f"two ways can be compared, not {len(ways)}")
    each = [
        with_options(system, **s, refine=refine) for refine in (True, False) for s in ways.values()
    ]
    poses = predict_variants(each, dataset, options, device=device, progress=progress)
    whole, groups = (dict(zip(ways, part, strict=True)) for part in (poses[:2], poses[2:]))
    columns = {
        way: ranked_images(dataset, found, system.skeleton).set_index("index")["similarity"]
        for way, found in groups.items()
    }
    similarity = pd.DataFrame(columns).sort_index()
    rows = []
    for way, other in zip(ways, list(ways)[::-1], strict=True):
        ap = score(system, dataset, whole[way]).ap
        errors = association_errors(dataset, groups[way], system.skeleton)
        rows.append(
            {
                "decoding": way,
                "AP": ap.AP,
                "AP50": ap.AP50,
                "AR": ap.AR,
                "mean OKS": similarity[way].mean(),
                "higher": int((similarity[way] > similarity[other]).sum()),
                **people_counts(dataset, groups[way], system.skeleton),
                "association error": errors.loc["all", "association_error"],
            }
        )
    return ComparedWays(pd.DataFrame(rows), groups, similarity)
