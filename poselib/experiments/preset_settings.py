"""What the preset among a notebook's parameters resolves to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from poselib.experiments.plain import plain

if TYPE_CHECKING:
    from poselib.papers.preset import Preset

_DIGITS = 8


def settings_digest(params: Mapping[str, Any]) -> str:
    """Return a digest of what the preset among a notebook's parameters resolves to.

    It is empty where there is none, or where it does not apply any more.
    """
    preset = _preset(params)
    if preset is None:
        return ""
    text = json.dumps(plain(preset, "preset"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def starts_bundled(params: Mapping[str, Any]) -> bool:
    """Whether a run needs the bundled weights: all but trainings that start from others may."""
    if "pretrained" not in params:
        return True
    source, preset = params["pretrained"], _preset(params)
    if source is None:
        source = preset.pretrained if preset is not None else ""
    return "bundled" in str(source).split(",")


def _preset(params: Mapping[str, Any]) -> Preset | None:
    if not params.get("preset"):
        return None
    # Imported here, as torch with it: who only reads runs, as workers of sweeps do, needs neither.
    from poselib.papers.presets import get_preset

    name = params.get("system") or params.get("paper") or "hae"
    try:
        return get_preset(
            params["preset"],
            params.get("dataset") or "",
            name,
            size=params.get("size") or 0,
            translation=params.get("translation"),
        )
    except (ValueError, TypeError):
        return None
