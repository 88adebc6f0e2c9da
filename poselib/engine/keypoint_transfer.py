"""Start of a training from a network of other keypoints: kept by name, the rest new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from poselib.skeleton_rules import Side, letters, split_side
from poselib.skeletons import Skeleton
from poselib.systems import System, build

# Where channels of keypoints lie in a tensor: those of one keypoint beside each other ...
_BRANCHES = ("head_offset.", "transition_offset.")
_TOGETHER = (*_BRANCHES, "final_layer_reg.", "joints_mlp.0.")
# ... or, of all other tensors, one map after another of all keypoints. Channels that belong to no
# keypoint come before those of maps here, and behind them elsewhere, as the map of centers.
_BEHIND_FEATURES = ("deconv_layers.",)
_Pairs = list[tuple[int, int]]


@dataclass(frozen=True)
class TransferReport:
    """What a network took over from another one.

    Attributes:
        whole: tensors that were copied.
        part: tensors of which the channels of some keypoints were copied.
        of: how many tensors the network has.
        kept, new: names of the keypoints whose channels come from the other, and of the others.
    """

    whole: int
    part: int
    of: int
    kept: tuple[str, ...]
    new: tuple[str, ...]

    def __str__(self) -> str:
        def listed(names: Sequence[str]) -> str:
            return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")

        text = f"kept {self.whole + self.part} of {self.of} tensors"
        if not self.part:
            return text + ("" if self.whole == self.of else "; the heads are new")
        count = len(self.kept) + len(self.new)
        parts = [f"{listed(self.kept)} from the file"] if self.kept else []
        parts += [f"{listed(self.new)} new"] if self.new else []
        return f"{text}; head of {count} keypoints: {', '.join(parts)}"


def start_from(system: System, source: System) -> TransferReport:
    """Copy the weights of another system that have a place in this one.

    Tensors of the same name and shape are copied. Of those that depend on the number of keypoints,
    the channels of keypoints with the same name in both skeletons, in whatever spelling
    (``left_wrist``, ``LWrist``), are copied, and the others keep their initial values.

    Args:
        system: whose model is changed.
        source: a trained system of any keypoints; its backbone must be the same.

    Raises:
        ValueError: less than half of the tensors have a place.
    """
    own, theirs = system.model.state_dict(), source.model.state_dict()
    larger = _with_one_more(system)
    mine, other = system.skeleton.keypoints, source.skeleton.keypoints
    pairs = [
        (k, place) for k, name in enumerate(mine) if (place := _place(name, other)) is not None
    ]
    options, whole, part = system.options, 0, 0
    grouped = options.get("branches", "none") != "none" and bool(options.get("separate"))
    for name, value in own.items():
        given = theirs.get(name)
        if given is None or given.ndim != value.ndim:
            continue
        grown = [size - before for size, before in zip(larger[name], value.shape, strict=True)]
        if not any(grown) or mine == other:
            if given.shape == value.shape:
                value.copy_(given)
                whole += 1
        elif name.startswith(_BRANCHES) and grouped:
            continue  # a branch of several keypoints has channels of all of them
        elif _copy_keypoints(name, value, given, grown, pairs, (len(mine), len(other))):
            part += 1
    if 2 * (whole + part) < len(own):
        raise ValueError(
            f"only {whole + part} of {len(own)} tensors of system {system.name!r} "
            f"({_network(system)}) are in {source.name!r} ({_network(source)}): "
            "the backbones differ"
        )
    known = {mine[k] for k, _ in pairs} if part or mine == other else set()
    kept = tuple(name for name in mine if name in known)
    return TransferReport(whole, part, len(own), kept, tuple(n for n in mine if n not in known))


def _spelling(name: str) -> tuple[Side, str]:
    """Return what all spellings of a keypoint's name have in common."""
    side, part = split_side(name)
    return side, letters(part)


def _place(name: str, names: Sequence[str]) -> int | None:
    """Return the number of the keypoint of this name, or of the only one in another spelling."""
    if name in names:
        return names.index(name)
    alike = [k for k, other in enumerate(names) if _spelling(other) == _spelling(name)]
    return alike[0] if len(alike) == 1 else None


def _network(system: System) -> str:
    options = system.options
    return str(options.get("backbone") or options.get("host") or "another network")


def _with_one_more(system: System) -> dict[str, torch.Size]:
    """Return the shapes of the same network for one more keypoint."""
    skeleton = system.skeleton
    extra = next(f"extra {n}" for n in range(len(skeleton) + 1) if f"extra {n}" not in
                 skeleton.keypoints)  # fmt: skip
    groups = {name: (*parts[:-1], (*parts[-1], extra)) for name, parts in skeleton.groups.items()}
    grown = Skeleton(
        name="one more",
        keypoints=(*skeleton.keypoints, extra),
        sigmas=(*skeleton.sigmas, skeleton.sigmas[-1]),
        flip_pairs=skeleton.flip_pairs,
        limbs=skeleton.limbs,
        groups=groups,
    )
    with torch.random.fork_rng(devices=()):  # chance goes on as if this had not been built
        model = build(system.name, grown, **system.options).model
    return {name: value.shape for name, value in model.state_dict().items()}


def _copy_keypoints(
    name: str,
    value: Tensor,
    given: Tensor,
    grown: Sequence[int],
    pairs: _Pairs,
    counts: tuple[int, int],
) -> bool:
    """Copy channels of keypoints into a tensor; return whether there was a place for them.

    Args:
        grown: by how many channels each axis grows with one more keypoint.
        pairs: the numbers of each keypoint here and there.
        counts: keypoints of both.
    """
    to: list[list[int]] = []
    fro: list[list[int]] = []
    for axis, each in enumerate(grown):
        rest = value.shape[axis] - each * counts[0]
        if rest < 0 or given.shape[axis] != each * counts[1] + rest:
            return False
        to.append(_channels(name, [k for k, _ in pairs], each, rest, counts[0]))
        fro.append(_channels(name, [k for _, k in pairs], each, rest, counts[1]))
    here, there = (
        torch.meshgrid(*[torch.tensor(rows, dtype=torch.long) for rows in axes], indexing="ij")
        for axes in (to, fro)
    )
    if not here[0].numel():
        return False
    value[here] = given[there].to(value)
    return True


def _channels(name: str, keypoints: list[int], each: int, rest: int, count: int) -> list[int]:
    """Return the channels of some keypoints on an axis, and those that belong to none."""
    if each == 0:
        return list(range(rest))
    if name.startswith(_TOGETHER):
        return [k * each + n for k in keypoints for n in range(each)]
    first = rest if name.startswith(_BEHIND_FEATURES) else 0
    others = range(rest) if first else range(each * count, each * count + rest)
    return [first + n * count + k for n in range(each) for k in keypoints] + list(others)
