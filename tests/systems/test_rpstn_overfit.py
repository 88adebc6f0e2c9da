"""The video network overfits clips, with its state kept, and is still where the clip is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poselib.data.readers.sub_jhmdb import SubJhmdbFrames
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig
from poselib.data.transforms import crop_transform, warp_sample
from poselib.engine.inference import PredictOptions
from poselib.engine.person_boxes import AnnotatedBoxes
from poselib.engine.predict import predict
from poselib.engine.seed import seed_everything
from poselib.engine.train import train
from poselib.engine.train_config import TrainConfig
from poselib.metrics.person_pck import person_pck, reference_lengths
from poselib.skeletons import POSETRACK18, SUB_JHMDB, Skeleton
from poselib.structures import AffineTransform, Sample
from poselib.systems import System, build
from poselib.systems.single_person import STRIDE
from poselib.typing import IntArray

torch.set_num_threads(1)

pytestmark = pytest.mark.overfit

# Crops as in the official code: a box of each frame. So a stream is shown what the clips of a
# training show; without augmentation a network knows no other regions. Maps of 64 px have 16 cells,
# and kernels of one, whose normalization needs many different clips in a batch.
TINY: dict[str, Any] = {
    **{"backbone": "hrnet_tiny", "initializer_backbone": "hrnet_tiny", "channels": 32},
    **{"height": 64, "width": 64, "sigma": 1.5, "background": 0.1},
    **{"per_frame": True, "stretch": True, "margin": 1.0, "frames": 3},
}
RECIPE = TrainConfig(
    steps=200,
    batch_size=8,
    learning_rate=6e-3,
    average=0.95,
    log_every=0,
    checkpoint_every=0,
    validate_every=20,
)
FRAMES = 6
PLAIN = PredictOptions(flip=False)  # they do not learn mirrored clips


class Clips:
    """Clips of one person each."""

    def __init__(self, skeleton: Skeleton, *clips: Sequence[Sample]) -> None:
        self.skeleton = skeleton
        self.samples = [frame for clip in clips for frame in clip]
        self.videos = tuple(f"clip {n}" for n, clip in enumerate(clips) for _ in clip)
        self.times = tuple(t / 25 for clip in clips for t in range(len(clip)))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def track_ids(self, index: int) -> IntArray:
        tracks = self.samples[index].tracks
        assert tracks is not None
        return tracks

    def annotations(self) -> Any:
        raise AssertionError("clips do without")


def moved(sample: Sample, t: float) -> Sample:
    """Return an image of 240 x 320 px, cut out of the file around its person at time t: the cut
    moves, grows and turns.
    """
    assert sample.boxes is not None
    x, y = ((sample.boxes[0, :2] + sample.boxes[0, 2:]) / 2).tolist()
    side, angle = 220 + 3 * t, 15 * math.sin(t / 2)
    warp = crop_transform((x + 4 * t, y - 2 * t), (side * 4 / 3, side), (240, 320), angle)
    shown = warp_sample(sample.only(np.array([0])), warp, (240, 320))
    return replace(shown, tracks=np.zeros(1, np.int64), to_original=AffineTransform.identity())


def pck(system: System, clips: Any, **options: Any) -> float:
    """Return PCK at 0.2 of the torso, of all labeled joints of all frames."""
    options = {"batch_size": 3, **options}
    found = predict(system, clips, replace(PLAIN, **options), boxes=AnnotatedBoxes())
    joints = [np.concatenate([p.keypoints, p.scores[..., None]], axis=2) for p in found]
    frames = [clips[n] for n in range(len(clips))]
    people, boxes = (
        np.concatenate([getattr(f, k) for f in frames]) for k in ("keypoints", "boxes")
    )
    lengths = reference_lengths(people, boxes, system.skeleton, "torso")
    rates = person_pck(np.concatenate(joints), people, lengths, [0.2])[0]
    return float(np.nanmean(rates))


def movement(system: System, frame: Sample) -> float:
    """Return how far a labeled joint moves at most, in cells, in a clip of the same frame."""
    still = Clips(system.skeleton, [frame] * FRAMES)
    found = predict(system, still, PLAIN, boxes=AnnotatedBoxes())
    assert frame.boxes is not None and system.crop is not None
    to_crop = system.crop_rule.transform(frame.boxes[0].astype(float), system.crop)
    labeled = frame.keypoints[0, :, 2] > 0
    cells = np.stack([to_crop(poses.keypoints[0, labeled]) / STRIDE for poses in found])
    return float(np.linalg.norm(cells[:, None] - cells, axis=-1).max())


class Overfitted(Exception):  # noqa: N818
    """Ends a training: the clips have been learned."""


def assert_overfits(clips: Any, still: Sequence[Sample], folder: Path) -> None:
    """Train until the measures are better than they must be, or for all steps.

    The state is kept over twice as many frames as the network was trained on, or renewed.
    """
    seed_everything(0)
    system = build("rpstn", clips.skeleton, **TINY)

    def measure(trained: System) -> dict[str, float]:
        rates = {"kept": pck(trained, clips), "renewed": pck(trained, clips, renew=system.frames)}
        moves = max(movement(trained, frame) for frame in still)
        if min(rates.values()) >= 0.995 and moves < 0.8:
            raise Overfitted
        return {**rates, "movement": moves}

    try:
        trained = train(system, clips, RECIPE, folder, validate=measure, progress=False)
    except Overfitted:
        return
    last = trained.history[-1]
    assert min(last["kept"], last["renewed"]) >= 0.99 and last["movement"] < 1, trained.history


def test_it_overfits_a_synthetic_clip(tmp_path: Path) -> None:
    """Beside a still one: alone, what follows a frame is always another one, and learned so."""
    clips = SyntheticClips(ClipConfig(frames=FRAMES), 1, 0, POSETRACK18).cached()
    moving, still = [clips[n] for n in range(FRAMES)], clips[FRAMES // 2]
    assert_overfits(Clips(POSETRACK18, moving, [still] * FRAMES), [still], tmp_path)


@pytest.mark.samples
def test_it_overfits_photographs_that_move(samples_dir: Path, tmp_path: Path) -> None:
    folder = samples_dir / "jhmdb"
    images = SubJhmdbFrames.from_json(folder / "test_jhmdb_sub1.json", folder)
    clips = [[moved(images[n], t) for t in range(FRAMES)] for n in range(2)]
    still = [clip[FRAMES // 2] for clip in clips]
    assert_overfits(Clips(SUB_JHMDB, *clips), still, tmp_path)
