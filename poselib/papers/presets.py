"""Complete settings of a training and its evaluation, by the names that notebooks take.

``smoke`` takes seconds and only shows that everything runs; ``demo`` trains for five minutes on
two cores; ``small`` trains for an hour on scenes of a few people, which made the bundled
checkpoint, and for two to seven minutes of one core on the data of ablations, crowds, groups and
clips; ``paper`` is the recipe of the paper, on the real dataset.
"""

from __future__ import annotations

from dataclasses import replace

from poselib.papers.catalog import get_paper
from poselib.papers.common_presets import COMMON_PRESETS
from poselib.papers.preset import Preset
from poselib.papers.preset_names import PRESETS

__all__ = ["PRESETS", "get_preset"]


def get_preset(
    name: str,
    dataset: str = "",
    system: str = "hae",
    *,
    size: int = 0,
    translation: float | None = None,
) -> Preset:
    """Return a preset for a system and, if one is given, a dataset.

    What the paper of the system says takes precedence over what all papers share.

    Args:
        name: one of ``PRESETS``.
        dataset: key of ``data.catalog.DATASETS`` or a kind of synthetic scenes.
        system: key of ``poselib.systems.SYSTEMS``.
        size: see ``Preset.at_size``; the papers train networks on HRNet-W48 at 640 px.
        translation: see ``data.augmentation.Augment``; None for the preset's.

    Raises:
        ValueError: the preset or the system is unknown, and the message lists the known ones; or
            the size does not fit.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    paper = get_paper(system)
    preset = next(
        presets[key]
        for presets in (paper.presets, COMMON_PRESETS)
        for key in ((name, dataset), (name, ""))
        if key in presets
    )
    own = paper.dataset_options.get((name, dataset), {})
    moved = {} if translation is None else {"translation": translation}
    return replace(
        preset.at_size(size),
        options={**paper.options[name], **own},
        augment={**preset.augment, **moved},
    )
