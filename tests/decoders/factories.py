"""Outputs of networks, made from the people that decoding should find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from poselib.decoders.local_global import LocalGlobalOptions
from poselib.decoders.regression import RegressionOptions, decode_regression
from poselib.ops.gaussians import gaussian_heatmaps
from poselib.ops.keypoint_expansion import KeypointExpansion, expansion_rates
from poselib.ops.map_coordinates import Frame
from poselib.outputs import LocalGlobalOutputs, RegressionOutputs
from poselib.skeletons import COCO
from poselib.structures import Poses

RADIUS = 4  # cells around a center that regress its person


def ideal_outputs(
    people: np.ndarray,
    image_size: tuple[int, int],
    stride: int = 4,
    frame: Frame = "center",
) -> RegressionOutputs:
    """Make outputs for people (B, N, K, 2) px: Gaussians, and exact offsets around the centers."""
    points = torch.tensor(people, dtype=torch.float32)
    if frame == "index":  # the center of cell i is then that of pixel stride * i
        points = points + stride / 2 - 0.5
    centers = points.mean(dim=2, keepdim=True)
    size = image_size[0] // stride, image_size[1] // stride
    heat, center = (
        gaussian_heatmaps(torch.cat([p, torch.ones_like(p[..., :1])], dim=-1), image_size, size, s)
        for p, s in ((points, 2.0), (centers, 4.0))
    )
    return RegressionOutputs(heat, center, _offsets(points, centers, size, stride), image_size)


def _offsets(points: Tensor, centers: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    y, x = torch.meshgrid(*(torch.arange(n) + 0.5 for n in size), indexing="ij")
    cells = torch.stack([x, y], dim=-1)  # (h, w, 2)
    offsets = torch.zeros(len(points), points.shape[2], 2, *size)
    if points.shape[1] == 0:
        return offsets
    apart = (cells[None, None] - centers[:, :, :, None] / stride).norm(dim=-1)  # (B, N, h, w)
    least, owner = apart.min(dim=1)
    for image, (own, near) in enumerate(zip(owner, least <= RADIUS, strict=True)):
        to_cell = cells[:, :, None] - points[image][own] / stride  # (h, w, K, 2)
        offsets[image] = (to_cell * near[..., None, None]).permute(2, 3, 0, 1)
    return offsets


def scattered(
    images: int,
    people: int,
    keypoints: int = 17,
    image_size: tuple[int, int] = (256, 320),
    seed: int = 0,
) -> np.ndarray:
    """Make people (B, N, K, 2), px, at least 5 from the border, with well separated centers."""
    rng = np.random.default_rng(seed)
    side = 40
    rows, columns = (n // side for n in image_size)
    places = [rng.permutation(rows * columns)[:people] for _ in range(images)]
    corner = np.stack([np.stack([p % columns, p // columns], axis=-1) for p in places]) * side
    reach = rng.uniform(20, 60, (images, people, 1, 1))
    spread = rng.uniform(-1, 1, (images, people, keypoints, 2))
    spread -= spread.mean(axis=2, keepdims=True)
    centers = corner + side / 2 + rng.uniform(-6, 6, (images, people, 2))
    points = centers[:, :, None] + reach * spread
    # Scaled towards the center, not clipped at the border: the center stays in place.
    away = points - centers[:, :, None]
    limit = np.where(away > 0, np.array([image_size[1], image_size[0]]) - 5.0, 5.0)
    fit = ((limit - centers[:, :, None]) / away).min(axis=(2, 3), keepdims=True).clip(max=1)
    return (centers[:, :, None] + fit * away).astype(np.float32)


def by_place(poses: Poses) -> np.ndarray:
    """Return keypoints (N, K, 2), people sorted by the x of their first one."""
    return poses.keypoints[np.argsort(poses.keypoints[:, 0, 0])]


def golden_outputs(
    folder: Path,
    name: str,
    image_size: tuple[int, int],
    other_scales: tuple[RegressionOutputs, ...] = (),
) -> RegressionOutputs:
    with np.load(folder / "dekr_decode.npz") as golden:
        heat, offsets = (
            torch.from_numpy(golden[f"{name}_{kind}_f16"].astype(np.float32))
            for kind in ("heatmap", "offset")
        )
    return RegressionOutputs(
        heat[:, :-1], heat[:, -1:], offsets.unflatten(1, (-1, 2)), image_size, other_scales
    )


def heats_for_scoring(
    outputs: RegressionOutputs, options: RegressionOptions | None = None
) -> tuple[list[Poses], np.ndarray]:
    """Return the poses, and the center-weighted scores (N, K) that a scoring net receives."""
    seen = [torch.zeros(0, outputs.heatmaps.shape[1])]

    def scorer(points: torch.Tensor, heats: torch.Tensor) -> torch.Tensor:
        seen.append(heats)
        return torch.ones(len(heats))

    return decode_regression(outputs, options, scorer), torch.cat(seen).numpy()


# Adaptation

RATES = expansion_rates(COCO.sigmas)
SIZE = (256, 320)  # of images, px


def expansion_of(
    frame: Frame = "center", rates: Tensor = RATES, **options: object
) -> KeypointExpansion:
    """Make the paper's expansion, with windows small enough for images of 300 px."""
    return KeypointExpansion(rates, frame=frame, **{"global_window": 33, **options})  # type: ignore[arg-type]


def with_embedding(
    outputs: RegressionOutputs, embedding: Tensor, attraction_network: Callable[[Tensor], Tensor]
) -> LocalGlobalOutputs:
    given = {each.name: getattr(outputs, each.name) for each in fields(RegressionOutputs)}
    return LocalGlobalOutputs(**given, embedding=embedding, attraction_network=attraction_network)


def attracting_outputs(
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
        frame, stride: see ``ideal_outputs``.
    """
    perfect, wrong = (
        ideal_outputs(each, image_size, stride, frame) for each in (truth, truth + errors)
    )
    moved = RegressionOutputs(perfect.heatmaps, wrong.centers, wrong.offsets, image_size)
    size, kinds = perfect.heatmaps.shape[-2:], truth.shape[2]
    middle = stride / 2 if frame == "center" else 0.5  # of the first cell, poselib's px
    y, x = torch.meshgrid(*(stride * torch.arange(n) + middle for n in size), indexing="ij")
    number = torch.arange(float(len(truth))).view(-1, 1, 1, 1).expand(-1, 1, *size)
    places = torch.stack([x, y]).expand(len(truth), 2, *size)
    goals = torch.tensor(truth, dtype=torch.float32)

    def attraction_network(context: Tensor) -> Tensor:
        x, y, owner = context.unflatten(1, (kinds, 3)).unbind(dim=2)
        there = goals[owner[:, 0, 0, 0].round().long()]  # (n, N, K, 2)
        xy = torch.stack([x, y], dim=-1)[:, None]  # (n, 1, K, r, r, 2)
        away = (xy - there[:, :, :, None, None]).square().sum(dim=-1)
        return torch.exp(-away / (2 * sigma**2)).amax(dim=1)

    return with_embedding(moved, torch.cat([places, number], dim=1), attraction_network)


def random_outputs(
    seed: int, images: int = 2, size: tuple[int, int] = (20, 26), keypoints: int = 17
) -> LocalGlobalOutputs:
    """Maps of noise, and a message passing of one random convolution."""
    make = torch.Generator().manual_seed(seed)
    kernel = torch.randn(keypoints, 3 * keypoints, 3, 3, generator=make) / 20

    def attraction_network(context: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(context, kernel.to(context), padding=1)

    return LocalGlobalOutputs(
        torch.rand(images, keypoints, *size, generator=make),
        torch.rand(images, 1, *size, generator=make),
        4 * torch.randn(images, keypoints, 2, *size, generator=make),
        (4 * size[0], 4 * size[1]),
        embedding=torch.randn(images, 3, *size, generator=make),
        attraction_network=attraction_network,
    )


def options_of(frame: Frame = "center", **options: object) -> LocalGlobalOptions:
    return LocalGlobalOptions(expansion_of(frame), **options)  # type: ignore[arg-type]


def misplaced_people(
    seed: int, images: int, people: int, px: float
) -> tuple[np.ndarray, np.ndarray]:
    truth = scattered(images, people, seed=seed)
    errors = np.random.default_rng(seed).uniform(-px, px, truth.shape)
    return truth, errors.astype(np.float32)


def largest_errors(found: list[Poses], truth: np.ndarray) -> list[float]:
    """Return the largest error in x or y of each image; check that each person is detected once."""
    largest = []
    for poses, people in zip(found, truth, strict=True):
        apart = np.abs(poses.keypoints[:, None] - people).max(axis=(2, 3))
        assert sorted(apart.argmin(axis=1)) == list(range(len(people)))
        largest.append(float(apart.min(axis=1).max()))
    return largest
