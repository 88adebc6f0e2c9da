"""Complete systems, one file a paper."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from poselib.skeletons import Skeleton
from poselib.systems import dekr, grm, hae, logocap
from poselib.systems.regression import regression_system
from poselib.systems.system import LossTerms, Switch, System

SYSTEMS: dict[str, Callable[..., System]] = {
    "hae": hae.build,
    "dekr": dekr.build,
    "grm": grm.build,
    "logocap": logocap.build,
}
# What else a system takes, by its ``head`` where it has a choice: it hands these switches on.
_HOSTS: dict[str, Mapping[str, Callable[..., System]]] = {
    "dekr": {"": regression_system},
    "grm": {"": regression_system, "regression": regression_system, "associative": hae.build},
}


def known_switches(name: str, head: Switch = "") -> dict[str, Switch]:
    """Return the switches of a system with their defaults.

    Args:
        name: key in ``SYSTEMS``.
        head: of the system, if it has a choice; what it takes depends on it.

    Raises:
        ValueError: the system is unknown.
    """
    if name not in SYSTEMS:
        raise ValueError(f"unknown system {name!r}; known: {sorted(SYSTEMS)}")
    host = _HOSTS.get(name, {}).get(str(head))
    sources = (SYSTEMS[name], host) if host else (SYSTEMS[name],)
    known: dict[str, Switch] = {}
    for source in sources:
        for key, parameter in inspect.signature(source).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                known.setdefault(key, parameter.default)
    return known


def build(name: str, skeleton: Skeleton, **switches: Switch) -> System:
    """Build a system for a skeleton.

    Args:
        name: key in ``SYSTEMS``.
        skeleton: the keypoints to predict.
        **switches: keyword arguments of the system's own ``build``.

    Raises:
        ValueError: the system or a switch is unknown; the message lists the known ones.
    """
    known = known_switches(name, switches.get("head", ""))
    unknown = sorted(set(switches) - set(known))
    if unknown:
        raise ValueError(
            f"system {name!r} has no switch {', '.join(map(repr, unknown))}; "
            f"known: {', '.join(known)}"
        )
    return SYSTEMS[name](skeleton, **switches)


__all__ = ["SYSTEMS", "LossTerms", "Switch", "System", "build", "known_switches"]
