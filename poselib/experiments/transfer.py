"""Images of other kinds than a network was trained on, and how well it does there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from poselib.analysis.association_errors import association_errors
from poselib.data.catalog import open_files
from poselib.data.image_folder import ImageFiles, image_paths
from poselib.data.loaders import SampleSource
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.engine.evaluate import LabeledImages, evaluate_poses
from poselib.engine.predict import PredictOptions, predict_variants
from poselib.engine.variants import with_options
from poselib.experiments.loading import describe
from poselib.papers.preset import Preset
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.systems import System

# What is told of a domain besides average precision, from ``association_errors``.
RATES = ("association_error", "not_found_rate", "false_positive_rate")
# Of the drawn scenes that a network is tested on; those it was trained on have seed 1.
_SEED = 2


@dataclass(frozen=True)
class Domain:
    """Images of one kind.

    Attributes:
        name: what is special about them.
        about: how many of what.
        images: the images.
        labels: the same with labels of the network's keypoints, or None where they have none.
        size: px to which the short side is brought for the network.
    """

    name: str
    about: str
    images: SampleSource
    labels: LabeledImages | None
    size: int


@dataclass(frozen=True)
class TransferResult:
    """How a network did on a domain: its numbers, and the people of each image."""

    numbers: dict[str, float]
    poses: list[Poses]


def shifted_recipes(recipe: SceneConfig) -> dict[str, SceneConfig]:
    """Return drawn scenes as given and, each in one respect, of other kinds."""
    low, high = recipe.height
    small = (low / 2, high / 2)
    return {
        "as trained": recipe,
        "from the side and from behind": replace(recipe, views=(0.0, 0.5, 0.5)),
        "sitting, crouching, lying": replace(recipe, poses=("sitting", "crouching", "lying")),
        "half as large": replace(recipe, height=small),
        "wide scenes of many": replace(
            recipe, size=2 * recipe.size, people=(6, 12), height=small, crowd_index=None
        ),
        "crowded": replace(recipe, people=(5, 7), crowd_index=0.5),
    }


def drawn_domains(preset: Preset, skeleton: Skeleton, size: int) -> list[Domain]:
    """Return test scenes as the preset draws them, and of other kinds.

    Args:
        preset: its recipe is what the network is taken to know.
        skeleton: the network's.
        size: px of the network input for scenes of the preset's size; larger ones get more, so
            that a person is as large as elsewhere.
    """
    domains = []
    for name, recipe in shifted_recipes(preset.scenes).items():
        scenes = SyntheticScenes(recipe, preset.test_scenes, _SEED, skeleton).cached()
        scaled = round(size * recipe.size / preset.scenes.size)
        domains.append(Domain(name, describe(scenes, "drawn"), scenes, scenes, scaled))
    return domains


def real_domain(
    preset: Preset,
    skeleton: Skeleton,
    size: int,
    *,
    dataset: str = "",
    data_dir: str = "",
    annotations: str = "",
    images: str = "",
    annotated: str = "",
) -> Domain:
    """Open a real domain: a dataset by name, a COCO-format file, or images without labels.

    Args:
        preset: for ``open_dataset``.
        skeleton: the network's. People with other keypoints are as good as not labeled.
        size: px of the network input.
        dataset, data_dir: a dataset and its folder.
        annotations: a COCO-format file instead, of skeleton ``annotated``.
        images: the folder of its images; alone, a folder, file or pattern of any images.
        annotated: name of a skeleton.

    Raises:
        FileNotFoundError, ValueError: nothing is named, or it cannot be read.
    """
    if not (dataset or annotations or images):
        raise ValueError("name a dataset, annotations or images")
    if not (dataset or annotations):
        files, name = ImageFiles(image_paths([images])), Path(images).name
        return Domain(name, describe(files, name), files, None, size)
    if dataset:
        name, opened = dataset, preset.open_dataset(dataset, "test", data_dir)
    else:
        name, opened = Path(annotations).stem, open_files(annotations, images, annotated)
    fits = opened.skeleton.keypoints == skeleton.keypoints
    return Domain(name, describe(opened, name), opened, opened if fits else None, size)


def transfer(
    system: System,
    domain: Domain,
    options: PredictOptions,
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> TransferResult:
    """Let a network find people in a domain it was not trained on.

    Returns:
        Its numbers: ``images``, ``px`` of the network input, ``found``, people of a score of 0.3 or
        more per image, and where there are labels ``AP``, ``AP50``, ``AR``, and rates of errors,
        ``RATES``, counted on groups without refinement.
    """
    bare = with_options(system, refine=False)
    look = replace(options, size=domain.size)
    found, groups = predict_variants(
        [system, bare], domain.images, look, device=device, progress=progress
    )
    surely = sum(int((poses.person_scores >= 0.3).sum()) for poses in found)
    numbers: dict[str, float] = {
        "images": len(found),
        "px": domain.size,
        "found": surely / max(len(found), 1),
    }
    if domain.labels is not None:
        ap = evaluate_poses(domain.labels, found, system.skeleton).ap
        errors = association_errors(domain.labels, groups, system.skeleton).T["all"]
        numbers |= {"AP": ap.AP, "AP50": ap.AP50, "AR": ap.AR}
        numbers |= {rate: float(errors[rate]) for rate in RATES}
    return TransferResult(numbers, found)
