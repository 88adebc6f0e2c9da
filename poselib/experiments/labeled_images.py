"""The images of a dataset in which somebody's keypoints are labeled."""

from __future__ import annotations

from typing import Any

from poselib.data.catalog import KeypointDataset
from poselib.structures import Sample


class LabeledSubset:
    """The images of a dataset in which somebody has a labeled keypoint, in its order.

    LOGO-CAP, Sec. 1, measures on "2346 testing samples that are fully annotated with keypoint
    annotations" of COCO's val2017. As many of its 5000 images have a person with a labeled
    keypoint, and no more is asked by the official code (``filter_for_keypoint_annotations``). So
    images without people are left out, and those in which people have boxes alone; an image in
    which some have keypoints and others only a box is kept, with the latter ignored as ever.

    Args:
        dataset: labeled images.

    Attributes:
        dataset: as given.
        skeleton: of it.
        indices: the places in it of the images that are kept.

    Raises:
        ValueError: nobody is annotated.
    """

    def __init__(self, dataset: KeypointDataset) -> None:
        truth = dataset.ground_truth()
        labeled = {
            person["image_id"]
            for person in truth["annotations"]
            if any(mark > 0 for mark in (person.get("keypoints") or ())[2::3])
        }
        self.dataset, self.skeleton = dataset, dataset.skeleton
        self.indices = tuple(i for i, e in enumerate(truth["images"]) if e["id"] in labeled)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[self.indices[index]]

    def ground_truth(self) -> dict[str, Any]:
        """Describe the images that are kept and their people in COCO's format."""
        truth = self.dataset.ground_truth()
        images = [truth["images"][index] for index in self.indices]
        kept = {image["id"] for image in images}
        people = [person for person in truth["annotations"] if person["image_id"] in kept]
        return {**truth, "images": images, "annotations": people}
