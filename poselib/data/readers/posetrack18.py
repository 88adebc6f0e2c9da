"""Reader of PoseTrack18: a COCO-format file per video, with tracks, head boxes, ignore regions.

``images`` has an entry per frame with ``id``, ``file_name`` (``images/val/<video>/000000.jpg``),
``is_labeled`` and the outlines of areas without labels, ``ignore_regions_x`` and
``ignore_regions_y``; an annotation has ``track_id`` and ``bbox_head`` besides COCO's fields.
"""

from __future__ import annotations

import logging
from pathlib import Path

from poselib.data.keypoint_dataset import KeypointImages, gather
from poselib.data.readers.video_json import read_video_json
from poselib.data.readers.videos import tell_outside
from poselib.ops.io import visible_files
from poselib.skeletons import POSETRACK18

logger = logging.getLogger(__name__)

# Files of the training and the validation set of the two published versions of the labels.
_VERSIONS = {292: "v0.2", 74: "v0.2", 593: "v0.45", 170: "v0.45"}


class PoseTrack18Keypoints(KeypointImages):
    """Labeled frames and people of PoseTrack18; frames without labels are left out.

    Two of the 17 keypoints in the files, the ears, are never labeled; the skeleton has the other
    15. The files tell labeled keypoints (1) from others (0); where a file also has 2, as synthetic
    clips do, 1 is hidden and 2 visible, as in COCO. Labels of points outside of the image are
    dropped and counted in a warning. Times are those of 25 frames a second, unless ``info.fps``
    of a file says otherwise.

    Args:
        annotations: the folder of ``<video>.json``.
        folder: that of the dataset, to which the names of the frames are relative.
        keep_empty: keep frames without labeled people, as evaluation must.

    Attributes:
        version: ``"v0.2"`` or ``"v0.45"`` of the labels, from the number of files; else empty.

    Raises:
        FileNotFoundError: the folder of annotations, or a frame, is missing.
        ValueError: a file is not of this format, or has a bad or missing field; or a track is in
            a frame twice.
    """

    def __init__(self, annotations: Path, folder: Path, keep_empty: bool = True) -> None:
        annotations, folder = Path(annotations), Path(folder)
        files = visible_files(annotations, "*.json")
        if not files:
            raise FileNotFoundError(
                f"annotation folder {annotations} does not exist or holds no .json file"
            )
        self.version = _VERSIONS.get(len(files), "")
        logger.info("%s: %d videos, labels %s", annotations, len(files), self.version or "in part")
        found = [read_video_json(file, folder, POSETRACK18) for file in files]
        images = [image for frames, _ in found for image in frames]
        tell_outside(annotations, images, sum(outside for _, outside in found))
        table = gather(annotations, images, len(POSETRACK18), keep_empty)
        super().__init__(table, folder, POSETRACK18)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, labels {self.version or 'in part'}>"
