"""Load what a notebook evaluates: trained systems, one or one per seed, and images for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from poselib.data.catalog import KeypointDataset, Split, cache_in_memory, training_dataset_for
from poselib.data.loaders import SampleSource
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.dataset import SyntheticScenes
from poselib.engine.checkpoints import Checkpoint, load_checkpoint
from poselib.engine.weights.open import load_model
from poselib.experiments.parameters import format_options, parse_options
from poselib.experiments.training import init_system
from poselib.papers.preset import Preset
from poselib.papers.presets import get_preset
from poselib.skeletons import Skeleton
from poselib.systems import System
from poselib.wording import counted


def load_or_bundled(name: str) -> Checkpoint:
    """Load a model by its name or from a file; the bundled one if ``name`` is empty.

    Arguments and errors are those of ``load_model``.
    """
    return load_model(name) if name else load_checkpoint()


def load_or_init(
    file: str,
    preset: str,
    dataset: str,
    folder: str = "",
    *,
    name: str,
    options: str = "",
    seed: int = 0,
    parameter: str = "checkpoint",
) -> Checkpoint:
    """Load a checkpoint, or for the preset smoke initialize an untrained system.

    Args:
        file: of the checkpoint, or name of a model; may be empty where ``preset`` is ``"smoke"``.
        preset, dataset, folder: the notebook's; see ``get_preset`` and ``open_dataset``.
        name: of the system, as in ``poselib.systems.SYSTEMS``.
        options: of the system, as in ``parse_options``.
        parameter: name of the notebook's parameter that holds ``file``.

    Raises:
        FileNotFoundError: the file is absent.
        ValueError: no file is given and the preset is not ``"smoke"``; the message has the
            command that trains one. Or the file is not a checkpoint.
    """
    if file:
        return load_model(file)
    if preset != "smoke":
        chosen = f" -p options '{options}'" if options else ""
        trained = training_dataset_for(dataset)
        raise ValueError(
            f"parameter {parameter!r} needs the file of a trained system, such as\n"
            f"python -m poselib.experiments.notebooks notebooks/03_train.ipynb --preset {preset} "
            f"-p system {name} -p dataset {trained}{chosen}\nleaves in the folder of its run"
        )
    settings = get_preset(preset, dataset, name)
    skeleton = settings.open_dataset(dataset, "test", folder).skeleton
    parsed = parse_options(options)
    return Checkpoint(init_system(settings, skeleton, seed, name, **parsed))  # type: ignore[arg-type]


def load_seeds(
    files: str,
    preset: str,
    dataset: str,
    folder: str = "",
    *,
    name: str,
    options: str = "",
    seed: int = 0,
    parameter: str = "checkpoints",
) -> list[Checkpoint]:
    """Load the checkpoints of one system trained with several seeds.

    Args:
        files: the notebook's parameter: paths separated by spaces; if empty, one system is
            initialized or refused as in ``load_or_init``.
        preset, dataset, folder, name, seed: see ``load_or_init``.
        options: which the systems must have, as in ``format_options``.
        parameter: name of the notebook's parameter.

    Raises:
        FileNotFoundError: a file is absent.
        ValueError: as ``load_or_init``, a file is named twice, a system has other options, or the
            systems differ in more than their weights.
    """
    paths = files.split()
    if twice := sorted({path for path in paths if paths.count(path) > 1}):
        raise ValueError(f"parameter {parameter!r} names {twice} more than once")
    which: Any = {"name": name, "options": options, "seed": seed, "parameter": parameter}
    loaded = [load_or_init(path, preset, dataset, folder, **which) for path in paths or [""]]
    for path, checkpoint in zip(paths, loaded, strict=False):
        own = checkpoint.system.options
        for wanted in options.split():
            key = wanted.partition("=")[0]
            if (found := format_options({key: own.get(key)})) != wanted:
                raise ValueError(f"parameter {parameter!r}: {path} has {found}, not {wanted}")
    first = loaded[0].system
    for path, checkpoint in zip(paths[1:], loaded[1:], strict=True):
        other = checkpoint.system
        pairs = {
            "system": (first.name, other.name),
            "keypoints": (first.skeleton.keypoints, other.skeleton.keypoints),
            "size": (first.input_size, other.input_size),
            "options": (dict(first.options), dict(other.options)),
        }
        if differing := [what for what, (one, two) in pairs.items() if one != two]:
            raise ValueError(
                f"parameter {parameter!r}: {path} and {paths[0]} are not trainings of one system; "
                f"they differ in {', '.join(differing)}"
            )
    return loaded


def load_methods(
    given: Mapping[str, tuple[str, str, str, str]],
    preset: str,
    dataset: str,
    folder: str = "",
    *,
    seed: int = 0,
    needed: Sequence[str] = (),
) -> dict[str, list[System]]:
    """Load the systems of several methods, each trained with one or more seeds.

    Args:
        given: by the name of a method, the name of its system, the files and options as in
            ``load_seeds``, and the notebook's parameter that holds the files. Methods without files
            are left out, unless none has any.
        preset, dataset, folder, seed: see ``load_seeds``.
        needed: methods that are not left out.

    Raises:
        FileNotFoundError: a file is absent.
        ValueError: as ``load_seeds``.
    """
    none = not any(files for _, files, _, _ in given.values())
    loaded: dict[str, list[System]] = {}
    for method, (name, files, options, parameter) in given.items():
        if files or none or method in needed:
            which: Any = {"name": name, "options": options, "seed": seed, "parameter": parameter}
            several = load_seeds(files, preset, dataset, folder, **which)
            loaded[method] = [checkpoint.system for checkpoint in several]
    return loaded


def evaluation_set(
    name: str,
    preset: Preset,
    folder: Path | str,
    skeleton: Skeleton,
    split: Split = "test",
    *,
    size: int | None = None,
) -> tuple[KeypointDataset, str]:
    """Open a dataset for a system of a given skeleton.

    Args:
        name, folder: see ``open_dataset``.
        preset: configuration and number of synthetic scenes.
        skeleton: of the system; synthetic people get it, real ones must have it.
        split: ``"test"``, or ``"train"`` for the images that the system was trained on.
        size: of synthetic scenes, px, such as the input size of the system; None for the preset's.

    Returns:
        The images, synthetic ones cached in memory, and their description, such as ``"300
        synthetic scenes, 5 to 7 people, crowd index 0 to 1, 128 px"``.

    Raises:
        FileNotFoundError: a file of the dataset is absent.
        ValueError: as ``open_dataset``, or the people of a real dataset have other keypoints.
    """
    dataset = preset.at_size(size).open_dataset(name, split, folder)
    if isinstance(dataset, SyntheticScenes):
        # Scenes follow from configuration and seed: the same people with the skeleton's keypoints.
        dataset = SyntheticScenes(dataset.config, len(dataset), dataset.seed, skeleton)
    elif isinstance(dataset, SyntheticClips):
        count = len(dataset) // dataset.config.frames
        dataset = SyntheticClips(dataset.config, count, dataset.seed, skeleton)
    elif dataset.skeleton.keypoints != skeleton.keypoints:
        raise ValueError(
            f"dataset {name!r} annotates skeleton {dataset.skeleton.name!r}, but the checkpoint "
            f"predicts {skeleton.name!r}: their keypoints differ"
        )
    return cache_in_memory(dataset), describe(dataset, name)


def describe(dataset: SampleSource, name: str) -> str:
    """Return the number and kind of a dataset's images in words; synthetic ones need no name."""
    if not isinstance(dataset, SyntheticScenes | SyntheticClips):
        return f"{counted(len(dataset), 'image')} of {name}"
    config, words = dataset.config, [counted(len(dataset), "synthetic scene")]
    if isinstance(dataset, SyntheticClips):
        clips = len(dataset) // dataset.config.frames
        each = counted(dataset.config.frames, "frame")
        words = [f"{counted(clips, 'synthetic clip')} of {each}"]
    words.append("1 person" if config.people == (1, 1) else f"{_span(*config.people)} people")
    if config.crowd_range is not None:
        words.append(f"crowd index {_span(*config.crowd_range)}")
    return ", ".join([*words, f"{config.size} px"])


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
