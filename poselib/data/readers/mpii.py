"""Reader of the MPII Human Pose dataset: whole images, single people or groups of people."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from poselib.data.keypoint_dataset import KeypointImages
from poselib.data.readers.mpii_annotations import read_mpii_json, read_mpii_mat
from poselib.data.readers.mpii_samples import (
    HEIGHT,
    MpiiImage,
    Unit,
    build_table,
    join_entries,
    split_image,
)
from poselib.data.transforms import crop_transform, warp_sample
from poselib.skeletons import MPII
from poselib.structures import AffineTransform, Sample

# Listed by the annotations, but not in the published archive of images.
_NOT_PUBLISHED = frozenset(("002878268.jpg", "013401523.jpg", "040348287.jpg"))
# Margin around the centers of a group, in heights of its people: 150 px of 200, as in the cropping
# code of DeepCut, whose authors made the dataset.
_MARGIN = 0.75
# The square crop of a single person in the code of the hourglass networks and of HRNet: 1.25
# heights, its middle 15 px of 200 below the center.
_PERSON_SIDE, _PERSON_DROP = 1.25, 15 / HEIGHT
_CORNERS = np.array([[-1.0], [1.0]])


class MpiiImages(KeypointImages):
    """MPII as samples of whole images, single people or groups of people.

    The ``unit`` of a sample is one of:

    - ``"image"``: all people of an image, for bottom-up training. People without joints are
      ignored in the box that follows from their center and scale, or in their head box.
    - ``"person"``: one person who is sufficiently separated from others, as in the single-person
      evaluation (PCKh), without the other people of the image.
    - ``"group"``: one group of people close together, as in the multi-person evaluation (mAP),
      which leaves out groups with separated people. Labeled people outside the group are ignored.

    Joints of unknown visibility, such as those of the head, count as visible.

    Args:
        images: the parsed annotations.
        folder: the folder of images.
        source: the annotation file, for error messages.
        unit: the unit of a sample.
        keep_empty: keep samples without labeled people, as evaluation must.
        crop_size: crop samples of people or groups to squares of this many px, see
            ``crop_transform``; by default they are whole images. Annotations stay those of the
            whole image.

    Raises:
        FileNotFoundError: the folder or an image is missing.
        ValueError: no sample is left, or whole images are to be cropped.
    """

    def __init__(
        self,
        images: Sequence[MpiiImage],
        folder: Path,
        source: Path,
        unit: Unit = "image",
        keep_empty: bool = True,
        crop_size: int | None = None,
    ) -> None:
        if unit not in ("image", "person", "group"):
            raise ValueError(f"unknown unit {unit!r}; known: image, person, group")
        if crop_size is not None and (unit == "image" or crop_size < 1):
            raise ValueError(f"crop_size {crop_size} with unit {unit!r}: crop a person or a group")
        self.unit, self.crop_size = unit, crop_size
        present = _without_unpublished(images, Path(folder))
        parts = [part for image in present for part in split_image(image, unit)]
        parts = [part for part in parts if keep_empty or part[0].labeled.any()]
        if not parts:
            raise ValueError(f"{source}: empty dataset: it has no sample of unit {unit!r}")
        self._centers = [image.centers for image, _ in parts]
        self._scales = [image.scales for image, _ in parts]
        self._head_sizes = [image.head_sizes()[image.labeled] for image, _ in parts]
        super().__init__(build_table(parts, Path(source), unit), Path(folder), MPII)

    @classmethod
    def from_mat(
        cls,
        annotations: Path,
        images: Path,
        split: Literal["train", "test"],
        unit: Unit = "image",
        *,
        groups: Path | None = None,
        file_names: Collection[str] | None = None,
        crop_size: int | None = None,
    ) -> Self:
        """Open the original annotations.

        Args:
            annotations: ``mpii_human_pose_v1_u12_1.mat``.
            images: the folder of images.
            split: ``"train"`` or ``"test"``, as in the annotations. Images for testing may have no
                joints, which MPII withheld for long; training samples without any are left out.
            unit: the unit of a sample.
            groups: ``groups_v12.mat`` of MPII's evaluation toolkit, which unit ``"group"`` needs.
            file_names: only these images, for example to hold out some of the training images.
            crop_size: see the class.

        Raises:
            FileNotFoundError: a file, the folder or an image is missing.
            ValueError: a file is not MPII's, a field is bad, or nothing is left.
        """
        if split not in ("train", "test"):
            raise ValueError(f"unknown split {split!r}; known: train, test")
        if unit == "group" and groups is None:
            raise ValueError("unit 'group' needs groups, the file groups_v12.mat")
        parsed = read_mpii_mat(Path(annotations), None if groups is None else Path(groups))
        kept = [image for image in parsed if image.train == (split == "train")]
        if file_names is not None:
            kept = [image for image in kept if image.file_name in file_names]
        return cls(kept, images, Path(annotations), unit, split == "test", crop_size)

    @classmethod
    def from_json(
        cls,
        annotations: Path,
        images: Path,
        unit: Unit = "image",
        *,
        head_boxes: Path | None = None,
        crop_size: int | None = None,
    ) -> Self:
        """Open the annotations that HRNet's code publishes, one JSON entry per person.

        They lack some people of the original; the others count as separated.

        Args:
            annotations: ``train.json``, ``valid.json``, ``trainval.json`` or ``test.json``.
            images: the folder of images.
            unit: ``"image"`` or ``"person"``; these files have no groups.
            head_boxes: ``gt_valid.mat``, which belongs to ``valid.json``. Without it, head sizes
                follow from the joints of the head.
            crop_size: see the class.

        Raises:
            FileNotFoundError: a file, the folder or an image is missing.
            ValueError: a file is not of this kind, a field is bad, or nothing is left.
        """
        if unit == "group":
            raise ValueError(f"{annotations}: has no groups; unit 'group' needs the original file")
        boxes = None if head_boxes is None else Path(head_boxes)
        entries = read_mpii_json(Path(annotations), boxes)
        samples = entries if unit == "person" else join_entries(entries)
        return cls(samples, images, Path(annotations), unit, crop_size=crop_size)

    def __getitem__(self, index: int) -> Sample:
        """Read one sample; see ``KeypointImages``."""
        sample = super().__getitem__(index)
        if self.crop_size is None:
            return sample
        size, warp = self.crop_size, self.crop_transform(index, self.crop_size)
        return _blacken_outside(warp_sample(sample, warp, (size, size)), warp(self.box(index)))

    def head_sizes(self, index: int) -> NDArray[np.float32]:
        """Return the head sizes of PCKh for the annotated people of a sample, (n,) px of the file.

        0.6 of the diagonal of the head box; NaN where unknown.
        """
        return self._head_sizes[index].copy()

    def box(self, index: int) -> NDArray[np.float64]:
        """Return the box of the person or group of a sample, from centers and scales alone.

        The box of a group surrounds its centers with a margin of 0.75 mean heights of its people.
        MPII's protocol allows no other knowledge of a group.

        Returns:
            (2, 2) top left and bottom right corner, px of the image file.

        Raises:
            ValueError: the unit is ``"image"``, or the file gives neither center nor scale.
        """
        if self.unit == "image":
            raise ValueError("a sample of unit 'image' is the whole image")
        centers, scales = self._centers[index], self._scales[index]
        if np.isnan(centers).all(axis=0).any() or np.isnan(scales).all():
            raise ValueError(
                f"{self.table.source}: {self.table.file_names[index]}: {self.unit} "
                f"{self.table.image_ids[index]} has no objpos or no scale"
            )
        height = HEIGHT * np.nanmean(scales)
        if self.unit == "person":
            middle = centers[0] + (0.0, _PERSON_DROP * height)
            return middle + _CORNERS * (_PERSON_SIDE / 2 * height)
        corners = np.stack([np.nanmin(centers, axis=0), np.nanmax(centers, axis=0)])
        return corners + _CORNERS * (_MARGIN * height)

    def crop_transform(self, index: int, size: int) -> AffineTransform:
        """Return the transform from px of the image file to a square of ``size`` px around ``box``.

        The box keeps its proportions and lies in the middle (HAE, Sec. IV-B: "cropped image patches
        using the given position and averaged the person scale", "resized and padded").
        """
        low, high = self.box(index)
        x, y = ((low + high) / 2).tolist()
        return crop_transform((x, y), float((high - low).max()), size)


def _without_unpublished(images: Sequence[MpiiImage], folder: Path) -> list[MpiiImage]:
    absent = {name for name in _NOT_PUBLISHED if not (folder / name).is_file()}
    return [image for image in images if image.file_name not in absent]


def _blacken_outside(sample: Sample, box: NDArray[np.float64]) -> Sample:
    """Set pixels outside the box to zero: the crop is padded, not widened."""
    left, top, right, bottom = np.rint(box).astype(int).ravel().tolist()
    image = np.zeros_like(sample.image)
    inside = slice(max(top, 0), bottom), slice(max(left, 0), right)
    image[(..., *inside)] = sample.image[(..., *inside)]
    return replace(sample, image=image)
