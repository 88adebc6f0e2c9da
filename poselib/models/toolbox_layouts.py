"""How files of mmpose name and order the parameters of networks, and back.

mmpose keeps a network as ``backbone.`` and a head: ``keypoint_head.`` in its versions 0.x,
``head.`` in 1.x. A network tells by ``toolbox_rules`` what its own names become there, and what
else differs: the order of rows, a sign, a constant that is added. The rules are read in both
directions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from poselib.ops.weights_io import Weights

Version = Literal["0.x", "1.x"]

HEADS: dict[Version, str] = {"0.x": "keypoint_head.", "1.x": "head."}
BACKBONE = "backbone."
# What stands before all names of a file: parallel wrappers and averages of a training.
_WRAPPERS = ("_orig_mod.", "module.", "model.")
# What files hold beside the weights: constants of images and losses, averages that mmcv keeps, and
# the coordinates of a kernel's taps.
_EXTRAS = ("data_preprocessor.", "ema_", *(f"{head}loss" for head in HEADS.values()))
_CONSTANT = "regular_matrix"


@dataclass(frozen=True)
class Change:
    """What becomes of a parameter's values: rows, or columns, are ordered, scaled and moved.

    Attributes:
        order: for each row here, its row there.
        factors: what the ordered rows are multiplied by; 1 or -1 each, or one for all.
        shift: what is added to them afterwards.
        axis: 0 for rows, 1 for columns.
    """

    order: tuple[int, ...]
    factors: tuple[float, ...] = (1.0,)
    shift: tuple[float, ...] = (0.0,)
    axis: int = 0

    def to_ours(self, value: Tensor) -> Tensor:
        """Change values of mmpose; those of another size, which fit nowhere, stay."""
        if not self._fits(value):
            return value
        order = torch.tensor(self.order, device=value.device)
        return value.index_select(self.axis, order) * self._row(self.factors, value) + self._row(
            self.shift, value
        )

    def to_theirs(self, value: Tensor) -> Tensor:
        """Undo ``to_ours``."""
        order = torch.tensor(self.order, device=value.device).argsort()
        moved = (value - self._row(self.shift, value)) * self._row(self.factors, value)
        return moved.index_select(self.axis, order)

    def _fits(self, value: Tensor) -> bool:
        known = isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta
        return known and value.ndim > self.axis and value.shape[self.axis] == len(self.order)

    def _row(self, numbers: tuple[float, ...], value: Tensor) -> Tensor:
        shape = [1] * value.ndim
        shape[self.axis] = len(numbers)
        return torch.tensor(numbers, dtype=value.dtype, device=value.device).view(shape)


@dataclass(frozen=True)
class Rule:
    """What parameters are called here and in mmpose, by what their names begin with.

    Attributes:
        ours: a name, or its beginning with a dot behind it; empty for all names that are left.
        theirs: the same in mmpose.
        change: of the values, if they differ.
    """

    ours: str
    theirs: str
    change: Change | None = None


@runtime_checkable
class HasToolboxLayout(Protocol):
    """A network that mmpose has too."""

    def toolbox_rules(self, version: Version) -> tuple[Rule, ...]:
        """Return what parameters are called there, special names before general ones.

        None if that version has no such network.
        """
        ...


def toolbox_version(weights: Mapping[str, object]) -> Version | None:
    """Return which of mmpose's layouts names are in; None if in neither."""
    names = [_bare(name) for name in weights]
    if any(".displacement_conv_layers." in name for name in names):
        return "1.x"
    if any(name.startswith((HEADS["0.x"], f"{BACKBONE}hourglass_modules.")) for name in names):
        return "0.x"
    trunk = any(name.startswith(BACKBONE) for name in names)
    return "1.x" if trunk and any(name.startswith(HEADS["1.x"]) for name in names) else None


def from_toolbox(weights: Weights, model: nn.Module) -> Weights:
    """Return weights of mmpose under the names, and in the order, that a network has here.

    Args:
        weights: of a file of mmpose, either version; of other files they are returned as they are.
        model: the network that they are for; its own weights are not touched.

    Returns:
        The weights. What is no weight of the network is left out; names that no rule has stay.
    """
    version = toolbox_version(weights)
    if version is None or not isinstance(model, HasToolboxLayout):
        return weights
    rules, found = model.toolbox_rules(version), {}
    ranked = any(rule.ours.startswith("scoring.") for rule in rules)
    for name, value in weights.items():
        name = _bare(name)
        left_out = name.startswith(_EXTRAS) or name.endswith(_CONSTANT)
        if left_out or (not ranked and "rescore_net." in name):
            continue
        rule = next((rule for rule in rules if name.startswith(rule.theirs)), None)
        if rule is not None:
            name = rule.ours + name.removeprefix(rule.theirs)
            value = rule.change.to_ours(value) if rule.change else value
        found[name] = value
    return found


def to_toolbox(weights: Weights, model: nn.Module, version: Version) -> Weights:
    """Return a network's weights as mmpose names and orders them.

    Constant buffers that mmpose makes by itself are left out.

    Args:
        weights: of ``model.state_dict()``.
        model: the network, whose own weights are not touched.
        version: of mmpose.

    Raises:
        ValueError: mmpose has no such network, or none with these parameters.
    """
    rules = model.toolbox_rules(version) if isinstance(model, HasToolboxLayout) else ()
    found = {}
    for name, value in weights.items():
        rule = next((rule for rule in rules if name.startswith(rule.ours)), None)
        if rule is None or (not rule.ours and name.startswith(("relation.", "scoring."))):
            kind = type(model).__name__
            raise ValueError(f"mmpose {version} has no {kind} with a parameter {name!r}")
        changed = rule.change.to_theirs(value) if rule.change else value
        found[rule.theirs + name.removeprefix(rule.ours)] = changed
    return found


def _bare(name: str) -> str:
    """Strip wrappers from a name."""
    prefix = next((p for p in _WRAPPERS if name.startswith(p)), "")
    return _bare(name.removeprefix(prefix)) if prefix else name
