"""Options of systems under the names that they had in checkpoints and runs of older versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OLD_OPTION_NAMES = {
    "fence_over": "outlier_scope",
    "easy": "ohkm_rest",
    "missing": "missing_keypoints",
    "nearness": "distance_reduction",
    "top_share": "top_weight",
    "nms_share": "nms_fraction",
    "decrease": "scale_decrease",
    "least_area": "min_area",
    "partner": "assignment",
}
OLD_OPTION_VALUES = {
    "distance_reduction": {"least": "min"},
    "assignment": {"reach": "max"},
    "frame": {"centre": "center"},
    "start": {"centre": "center"},
    "subpixel": {"neighbour": "neighbor"},
}


def with_current_names(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a system with names and values of older versions replaced."""
    renamed = {OLD_OPTION_NAMES.get(name, name): options[name] for name in options}
    return {
        name: OLD_OPTION_VALUES.get(name, {}).get(value, value) if isinstance(value, str) else value
        for name, value in renamed.items()
    }
