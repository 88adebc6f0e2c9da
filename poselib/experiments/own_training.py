"""Training on a dataset of one's own: what it starts from, what it keeps, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from poselib.api import load
from poselib.engine.checkpoints import BUNDLED, load_checkpoint, stored_keypoints
from poselib.engine.keypoint_transfer import start_from
from poselib.experiments.own_dataset import OwnData
from poselib.experiments.training import init_system
from poselib.models.hrnet import HRNetTrunk
from poselib.papers.own_data import TINY, Wishes, own_preset, usual_options
from poselib.papers.preset import Options, Preset
from poselib.skeletons import Skeleton
from poselib.systems import OptionValue, System, known_options
from poselib.wording import counted

SYSTEM = "hae"  # of a user who names neither a system nor weights, and of the bundled model
NEW = "none"  # no weights to start from


@dataclass(frozen=True)
class Start:
    """What a training starts from.

    Attributes:
        name: of the system.
        options: of the system.
        source: a system whose weights are taken over, if there is one.
        pretrained: of the backbone alone, see ``init_system``; None for the usual one.
        about: the weights, in words.
    """

    name: str
    options: Options
    source: System | None = None
    pretrained: str | None = None
    about: str = ""


def find_start(
    init: str, system: str, backbone: str, options: Options, device: torch.device
) -> Start:
    """Return the system that is trained, and the weights that it starts from.

    Args:
        init: the name, file or folder of a trained model; or of a backbone's weights,
            ``"imagenet"`` or a file; ``"none"``; empty for the usual ones.
        system, backbone: names; empty for those of ``init``, or for a network that suits the
            device.
        options: of the system that replace those.

    Raises:
        FileNotFoundError: the weights are absent or cannot be downloaded.
        ValueError: a name or an option is unknown.
    """
    source, pretrained = None, None
    if init in (NEW, "imagenet"):
        pretrained = "" if init == NEW else init
    elif init:
        try:
            source = load(init).system
        except ValueError:
            if not Path(init).is_file() or stored_keypoints(Path(init)):
                raise
            pretrained = init  # of a backbone alone
    name = system or (source.name if source else SYSTEM)
    known_options(name)  # an unknown system is refused
    if source is not None and source.name == name and not backbone:
        usual: dict[str, OptionValue] = dict(source.options)
    else:
        same = str(source.options.get("backbone") or "") if source else ""
        wanted = str(options.get("backbone") or backbone or same)
        small = wanted.startswith(TINY) if wanted else device.type == "cpu"
        usual = {**usual_options(name, small)}
        usual |= {"backbone": wanted} if wanted and "backbone" in usual else {}
    about = f"{init!r}" if init else ""
    return Start(name, {**usual, **options}, source, pretrained, about)


def start_system(start: Start, preset: Preset, skeleton: Skeleton, seed: int) -> tuple[System, str]:
    """Build a system with the weights that it starts from; return it and what was kept, in words.

    Raises:
        FileNotFoundError, ValueError: as ``init_system`` and ``start_from``.
    """
    usual = start.source is None and start.pretrained is None
    bundled = usual and preset.pretrained == "bundled"
    pretrained = "" if start.source is not None or bundled else start.pretrained
    system = init_system(preset, skeleton, seed, start.name, pretrained=pretrained, **start.options)
    if start.source is not None:
        return system, f"start: {start.about}: {start_from(system, start.source)}"
    if bundled:
        known = f"start: {BUNDLED.stem!r}, of synthetic people"
        try:
            return system, f"{known}: {start_from(system, load_checkpoint().system)}"
        except ValueError:  # a light network has some of its layers, and others none
            if not isinstance(system.model, HRNetTrunk):
                return system, "start: new weights"
        system = init_system(preset, skeleton, seed, start.name, pretrained=None, **start.options)
        return system, f"{known}: the backbone"
    if usual:
        pretrained = preset.pretrained
    return system, f"start: backbone {pretrained}" if pretrained else "start: new weights"


def plan(start: Start, data: OwnData, device: torch.device, wishes: Wishes) -> Preset:
    """Return the settings that follow from the data, the start and the device.

    Raises:
        ValueError: as ``own_preset``.
    """
    sizes = data.train.table.sizes
    if sizes is None:
        sizes = tuple(data.train[n].size for n in range(min(20, len(data.train))))
    return own_preset(
        start.name,
        start.options,
        images=len(data.train),
        short_side=int(np.median([min(size) for size in sizes])),
        device=device,
        trained_size=None if start.source is None else _size_of(start.source),
        new_heads=(start.source.name if start.source else SYSTEM) != start.name,
        wishes=wishes,
    )


def _size_of(system: System) -> int | None:
    return system.input_size if system.crop is None else max(system.crop)


def describe_plan(system: System, preset: Preset, data: OwnData, device: torch.device) -> str:
    """Return in one line what will be trained, on what and how."""
    recipe = preset.recipe
    network = system.options.get("backbone") or system.options.get("host") or "its network"
    size = f"{preset.input_size} px" if system.crop is None else preset.predict.input_for(system)
    passes = f"{recipe.steps * recipe.batch_size / max(1, len(data.train)):.3g}"
    passes += " pass" if passes == "1" else " passes"
    return (
        f"{system.name} on {network}, {counted(len(system.skeleton), 'keypoint')}, {size}; "
        f"{counted(recipe.steps, 'step')} of {counted(recipe.batch_size, 'image')} "
        f"({passes} over {len(data.train)}), {recipe.optimizer} to {recipe.learning_rate:g}, "
        f"{device}, seed {recipe.seed}; validation on {data.about}"
    )
