"""PoseTrack18's labels in their published layout: one file per video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from poselib.data.posetrack_export import FILE_KEYPOINTS
from tests.data.factories.images import images

Content = dict[str, Any]
VIDEO = "000007_mpii_test"


def person(number: int, image: int, track: int, x: float = 4) -> Content:
    """Keypoint k is at pixel (x + k, 2 k); ears and the last two are not labeled."""
    points = [[x + k, 2 * k, int(k not in (3, 4, 15, 16))] for k in range(17)]
    return {
        **{"id": number, "image_id": image, "track_id": track, "category_id": 1, "scores": []},
        "keypoints": [value if k[2] else 0 for k in points for value in k],
        **{"bbox": [x, 1, 20, 30], "bbox_head": [x, 0, 5, 6]},
    }


def image(frame: int, **fields: Any) -> Content:
    number = 10000070000 + frame
    return {
        **{"id": number, "frame_id": number, "vid_id": "000007", "nframes": 9},
        **{"is_labeled": True, "file_name": f"images/val/{VIDEO}/{frame:06d}.jpg"},
        **{"ignore_regions_x": [], "ignore_regions_y": [], **fields},
    }


def labels() -> Content:
    """Two labeled frames around one that is not; the second track is in the last one alone."""
    ids = [10000070000 + n for n in (0, 4, 8)]
    outlines = {
        "ignore_regions_x": [[40, 50, 50, 40], [1]],
        "ignore_regions_y": [[2, 2, 9, 9], [1]],
    }
    category = {"id": 1, "name": "person", "keypoints": list(FILE_KEYPOINTS), "skeleton": []}
    people = [person(1, ids[0], 3), person(2, ids[2], 3, x=9), person(3, ids[2], 0, x=30)]
    return {
        "images": [image(0, **outlines), image(4, is_labeled=False), image(8)],
        "annotations": people,
        "categories": [category],
    }


def write(folder: Path, content: Any, size: tuple[int, int] = (40, 60)) -> Path:
    """Write the video as the validation set of a dataset, of which this is the folder."""
    names = [f"images/val/{VIDEO}/{frame:06d}.jpg" for frame in (0, 4, 8)]
    images(folder, names, size)
    home = folder / "annotations" / "val"
    home.mkdir(parents=True, exist_ok=True)
    (home / f"{VIDEO}.json").write_text(json.dumps(content))
    return folder
