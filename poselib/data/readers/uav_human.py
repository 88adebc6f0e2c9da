"""Reader of UAV-Human's pose labels: one JSON file of the annotation tool per frame.

``completions[-1].result`` lists keypoints, each with ``value.keypointlabels`` (one name, such as
``leftKnee``) and ``value.x`` and ``value.y``, percent of ``original_width`` and
``original_height``. Percentages are measured from the image's edge, so no half pixel is added.
The frame has the name of the label file with the suffix ``.jpg``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from poselib.data.boxes import box_areas, keypoint_boxes
from poselib.data.keypoint_dataset import AnnotatedImage, KeypointImages, gather
from poselib.data.readers import json_fields as fields
from poselib.ops.io import visible_files
from poselib.skeletons import UAV_HUMAN

Subset = Literal["all", "train", "test"]

# The subjects, of 0 to 118, that are not among the published training subjects of
# cross-subject-v1.
_TEST_SUBJECTS = frozenset(
    (
        *(1, 3, 4, 9, 22, 23, 24, 31, 41, 54, 58, 60, 66, 72, 74, 75, 91, 92, 93, 94, 95, 96, 97),
        *(99, 101, 104, 107, 108, 109, 113),
    )
)
_POSITIONS = {fields.letters(name): k for k, name in enumerate(UAV_HUMAN.keypoints)}


class UavHumanKeypoints(KeypointImages):
    """Frames and people of UAV-Human's pose estimation task, numbered in the order of their names.

    The labels state neither which keypoints are hidden nor where one person ends: a repeated name
    begins the next person. Boxes are those of the keypoints, and areas are 0.53 of the boxes.

    Args:
        labels: the folder of label files, which may have subfolders.
        images: the folder of frames, with the same subfolders.
        subset: ``"train"`` and ``"test"`` take the subjects of the dataset's protocol
            cross-subject-v1, published for action recognition; ``"all"`` takes all subjects.
        keep_empty: keep frames without labeled people, as evaluation must.

    Raises:
        FileNotFoundError: the folder of labels or a frame is missing.
        ValueError: a file is not of this format, has a bad or missing field, or the subset is
            unknown.
    """

    def __init__(
        self, labels: Path, images: Path, subset: Subset = "all", keep_empty: bool = True
    ) -> None:
        if subset not in get_args(Subset):
            raise ValueError(f"subset must be one of {get_args(Subset)}, not {subset!r}")
        labels = Path(labels)
        files = visible_files(labels, "**/*.json")
        files = [p for p in files if subset == "all" or _subset(p) == subset]
        if not files:
            raise FileNotFoundError(f"label folder {labels} does not exist or holds no .json file")
        rows = [_frame(file, file.relative_to(labels)) for file in files]
        super().__init__(gather(labels, rows, len(UAV_HUMAN), keep_empty), images, UAV_HUMAN)


def _subset(path: Path) -> str:
    """Return train or test by the subject at the start of a name such as P070S01G10..."""
    subject = re.match(r"P(\d{3})S\d", path.name)
    if subject is None:
        raise ValueError(f"{path}: expected a name that begins with the subject, as P070S01")
    return "test" if int(subject.group(1)) in _TEST_SUBJECTS else "train"


def _frame(path: Path, name: Path) -> AnnotatedImage:
    content = fields.entry(fields.load_json(path), str(path))
    completions = fields.entries(content.get("completions"), f"{path}: completions")
    if not completions:
        raise ValueError(f"{path}: completions: expected at least one, found none")
    where = f"{path}: completions: result"
    marks = [
        mark
        for mark in fields.entries(completions[-1].get("result"), where)
        if mark.get("type") == "keypointlabels"
    ]
    people = _people([_mark(mark, where) for mark in marks])
    boxes = keypoint_boxes(people)
    sizes = {
        (fields.integer(m, "original_height", where), fields.integer(m, "original_width", where))
        for m in marks
    }
    if len(sizes) > 1:
        raise ValueError(f"{where}: keypoints of one frame state different sizes: {sorted(sizes)}")
    return AnnotatedImage(
        file_name=name.with_suffix(".jpg").as_posix(),
        keypoints=people,
        boxes=boxes,
        areas=box_areas(boxes),
        size=next(iter(sizes), None),
    )


def _mark(mark: fields.Entry, where: str) -> tuple[int, float, float]:
    """Return the index of a keypoint and its x and y, px."""
    value = fields.entry(mark.get("value"), f"{where}: value")
    names = value.get("keypointlabels")
    name = names[0] if isinstance(names, list) and len(names) == 1 else names
    if fields.letters(name) not in _POSITIONS:
        raise ValueError(
            f"{where}: keypointlabels: expected one of COCO's keypoints, found {fields.shown(name)}"
        )
    x = fields.number(value, "x", where) / 100 * fields.integer(mark, "original_width", where)
    y = fields.number(value, "y", where) / 100 * fields.integer(mark, "original_height", where)
    return _POSITIONS[fields.letters(name)], x, y


def _people(marks: Sequence[tuple[int, float, float]]) -> NDArray[np.float64]:
    """Return people (n, K, 3); a repeated keypoint begins the next person."""
    people: list[NDArray[np.float64]] = []
    for k, x, y in marks:
        if not people or people[-1][k, 2]:
            people.append(np.zeros((len(UAV_HUMAN), 3)))
        people[-1][k] = x, y, 2
    return np.array(people).reshape(-1, len(UAV_HUMAN), 3)
