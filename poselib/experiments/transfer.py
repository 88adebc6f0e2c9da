"""Domain shift: evaluate a network on images of kinds that it was not trained on."""

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
from poselib.engine.inference import PredictOptions
from poselib.engine.predict import predict_variants
from poselib.engine.variants import with_options
from poselib.experiments.loading import describe
from poselib.papers.preset import Preset
from poselib.skeletons import Skeleton
from poselib.structures import Poses
from poselib.systems import System, known_options

# Rates reported besides average precision, from ``association_errors``.
RATES = ("association_error", "not_found_rate", "false_positive_rate")
# Of synthetic test scenes; training scenes have seed 1.
_SEED = 2


@dataclass(frozen=True)
class Domain:
    """Images of one kind.

    Attributes:
        name: how they differ from the training images.
        about: number and kind of the images.
        images: the images.
        labels: the same with annotations of the network's keypoints, or None without them.
        size: short side of the network input, px.
    """

    name: str
    about: str
    images: SampleSource
    labels: LabeledImages | None
    size: int


@dataclass(frozen=True)
class TransferResult:
    """Metrics of a network on a domain, and its detections in each image."""

    numbers: dict[str, float]
    poses: list[Poses]


def shifted_scenes(scenes: SceneConfig) -> dict[str, SceneConfig]:
    """Return configurations of synthetic scenes: as given, and each changed in one respect."""
    low, high = scenes.height
    small = (low / 2, high / 2)
    return {
        "as trained": scenes,
        "from the side and from behind": replace(scenes, views=(0.0, 0.5, 0.5)),
        "sitting, crouching, lying": replace(scenes, poses=("sitting", "crouching", "lying")),
        "half as large": replace(scenes, height=small),
        "wide scenes of many": replace(
            scenes, size=2 * scenes.size, people=(6, 12), height=small, crowd_index=None
        ),
        "crowded": replace(scenes, people=(5, 7), crowd_index=0.5),
    }


def synthetic_domains(preset: Preset, skeleton: Skeleton, size: int) -> list[Domain]:
    """Return synthetic test scenes as in the preset, and of other kinds.

    Args:
        preset: its scenes are those that the network was trained on.
        size: short side of the network input for scenes of the preset's size, px; larger in
            proportion for larger scenes, so that people keep their size.
    """
    domains = []
    for name, config in shifted_scenes(preset.scenes).items():
        scenes = SyntheticScenes(config, preset.test_scenes, _SEED, skeleton).cached()
        scaled = round(size * config.size / preset.scenes.size)
        domains.append(Domain(name, describe(scenes, "synthetic"), scenes, scenes, scaled))
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
        skeleton: of the network. People with other keypoints count as not annotated.
        size: short side of the network input, px.
        dataset, data_dir: a dataset and its folder.
        annotations: a COCO-format file instead, of skeleton ``annotated``.
        images: the folder of its images; alone, a folder, file or pattern of any images.

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
    """Evaluate a network on a domain that it was not trained on.

    Returns:
        Metrics: ``images``, ``px`` of the network input, ``found``, detections with a score of 0.3
        or more per image, and where there are annotations ``AP``, ``AP50``, ``AR``, and ``RATES``,
        counted before refinement if that is an option of the system, as of grouped poses.
    """
    refines = system.crop is None and "refine" in known_options(system.name)
    variants = [system, with_options(system, refine=False)] if refines else [system]
    detections, *others = predict_variants(
        variants,
        domain.images,
        replace(options, size=domain.size),
        device=device,
        progress=progress,
    )
    confident = sum(int((poses.person_scores >= 0.3).sum()) for poses in detections)
    numbers: dict[str, float] = {
        "images": len(detections),
        "px": domain.size,
        "found": confident / max(len(detections), 1),
    }
    if domain.labels is not None:
        ap = evaluate_poses(domain.labels, detections, system.skeleton).ap
        unrefined = others[0] if others else detections
        errors = association_errors(domain.labels, unrefined, system.skeleton).T["all"]
        numbers |= {"AP": ap.AP, "AP50": ap.AP50, "AR": ap.AR}
        numbers |= {rate: float(errors[rate]) for rate in RATES}
    return TransferResult(numbers, detections)
