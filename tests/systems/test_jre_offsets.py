"""UDP's combined representation: discs, and the offsets in them, in place of Gaussians."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poselib.losses.offset import keypoint_offset_mse
from poselib.ops.map_coordinates import CROP_FRAMES
from poselib.ops.normalization import normalize
from poselib.outputs import RegressionOutputs
from poselib.skeletons import COCO
from poselib.structures import AffineTransform, Batch
from poselib.systems import System, build

torch.set_num_threads(1)
HEIGHT, WIDTH = 128, 96
RADIUS = 32 * 7 / 128


def system_of(**options: object) -> System:
    small = {"backbone": "hrnet_tiny", "height": HEIGHT, "width": WIDTH, "relation": "none"}
    return build("jre", COCO, **{**small, "offsets": True, **options})  # type: ignore[arg-type]


def batch_of(seed: int = 0, margin: float = 2.0) -> Batch:
    rng = np.random.default_rng(seed)
    points = rng.uniform(margin, (WIDTH - margin, HEIGHT - margin), (3, 1, 17, 2))
    keypoints = np.concatenate([points, np.full((3, 1, 17, 1), 2)], axis=-1).astype(np.float32)
    return Batch(
        images=torch.from_numpy(rng.integers(0, 256, (3, 3, HEIGHT, WIDTH), dtype=np.uint8)),
        keypoints=torch.from_numpy(keypoints),
        areas=torch.full((3, 1), 900.0),
        ignore_mask=torch.zeros(3, HEIGHT, WIDTH, dtype=torch.bool),
        image_ids=(1, 2, 3),
        to_original=(AffineTransform.identity(),) * 3,
    )


def places(batch: Batch, frame: str) -> np.ndarray:
    """Keypoints (B, K, 2) in cells, the first center at 0, by each frame's own rule."""
    points = batch.keypoints[:, 0, :, :2].double().numpy()
    if frame == "center":
        return points / 4 - 0.5
    if frame == "index":
        return (points - 0.5) / 4
    return (points - 0.5) * [23 / (WIDTH - 1), 31 / (HEIGHT - 1)]


def perfect(batch: Batch, frame: str) -> RegressionOutputs:
    """Discs and offsets cell by cell."""
    y, x = np.mgrid[:32, :24]
    offsets = np.stack([x, y]) - places(batch, frame)[..., None, None]
    discs = (np.square(offsets).sum(axis=2) <= RADIUS**2).astype(np.float32)
    maps, fields = torch.from_numpy(discs), torch.from_numpy(offsets.astype(np.float32))
    return RegressionOutputs(maps, maps[:, :0], fields, (HEIGHT, WIDTH))


def mirrored(batch: Batch) -> Batch:
    keypoints = batch.keypoints.clone()
    keypoints[..., 0] = WIDTH - keypoints[..., 0]
    return replace(batch, keypoints=keypoints[:, :, list(COCO.flip_indices)])


@pytest.mark.parametrize("frame", CROP_FRAMES)
def test_what_is_encoded_is_decoded(frame: str) -> None:
    system, batch = system_of(frame=frame), batch_of(margin=6)
    ideal = perfect(batch, frame)
    torch.testing.assert_close(system.encode(batch).heatmaps[0], ideal.heatmaps)
    found = np.concatenate([poses.keypoints for poses in system.decode(ideal)])
    np.testing.assert_allclose(found, batch.keypoints[:, 0, :, :2], atol=1e-3)
    terms = system.losses(ideal, system.encode(batch))
    assert all(float(term) < 1e-9 for term in terms.values())


@pytest.mark.parametrize("frame", ["center", "aligned"])
def test_mirrored_images_give_the_same(frame: str) -> None:
    """The offset in x changes its sign; without that merged poses would be cells off."""
    system, batch = system_of(frame=frame), batch_of(1, margin=6)
    one, other = perfect(batch, frame), perfect(mirrored(batch), frame).flip(COCO)
    torch.testing.assert_close(one.heatmaps, other.heatmaps)
    torch.testing.assert_close(one.offsets, other.offsets, atol=1e-5, rtol=0)
    found = system.decode(one.merge_flipped(other))
    np.testing.assert_allclose(
        np.concatenate([poses.keypoints for poses in found]),
        batch.keypoints[:, 0, :, :2],
        atol=1e-3,
    )


def test_losses_equal_the_public_ones() -> None:
    """Half the mean squared errors of maps, and of offsets in radii, times discs; per keypoint."""
    system, batch = system_of(frame="aligned"), batch_of(2)
    batch.keypoints[1, 0, 4] = 0
    ideal, rng = perfect(batch, "aligned"), np.random.default_rng(0)
    outputs = replace(
        ideal,
        heatmaps=torch.from_numpy(rng.random(ideal.heatmaps.shape, np.float32)),
        offsets=torch.from_numpy(rng.standard_normal(ideal.offsets.shape, np.float32)),
    )
    total = 0.0
    for image, kind in np.ndindex(3, 17):
        if (image, kind) == (1, 4):  # not labeled
            continue
        disc = ideal.heatmaps[image, kind].double()
        total += float((outputs.heatmaps[image, kind] - disc).square().mean()) / 2
        for axis in range(2):
            error = (outputs.offsets - ideal.offsets)[image, kind, axis].double() / RADIUS
            total += float((disc * error).square().mean()) / 2
    terms = system.losses(outputs, system.encode(batch))
    assert float(terms["heatmap"] + terms["offset"]) == pytest.approx(total / 51, rel=1e-5)


def test_one_cell_by_hand() -> None:
    predicted = torch.zeros(1, 1, 2, 2, 3)
    predicted[0, 0, :, 1, 2] = torch.tensor([0.5, -2.0])
    weight = torch.zeros(1, 1, 2, 3)
    weight[0, 0, 1, 2] = 1.0
    keypoints = torch.tensor([[[8.0, 6.0, 2.0]]])  # cell (1.5, 1) of 4 px
    loss = keypoint_offset_mse(predicted, keypoints, weight, (8, 12), unit=2.0)
    # The offset is (0.5, 0): no error in x, two cells in y, one of the unit, in one of six cells.
    torch.testing.assert_close(loss, torch.tensor([1 / 6]))


def test_maps_are_in_the_public_order() -> None:
    """Of each keypoint the heatmap, then x and y, from the cell to the keypoint in radii."""
    network: nn.Module = system_of().model
    bias: Tensor = network.final_layer.bias  # type: ignore[union-attr, assignment]
    assert len(bias) == 51
    with torch.no_grad():
        network.final_layer.weight.zero_()  # type: ignore[union-attr, operator]
        bias.copy_(torch.arange(51.0))
        outputs = network.eval()(torch.zeros(1, 3, HEIGHT, WIDTH))
    assert outputs.heatmaps[0, :, 3, 4].tolist() == list(range(0, 51, 3))
    expected = -RADIUS * torch.arange(51.0).view(17, 3)[:, 1:]
    torch.testing.assert_close(outputs.offsets[0, :, :, 3, 4], expected)


def test_a_step_of_training_reaches_all_weights() -> None:
    system, batch = system_of(), batch_of(3)
    outputs = system.model(normalize(batch.images))
    terms = system.losses(outputs, system.encode(batch))
    assert terms.keys() == {"heatmap", "offset"}
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in system.model.parameters())


def test_broken_maps_are_decoded() -> None:
    system, ideal = system_of(), perfect(batch_of(4), "center")
    ideal.heatmaps[0, 0, 3, 3], ideal.offsets[1] = torch.nan, torch.inf
    for poses in system.decode(ideal):
        assert np.isfinite(poses.keypoints).all() and np.isfinite(poses.scores).all()


@pytest.mark.parametrize("options", [{"relation": "joint"}, {"refine": True}])
def test_parts_that_need_heatmaps_alone_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="offsets=True needs relation='none' and refine=False"):
        system_of(**options)
