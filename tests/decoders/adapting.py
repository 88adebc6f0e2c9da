"""Outputs of a network that regresses people wrongly and knows what attracts their keypoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor

from poselib.decoders.local_global import LocalGlobalOptions
from poselib.ops.keypoint_expansion import KeypointExpansion, expansion_rates
from poselib.ops.map_coordinates import Frame
from poselib.outputs import LocalGlobalOutputs, RegressionOutputs
from poselib.skeletons import COCO
from poselib.structures import Poses
from tests.decoders.dense_poses import dense_outputs, scattered

RATES = expansion_rates(COCO.sigmas)
SIZE = (256, 320)  # of images, px


def meshes_of(
    frame: Frame = "center", rates: Tensor = RATES, **options: object
) -> KeypointExpansion:
    """The paper's meshes, with windows small enough for images of 300 px."""
    return KeypointExpansion(rates, frame=frame, **{"global_window": 33, **options})  # type: ignore[arg-type]


def with_embedding(
    outputs: RegressionOutputs, embedding: Tensor, attract: Callable[[Tensor], Tensor]
) -> LocalGlobalOutputs:
    given = {each.name: getattr(outputs, each.name) for each in fields(RegressionOutputs)}
    return LocalGlobalOutputs(**given, embedding=embedding, attract=attract)


def truly_attracted(
    truth: np.ndarray,
    errors: np.ndarray,
    image_size: tuple[int, int],
    sigma: float = 2.0,
    frame: Frame = "center",
    stride: int = 4,
) -> LocalGlobalOutputs:
    """Draw heat where people are, and offsets to where they are not.

    What is read around a keypoint is the place in the image, and what attracts it is how near the
    place is to that keypoint of any person.

    Args:
        truth: (B, N, K, 2) px.
        errors: of the same shape, px: how far the regressed poses are from the truth.
        image_size: (H, W) px.
        sigma: of attraction, px.
        frame, stride: see ``dense_outputs``.
    """
    perfect, wrong = (
        dense_outputs(each, image_size, stride, frame) for each in (truth, truth + errors)
    )
    moved = RegressionOutputs(perfect.heatmaps, wrong.centers, wrong.offsets, image_size)
    size, kinds = perfect.heatmaps.shape[-2:], truth.shape[2]
    middle = stride / 2 if frame == "center" else 0.5  # of the first cell, poselib's px
    y, x = torch.meshgrid(*(stride * torch.arange(n) + middle for n in size), indexing="ij")
    number = torch.arange(float(len(truth))).view(-1, 1, 1, 1).expand(-1, 1, *size)
    places = torch.stack([x, y]).expand(len(truth), 2, *size)
    goals = torch.tensor(truth, dtype=torch.float32)

    def attract(context: Tensor) -> Tensor:
        x, y, owner = context.unflatten(1, (kinds, 3)).unbind(dim=2)
        there = goals[owner[:, 0, 0, 0].round().long()]  # (n, N, K, 2)
        xy = torch.stack([x, y], dim=-1)[:, None]  # (n, 1, K, r, r, 2)
        away = (xy - there[:, :, :, None, None]).square().sum(dim=-1)
        return torch.exp(-away / (2 * sigma**2)).amax(dim=1)

    return with_embedding(moved, torch.cat([places, number], dim=1), attract)


def random_outputs(
    seed: int, images: int = 2, size: tuple[int, int] = (20, 26), keypoints: int = 17
) -> LocalGlobalOutputs:
    """Maps of noise, and a message passing of one random convolution."""
    make = torch.Generator().manual_seed(seed)
    kernel = torch.randn(keypoints, 3 * keypoints, 3, 3, generator=make) / 20

    def attract(context: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(context, kernel.to(context), padding=1)

    return LocalGlobalOutputs(
        torch.rand(images, keypoints, *size, generator=make),
        torch.rand(images, 1, *size, generator=make),
        4 * torch.randn(images, keypoints, 2, *size, generator=make),
        (4 * size[0], 4 * size[1]),
        embedding=torch.randn(images, 3, *size, generator=make),
        attract=attract,
    )


def options_of(frame: Frame = "center", **options: object) -> LocalGlobalOptions:
    return LocalGlobalOptions(meshes_of(frame), **options)  # type: ignore[arg-type]


def wrong(seed: int, images: int, people: int, px: float) -> tuple[np.ndarray, np.ndarray]:
    truth = scattered(images, people, seed=seed)
    errors = np.random.default_rng(seed).uniform(-px, px, truth.shape)
    return truth, errors.astype(np.float32)


def largest_errors(found: list[Poses], truth: np.ndarray) -> list[float]:
    """The largest error in x or y of each image; everybody is found, once."""
    largest = []
    for poses, people in zip(found, truth, strict=True):
        apart = np.abs(poses.keypoints[:, None] - people).max(axis=(2, 3))
        assert sorted(apart.argmin(axis=1)) == list(range(len(people)))
        largest.append(float(apart.min(axis=1).max()))
    return largest
