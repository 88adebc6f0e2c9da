"""Whatever holds annotated images: opened by name, folder or file, or given as samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np

from poselib.annotations import AnnotationTable
from poselib.data.annotation_table import AnnotatedImage, gather
from poselib.data.boxes import keypoint_boxes
from poselib.data.catalog import DATASETS, SYNTHETIC, Split, cache_in_memory, open_dataset
from poselib.data.clips import PersonClips, VideoClips
from poselib.data.coco_folder import ALL, find_coco
from poselib.data.image_folder import as_samples
from poselib.data.keypoint_dataset import KeypointImages
from poselib.data.loaders import SampleSource
from poselib.data.readers.coco import CocoKeypoints
from poselib.experiments.own_dataset import skeleton_for
from poselib.skeletons import COCO, Skeleton, get_skeleton
from poselib.structures import Sample


def open_any(
    dataset: Any,
    split: str = "val",
    folder: str | Path = "",
    *,
    images: str | Path = "",
    skeleton: Skeleton | str | Path = "",
    count: int | None = None,
) -> tuple[SampleSource, Skeleton, str]:
    """Open whatever holds annotated images.

    Args:
        dataset: a name of ``open_dataset``; a COCO-format annotation file, or a folder with one; or
            a dataset or a list of samples, which is returned as it is, the frames in place of
            clips.
        split: of a dataset by name or a folder; a folder without it gives the part that it has.
        folder: of a real dataset by name.
        images: the folder of the images of an annotation file, if it is not found.
        skeleton: of what does not state one; by default COCO's, for samples.
        count: synthetic scenes or clips, the first ones; by default as many as are held out.

    Returns:
        The dataset, its skeleton, and its name; empty for what has none.

    Raises:
        FileNotFoundError, ValueError: as ``open_dataset`` and ``find_coco``; or it is nothing of
            the kind.
    """
    own: Skeleton | None = skeleton if isinstance(skeleton, Skeleton) else None
    if isinstance(skeleton, str | Path) and skeleton:
        own = get_skeleton(skeleton)
    if isinstance(dataset, str) and dataset in SYNTHETIC:
        size = SYNTHETIC[dataset].counts["val"] if count is None else count
        opened = open_dataset(dataset, cast(Split, split), skeleton=own or "", count=size)
        return cache_in_memory(opened), opened.skeleton, dataset
    if isinstance(dataset, str) and dataset in DATASETS:
        opened = open_dataset(dataset, cast(Split, split), folder)
        return opened, opened.skeleton, dataset
    if isinstance(dataset, str | Path):
        if not Path(dataset).exists():
            names = ", ".join([*SYNTHETIC, *DATASETS])
            raise FileNotFoundError(f"no folder, file or dataset {dataset}; known: {names}")
        parts = find_coco(Path(dataset), Path(images) if images else None)
        part = parts.get(split) or parts.get(ALL) or next(iter(parts.values()))
        known = own or skeleton_for({split: part})
        file = CocoKeypoints(part.annotations, part.images, known)
        return file, known, part.annotations.stem
    if isinstance(dataset, PersonClips):
        dataset = dataset.clips
    if isinstance(dataset, VideoClips):
        dataset = dataset.dataset
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise ValueError(f"a dataset is wanted, a name, a folder or samples, not {dataset!r}")
    stated = getattr(dataset, "skeleton", None) or own or COCO
    return dataset, stated, ""


def annotations_of(dataset: Any, skeleton: Skeleton) -> AnnotationTable:
    """Return the annotated people of a dataset; samples that have no table are read one by one.

    An image that cannot be read has none.

    Raises:
        ValueError: a sample has other keypoints than the skeleton; its number is named.
    """
    if isinstance(dataset, KeypointImages):  # also one whose annotations are held back
        return dataset.table
    if hasattr(dataset, "annotations"):
        table: AnnotationTable = dataset.annotations()
        return table
    images = [_annotated(dataset, position, skeleton) for position in range(len(dataset))]
    return gather(Path("samples"), images, len(skeleton), need_people=False)


def _annotated(dataset: Any, position: int, skeleton: Skeleton) -> AnnotatedImage:
    try:
        item = dataset[position]
        sample = item if isinstance(item, Sample) else as_samples(item)[0][0]
    except (OSError, ValueError):
        sample = None
    people = np.zeros((0, len(skeleton), 3), np.float32)
    if sample is None or not len(sample.keypoints):
        return AnnotatedImage("", people, np.zeros((0, 4)), np.zeros(0))
    if sample.keypoints.shape[1] != len(skeleton):
        raise ValueError(
            f"sample {position}: {sample.keypoints.shape[1]} keypoints, but skeleton "
            f"{skeleton.name!r} has {len(skeleton)}: pass skeleton"
        )
    around = keypoint_boxes(sample.keypoints) if sample.boxes is None else sample.boxes
    return AnnotatedImage("", sample.keypoints, around, sample.areas)
