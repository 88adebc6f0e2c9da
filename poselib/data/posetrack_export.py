"""Description of videos and their people as PoseTrack18's annotation files write them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from typing import IO, Any

import numpy as np

from poselib.data.boxes import box_areas
from poselib.data.coco_export import coco_category, coco_people
from poselib.data.readers.json_fields import Entry
from poselib.skeletons import POSETRACK18, Skeleton
from poselib.structures import Poses, Size
from poselib.typing import Float32Array, IntArray

# The files list two keypoints that are never labeled.
FILE_KEYPOINTS = (*POSETRACK18.keypoints[:3], "left_ear", "right_ear", *POSETRACK18.keypoints[3:])
_COLUMNS = [FILE_KEYPOINTS.index(name) for name in POSETRACK18.keypoints]


def frame_id(video: int, frame: int) -> int:
    """Return PoseTrack18's number of a frame: 1, six digits of the video, four of the frame."""
    return 10**10 + video * 10**4 + frame


def image_entry(name: str, video: int, frame: int, frames: int, size: Size) -> Entry:
    """Describe a labeled frame.

    Args:
        name: of its file, relative to the folder of the dataset.
        video, frame: their numbers.
        frames: of the video.
        size: (height, width), px.
    """
    number = frame_id(video, frame)
    return {
        "id": number,
        "frame_id": number,
        "vid_id": f"{video:06d}",
        "nframes": frames,
        "is_labeled": True,
        "has_no_densepose": True,
        "file_name": name,
        "width": size[1],
        "height": size[0],
        "ignore_regions_x": [],
        "ignore_regions_y": [],
    }


def people_entries(
    keypoints: Float32Array,
    boxes: Float32Array,
    areas: Float32Array,
    head_boxes: Float32Array,
    tracks: IntArray,
) -> list[Entry]:
    """Describe the people of a frame, without numbers of their own and of the frame.

    Visibility is written as in COCO, 1 for hidden and 2 for visible; PoseTrack18 has only 1.

    Args:
        keypoints: (N, 15, 3) of POSETRACK18, px with centers at integer + 0.5, and visibility.
        boxes, head_boxes: (N, 4) left, top, right, bottom, px.
        areas: (N,) px².
        tracks: (N,) numbers that people keep throughout the video.
    """
    listed = np.zeros((len(keypoints), len(FILE_KEYPOINTS), 3), np.float32)
    listed[:, _COLUMNS] = keypoints
    heads = coco_people(listed, head_boxes, areas)
    people = coco_people(listed, boxes, areas)
    for person, head, track in zip(people, heads, tracks.tolist(), strict=True):
        person.update(track_id=track, category_id=1, bbox_head=head["bbox"], scores=[])
    return people


def video_document(images: Sequence[Entry], people: Sequence[list[Entry]], info: Entry) -> Entry:
    """Gather the frames of one video, and the people of each, into one document."""
    rows = [
        {"id": 100 * image["id"] + number, "image_id": image["id"], **person}
        for image, some in zip(images, people, strict=True)
        for number, person in enumerate(some)
    ]
    categories = [_category(POSETRACK18)]
    return {"info": info, "images": list(images), "annotations": rows, "categories": categories}


def _file_keypoints(skeleton: Skeleton) -> tuple[str, ...]:
    """Return the keypoints that a file lists: the skeleton's, and two more of PoseTrack18's own."""
    return FILE_KEYPOINTS if skeleton == POSETRACK18 else skeleton.keypoints


def _category(skeleton: Skeleton) -> Entry:
    names = _file_keypoints(skeleton)
    limbs = [[names.index(name) + 1 for name in limb] for limb in skeleton.limbs]
    return {**coco_category(skeleton), "keypoints": list(names), "skeleton": limbs}


class PosesDocument:
    """Writes the poses of a video as one document in PoseTrack18's layout, frame by frame.

    What is written is not kept in memory. ``finish`` completes the document, also where a video
    was not read to its end. An image has its ``time``, s, and a person the ``score`` and
    ``track_id``, and the ``scores`` of all keypoints; those found have visibility 1.

    Args:
        file: text, opened to be written.
        skeleton: of the poses; keypoints are listed by its names.
        video: name of the video.
        number: of the video among several, on which the ids of its frames depend.
        size: (height, width) of its frames, px.
    """

    def __init__(
        self, file: IO[str], skeleton: Skeleton, video: str, number: int, size: Size
    ) -> None:
        self._file, self._skeleton, self._size = file, skeleton, size
        self._video, self._first = video, 10**10 + number * 10**7
        names = _file_keypoints(skeleton)
        self._columns, self._listed = [names.index(k) for k in skeleton.keypoints], len(names)
        self._images = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by ``finish``
        self.frames = self.people = 0
        categories = json.dumps([_category(skeleton)])
        file.write(f'{{"categories": {categories},\n"annotations": [')

    def add(self, name: str, poses: Poses) -> None:
        """Write the poses of the next frame.

        Args:
            name: of the frame.
            poses: people with tracks and a time, px of the frame.
        """
        number = self._first + self.frames
        entry = {
            **image_entry(name, 0, 0, 0, self._size),
            **{"id": number, "frame_id": number, "vid_id": self._video, "time": poses.time},
        }
        self._images.write(json.dumps(entry) + "\n")
        for person in self._people(poses):
            row = {"id": 100 * self._first + self.people, "image_id": number, **person}
            self._file.write(("\n" if not self.people else ",\n") + json.dumps(row))
            self.people += 1
        self.frames += 1

    def finish(self, info: Entry) -> None:
        """Write what is known at the end, such as the number of frames.

        Args:
            info: about the video.
        """
        self._file.write('],\n"images": [')
        self._images.seek(0)
        for number, line in enumerate(self._images):
            entry = {**json.loads(line), "nframes": self.frames}
            self._file.write((",\n" if number else "\n") + json.dumps(entry))
        self._images.close()
        self._file.write(f'],\n"info": {json.dumps(info)}}}\n')

    def _people(self, poses: Poses) -> list[Entry]:
        points = np.zeros((len(poses), self._listed, 3), np.float32)
        points[:, self._columns, :2], points[:, self._columns, 2] = poses.keypoints, poses.found
        scores = np.zeros((len(poses), self._listed))
        scores[:, self._columns] = np.round(poses.scores.astype(np.float64), 4)
        corners = np.nan_to_num(poses.boxes)
        corners[:, 2:] += corners[:, :2]
        tracks: Any = [None] * len(poses) if poses.tracks is None else poses.tracks.tolist()
        people = coco_people(points, corners.astype(np.float32), box_areas(corners))
        for n, person in enumerate(people):
            person.update(track_id=tracks[n], category_id=1, scores=scores[n].tolist())
            person["score"] = round(float(poses.person_scores[n]), 6)
        return people
