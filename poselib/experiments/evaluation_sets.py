"""Images for a checkpoint, and in words what they are."""

from __future__ import annotations

from pathlib import Path

from poselib.data.catalog import KeypointDataset, Split, cache_in_memory
from poselib.data.loaders import SampleSource
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.papers.preset import Preset
from poselib.skeletons import Skeleton


def evaluation_set(
    name: str, preset: Preset, folder: Path | str, skeleton: Skeleton, split: Split = "test"
) -> tuple[KeypointDataset, str]:
    """Open a dataset for a checkpoint of a given skeleton.

    Args:
        name, preset, folder: see ``open_dataset``.
        skeleton: the checkpoint's; drawn people get it, real ones must have it.
        split: ``"test"``, or ``"train"`` for what a checkpoint has learned from.

    Returns:
        The images, drawn scenes kept in memory, and what they are, such as ``"300 drawn scenes,
        5 to 7 people, crowd index 0 to 1, 128 px"``.

    Raises:
        FileNotFoundError: a file of the dataset is absent.
        ValueError: as ``open_dataset``, or the people of a real dataset have other keypoints.
    """
    dataset = preset.open_dataset(name, split, folder)
    if isinstance(dataset, SyntheticScenes):
        # Scenes follow from recipe and seed: people are the same, their keypoints the skeleton's.
        dataset = SyntheticScenes(dataset.config, len(dataset), dataset.seed, skeleton)
    elif dataset.skeleton.keypoints != skeleton.keypoints:
        raise ValueError(
            f"dataset {name!r} annotates skeleton {dataset.skeleton.name!r}, but the checkpoint "
            f"predicts {skeleton.name!r}: their keypoints differ"
        )
    return cache_in_memory(dataset), described(dataset, name)


def described(dataset: SampleSource, name: str) -> str:
    """Return how many images of what a dataset holds; drawn scenes need no name."""
    if not isinstance(dataset, SyntheticScenes):
        return f"{len(dataset)} {'image' if len(dataset) == 1 else 'images'} of {name}"
    config = dataset.config
    words = [f"{len(dataset)} drawn scenes", f"{_span(*config.people)} people"]
    if config.crowd_range is not None:
        words.append(f"crowd index {_span(*config.crowd_range)}")
    return ", ".join([*words, f"{config.size} px"])


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
