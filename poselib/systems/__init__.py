"""Complete systems, one file a paper."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace

from poselib.skeletons import Skeleton
from poselib.systems import dekr, grm, hae, logocap
from poselib.systems.regression import regression_system
from poselib.systems.system import LossTerms, OptionValue, System

SYSTEMS: dict[str, Callable[..., System]] = {
    "hae": hae.build,
    "dekr": dekr.build,
    "grm": grm.build,
    "logocap": logocap.build,
}
# What else a system takes, by its ``head`` where it has a choice: it hands these options on.
_HOSTS: dict[str, Mapping[str, Callable[..., System]]] = {
    "dekr": {"": regression_system},
    "grm": {"": regression_system, "regression": regression_system, "associative": hae.build},
}


def known_options(name: str, head: OptionValue = "") -> dict[str, OptionValue]:
    """Return the options of a system with their defaults.

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
    known: dict[str, OptionValue] = {}
    for source in sources:
        for key, parameter in inspect.signature(source).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                known.setdefault(key, parameter.default)
    return known


def build(name: str, skeleton: Skeleton, **options: OptionValue) -> System:
    """Build a system for a skeleton.

    Args:
        name: key in ``SYSTEMS``.
        skeleton: the keypoints to predict.
        **options: keyword arguments of the system's own ``build``.

    Raises:
        ValueError: the system or an option is unknown; the message lists the known ones.
    """
    known = known_options(name, options.get("head", ""))
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"system {name!r} has no option {', '.join(map(repr, unknown))}; "
            f"known: {', '.join(known)}"
        )
    return SYSTEMS[name](skeleton, **options)


def rebuild(system: System, **changes: OptionValue) -> System:
    """Build a system again, with new weights and some options changed, for images of the same size.

    Raises:
        ValueError: an option is unknown; the message lists the known ones.
    """
    other = build(system.name, system.skeleton, **{**system.options, **changes})
    return replace(other, input_size=system.input_size, multiple=system.multiple)


__all__ = ["SYSTEMS", "LossTerms", "OptionValue", "System", "build", "known_options", "rebuild"]
