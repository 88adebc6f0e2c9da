"""Description of videos and their people as PoseTrack18's annotation files write them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poselib.data.coco_export import coco_people
from poselib.data.readers.json_fields import Entry
from poselib.skeletons import POSETRACK18
from poselib.structures import Size
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
    limbs = [[FILE_KEYPOINTS.index(name) + 1 for name in limb] for limb in POSETRACK18.limbs]
    person = {"id": 1, "name": "person", "supercategory": "person"}
    return {
        "info": info,
        "images": list(images),
        "annotations": rows,
        "categories": [{**person, "keypoints": list(FILE_KEYPOINTS), "skeleton": limbs}],
    }
