"""Argmax decoding: goldens, ideal heatmaps and options."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from poselib.decoders.argmax import ArgmaxOptions, decode_argmax
from poselib.ops.gaussians import gaussian_heatmaps
from poselib.ops.map_coordinates import CROP_FRAMES, CropFrame
from poselib.ops.taylor_peaks import PEAK_SUBPIXEL
from poselib.outputs import HeatmapOutputs
from poselib.structures import Size

SIZE = (128, 96)


def ideal(points: np.ndarray, frame: CropFrame = "center", size: Size = SIZE) -> HeatmapOutputs:
    """Gaussians at points (B, K, 2) px, at stride 4."""
    keypoints = torch.tensor(points, dtype=torch.float32)[:, None]
    keypoints = torch.cat([keypoints, torch.full_like(keypoints[..., :1], 2.0)], dim=-1)
    cells = (size[0] // 4, size[1] // 4)
    return HeatmapOutputs(gaussian_heatmaps(keypoints, size, cells, 2.0, frame=frame), size)


def people(images: int = 3, keypoints: int = 13) -> np.ndarray:
    rng = np.random.default_rng(keypoints)
    return rng.uniform((16, 16), (SIZE[1] - 16, SIZE[0] - 16), (images, keypoints, 2))


@pytest.mark.golden
def test_equals_official_code(golden_dir: Path) -> None:
    """Cells of the predicted and of the target maps; a cell is a px of a map of stride 1."""
    options = ArgmaxOptions(frame="index", subpixel="none")
    with np.load(golden_dir / "rpstn_funcs.npz") as golden:
        for kind in ("pred", "gt"):
            maps = torch.from_numpy(golden[f"{kind}_heat_f16"]).float()
            found = decode_argmax(HeatmapOutputs(maps, (64, 64)), options)
            xy = np.concatenate([poses.keypoints for poses in found])
            scores = np.concatenate([poses.scores for poses in found])
            there = scores > 0
            np.testing.assert_array_equal(scores, golden[f"{kind}_max"][..., 0])
            np.testing.assert_array_equal(xy[there] - 0.5, golden[f"{kind}_xy"][there])
            assert (xy[~there] == 0).all() and (golden[f"{kind}_xy"][~there] == 0).all()


@pytest.mark.parametrize("frame", CROP_FRAMES)
@pytest.mark.parametrize(
    ("subpixel", "most"),
    [("parabola", 1e-3), ("taylor", 0.2), ("quarter", 1.5), ("neighbor", 2.5), ("none", 2.9)],
)
def test_ideal_heatmaps_are_decoded(frame: CropFrame, subpixel: str, most: float) -> None:
    points = people()
    found = decode_argmax(ideal(points, frame), ArgmaxOptions(frame=frame, subpixel=subpixel))
    assert [len(poses) for poses in found] == [1, 1, 1]
    errors = np.linalg.norm(np.concatenate([p.keypoints for p in found]) - points, axis=-1)
    assert errors.max() < most
    for poses in found:
        assert poses.scores.min() > 0.8 and poses.scores.max() <= 1
        np.testing.assert_allclose(poses.person_scores, poses.scores.mean(axis=1), rtol=1e-6)


def test_aligned_cells_by_hand() -> None:
    """The first and last cells are the first and last pixels: 95 px are 23 cells."""
    maps = torch.zeros(1, 3, 32, 24)
    maps[0, 0, 0, 0] = maps[0, 1, 31, 23] = maps[0, 2, 0, 1] = 1.0
    options = ArgmaxOptions(frame="aligned", subpixel="none")
    (poses,) = decode_argmax(HeatmapOutputs(maps, SIZE), options)
    expected = [[0.5, 0.5], [95.5, 127.5], [0.5 + 95 / 23, 0.5]]
    np.testing.assert_allclose(poses.keypoints[0], expected, rtol=1e-6)


def test_every_method_is_tested() -> None:
    assert PEAK_SUBPIXEL == ("quarter", "neighbor", "parabola", "none", "taylor", "newton")


@pytest.mark.parametrize("subpixel", PEAK_SUBPIXEL)
def test_empty_and_broken_maps(subpixel: str) -> None:
    maps = torch.zeros(2, 3, 8, 6)
    maps[0, 0] = torch.nan
    maps[0, 1, 3, 4], maps[0, 1, 0, 0] = 0.5, torch.inf
    maps[1] = -1.0
    first, second = decode_argmax(HeatmapOutputs(maps, (32, 24)), ArgmaxOptions(subpixel=subpixel))
    assert first.scores.tolist() == [[0.0, 0.5, 0.0]]
    assert np.abs(first.keypoints[0, 1] - [18, 14]).max() <= 1
    assert (first.keypoints[0, [0, 2]] == 0).all() and (second.keypoints == 0).all()
    assert second.person_scores.tolist() == [0.0] and not second.found.any()


def test_of_equal_cells_the_first_is_taken() -> None:
    maps = torch.zeros(1, 1, 4, 4)
    maps[0, 0, 1, 3] = maps[0, 0, 2, 0] = 0.5
    (poses,) = decode_argmax(HeatmapOutputs(maps, (4, 4)), ArgmaxOptions(subpixel="none"))
    assert poses.keypoints.tolist() == [[[3.5, 1.5]]]


def test_mirrored_maps_give_mirrored_poses() -> None:
    points = people(1, 4)
    maps = ideal(points).heatmaps
    (poses,), (other,) = (
        decode_argmax(HeatmapOutputs(each, SIZE)) for each in (maps, maps.flip(-1))
    )
    mirrored = np.stack([SIZE[1] - other.keypoints[..., 0], other.keypoints[..., 1]], axis=-1)
    np.testing.assert_allclose(poses.keypoints, mirrored, atol=1e-3)


def test_other_keypoints_do_not_matter() -> None:
    maps: Tensor = ideal(people(2)).heatmaps
    alone = decode_argmax(HeatmapOutputs(maps[:1, :1], SIZE))[0]
    np.testing.assert_array_equal(
        alone.keypoints[0, 0], decode_argmax(HeatmapOutputs(maps, SIZE))[0].keypoints[0, 0]
    )
    assert decode_argmax(HeatmapOutputs(maps[:0], SIZE)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame": "corner"}, "frame must be one of"),
        ({"subpixel": "dark"}, "unknown subpixel method 'dark'; known: .*'taylor'"),
        ({"kernel": 4}, "kernel must be an odd positive number"),
    ],
)
def test_unknown_options_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ArgmaxOptions(**change)
