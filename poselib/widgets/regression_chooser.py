"""Finds the person or cell that the controls mean, and keeps what that took."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from poselib.analysis.local_filters import can_adapt
from poselib.analysis.regressed_people import Cell, Options, RegressedImage, RegressedPeople
from poselib.analysis.truth_fit import fit_to_truth
from poselib.decoders.local_global import LocalGlobalOptions
from poselib.ops.center_poses import CenterPoses
from poselib.typing import FloatArray
from poselib.widgets.latest import Kept
from poselib.widgets.regression_choice import Chosen
from poselib.widgets.regression_controls import keypoint_index, options_of, parse_cell


class Pose(NamedTuple):
    """A pose as regressed, one row; its keypoints as decoded, their scores, and its filters."""

    row: CenterPoses
    after: FloatArray
    scores: FloatArray
    attraction: Tensor | None


class Chooser:
    """Decodes images as the controls say; networks run only for what was not asked before."""

    def __init__(self) -> None:
        self._candidates, self._people, self._poses = Kept(4), Kept(8), Kept(16)

    def choose(self, values: Mapping[str, Any], image: RegressedImage) -> Chosen:
        """Return the person or cell that the values mean, in an image.

        Raises:
            ValueError: the cell is none.
        """
        system = image.system
        options = options_of(values, system)
        key = (image, *(values[name] for name in ("center_threshold", "prior", "match")))
        people = self._people_of((*key, values["nms_distance"]), key, image, options)
        person, count = -1, len(people.poses)
        if values["cell"]:
            cell = parse_cell(values["cell"], image.size)
        elif count:
            person = min(values["person"], count) - 1
            cell = people.cells[person]
        else:
            cell = image.highest_cell
        # the same candidate, whichever others are suppressed
        same = (*key, cell, person < 0 or people.regressed.centers[person].item())
        pose = self._pose(same, image, people, person, cell, options)
        before = image.px(pose.row.points)[0]
        fit = None
        if values["truth"]:
            both = np.stack([before, pose.after])
            fit = fit_to_truth(both, image.sample, system.skeleton)
        return Chosen(
            image=image,
            people=people,
            person=person,
            cell=cell,
            row=pose.row,
            before=before,
            after=pose.after,
            scores=pose.scores,
            keypoint=keypoint_index(values["keypoint"], system.skeleton),
            fit=fit,
            options=options,
            min_score=values["min_score"],
            attraction=pose.attraction,
        )

    def _people_of(
        self, key: Hashable, proposed: Hashable, image: RegressedImage, options: Options
    ) -> RegressedPeople:
        if (people := self._people.get(key)) is None:
            if (found := self._candidates.get(proposed)) is None:
                found = self._candidates.put(proposed, image.candidates(options))
            people = self._people.put(key, image.people(options, found))
        return people

    def _pose(
        self,
        key: Hashable,
        image: RegressedImage,
        people: RegressedPeople,
        person: int,
        cell: Cell,
        options: Options,
    ) -> Pose:
        if (found := self._poses.get(key)) is not None:
            return found
        attraction = None
        if person >= 0:
            row, scores = people.regressed[person : person + 1], people.scores[person]
            after = people.poses.keypoints[person].astype(np.float64)
        else:
            row = image.pose_of(cell)
            afters, all_scores = image.adapted(row, options)
            after, scores = afters[0], all_scores[0]
        if can_adapt(image.system) and isinstance(options, LocalGlobalOptions):
            attraction = image.attraction(row, options)
        return self._poses.put(key, Pose(row, after, scores, attraction))
