"""Frames of a person that a network is shown with and without a mask; those computed are kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poselib.analysis.masked_frames import (
    FrameRun,
    Mask,
    MaskedJoints,
    find_masked_joints,
    pose_before,
    pose_of,
    relation_of,
    relations_of,
)
from poselib.analysis.relations import as_array
from poselib.data.crops import crop_person
from poselib.ops.map_coordinates import CropFrame
from poselib.outputs import JointRelations
from poselib.structures import Poses, Sample
from poselib.systems import System
from poselib.typing import FloatArray
from poselib.widgets.clips import NAMES, ClipSource
from poselib.widgets.latest import Kept
from poselib.widgets.painting import over_image

HERE, RUN = "this frame", "a run of frames"
_LEAST = 1.0  # px of the crop: sides of a box that is a mask


@dataclass(frozen=True)
class View:
    """What is seen of a frame.

    Attributes:
        clip: name of the clip.
        sample, crop: the frame, and what the network is shown of it without the mask.
        seen: (3, H, W) the same with the mask.
        clear, covered: outputs without and with the mask; one and the same without a mask.
        poses: without the mask, with it, and with it before the relation, if there is one.
        mask: where it covers this frame; None where not.
        frame: what a cell of the maps stands for.
    """

    clip: str
    sample: Sample
    crop: Sample
    seen: NDArray[np.uint8]
    clear: Any
    covered: Any
    poses: tuple[Poses, Poses, Poses | None]
    mask: Mask | None
    frame: CropFrame

    @property
    def differs(self) -> bool:
        """Whether a mask, in this frame or before it, changes what is found."""
        return self.covered is not self.clear

    @property
    def relations(self) -> JointRelations | None:
        """How the joints are related, with the mask."""
        return relations_of(self.covered)

    def joints(self, number: int, rule: tuple[Any, float]) -> MaskedJoints | None:
        """Return which joints under the mask one of the poses has right; None without a mask."""
        poses = self.poses[number]
        if self.mask is None or poses is None:
            return None
        parts = poses, self.poses[0], self.sample, self.crop, self.mask
        return find_masked_joints(*parts, *rule)

    def maps(self, joint: int) -> dict[str, FloatArray]:
        """Return heatmaps before and after the relation, without and with the mask.

        They are as ``painting.over_image`` gives them.
        """
        found = {}
        for outputs, how in ((self.clear, ""), (self.covered, ", with the mask")):
            if how and not self.differs:
                continue
            relations = relations_of(outputs)
            if relations is not None:
                found[f"before{how}"] = as_array(relations.pseudo_heatmaps[0, joint])
            name = f"after{how}" if relations else f"heatmap{how}"
            found[name] = as_array(outputs.heatmaps[0, joint])
        return {n: over_image(each, self.crop.size, self.frame) for n, each in found.items()}


class FrameRuns:
    """Runs of a network over clips, of which a few are kept.

    Args:
        system: shown one person at a time, folded.
        source: of the clips.
    """

    def __init__(self, system: System, source: ClipSource) -> None:
        self.system, self.source = system, source
        self._runs, self._masked = Kept(2), Kept(6)  # without and with a mask

    def view(self, values: Mapping[str, Any], stop: Callable[[], bool]) -> View:
        """Compute a frame, and those before it that the network has to be shown.

        Raises:
            InterruptedError: ``stop`` said so.
            ValueError: there is no such clip or frame, or the mask is no box.
        """
        self._run(values)
        found = self.known(values, stop)
        assert found is not None
        return found

    def known(
        self, values: Mapping[str, Any], stop: Callable[[], bool] | None = None
    ) -> View | None:
        """Return a frame that is computed; with ``stop`` compute what lacks."""
        key, frame = _key(values), values["frame"]
        if (kept := self._runs.get(key)) is None:  # the job's thread may forget it meanwhile
            return None
        clip, run = kept
        mask = mask_of(values)
        covered = run if mask is None else self._with_mask(key, run, mask)
        if frame >= len(run):
            raise ValueError(f"frame {frame} is not in the clip, which has {len(run)}")
        if stop is None and not (run.knows(frame) and covered.knows(frame)):
            return None
        stop = stop or (lambda: False)
        clear, hidden = run.outputs(frame, stop), covered.outputs(frame, stop)
        poses = (
            pose_of(self.system, clear),
            pose_of(self.system, hidden),
            pose_before(self.system, hidden),
        )
        here = mask if mask is not None and mask.first <= frame <= mask.last else None
        seen = covered.crop(frame).image
        return View(
            clip.video,
            clip.frames[frame],
            run.crop(frame),
            seen,
            clear,
            hidden,
            poses,
            here,
            self.system.frame,
        )

    def seen(self, values: Mapping[str, Any]) -> NDArray[np.uint8] | None:
        """Return a frame with its mask, if it is at hand."""
        kept, mask = self._runs.get(_key(values)), mask_of(values)
        if kept is None or values["frame"] >= len(kept[1]):
            return None
        run = kept[1] if mask is None else kept[1].masked(mask)
        return run.crop(values["frame"]).image

    def fill(self, values: Mapping[str, Any], stop: Callable[[], bool]) -> None:
        """Compute all frames without a mask, until ``stop`` says that it is enough."""
        run = self._run(values)
        for frame in range(len(run)):
            run.outputs(frame, stop)

    def _run(self, values: Mapping[str, Any]) -> FrameRun:
        key = _key(values)
        if key not in self._runs:
            clip = self.source.read(values)
            assert self.system.crop is not None
            crops = crop_person(clip, self.system.crop, self.system.crop_rule).frames
            related = relation_of(self.system) is not None
            own = values["temperature"] if related else None
            self._runs.put(key, (clip, FrameRun(self.system, crops, own)))
            for each in list[Any](self._masked):
                if each[0] not in self._runs:
                    self._masked.pop(each, None)
        found: FrameRun = self._runs[key][1]
        return found

    def _with_mask(self, key: Hashable, run: FrameRun, mask: Mask) -> FrameRun:
        found: FrameRun | None = self._masked.get((key, mask))
        return found or self._masked.put((key, mask), run.masked(mask))


def mask_of(values: Mapping[str, Any]) -> Mask | None:
    """Return the mask that the settings describe; None without one, or without an area.

    Raises:
        ValueError: it is not four numbers.
    """
    if not values["mask"].strip():
        return None
    try:
        left, top, right, bottom = (float(each) for each in values["mask"].split())
    except ValueError:
        wanted = "left, top, right and bottom of a box, px, with spaces between"
        raise ValueError(f"mask must be {wanted}, not {values['mask']!r}") from None
    if right - left < _LEAST or bottom - top < _LEAST:
        return None
    first, last = values["run"] if values["masked"] == RUN else (values["frame"],) * 2
    return Mask((left, top, right, bottom), first, last)


def mask_text(box: Any) -> str:
    """Return a box as a mask is written; nothing for none."""
    return " ".join(f"{round(float(side), 1):g}" for side in box)


def _key(values: Mapping[str, Any]) -> Hashable:
    return (*(values[name] for name in NAMES), values["temperature"])
