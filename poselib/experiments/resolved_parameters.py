"""What a notebook's parameters resolve to: the settings of a preset, weights and systems."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poselib.experiments.named_files import folders_read
from poselib.experiments.plain import plain
from poselib.ops.io import read_json

if TYPE_CHECKING:
    from poselib.papers.preset import Preset

_DIGITS = 8
PARAMS = "params.json"  # in the folder of a run
_BUNDLED, _BUNDLED_SYSTEM = "bundled", "hae"  # the model that comes with poselib


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
    return _BUNDLED in str(source).split(",")


def systems_built(
    params: Mapping[str, Any],
    others: Iterable[Mapping[str, Any]] = (),
    *,
    drawing: bool = True,
    folder: Path = Path(),
) -> set[str]:
    """Return the names of the systems that a notebook builds, as its parameters tell.

    Stated ones count, and for a run that states none, or for figures, those of the trained systems
    that parameters name. None at all means any, and so do weights whose run is not there.

    Args:
        others: the parameters of other runs that it reads, whose systems count for figures.
        drawing: whether it is for figures.
        folder: of the notebook, from which paths are relative.
    """
    found = _stated(params)
    if drawing or not found:
        files = [folder / each / PARAMS for each in folders_read(params)]
        if not found and not all(file.is_file() for file in files):
            return set()  # weights of one's own may be of any system
        trained = [read_json(file) for file in files if file.is_file()]
        bundled = (value == _BUNDLED for name, value in params.items() if name != "pretrained")
        found |= {_BUNDLED_SYSTEM} if any(bundled) else set()
        found = found.union(*map(_stated, [*trained, *others]))
    return found


def _stated(params: Mapping[str, Any]) -> set[str]:
    one = (params.get(name) for name in ("system", "paper", "baseline"))
    return {str(name) for name in (*one, *(params.get("systems") or ())) if name}


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
