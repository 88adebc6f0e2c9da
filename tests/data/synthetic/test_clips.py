"""Clips: determined by seed and index, labeled in every frame, with camera, occluders and blur."""

from __future__ import annotations

import numpy as np
import pytest

from poselib.data.synthetic.clips import ClipFrame, SyntheticClip
from poselib.data.synthetic.config import CROWD_CLIPS, ClipConfig
from poselib.skeletons import POSETRACK18
from poselib.structures import AffineTransform

STILL = ClipConfig(size=96, frames=6, camera=0, occluders=(0, 0), shutter=0)


def same(a: ClipFrame, b: ClipFrame) -> bool:
    return all(np.array_equal(value, getattr(b, name)) for name, value in vars(a).items())


def test_a_clip_depends_on_seed_and_index_only() -> None:
    config = ClipConfig(size=64, frames=5)
    first = SyntheticClip(config, 3, 7)
    frames = [first.frame(n) for n in range(5)]
    again = SyntheticClip(config, 3, 7)
    assert all(same(again.frame(n), frames[n]) for n in reversed(range(5)))
    assert not same(SyntheticClip(config, 3, 8).frame(0), frames[0])
    assert not same(SyntheticClip(config, 4, 7).frame(0), frames[0])


@pytest.mark.parametrize("config", [ClipConfig(frames=6), CROWD_CLIPS], ids=["one", "crowd"])
def test_keypoints_move_little_between_frames(config: ClipConfig) -> None:
    for index in range(4):
        clip = SyntheticClip(config, 0, index)
        frames = [clip.frame(n) for n in range(6)]
        points = np.stack([frame.keypoints for frame in frames])
        both = (points[1:, ..., 2] > 0) & (points[:-1, ..., 2] > 0)
        moved = np.linalg.norm(np.diff(points[..., :2], axis=0), axis=-1)
        assert both.any() and moved[both].max() < 0.12 * config.size
        assert np.median(moved[both]) > 0.05, "people move"


def test_labels_follow_the_rules_of_scenes() -> None:
    hidden = absent = 0
    for index in range(6):
        clip = SyntheticClip(CROWD_CLIPS, 1, index)
        for number in (0, 15, 29):
            frame = clip.frame(number)
            seen = frame.keypoints[..., 2]
            assert frame.keypoints.shape[0] == clip.people
            assert set(np.unique(seen)) <= {0, 1, 2}
            people = (seen == 2).any(axis=1)
            assert (frame.areas[people] > 0).all()
            for values in (frame.keypoints, frame.areas, frame.boxes, frame.head_boxes):
                assert (values[~people] == 0).all()
            hidden, absent = hidden + int((seen == 1).sum()), absent + int((~people).sum())
    assert hidden > 50


def test_occluders_hide_keypoints() -> None:
    def hidden(occluders: tuple[int, int]) -> float:
        config = ClipConfig(size=96, frames=1, occluders=occluders)
        seen = [SyntheticClip(config, 0, i).frame(0).keypoints_of(POSETRACK18) for i in range(40)]
        marks = np.concatenate(seen)[..., 2]
        return float((marks == 1).sum() / (marks > 0).sum())

    assert hidden((2, 2)) > hidden((0, 0)) + 0.1


def test_a_camera_at_rest_shows_a_still_background() -> None:
    clip = SyntheticClip(STILL, 0, 1)
    one, two = (clip.frame(n).image.astype(int) for n in (0, 5))
    still = np.abs(one - two).max(axis=2) < 60  # noise changes
    assert still.mean() > 0.7 and not still.all()
    assert np.allclose(clip.camera(0.1).matrix, np.eye(2, 3))
    moving = SyntheticClip(ClipConfig(size=96, frames=6), 0, 1)
    assert np.abs(moving.camera(0.0)([48, 48]) - moving.camera(0.2)([48, 48])).max() > 0.05


def test_the_camera_moves_people_and_background_alike() -> None:
    clip = SyntheticClip(STILL, 0, 1)
    beyond = (len(clip.background) - 96) // 2
    middle = clip.background[beyond:-beyond, beyond:-beyond]
    assert (clip.view(AffineTransform.identity()) == middle).all()
    shifted = AffineTransform(np.array([[1.0, 0.0, 5.0], [0.0, 1.0, -3.0]]))
    assert (clip.view(shifted)[:-3, 5:] == middle[3:, :-5]).all()
    # What is at (10, 20) of a camera at rest is at (20, 40) of one that is twice as near.
    near = clip.view(AffineTransform(np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])))
    mean = near.reshape(48, 2, 48, 2, 3).mean(axis=(1, 3))
    assert np.abs(mean - middle[:48, :48]).mean() < 2


def test_blur_is_along_the_motion_and_labels_do_not_change() -> None:
    from dataclasses import replace

    sharp = SyntheticClip(replace(STILL, fps=4.0, turn=180.0), 0, 2)
    blurred = SyntheticClip(replace(STILL, fps=4.0, turn=180.0, shutter=1.0), 0, 2)
    one, two = sharp.frame(2), blurred.frame(2)
    assert (one.keypoints == two.keypoints).all()
    contrast = [np.abs(np.diff(frame.image.astype(int), axis=1)).mean() for frame in (one, two)]
    assert contrast[1] < contrast[0]


@pytest.mark.parametrize(
    "field",
    [
        {"frames": 0},
        {"fps": 0.0},
        {"turn": -1.0},
        {"camera": 0.6},
        {"occluders": (2, 1)},
        {"shutter": 1.5},
        {"people": (0, 1)},
    ],
)
def test_bad_configurations_are_refused(field: dict) -> None:
    with pytest.raises(ValueError, match=rf"ClipConfig\.{next(iter(field))} must be"):
        ClipConfig(**field)
