"""Ways of testing one network: how its outputs are decoded, and at which scales it looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from poselib.analysis.inspect_image import with_switches
from poselib.engine.evaluate import Evaluation, LabeledImages, score
from poselib.engine.predict import PredictOptions, predict_variants
from poselib.experiments.peak_matching import match_distance_for
from poselib.systems import Switch, System


@dataclass(frozen=True)
class Variant:
    """A way of testing a network.

    Attributes:
        name: what its row is called.
        switches: of the decoding; a system that lacks one cannot be tested so.
        off: switches of the decoding that are off where a system has them.
        scales: of the image, as in ``PredictOptions``.
    """

    name: str
    switches: Mapping[str, Switch] = field(default_factory=dict)
    off: tuple[str, ...] = ()
    scales: tuple[float, ...] = (1.0,)

    def fits(self, system: System) -> bool:
        """Whether a system can be tested so."""
        return set(self.switches) <= set(system.switches)

    def decoding(self, system: System, size: int) -> System:
        """Return the same weights with the decoding of this way.

        Args:
            system: one that fits.
            size: px of the short side of the network input: matching to peaks reaches as far as
                ``match_distance_for`` says for it.
        """
        changes = {name: False for name in self.off if name in system.switches} | {**self.switches}
        if changes.get("match"):
            changes["match_distance"] = match_distance_for(size)
        return with_switches(system, **changes)


def evaluate_variants(
    system: System,
    dataset: LabeledImages,
    options: PredictOptions,
    ways: Sequence[Variant],
    *,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> list[tuple[Variant, Evaluation]]:
    """Evaluate a network in those ways of testing that fit it, in their order.

    Ways of the same scales share one look at each image.

    Args:
        system: trained.
        dataset: labeled images of its skeleton.
        options: how images are presented, but for ``scales``.
        ways: of different names.
        device: where the network runs; where its weights are if not given.
        progress: show a bar for each choice of scales.

    Raises:
        ValueError: no way fits, or nobody is annotated; before anything is predicted.
    """
    fitting = [way for way in ways if way.fits(system)]
    if not fitting:
        names = ", ".join(repr(way.name) for way in ways)
        raise ValueError(f"system {system.name!r} cannot be tested in any of these ways: {names}")
    dataset.ground_truth()  # refused before the network looks at all images
    found = {}
    for scales in dict.fromkeys(way.scales for way in fitting):
        alike = [way for way in fitting if way.scales == scales]
        systems = [way.decoding(system, options.size) for way in alike]
        look = replace(options, scales=scales)
        poses = predict_variants(systems, dataset, look, device=device, progress=progress)
        for way, each in zip(alike, poses, strict=True):
            found[way.name] = score(system, dataset, each)
    return [(way, found[way.name]) for way in fitting]
