"""Parameters of trainings under their former names, in saved runs and sweep files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from poselib.engine.old_options import OLD_OPTION_NAMES, with_current_names
from poselib.experiments.parameters import format_options, parse_options

# Options of HAE that were parameters of 03_train before all options were one parameter.
_SINGLE_OPTIONS = (
    *("host", "backbone", "hierarchical", "hierarchy", "high_weight", "focal", "mining", "alpha"),
    *("hardest", "fence_over", "focal_levels", "missing", "per_keypoint", "push_sigma"),
    *("push_factor", "push_weight", "pull_weight", "progressive", "order"),
)
_FORMER = ("switches", *_SINGLE_OPTIONS)
_TRAINING = ("preset", "system", "dataset", "skeleton", "seed", "seconds", "steps", "pretrained")


def convert_rows(
    common: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the parameters of a sweep with the options of the system as one string, ``options``.

    Former sweep files set some of HAE's options one by one, and others in ``switches``.
    """
    shared = {name: value for name, value in common.items() if name in _FORMER}
    kept = {name: value for name, value in common.items() if name not in _FORMER}
    return kept, {name: _with_options({**shared, **row}) for name, row in rows.items()}


def _with_options(parameters: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in parameters.items() if name not in _FORMER}
    former = {name: parameters[name] for name in _SINGLE_OPTIONS if name in parameters}
    options = {name: value for name, value in former.items() if value is not None}
    options |= parse_options(str(parameters.get("switches", "")))
    options |= parse_options(str(parameters.get("options", "")))
    return {**kept, "options": format_options(with_current_names(options))} if options else kept


def convert_run(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a saved run as they would be recorded today.

    Former trainings recorded each option of the system beside the other parameters.
    """
    if name != "train" or not {*_FORMER, *OLD_OPTION_NAMES} & set(params):
        return dict(params)
    kept = {key: value for key, value in params.items() if key in _TRAINING}
    options = {
        key: value
        for key, value in params.items()
        if key not in (*_TRAINING, "switches") and not (value is None and key in _SINGLE_OPTIONS)
    }
    options |= parse_options(str(params.get("switches", "")))
    return {**kept, "options": format_options(with_current_names(options))}
