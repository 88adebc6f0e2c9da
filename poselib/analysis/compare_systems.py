"""Two systems on the same images: what each finds, and images that tell them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from poselib.analysis.examples import filter_by_score, mean_similarity
from poselib.analysis.select_images import ranked_images
from poselib.data.loaders import SampleSource
from poselib.engine.checkpoints import Checkpoint
from poselib.engine.evaluate import LabeledImages, score
from poselib.engine.predict import PredictOptions, predict
from poselib.metrics.association_errors import classify_keypoints
from poselib.plots.panels import Panel
from poselib.skeletons import Skeleton
from poselib.structures import Poses, Sample
from poselib.systems import System


@dataclass(frozen=True)
class ComparedSystems:
    """Two systems on one dataset.

    Attributes:
        totals: one row a system, by its name: ``AP``, ``AP50``, ``AP75`` and ``AR`` of everyone
            found; and, of people who are sure enough, ``found``, how many, ``OKS``, see
            ``mean_similarity``, and ``better``, in how many images it is higher than the other's.
        poses: the people of each image who are sure enough, px of the image files.
        images: one row an image with labeled people, by its place in the dataset: ``people``,
            and for each system the mean OKS of the people, see ``ranked_images``.
    """

    totals: pd.DataFrame
    poses: dict[str, list[Poses]]
    images: pd.DataFrame

    @property
    def gain(self) -> pd.Series:
        """The OKS by the second system less that by the first, the least first."""
        first, second = self.poses
        return (self.images[second] - self.images[first]).sort_values(kind="stable")

    def ranked(self, name: str) -> pd.DataFrame:
        """Return ``index``, ``people`` and ``similarity`` of images, a system's worst first."""
        table = self.images.rename_axis("index").reset_index()
        table = table.rename(columns={name: "similarity"})[["index", "people", "similarity"]]
        return table.sort_values(["similarity", "index"], ignore_index=True)

    def as_table(self) -> pd.DataFrame:
        """Return one line for all images, with both systems' AP, and one line for each image."""
        first, second = self.poses
        own = self.images.assign(gain=self.images[second] - self.images[first])
        everyone = {"people": self.images["people"].sum(), **self.totals["OKS"]}
        everyone["gain"] = everyone[second] - everyone[first]
        everyone |= {f"AP {name}": ap for name, ap in self.totals["AP"].items()}
        lines = pd.concat([pd.DataFrame(everyone, index=["all"]), own]).rename_axis("image")
        renamed = {name: f"OKS {name}" for name in self.poses}
        return lines.rename(columns=renamed).reset_index()


def compare_systems(
    systems: Mapping[str, Checkpoint],
    dataset: LabeledImages,
    options: PredictOptions,
    *,
    least: float = 0.0,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> ComparedSystems:
    """Let two systems find the people of a dataset.

    Args:
        systems: the two by name, each with the size that it is to see images at, if it has one.
        dataset: labeled images of their skeleton.
        options: how images are presented.
        least: people with a lower score count for AP alone.
        device: where the networks run; where their weights are if not given.
        progress: show bars.

    Raises:
        ValueError: there are not two systems, or they find other keypoints.
    """
    skeletons = [checkpoint.system.skeleton for checkpoint in systems.values()]
    if len(systems) != 2 or skeletons[0].keypoints != skeletons[1].keypoints:
        raise ValueError(
            f"two systems of the same keypoints can be compared, not {len(systems)} of "
            f"{[skeleton.name for skeleton in skeletons]}"
        )
    found = {}
    for name, checkpoint in systems.items():
        look = replace(options, size=checkpoint.size or options.size)
        found[name] = predict(checkpoint.system, dataset, look, device=device, progress=progress)
    named = {name: checkpoint.system for name, checkpoint in systems.items()}
    return compare_found(named, dataset, found, least=least)


def compare_found(
    systems: Mapping[str, System],
    dataset: LabeledImages,
    found: Mapping[str, Sequence[Poses]],
    *,
    least: float = 0.0,
) -> ComparedSystems:
    """Compare the people whom two systems, or two decodings of one, have found in a dataset.

    Args:
        systems: the two by name, of the same keypoints.
        dataset: labeled images of their skeleton.
        found: the people of each image by each system, px of the image files.
        least: people with a lower score count for AP alone.
    """
    totals, poses, columns = {}, {}, {}
    for name, system in systems.items():
        ap = score(system, dataset, found[name]).ap
        poses[name] = filter_by_score(found[name], least)
        ranked = ranked_images(dataset, poses[name], system.skeleton)
        columns["people"] = ranked.set_index("index")["people"]
        columns[name] = ranked.set_index("index")["similarity"]
        numbers = {"AP": ap.AP, "AP50": ap.AP50, "AP75": ap.AP75, "AR": ap.AR}
        numbers["found"] = int(ranked["found"].sum())
        totals[name] = {**numbers, "OKS": mean_similarity(ranked)}
    images = pd.DataFrame(columns).sort_index()
    table = pd.DataFrame.from_dict(totals, orient="index").rename_axis("system")
    first, second = systems
    higher = [(images[a] > images[b]).sum() for a, b in ((first, second), (second, first))]
    return ComparedSystems(table.assign(better=higher), poses, images)


def extreme_images(gain: pd.Series, count: int) -> dict[str, list[int]]:
    """Choose images: ``count`` that gain most, as many in the middle, as many that lose most.

    No image is chosen twice; the largest gains and losses go first where there are few images.

    Args:
        gain: of ``ComparedSystems``: by image, the least first.
        count: of each kind, at most.

    Returns:
        Places of images by ``"gains most"``, ``"in the middle"`` and ``"loses most"``, the largest
        gain or loss first. An image that does not gain is not among the first, and one that
        does not lose not among the last.
    """
    best = gain[gain > 0].index[::-1][:count].tolist()
    worst = gain[gain < 0].index[:count].tolist()
    taken, middle = {*best, *worst}, (len(gain) - 1) / 2
    rest = [place for place, index in enumerate(gain.index) if index not in taken]
    near = sorted(sorted(rest, key=lambda place: abs(place - middle))[:count])
    typical = gain.index[near].tolist()
    return {"gains most": best, "in the middle": typical, "loses most": worst}


def comparison_panels(
    dataset: SampleSource,
    compared: ComparedSystems,
    chosen: Mapping[str, Sequence[int]],
    skeleton: Skeleton,
) -> list[Panel]:
    """Return three panels an image: the annotated people, and those that each system found.

    A person found has the color of the annotated person it is matched to. All keypoints that were
    found are drawn, however unsure.

    Args:
        dataset: the images.
        compared: what was found in them.
        chosen: places of images by why they were chosen.
        skeleton: of all.
    """
    panels = []
    for reason, indices in chosen.items():
        for index in indices:
            sample, oks = dataset[index], compared.images.loc[index]
            gain = f"{compared.gain[index]:+.2f}"
            title = f"image {index}, {reason}: {gain}"
            panels.append(Panel(sample.image, sample.keypoints, title=title))
            for name, found in compared.poses.items():
                panels.append(
                    _found(sample, found[index], skeleton, f"{name}: OKS {oks[name]:.2f}")
                )
    return panels


def _found(sample: Sample, poses: Poses, skeleton: Skeleton, title: str) -> Panel:
    partners = classify_keypoints(poses, sample, skeleton).partners
    drawn = replace(poses, scores=poses.found.astype(np.float32))
    return Panel(sample.image, sample.keypoints, drawn, partners, title)
