"""Complete systems, one file a paper."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from poselib.skeleton import Skeleton
from poselib.systems import hae
from poselib.systems.system import LossTerms, Switch, System

SYSTEMS: dict[str, Callable[..., System]] = {"hae": hae.build}


def known_switches(name: str) -> dict[str, Switch]:
    """Return the switches of a system with their defaults; raises ValueError if it is unknown."""
    if name not in SYSTEMS:
        raise ValueError(f"unknown system {name!r}; known: {sorted(SYSTEMS)}")
    parameters = inspect.signature(SYSTEMS[name]).parameters
    return {key: p.default for key, p in parameters.items() if key != "skeleton"}


def build(name: str, skeleton: Skeleton, **switches: Switch) -> System:
    """Build a system for a skeleton.

    Args:
        name: key in ``SYSTEMS``.
        skeleton: the keypoints to predict.
        **switches: keyword arguments of the system's own ``build``.

    Raises:
        ValueError: the system or a switch is unknown; the message lists the known ones.
    """
    known = known_switches(name)
    unknown = sorted(set(switches) - set(known))
    if unknown:
        raise ValueError(
            f"system {name!r} has no switch {', '.join(map(repr, unknown))}; "
            f"known: {', '.join(known)}"
        )
    return SYSTEMS[name](skeleton, **switches)


__all__ = ["SYSTEMS", "LossTerms", "Switch", "System", "build", "known_switches"]
