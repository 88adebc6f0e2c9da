"""Masks over joints: where they lie, that they move with the joint, and what is left as it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poselib.data.occlusion import MaskedVideos, MaskRule
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig, SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.skeletons import COCO, POSETRACK18
from tests.strategies import quick

FRAMES = SyntheticClips(ClipConfig(size=64, frames=9), 2, 3, POSETRACK18).cached()
CROWD = SyntheticClips(ClipConfig(size=64, frames=5, people=(2, 3)), 1, 3, POSETRACK18).cached()


def test_masked_frames_follow_clear_ones_in_every_video() -> None:
    masked = MaskedVideos(FRAMES, MaskRule(frames=3, clear=2))
    assert masked.since.tolist() == [0, 0, 1, 2, 3, 0, 0, 1, 2] * 2
    assert (masked.videos, masked.times) == (FRAMES.videos, FRAMES.times)
    for index in range(len(FRAMES)):
        before, after = FRAMES[index], masked[index]
        assert (after.keypoints == before.keypoints).all()
        changed = (after.image != before.image).any()
        assert changed == bool(masked.since[index])
        assert masked.masked(index, before).any() == bool(masked.since[index])


@quick
@given(st.integers(1, 15), st.floats(0.02, 0.4), st.floats(0, 0.49), st.integers(0, 99))
def test_squares_lie_over_joints_and_change_nothing_else(
    joints: int, side: float, off: float, seed: int
) -> None:
    masked = MaskedVideos(CROWD, MaskRule(1, 0, joints, side, off), seed)
    for index in (0, 4):
        before, after = CROWD[index], masked[index]
        hidden = masked.masked(index, before)
        labeled = before.keypoints[..., 2] > 0
        unlabeled = (~labeled).sum(axis=1)  # of the joints chosen, some may be
        assert (hidden.sum(axis=1) >= joints - unlabeled).all()
        x, y = np.floor(before.keypoints[..., :2]).astype(int).clip(0, 63).transpose(2, 0, 1)
        same = (after.image[:, y, x] == before.image[:, y, x]).all(axis=0)
        assert same[labeled & ~hidden].all()


def test_a_mask_moves_with_its_joint_and_says_nothing_of_its_position() -> None:
    rule = MaskRule(frames=4, clear=1, joints=2, side=0.2)
    masked = MaskedVideos(FRAMES, rule, 5)
    offsets = []
    for index in range(1, 5):
        sample = FRAMES[index]
        squares = np.array([square for square, _ in masked._masks(index, sample)])
        assert sample.boxes is not None and len(squares) == 2
        side = 0.2 * (sample.boxes[0, 2:] - sample.boxes[0, :2]).max()
        assert (abs(squares[:, 2:] - squares[:, :2] - side - 1) <= 1).all()
        middle = (squares[:, :2] + squares[:, 2:]) / 2
        offsets.append(middle[:, None] - sample.keypoints[None, 0, :, :2])
    # Of one joint each, the mask's center is as far off in all frames, to a px.
    spread = np.ptp(offsets, axis=0).max(axis=-1)
    steady = spread.argmin(axis=1)
    assert (spread.min(axis=1) <= 1.5).all() and len(set(steady)) == 2
    off = np.abs(np.array(offsets)[:, [0, 1], steady])
    assert (off <= 0.35 * 64 * 0.2 + 1).all() and off.max() > 1
    others = MaskedVideos(FRAMES, rule, 6)
    assert (others[1].image != masked[1].image).any()
    assert (MaskedVideos(FRAMES, rule, 5)[3].image == masked[3].image).all()


def test_photographs_are_videos_of_one_frame() -> None:
    scenes = SyntheticScenes(SceneConfig(size=64, people=(1, 2)), 2, 0, COCO)
    masked = MaskedVideos(scenes, MaskRule(1, clear=0))  # type: ignore[arg-type]
    assert masked.since.tolist() == [1, 1] and len(set(masked.videos)) == 2
    assert (MaskedVideos(scenes, MaskRule(1, clear=1)).since == 0).all()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"frames": 0}, "frames and joints"), ({"joints": 0}, "frames and joints"),
     ({"clear": -1}, "frames and"), ({"side": 0.0}, "side must"), ({"off": 0.5}, "off from")],
)  # fmt: skip
def test_rules_without_sense_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaskRule(**fields)  # type: ignore[arg-type]
