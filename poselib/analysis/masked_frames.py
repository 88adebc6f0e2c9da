"""One person in consecutive frames, some of them behind a mask: outputs, poses, joints found.

A network that remembers is run from the first masked frame on: its states before are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from poselib.analysis.occlusion import joints_right
from poselib.data.image_folder import bare_sample
from poselib.engine.image_stream import FrameStream
from poselib.engine.person_boxes import boxes_around
from poselib.engine.person_stream import PersonStream
from poselib.metrics.person_pck import Reference
from poselib.models.joint_relation import JointRelation
from poselib.outputs import HeatmapOutputs, JointRelations
from poselib.structures import Clip, Poses, Sample
from poselib.systems import System
from poselib.typing import BoolArray, Float32Array, FloatArray
from poselib.wording import counted

Box = tuple[float, float, float, float]
_GRAY = 127  # of masks
_GROWTH = 0.2  # of boxes around poses, as those that detectors give


@dataclass(frozen=True)
class Mask:
    """A gray box over a run of frames.

    Attributes:
        box: left, top, right, bottom, px of the crop.
        first, last: the frames, both masked.

    Raises:
        ValueError: the box has no area, or the last frame is before the first.
    """

    box: Box
    first: int
    last: int

    def __post_init__(self) -> None:
        left, top, right, bottom = self.box
        if not (left < right and top < bottom):
            raise ValueError(f"a mask is left, top, right, bottom with an area, not {self.box}")
        if not 0 <= self.first <= self.last:
            raise ValueError(f"masked frames must be a run, not {self.first} to {self.last}")

    def over(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image (3, H, W) with the box painted gray."""
        covered = image.copy()
        left, top, right, bottom = np.round(self.box).astype(int).clip(0).tolist()
        covered[:, top:bottom, left:right] = _GRAY
        return covered

    def hides(self, points: FloatArray | Float32Array) -> BoolArray:
        """Return which points (..., 2), px of the crop, lie in the box."""
        left, top, right, bottom = self.box
        x, y = points[..., 0], points[..., 1]
        inside: BoolArray = (left <= x) & (x < right) & (top <= y) & (y < bottom)
        return inside


class FrameRun:
    """The outputs of a network for the frames of a person, computed when they are asked for.

    Args:
        system: shown one person at a time; ``engine.person_stream.folded`` gives a quick one. Its
            model is in evaluation mode.
        crops: of the frames, of the size that it is shown.
        temperature: of the relation; by default as it was trained. Sets it in the network.

    Example:
        >>> clip = PersonClips(open_dataset("clips", "val", count=1), frames=5)[0]
        >>> system = build("jre", "posetrack18", backbone="hrnet_tiny", height=64, width=64)
        >>> run = FrameRun(folded(system), crop_person(clip, system.crop).frames)
        >>> run.outputs(3).heatmaps.shape, run.knows(2)
        (torch.Size([1, 15, 16, 16]), False)
    """

    def __init__(
        self, system: System, crops: Sequence[Sample], temperature: float | None = None
    ) -> None:
        self.system, self.crops, self.temperature = system, tuple(crops), temperature
        self.mask: Mask | None = None
        self._begin: FrameRun | None = None
        self._outputs: dict[int, Any] = {}
        self._states: dict[int, PersonStream] = {}

    def __len__(self) -> int:
        return len(self.crops)

    def masked(self, mask: Mask) -> FrameRun:
        """Return the run with a mask over some frames; it begins with what is known before."""
        run = FrameRun(self.system, self.crops, self.temperature)
        run.mask, run._begin = mask, self
        return run

    def crop(self, frame: int) -> Sample:
        """Return a frame as the network is shown it."""
        sample = self.crops[frame]
        if self.mask is None or not self.mask.first <= frame <= self.mask.last:
            return sample
        return replace(sample, image=self.mask.over(sample.image))

    def knows(self, frame: int) -> bool:
        """Whether the outputs for a frame are there without computing."""
        return frame in self._owner(frame)._outputs

    def outputs(self, frame: int, stop: Callable[[], bool] = lambda: False) -> Any:
        """Return the outputs for a frame, after those before it if the network remembers.

        Args:
            frame: its number.
            stop: asked before each frame; if true, the rest is left out.

        Raises:
            InterruptedError: ``stop`` said so.
        """
        owner = self._owner(frame)
        if owner is not self:
            return owner.outputs(frame, stop)
        if frame not in self._outputs:
            if not self.system.clips:
                self._step(frame, PersonStream(self.system, flip=False), stop)
            else:
                for number in range(self._first, frame + 1):
                    if number not in self._outputs:
                        self._step(number, self._before(number, stop), stop)
        return self._outputs[frame]

    @property
    def _first(self) -> int:
        return 0 if self.mask is None else self.mask.first

    def _owner(self, frame: int) -> FrameRun:
        """Return the run whose outputs those of a frame are: without a mask it is another one."""
        if self.mask is None or self._begin is None:
            return self
        after = frame > self.mask.last and not self.system.clips
        return self._begin if frame < self.mask.first or after else self

    def _before(self, frame: int, stop: Callable[[], bool]) -> PersonStream:
        """Return the network's state after the frame before."""
        if frame == 0:
            return PersonStream(self.system, flip=False)
        owner = self._owner(frame - 1)
        owner.outputs(frame - 1, stop)
        return owner._states[frame - 1].copy()

    def _step(self, frame: int, stream: PersonStream, stop: Callable[[], bool]) -> None:
        if stop():
            raise InterruptedError(f"frame {frame} is no longer wanted")
        relation = relation_of(self.system)
        if relation is not None and self.temperature is not None:
            relation.temperature = self.temperature
        (outputs,) = stream.step([self.crop(frame)], [0])
        if self.system.clips:
            if self.mask is not None:
                self._states.clear()  # frames follow each other; a mask begins without one
            self._states[frame] = stream
        self._outputs[frame] = outputs


def relation_of(system: System) -> JointRelation | None:
    """Return the joint relation extractor of a system's network, None without one."""
    found = [each for each in system.model.modules() if isinstance(each, JointRelation)]
    return found[-1] if found else None


def relations_of(outputs: Any) -> JointRelations | None:
    """Return how the keypoints of outputs were related, None where they were not."""
    return cast("JointRelations | None", getattr(outputs, "relations", None))


def pose_of(system: System, outputs: Any) -> Poses:
    """Return the pose that a system decodes from the outputs for one crop, px of the crop."""
    (found,) = system.decode(outputs)
    return replace(found, skeleton=system.skeleton)


def pose_before(system: System, outputs: Any) -> Poses | None:
    """Return the pose of the pseudo heatmaps, before they were related; None without relations.

    Their values may be of any size, so that each map is shifted to begin at 0; scores say nothing.
    """
    relations = relations_of(outputs)
    if relations is None:
        return None
    maps = relations.pseudo_heatmaps
    above = maps - maps.amin(dim=(2, 3), keepdim=True)
    (found,) = system.decode(HeatmapOutputs(above, outputs.image_size))
    return replace(found, skeleton=system.skeleton)


@dataclass(frozen=True)
class MaskedJoints:
    """Which joints of a person lie under a mask in a frame, and which of them are found.

    Attributes:
        masked: (K,) under the mask, and known where they are.
        found: (K,) whether the joint is right; of joints that do not count, false.
        annotated: whether the truth is annotated; otherwise it is the pose without the mask.
    """

    masked: BoolArray
    found: BoolArray
    annotated: bool

    @property
    def lost(self) -> BoolArray:
        """(K,) under the mask, and wrong."""
        return self.masked & ~self.found


def find_masked_joints(
    poses: Poses,
    clear: Poses,
    sample: Sample,
    crop: Sample,
    mask: Mask,
    reference: Reference = "torso",
    threshold: float = 0.2,
) -> MaskedJoints:
    """Return which joints under a mask a pose has right, by the rule of PCK.

    Args:
        poses: one person, found with the mask, px of the crop.
        clear: the same without the mask, which is the truth where nothing is annotated.
        sample: the frame with the person's annotation, of which ``crop`` was taken.
        crop: px of the poses.
        mask: over the crop.
        reference, threshold: see ``metrics.person_pck``.
    """
    assert poses.skeleton is not None
    annotated = bool((crop.keypoints[..., 2] > 0).any())
    places, labeled = crop.keypoints[0, :, :2], crop.keypoints[0, :, 2] > 0
    if not annotated:
        places, labeled = clear.keypoints[0], clear.scores[0] > 0
        seen = np.where(labeled, 2, 0)[None, :, None]
        truth = np.concatenate([_in_frame(clear, crop, sample).keypoints, seen], axis=2)
        sample = replace(sample, keypoints=truth.astype(np.float32), boxes=None)
    own = _in_frame(poses, crop, sample)
    right = joints_right(own, sample, poses.skeleton, reference, threshold)[0]
    masked = mask.hides(places) & labeled & ~np.isnan(right)
    return MaskedJoints(masked, masked & (right == 1), annotated)


def _in_frame(poses: Poses, crop: Sample, sample: Sample) -> Poses:
    """Return poses in px of a crop as those in px of the frame."""
    return poses.warped(crop.to_original).warped(sample.to_original.inverse())


def person_frames(
    frames: Sequence[Sample], times: FloatArray, stream: FrameStream, name: str = ""
) -> Clip:
    """Return frames without annotation as a clip of the people that a stream finds in them.

    Boxes are around their poses, tracks are the stream's; keypoints have no labels.

    Raises:
        ValueError: no person is found.
    """
    found = [
        stream.step(sample.image.transpose(1, 2, 0), float(time))
        for sample, time in zip(frames, times, strict=True)
    ]
    tracks = sorted({track for poses in found for track in _tracks(poses)})
    if not tracks:
        here, seen = name or "the clip", counted(len(frames), "frame")
        raise ValueError(f"{here}: no person is found in {seen}")
    count, joints = len(tracks), found[0].keypoints.shape[1]
    samples = []
    for sample, poses in zip(frames, found, strict=True):
        boxes = np.zeros((count, 4), np.float32)
        rows = [tracks.index(track) for track in _tracks(poses)]
        boxes[rows] = boxes_around(poses.keypoints, poses.scores, _GROWTH)
        samples.append(
            replace(
                bare_sample(sample.image.transpose(1, 2, 0), sample.image_id),
                keypoints=np.zeros((count, joints, 3), np.float32),
                areas=np.zeros(count, np.float32),
                boxes=boxes,
                tracks=np.array(tracks, np.int64),
            )
        )
    return Clip(tuple(samples), np.asarray(times, np.float64), name)


def _tracks(poses: Poses) -> list[int]:
    return list(range(len(poses))) if poses.tracks is None else poses.tracks.tolist()
