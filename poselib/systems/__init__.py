"""Complete systems, one file for each paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from poselib.ops.field_types import check_field_types
from poselib.skeletons import Skeleton, get_skeleton
from poselib.systems import dekr, grm, hae, jre, logocap, rpstn
from poselib.systems.regression import RegressionSystemOptions
from poselib.systems.system import LossTerms, OptionValue, System, as_mapping
from poselib.wording import meant

# Options that count layers. A damaged description would otherwise have them built for hours.
_LAYERS = {"blocks", "deconv_blocks", "stacks", "depth", "message_layers", "propagator_layers"}
_LAYERS |= {"relation_convs"}
_MOST_LAYERS = 100
SYSTEMS: Mapping[str, Callable[[Skeleton, Any], System]] = {
    "hae": hae.build,
    "dekr": dekr.build,
    "grm": grm.build,
    "logocap": logocap.build,
    "rpstn": rpstn.build,
    "jre": jre.build,
}
# The options of each system; where it has a choice of heads, by the head that is not the default.
_OPTIONS: Mapping[tuple[str, str], type[Any]] = {
    ("hae", ""): hae.HaeOptions,
    ("dekr", ""): RegressionSystemOptions,
    ("grm", ""): grm.GrmOptions,
    ("grm", "associative"): grm.GrmAssociativeOptions,
    ("logocap", ""): logocap.LogocapOptions,
    ("rpstn", ""): rpstn.RpstnOptions,
    ("jre", ""): jre.JreOptions,
}


def known_options(name: str, head: OptionValue = "") -> dict[str, OptionValue]:
    """Return the options of a system with their defaults.

    Args:
        name: key in ``SYSTEMS``.
        head: of the system, if it has a choice; its options depend on it.

    Raises:
        ValueError: the system is unknown.
    """
    return as_mapping(_options_type(name, head)())


def build(name: str, skeleton: Skeleton | str | Path, **options: OptionValue) -> System:
    """Build a system for a skeleton.

    Args:
        name: key in ``SYSTEMS``.
        skeleton: the keypoints to predict, or the name or file of their skeleton, see
            ``get_skeleton``.
        **options: of the system; the dataclass of options in its file says what each means.

    Raises:
        ValueError: the system, the skeleton or an option is unknown, and the message lists the
            known ones; or a value is of another type or out of range.

    Example:
        >>> from poselib.skeletons import COCO
        >>> system = build("dekr", COCO, backbone="hrnet_tiny", adaptive=False)
        >>> system.options["adaptive"], system.options["radius"]
        (False, 4.0)
    """
    checked = check_options(name, options)
    if isinstance(skeleton, str | Path):
        skeleton = get_skeleton(skeleton)
    if not isinstance(skeleton, Skeleton):
        raise ValueError(f"a Skeleton or its name is wanted, not {skeleton!r}")
    return SYSTEMS[name](skeleton, checked)


def check_options(name: str, options: Mapping[str, OptionValue]) -> Any:
    """Return the options of a system as its dataclass, others with their defaults.

    Raises:
        ValueError: the system or an option is unknown, and the message lists the known ones; or a
            value is of another type, or seen to be out of range before the system is built.
    """
    kind = _options_type(name, options.get("head", ""))
    known = [field.name for field in fields(kind)]
    # Text says "none" for what is no number and for the option of that name.
    words = {field.name for field in fields(kind) if isinstance(field.default, str)}
    options = {
        key: "none" if value is None and key in words else value for key, value in options.items()
    }
    if unknown := sorted(set(options) - set(known)):
        listed = ", ".join(map(repr, unknown))
        like = meant(unknown[0], known) or ";"
        raise ValueError(f"system {name!r} has no option {listed}{like} known: {', '.join(known)}")
    try:
        check_field_types(kind, options)
    except ValueError as error:
        raise ValueError(f"system {name!r}: {error}") from error
    for key in _LAYERS & set(options):
        if int(options[key] or 0) > _MOST_LAYERS:
            raise ValueError(
                f"system {name!r}: {key} must be {_MOST_LAYERS} at most, not {options[key]}"
            )
    return kind(**options)


def rebuild(system: System, **changes: OptionValue) -> System:
    """Build a system again, with new weights and some options changed, for images of the same size.

    Raises:
        ValueError: an option is unknown; the message lists the known ones.
    """
    other = build(system.name, system.skeleton, **{**system.options, **changes})
    return replace(other, input_size=system.input_size, multiple=system.multiple)


def _options_type(name: str, head: OptionValue) -> type[Any]:
    if name not in SYSTEMS:
        raise ValueError(f"unknown system {name!r}; known: {sorted(SYSTEMS)}")
    return _OPTIONS.get((name, str(head)), _OPTIONS[name, ""])


__all__ = [
    "SYSTEMS",
    "LossTerms",
    "OptionValue",
    "System",
    "build",
    "check_options",
    "known_options",
    "rebuild",
]
