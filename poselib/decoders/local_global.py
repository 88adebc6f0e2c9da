"""From regressed poses and their local and global context to the people of each image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from poselib.decoders.centered import keep_best, to_poses
from poselib.ops.center_poses import CenterPoses, poses_at_centers
from poselib.ops.dynamic_convolution import convolve_each, highest_places
from poselib.ops.local_global import KeypointExpansion, global_context, local_context, local_places
from poselib.ops.map_coordinates import average_heatmaps, half_pixel
from poselib.ops.window_sampling import in_parts, sample_windows
from poselib.outputs import LocalGlobalOutputs, RegressionOutputs
from poselib.structures import Poses

Prior = Literal["both", "expansion", "attraction"]


@dataclass(frozen=True)
class LocalGlobalOptions:
    """How outputs become poses; the defaults are those of LOGO-CAP's paper and code.

    Attributes:
        meshes: the places around keypoints that are looked at.
        adapt: whether poses are adapted at all; without it they stay as they are regressed.
        prior: what they are adapted to (Table 7): ``"both"``, global heat convolved with
            the learned attraction; ``"expansion"``, the global keypoint expansion maps, that is
            heat around the keypoint, alone; ``"attraction"``, the local place that attracts most.
        share: weight of the highest place in the mean of the two highest ones.
        kernel: odd side of the window in which a center is the highest: cells, and in frame
            ``"index"`` px, since centers are looked for in enlarged maps there.
        threshold: a center must exceed this.
        max_people: centers of each scale, and people in the end, at most.
        distance, part: keypoints of two poses are the same where they are nearer than ``distance``
            sizes of the pose; more than this part of all are the same in poses of the same person.
        decrease: factor of the centers of all scales but the first.

    Raises:
        ValueError: an option is none of those above.
    """

    meshes: KeypointExpansion
    adapt: bool = True
    prior: Prior = "both"
    share: float = 0.75
    kernel: int = 3
    threshold: float = 0.01
    max_people: int = 30
    distance: float = 0.05
    part: float = 0.5
    decrease: float = 0.9

    def __post_init__(self) -> None:
        if self.prior not in get_args(Prior):
            raise ValueError(f"prior must be one of {get_args(Prior)}, not {self.prior!r}")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel must be an odd positive number of cells, not {self.kernel}")
        if self.max_people < 1:
            raise ValueError(f"max_people must be at least 1, not {self.max_people}")
        for name in ("threshold", "distance", "decrease"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a finite number, not negative: {value}")
        if not 0.5 <= self.share <= 1:
            raise ValueError(f"share must be a weight from 0.5 to 1, not {self.share}")
        if not 0 <= self.part < 1:
            raise ValueError(f"part must be at least 0 and below 1, not {self.part}")


@dataclass(frozen=True)
class Adapted:
    """Poses at the centers of people, adapted or as they are regressed.

    Attributes:
        people: n poses, px of the frame.
        scores: (n, K), how sure each keypoint is: its adapted heat.
    """

    people: CenterPoses
    scores: Tensor

    @property
    def weighted(self) -> Tensor:
        """(n, K), the scores of keypoints times the center's (Eq. 3)."""
        return self.people.centers[:, None] * self.scores

    @property
    def totals(self) -> Tensor:
        """(n,), the scores of people."""
        return self.weighted.mean(dim=1)

    def __getitem__(self, rows: Tensor) -> Adapted:
        return Adapted(self.people[rows], self.scores[rows])


@torch.no_grad()
def decode_local_global(outputs: RegressionOutputs, options: LocalGlobalOptions) -> list[Poses]:
    """Find the people in each image of a batch, all of them together (LOGO-CAP, Sec. 3.1).

    A keypoint's score is the product of its adapted heat and the center's, a person's their mean
    (Eq. 3). A person whose score is not above 0 is nobody, as in the official code. A keypoint
    whose own is not, which the paper drops, stays where it was regressed, with a score just
    above 0. Outputs without an embedding cannot be adapted: their poses stay as regressed.

    With several scales, the poses of all are candidates, and heatmaps and embeddings are averaged.
    That is what the official code means to do; a slip keeps it from taking other scales' poses.

    Args:
        outputs: of one or more scales; any values. What is not finite counts as 0 in maps, and a
            pose that is not finite is nobody's.
        options: meshes and the rest.

    Returns:
        One ``Poses`` an image, in px of the network input.
    """
    return settle(adapt(outputs, propose(outputs, options), options), options, len(outputs.centers))


@torch.no_grad()
def decode_without_adaptation(
    outputs: RegressionOutputs, options: LocalGlobalOptions
) -> list[Poses]:
    """Return whom ``decode_local_global`` finds, where they were before they were adapted.

    Row for row the same people with the same scores: what differs is adaptation alone, while a
    decoding with ``adapt=False`` has scores of its own and keeps others of those found twice.

    Args:
        outputs, options: as there.
    """
    people = propose(outputs, options)
    adapted = adapt(outputs, people, options)
    rows = best_rows(adapted, options)
    return _of_images(adapted[rows], people[rows], options, len(outputs.centers))


@torch.no_grad()
def attraction_maps_of_detections(
    outputs: LocalGlobalOutputs, options: LocalGlobalOptions
) -> Tensor:
    """Return the keypoint attraction maps of whom ``decode_local_global`` finds, row for row.

    Args:
        outputs: of one image.
        options: as there.

    Returns:
        (P, K, r, r) float32 from 0 to 1, r being the side of the local windows.
    """
    people = propose(outputs, options)
    found = people[best_rows(adapt(outputs, people, options), options)]
    return attraction(outputs, found, options.meshes)


def propose(outputs: RegressionOutputs, options: LocalGlobalOptions) -> CenterPoses:
    """Return the poses at the centers of people, as they are regressed."""
    return poses_at_centers(
        (outputs, *outputs.others),
        outputs.image_size,
        count=options.max_people,
        window=lambda _: options.kernel,
        threshold=options.threshold,
        decrease=options.decrease,
        frame=options.meshes.frame,
        enlarge=options.meshes.frame == "index",
    )


def adapt(outputs: RegressionOutputs, people: CenterPoses, options: LocalGlobalOptions) -> Adapted:
    """Move the keypoints of poses to where their context says that they are."""
    meshes, size = options.meshes, outputs.image_size
    scales = (outputs, *outputs.others)
    if not options.adapt or not isinstance(outputs, LocalGlobalOutputs):
        heatmaps = _mean([s.heatmaps for s in scales], outputs)
        read = sample_windows(
            heatmaps, people.images, people.points, 1, size, frame=meshes.frame
        ).flatten(1)
        return Adapted(people, read)
    if options.prior == "attraction":
        return strongest(people, attraction(outputs, people, meshes), meshes)
    kernels = attraction(outputs, people, meshes) if options.prior == "both" else None
    return search(outputs, people, kernels, options)


def surroundings(
    outputs: LocalGlobalOutputs, people: CenterPoses, meshes: KeypointExpansion
) -> Tensor:
    """Return the local context of poses, (n, K * D, r, r)."""
    scales = (outputs, *outputs.others)
    embeddings = [s.embedding for s in scales if isinstance(s, LocalGlobalOutputs)]
    embedding = _mean(embeddings, outputs)
    return local_context(embedding, people, meshes, outputs.image_size)


def attracted(outputs: LocalGlobalOutputs, context: Tensor) -> Tensor:
    """Return the keypoint attraction maps of local context, (n, K, r, r) from 0 to 1."""
    return outputs.attract(context).float().nan_to_num(0.0).clamp(0, 1)


def attraction(
    outputs: LocalGlobalOutputs, people: CenterPoses, meshes: KeypointExpansion
) -> Tensor:
    """Return the keypoint attraction maps of poses, (n, K, r, r) from 0 to 1."""
    return attracted(outputs, surroundings(outputs, people, meshes))


def search(
    outputs: RegressionOutputs,
    people: CenterPoses,
    kernels: Tensor | None,
    options: LocalGlobalOptions,
) -> Adapted:
    """Move keypoints to where their global windows are highest, once convolved with kernels.

    Args:
        outputs: of one or more scales.
        people: n poses.
        kernels: (n, K, r, r), the keypoint attraction maps; None for heat alone.
        options: meshes and share.
    """
    meshes = options.meshes
    heatmaps = _mean([s.heatmaps for s in (outputs, *outputs.others)], outputs)
    found = []
    for rows in in_parts(people.points):
        part = people[rows]
        heat = global_context(heatmaps, part, meshes, outputs.image_size)
        if kernels is not None:
            heat = convolve_each(heat, kernels[rows])
        found.append(highest(part, heat, meshes, options.share))
    if len(found) == 1:
        return found[0]
    points = torch.cat([each.people.points for each in found])
    return Adapted(replace(people, points=points), torch.cat([each.scores for each in found]))


def highest(people: CenterPoses, heat: Tensor, meshes: KeypointExpansion, share: float) -> Adapted:
    """Move keypoints to the two highest places of their global windows, by their mean (Eq. 3)."""
    moved, scores = highest_places(heat, share)
    return _moved(people, people.points + meshes.step * moved, scores)


def strongest(people: CenterPoses, maps: Tensor, meshes: KeypointExpansion) -> Adapted:
    """Move keypoints to the place of their local window that attracts most (Table 7: KAMs)."""
    scores, best = maps.flatten(2).max(dim=-1)
    places = local_places(people, meshes).flatten(1, 2)  # (n, r * r, K, 2)
    index = best[:, None, :, None].expand(-1, 1, -1, 2)
    return _moved(people, places.gather(1, index).squeeze(1), scores)


def settle(adapted: Adapted, options: LocalGlobalOptions, images: int) -> list[Poses]:
    """Keep of adapted poses of one person the best: the people of each image."""
    kept = adapted[best_rows(adapted, options)]
    return _of_images(kept, kept.people, options, images)


def best_rows(adapted: Adapted, options: LocalGlobalOptions) -> Tensor:
    """Return which poses are people, and of those of one person the best: (m,) int64."""
    totals = adapted.totals
    found = (totals > 0).nonzero().squeeze(1)
    kept = keep_best(
        adapted.people[found],
        totals[found],
        distance=options.distance,
        share=options.part,
        count=options.max_people,
    )
    return found[kept]


def _of_images(
    adapted: Adapted, people: CenterPoses, options: LocalGlobalOptions, images: int
) -> list[Poses]:
    placed = replace(people, points=people.points + half_pixel(options.meshes.frame))
    return to_poses(placed, adapted.weighted, adapted.totals, images)


def _moved(people: CenterPoses, points: Tensor, scores: Tensor) -> Adapted:
    """Move the keypoints that anything speaks for; where nothing does, any place is the highest."""
    points = torch.where((scores > 0)[..., None], points, people.points)
    return Adapted(replace(people, points=points), torch.where(scores > 0, scores, 0.0))


def _mean(maps: Sequence[Tensor], outputs: RegressionOutputs) -> Tensor:
    # Maps are enlarged alike in both frames, as the official code does: what differs is reading.
    return (
        maps[0].float() if len(maps) == 1 else average_heatmaps(maps, outputs.image_size, "center")
    )
