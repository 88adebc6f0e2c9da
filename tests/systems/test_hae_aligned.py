"""Unbiased data processing with heatmaps and tags: images, targets, merging and decoding agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from poselib.data.collation import collate
from poselib.engine.inference import PredictOptions, infer, present
from poselib.outputs import TagOutputs
from poselib.skeletons import COCO
from poselib.structures import Sample
from poselib.systems import System, build
from tests.engine.factories import bare_sample

torch.set_num_threads(1)

OPTIONS = {
    "backbone": "hrnet_tiny",
    "hierarchical": False,
    "progressive": False,
    "frame": "aligned",
    "resolution": "map",
    "nms_kernel": 5,
    "subpixel": "newton",
}


def system_of(host: str = "higher", **options: object) -> System:
    return build("hae", COCO, **{**OPTIONS, "host": host, **options})  # type: ignore[arg-type]


def people_of(size: tuple[int, int], seed: int) -> Sample:
    """Two people, side by side, all of whose keypoints are some cells from the border."""
    height, width = size
    rng, margin = np.random.default_rng(seed), 0.12 * min(size)
    sides = [(margin, 0.3 * width), (0.7 * width, width - margin)]
    points = [
        rng.uniform((left, margin), (right, height - margin), (17, 2)) for left, right in sides
    ]
    labeled = np.concatenate([points, np.full((2, 17, 1), 2)], axis=-1).astype(np.float32)
    blank = bare_sample(np.zeros((3, *size), np.uint8))
    return replace(blank, keypoints=labeled, areas=np.ones(2, np.float32))


def perfect(system: System, view: Sample) -> TagOutputs:
    """The targets of a view as outputs; tags of the left half and of the right half differ."""
    targets = system.encode(collate([view]))
    tags = torch.zeros_like(targets.heatmaps[0])[:, :, None]
    middle = float(view.keypoints[:, :, 0].mean(axis=1).mean()) / view.size[1]
    tags[..., round(middle * tags.shape[-1]) :] = 8.0
    return TagOutputs(targets.heatmaps, tags, view.size)


def mirrored(view: Sample) -> Sample:
    points = view.keypoints.copy()
    points[..., 0] = view.size[1] - points[..., 0]
    return replace(view, keypoints=points[:, COCO.flip_indices])


class Repeating(nn.Module):
    """Says what it is told, one after the other."""

    multiple = 32

    def __init__(self, outputs: Sequence[TagOutputs]) -> None:
        super().__init__()
        self.outputs = iter(outputs)

    def forward(self, images: Tensor) -> TagOutputs:
        found = next(self.outputs)
        assert found.image_size == tuple(images.shape[-2:])
        return found


def found_in(system: System, sample: Sample, options: PredictOptions) -> np.ndarray:
    """What a perfect network finds, px of the image, from left to right; (N, K, 2)."""
    views = present(system, sample, options)
    shown = [v for view in views for v in ((view, mirrored(view)) if options.flip else (view,))]
    model = Repeating([perfect(system, view) for view in shown])
    (poses,) = system.decode(infer(replace(system, model=model), [views], options.flip))
    keypoints = poses.warped(views[0].to_original).keypoints
    return keypoints[np.argsort(keypoints[..., 0].mean(axis=1))]


@pytest.mark.parametrize(
    ("host", "scales", "resolution"),
    [
        ("plain", (1.0,), "map"),
        ("higher", (1.0,), "image"),
        ("plain", (1.0, 0.5, 2.0), "map"),
        ("higher", (1.0, 0.5), "map"),
    ],
)
@settings(max_examples=5, deadline=None)
@given(size=st.tuples(st.integers(100, 250), st.integers(150, 300)), seed=st.integers(0, 99))
def test_a_perfect_network_is_right_at_every_scale(
    host: str, scales: tuple[float, ...], resolution: str, size: tuple[int, int], seed: int
) -> None:
    """Mirrored images too; a frame that is not UDP's anywhere would err by up to half a cell."""
    system, sample = system_of(host, resolution=resolution), people_of(size, seed)
    found = found_in(system, sample, PredictOptions(size=128, scales=scales))
    px = min(size) / 128  # of the image, for one of the network
    assert found.shape == (2, 17, 2)
    errors = np.abs(found - sample.keypoints[..., :2]) / px
    assert errors.max() < 0.3 and errors.mean() < 0.08


def test_one_cell_by_hand() -> None:
    """A photograph of 100 x 151 px at 64 px: 63 px for its 99, then 15 or 31 cells for these."""
    system = system_of(subpixel="none", detection_threshold=0.1)
    sample = bare_sample(np.zeros((3, 100, 151), np.uint8))
    (view,) = present(system, sample, PredictOptions(size=64))
    assert view.size == (64, 128)  # less than a pixel is cut off after 150 * 63 / 99 = 95.5
    heatmaps = torch.zeros(1, 17, 16, 32), torch.zeros(1, 17, 32, 64)
    for maps in heatmaps:
        maps[:, 0, 0, 0] = maps[:, 1, -1, -1] = 1.0
    heatmaps[1][:, 2, 5, 7] = 1.0
    tags = torch.zeros(1, 17, 1, 16, 32)
    (poses,) = system.decode(TagOutputs(heatmaps, tags, view.size))
    expected = [[0.5, 0.5], [127.5, 63.5], [0.5 + 7 * 127 / 63, 0.5 + 5 * 63 / 31]]
    np.testing.assert_allclose(poses.keypoints[0, :3], expected, rtol=1e-6)
    moved = poses.warped(view.to_original).keypoints[0, :3]
    np.testing.assert_allclose(
        moved,
        [
            [0.5, 0.5],
            [0.5 + 127 * 99 / 63, 99.5],
            [0.5 + 7 * 127 / 63 * 99 / 63, 0.5 + 5 * 99 / 31],
        ],
        rtol=1e-6,
    )


def test_views_share_the_centers_of_their_outermost_pixels() -> None:
    system, sample = system_of(), people_of((300, 401), 0)
    views = present(system, sample, PredictOptions(size=128, scales=(1.0, 0.5, 2.0)))
    for view in views:
        first, last = [0.5, 0.5], [view.size[1] - 0.5, view.size[0] - 0.5]
        corners = view.to_original(np.array([first, last]))
        assert corners[0] == pytest.approx([0.5, 0.5])
        base = views[0].size
        assert corners[1] == pytest.approx(
            [0.5 + (base[1] - 1) * 299 / 127, 0.5 + (base[0] - 1) * 299 / 127]
        )


@pytest.mark.parametrize("size", [(96, 130), (131, 96)])
def test_pixels_of_the_short_side_end_where_the_result_ends(size: tuple[int, int]) -> None:
    """Resampled as the public code does, by a warp of pixel indices alone."""
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 256, (*size, 3)).astype(np.uint8), (0, 0), 2)
    sample = bare_sample(np.ascontiguousarray(image.transpose(2, 0, 1)))
    (view,) = present(system_of(), sample, PredictOptions(size=192))
    factor = 191 / 95
    y, x = np.mgrid[: view.size[0], : view.size[1]].astype(np.float32) / factor
    expected = cv2.remap(image, x, y, cv2.INTER_LINEAR)
    within = (x <= size[1] - 1) & (y <= size[0] - 1)
    difference = view.image.transpose(1, 2, 0).astype(int) - expected
    assert np.abs(difference[within]).max() <= 2  # of 255: OpenCV rounds places to 1/32 px


@torch.no_grad()
def test_mirrored_images_give_mirrored_poses() -> None:
    torch.manual_seed(0)
    system, sample = system_of(), people_of((256, 320), 3)
    (view,) = present(system, sample, PredictOptions(size=256))
    one, other = perfect(system, view), perfect(system, mirrored(view)).flip(COCO)
    for a, b in zip(one.heatmaps, other.heatmaps, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=5e-3)  # windows end at other cells
    assert system.flip_shift == 0


def test_losses_read_tags_at_the_cells_of_targets() -> None:
    """Pixel index 48 of 64 px is cell 48 * 15 / 63 = 11.4; as a center it would be 12.1."""
    system = system_of("plain")
    sample = people_of((64, 64), 0)
    sample.keypoints[0, :, :2], sample.keypoints[1, :, :2] = [48.5, 63.5], [0.5, 4.8]
    targets = system.encode(collate([sample]))
    tags = torch.full((1, 17, 1, 16, 16), 7.0)
    tags[..., 15, 11] = 0.0
    outputs = TagOutputs(targets.heatmaps, tags, (64, 64))
    assert all(float(term) < 1e-6 for term in system.losses(outputs, targets).values())
    centers = system_of("plain", frame="center").losses(outputs, targets)
    assert float(centers["push"]) > 1e-4  # the tags that it reads are equal


def test_other_frames_are_refused() -> None:
    with pytest.raises(ValueError, match=r"frame must be one of \('center', 'aligned'\), not 'in"):
        system_of(frame="index")
