"""Checkpoints: files that hold a system's weights and the description to build it again."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from poselib.engine.export.check import check_network
from poselib.engine.export.network import ExportedNetwork, read_exported
from poselib.engine.old_options import with_current_names
from poselib.ops.file_kinds import HEAD, is_onnx
from poselib.ops.io import atomic_write, check_output, visible_files
from poselib.ops.weights_io import fit_report, read_stored
from poselib.skeletons import Skeleton, checked_name, from_stored, stored_form
from poselib.systems import System, build

# Trained on synthetic scenes by notebooks/03_train.ipynb; its provenance lies beside it.
BUNDLED = Path(__file__).parents[1] / "checkpoints" / "hae_tiny_synthetic.safetensors"
MODELS = {BUNDLED.stem: BUNDLED}

# Fields of a description that had other names in checkpoints of older versions.
_OLD_FIELDS = {"switches": "options", "size": "input_size"}


class BareWeightsError(ValueError):
    """A file holds weights without the description of a system."""


@dataclass(frozen=True)
class Checkpoint:
    """A system read from a file.

    Attributes:
        system: ready to predict.
        provenance: how it was trained, as recorded when it was saved.
    """

    system: System
    provenance: dict[str, Any] = field(default_factory=dict)


def save_system(path: Path, system: System, *, provenance: dict[str, Any] | None = None) -> None:
    """Write a system's weights and description as a safetensors file, atomically.

    Args:
        path: ends in ``.safetensors``.
        system: whose model's weights are written.
        provenance: anything that JSON can hold.

    Raises:
        OSError: the disk is full or broken; a file that was there stays as it was.
        ValueError: as ``check_target``, or the skeleton has the name of another.
    """
    check_target(path)
    description = description_of(system, str(path), provenance)
    weights = {k: v.detach().cpu().contiguous() for k, v in system.model.state_dict().items()}
    with atomic_write(Path(path), durable=True) as temporary:
        try:
            save_file(weights, temporary, metadata={"poselib": json.dumps(description)})
        except SafetensorError as error:
            raise OSError(f"{path}: cannot be written: {error}") from error


def description_of(
    system: System, name: str, provenance: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return what a file holds of a system besides its weights, as JSON can hold it.

    Raises:
        ValueError: the skeleton has the name of another; the message begins with ``name``.
    """
    checked_name(system.skeleton, name)
    return {
        "system": system.name,
        "skeleton": stored_form(system.skeleton),
        "keypoints": list(system.skeleton.keypoints),
        "options": dict(system.options),
        "input_size": system.input_size,
        "multiple": system.multiple,
        "provenance": provenance or {},
    }


def check_target(path: Path) -> None:
    """Check that a system can be saved to a file, before it is trained.

    Raises:
        ValueError: the name does not end in ``.safetensors``, or no such file can be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: a system is saved as .safetensors")
    check_output(path)


def load_checkpoint(path: Path | None = None, skeleton: Skeleton | None = None) -> Checkpoint:
    """Build a system from a file that ``save_system``, a training or an export wrote.

    Args:
        path: ``.safetensors``, or the ``checkpoint.pt`` of a training, or ``.onnx``, or a folder
            that holds one; the bundled system if not given.
        skeleton: if given, the checkpoint must be for this one.

    Raises:
        FileNotFoundError: the file is absent.
        ValueError: it is not a poselib checkpoint, or is one of another skeleton, or the folder
            does not hold one.
    """
    path = Path(path) if path is not None else BUNDLED
    if path.is_dir():
        path = _checkpoint_in(path)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {path} does not exist")
    description, weights = _read(path)
    try:
        description = {_OLD_FIELDS.get(key, key): value for key, value in description.items()}
        stored = _stored_skeleton(description)
        system = build(description["system"], stored, **with_current_names(description["options"]))
        system = replace(system, **_input_of(description))
    except Exception as error:  # a description can be wrong in many ways, or ask for all memory
        reason = str(error) if isinstance(error, ValueError) else repr(error)
        reason = textwrap.shorten(reason, 1000)
        raise ValueError(f"{path}: its system cannot be built here: {reason}") from error
    if skeleton is not None and skeleton.keypoints != stored.keypoints:
        raise ValueError(
            f"{path}: trained for skeleton {stored.name!r} with {len(stored)} keypoints, but "
            f"{skeleton.name!r} with {len(skeleton)} was expected"
        )
    provenance = description.get("provenance", {})
    if isinstance(weights, ExportedNetwork):
        check_network(weights, system)
        return Checkpoint(replace(system, model=weights), provenance)
    if report := fit_report(system.model.state_dict(), weights):
        raise ValueError(f"{path}: weights do not fit system {system.name!r}: {report}")
    system.model.load_state_dict(weights)
    system.model.eval()
    return Checkpoint(system, provenance)


def stored_keypoints(path: Path) -> tuple[str, ...]:
    """Return the names of the keypoints of a saved system; none of a file of bare weights.

    Raises:
        ValueError: the file cannot be read.
    """
    if not _is_exported(path):
        content, metadata = read_stored(path)
        if _training(content) is None and "poselib" not in (metadata or {}):
            return ()
    return _stored_skeleton(_read(path)[0]).keypoints


def _checkpoint_in(folder: Path) -> Path:
    """Return the one system in a folder: saved, or else of a training, or else exported."""
    found = visible_files(folder, "*.safetensors") or visible_files(folder, "*.pt")
    if not found:  # the files of parts have two suffixes
        found = [path for path in visible_files(folder, "*.onnx") if len(path.suffixes) == 1]
    if len(found) != 1:
        names = [path.name for path in found or sorted(folder.iterdir())]
        listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise ValueError(
            f"folder {folder} holds {len(found) or 'no'} checkpoints; give a .safetensors, .pt or "
            f".onnx file; it holds {listed or 'nothing'}"
        )
    return found[0]


def read_training(path: Path) -> dict[str, Any]:
    """Return what a training wrote into its ``checkpoint.pt``, on the CPU.

    Raises:
        ValueError: the file cannot be read or is not of a training.
    """
    state = _training(read_stored(path)[0])
    if state is None:
        raise ValueError(f"{path}: not a checkpoint that a training of poselib wrote")
    return state


def _training(content: Any) -> dict[str, Any] | None:
    """Return what a file holds if a training wrote it."""
    kinds = {"system": dict, "recipe": dict, "step": int, "model": Mapping}
    known = isinstance(content, dict) and all(
        isinstance(content.get(name), kind) for name, kind in kinds.items()
    )
    optional = (content.get(name) for name in ("average", "input")) if known else ()
    if not known or not all(isinstance(value, Mapping | None) for value in optional):
        return None
    return {**content, "system": with_current_names(content["system"])}


def _input_of(description: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a system that describe its input, which old files have in part."""
    known = {
        name: description[name]
        for name in ("input_size", "multiple")
        if description.get(name) is not None
    }
    for name, value in known.items():
        if not (isinstance(value, int) and value > 0):
            raise ValueError(f"{name} must be a number of px, not {value!r}")
    if known.get("input_size", 256) < 256:  # old files lack it; small images were padded to 32 px
        known.setdefault("multiple", 32)
    return known


def _stored_skeleton(description: dict[str, Any]) -> Skeleton:
    skeleton = from_stored(description["skeleton"])
    keypoints = description.get("keypoints", list(skeleton.keypoints))
    if keypoints != list(skeleton.keypoints):
        raise ValueError(
            f"skeleton {skeleton.name!r} had keypoints {keypoints}, here it has "
            f"{list(skeleton.keypoints)}"
        )
    return skeleton


Stored = tuple[dict[str, Any], dict[str, Tensor] | ExportedNetwork]


def _is_exported(path: Path) -> bool:
    with path.open("rb") as file:
        return is_onnx(file.read(HEAD))


def _read(path: Path) -> Stored:
    """Return the description and the weights, or the network, of a system in a file of any kind."""
    if _is_exported(path):
        return read_exported(path)
    content, metadata = read_stored(path)
    if metadata is None and (state := _training(content)):
        options = dict(state["system"])
        description = {
            "system": options.pop("name", None),
            "skeleton": options.pop("skeleton", None),
            "options": options,
            **(state.get("input") or {}),
        }
        return description, state["average"] or state["model"]
    if "poselib" not in (metadata or {}):
        raise BareWeightsError(
            f"{path}: holds no description of a system; write it with save_system, or read "
            f"official weights with poselib.models.pretrained.load_official"
        )
    try:
        return dict(json.loads((metadata or {})["poselib"])), content
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its description of a system is no JSON object") from error
