"""Test variants: one trained network, decoded with other options or tested at other scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from poselib.systems import OptionValue, System, rebuild

# DEKR's code matches within 75 px of inputs whose short side has 512 or 640 px.
_MATCH_DISTANCE, _SIZE = 75.0, 512


@dataclass(frozen=True)
class Variant:
    """A test variant of a trained network.

    Attributes:
        name: label of its row in a table.
        options: decoding options that replace the system's own. A system that lacks one of them
            does not support the variant.
        off: options of the decoding that are switched off where a system has them.
        scales, renew: image scales, and frames after which a video network starts anew, as in
            ``PredictOptions``.
    """

    name: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    off: tuple[str, ...] = ()
    scales: tuple[float, ...] = (1.0,)
    renew: int | None = None

    def supports(self, system: System) -> bool:
        """Return whether a system has all options of this variant, and a state to renew."""
        return set(self.options) <= set(system.options) and (self.renew is None or system.clips)

    def apply(self, system: System, size: int) -> System:
        """Return a system with the same network and the decoding of this variant.

        Args:
            system: one that the variant supports.
            size: short side of the network input, px. Peak matching reaches as far as
                ``match_distance_for`` returns for it, unless ``options`` set ``match_distance``.
        """
        changes: dict[str, OptionValue] = dict.fromkeys(set(self.off) & set(system.options), False)
        if self.options.get("match"):
            changes["match_distance"] = match_distance_for(size)
        return with_options(system, **{**changes, **self.options})


def usual_variants(system: System, order: OptionValue = "dataset") -> tuple[Variant, ...]:
    """Return the ways of testing a network that are compared where no paper says which.

    They are progressive grouping and a fixed ``order``, or regressed poses as they are and matched
    to heatmap peaks; of a video network the state kept throughout a video and renewed as in its
    training; of others the one that it has.
    """
    if "progressive" in system.options:
        fixed = Variant(f"fixed order ({order})", {"progressive": False, "order": order})
        return Variant("progressive", {"progressive": True}), fixed
    if "match" in system.options:
        matched = Variant("matched to heatmaps", {"match": True})
        return Variant("regression", {"match": False}), matched
    if system.clips:
        renewed = Variant(f"renewed every {system.frames} frames", renew=system.frames)
        return Variant("state kept"), renewed
    return (Variant("as trained"),)


def with_options(system: System, **changes: OptionValue) -> System:
    """Return a system with the same network and other options, such as another decoding.

    Raises:
        ValueError: an option is unknown or needs another network.
    """
    other = rebuild(system, **changes)
    weights, expected = system.model.state_dict(), other.model.state_dict()
    if {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in expected.items()}:
        raise ValueError(f"{changes} make another network: its weights have other names or shapes")
    return replace(other, model=system.model)


def match_distance_for(size: int) -> float:
    """Return the distance, px, within which a keypoint is matched to a heatmap peak.

    It is the published one for network inputs with a short side of 512 px or more, and
    proportionally less for smaller ones, on which people are smaller.
    """
    return _MATCH_DISTANCE * min(1.0, size / _SIZE)
