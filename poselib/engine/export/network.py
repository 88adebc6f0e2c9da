"""A network in ONNX files, run by onnxruntime, in the place of one of PyTorch."""

from __future__ import annotations

import json
import re
import textwrap
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poselib.engine.export.tensors import (
    ATTRACTION,
    SCORER,
    STEP,
    Tensors,
    from_tensors,
)
from poselib.models.hrnet import check_images
from poselib.models.propagator import PropagationState, check_kernel_size
from poselib.ops.normalization import pixels
from poselib.outputs import HeatmapOutputs, clip_by_clip

KEY = "poselib"  # of the description among a file's metadata
# Of the export in it; the last is px a cell of the maps that kernels are made of, if any are.
_FACTS = {"id": str, "part": str, "parts": list, "multiple": int, "kernel_cell": int}


class Session:
    """One ONNX file, run on the device of its inputs.

    Sessions are made when they are needed, for a device and a number of threads. Copies share them.

    Args:
        path: the file.

    Raises:
        ValueError: onnxruntime is not installed, or cannot run the file; the message says why.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sessions: dict[tuple[str, int], Any] = {}
        first = self._session(torch.device("cpu"))
        try:
            about = first.get_modelmeta()
            self.metadata: Mapping[str, str] = about.custom_metadata_map
            self.producer: str = about.producer_name
            self.inputs, self.outputs = first.get_inputs(), first.get_outputs()
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: an ONNX file that is damaged: {error}") from error

    def __call__(self, *inputs: Tensor) -> Tensors:
        """Return the outputs by name, where the inputs are.

        Raises:
            ValueError: the graph does not take these inputs, or cannot be run on them.
        """
        device = inputs[0].device
        if len(inputs) != len(self.inputs):
            wanted = ", ".join(self.signature[0])
            raise ValueError(f"{self.path}: takes {wanted or 'nothing'}, not {len(inputs)} inputs")
        given = {
            each.name: value.detach().cpu().contiguous().numpy()
            for each, value in zip(self.inputs, inputs, strict=True)
        }
        try:
            found = self._session(device).run(None, given)
        except Exception as error:  # of many types, as below
            raise ValueError(f"{self.path}: {_reason(str(error))}") from error
        names = (each.name for each in self.outputs)
        return {n: torch.from_numpy(v).to(device) for n, v in zip(names, found, strict=True)}

    def __deepcopy__(self, memo: dict[int, Any]) -> Session:
        return self

    def __reduce__(self) -> tuple[type[Session], tuple[Path]]:
        return Session, (self.path,)

    @property
    def signature(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names and axes of the inputs and of the outputs, as ``"images (batch, 3, h, w)"``."""
        inputs, outputs = (
            tuple(f"{each.name} ({', '.join(map(str, each.shape))})" for each in several)
            for several in (self.inputs, self.outputs)
        )
        return inputs, outputs

    def _session(self, device: torch.device) -> Any:
        key = device.type, torch.get_num_threads()
        if key not in self._sessions:
            self._sessions[key] = _open(self.path, *key)
        return self._sessions[key]


class ExportedNetwork(nn.Module):
    """A network in ONNX files; it takes and returns what the network that was exported did.

    Args:
        path: the file for images; others lie beside it.

    Raises:
        FileNotFoundError: a file of the export is absent.
        ValueError: as ``Session``, or the file was not exported by poselib, is of another export
            than those beside it, or is not the one for images.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.training = False
        self.path, session = path, Session(path)
        self.description = _description(session)
        facts = self.description["exported"]
        self.multiple: int = facts["multiple"]
        self.kernel_cell: int = facts["kernel_cell"]
        if facts["part"]:
            raise ValueError(f"{path}: this is the part {facts['part']!r} of a model, not its file")
        self.sessions = {"": session}
        for part in facts["parts"]:
            beside = part_file(path, part)
            if not beside.is_file():
                raise FileNotFoundError(f"{path}: {beside.name}, which belongs to it, is not there")
            self.sessions[part] = Session(beside)
            if _description(self.sessions[part])["exported"]["id"] != facts["id"]:
                raise ValueError(f"{beside}: of another export than {path.name}")
        # Says where the network runs, as the weights of others do.
        self.place = nn.Parameter(torch.zeros(0), requires_grad=False)

    def forward(self, images: Tensor) -> Any:
        """Return the outputs for normalized images (B, 3, H, W), or clips (B, T, 3, H, W)."""
        if STEP not in self.sessions:
            return self._outputs(images, self.sessions[""](self._input(images)))
        outputs, state = self.start(images[:, 0])
        frames = [outputs]
        for frame in range(1, images.shape[1]):
            outputs, state = self.step(images[:, frame], state)
            frames.append(outputs)
        return clip_by_clip(frames)

    def start(self, images: Tensor) -> tuple[HeatmapOutputs, PropagationState]:
        """Return the outputs for the first frame (B, 3, H, W) of B streams, and their state."""
        return self._frame(images, self.sessions[""](self._input(images)))

    def step(
        self, images: Tensor, state: PropagationState
    ) -> tuple[HeatmapOutputs, PropagationState]:
        """Return the outputs for the next frame (B, 3, H, W) of B streams, and their new state."""
        shown = self._input(images), state.heatmaps, state.features
        return self._frame(images, self.sessions[STEP](*shown))

    def attraction(self, context: Tensor) -> Tensor:
        """Map the local contexts (n, K * D, r, r) of poses to attraction maps (n, K, r, r)."""
        session = self.sessions[ATTRACTION]
        if not len(context):
            return context.new_zeros((0, session.outputs[0].shape[1], *context.shape[2:]))
        return session(context)["maps"]

    def scorer(self, poses: Tensor, scores: Tensor) -> Tensor:
        """Map keypoints (n, K, 2) and scores (n, K) to factors (n,) of person scores."""
        return self.sessions[SCORER](poses, scores)["factors"] if len(poses) else scores[:, 0]

    def train(self, mode: bool = True) -> ExportedNetwork:
        """Refuse to be trained."""
        if mode:
            raise ValueError(f"{self.path}: an exported network cannot be trained")
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse to hand out weights."""
        raise ValueError(f"{self.path}: the weights of an exported network stay in its files")

    def _frame(self, images: Tensor, tensors: Tensors) -> tuple[HeatmapOutputs, PropagationState]:
        state = PropagationState(tensors["heatmaps"], tensors.pop("features"))
        return self._outputs(images, tensors), state

    def _outputs(self, images: Tensor, tensors: Tensors) -> Any:
        parts = {
            name: getattr(self, name) for name in (ATTRACTION, SCORER) if name in self.sessions
        }
        return from_tensors(tensors, (images.shape[2], images.shape[3]), parts)

    def _input(self, images: Tensor) -> Tensor:
        """Return normalized images as the graph takes them.

        Raises:
            ValueError: H or W is not one that the graph takes.
        """
        check_images(images, self.multiple)
        if cell := self.kernel_cell:
            size = images.shape[2], images.shape[3]
            check_kernel_size(size, (size[0] // cell, size[1] // cell), self.multiple)
        given = self.sessions[""].inputs[0]
        takes_pixels = given.type == "tensor(uint8)"
        wanted = given.shape[1:3] if takes_pixels else given.shape[2:]
        for side, fixed in zip(images.shape[2:], wanted, strict=True):
            if isinstance(fixed, int) and side != fixed:
                found = "x".join(map(str, images.shape[2:]))
                raise ValueError(f"{self.path}: takes images of {wanted} px, not of {found}")
        return pixels(images).permute(0, 2, 3, 1) if takes_pixels else images.float()


def read_exported(path: Path) -> tuple[dict[str, Any], ExportedNetwork]:
    """Return the description of an exported system and its network.

    Raises:
        FileNotFoundError, ValueError: as ``ExportedNetwork``.
    """
    network = ExportedNetwork(path)
    return network.description, network


def part_file(path: Path, part: str) -> Path:
    """Return the file of a part of the model in ``path``: ``model.step.onnx``."""
    return path.with_suffix(f".{part}.onnx") if part else path


def _description(session: Session) -> dict[str, Any]:
    """Return the description in a file's metadata."""
    try:
        description = dict(json.loads(session.metadata[KEY]))
        facts = description["exported"]
        facts.setdefault("kernel_cell", 0)  # absent where sizes are fixed
        right = all(isinstance(facts.get(name), kind) for name, kind in _FACTS.items())
        if right and all(part in (ATTRACTION, SCORER, STEP) for part in facts["parts"]):
            return description
        reason = "its description is not complete"
    except KeyError:
        reason = "without the description of a system"
    except (AttributeError, TypeError, ValueError, RecursionError):
        reason = "its description of a system is no JSON object"
    inputs, outputs = (", ".join(names[:4]) for names in session.signature)
    by = f" of {session.producer}" if session.producer else ""
    raise ValueError(
        f"{session.path}: not exported by poselib but another ONNX graph{by}, {reason}: from "
        f"{inputs} to {outputs}"
    )


def _open(path: Path, device: str, threads: int) -> Any:
    """Return a session of onnxruntime."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(
            f"{path}: an ONNX file needs onnxruntime: pip install 'poselib-research[export]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_mem_pattern = False  # images have many sizes
    options.log_severity_level = 4  # what matters is raised
    providers = ["CPUExecutionProvider"]
    if device == "cuda":
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            providers.insert(0, "CUDAExecutionProvider")
        else:
            warnings.warn(
                f"{path}: onnxruntime is installed without CUDA, so the network runs on the CPU; "
                "onnxruntime-gpu has it",
                stacklevel=2,
            )
    try:
        # another attempt on the same processor would but print lines
        again = int(device == "cuda")
        return onnxruntime.InferenceSession(
            path, options, providers=providers, enable_fallback=again
        )
    except Exception as error:  # of many types, none of which it makes public
        raise ValueError(f"{path}: {_reason(str(error))}") from error


def _reason(text: str) -> str:
    """Say why a file cannot be run, of what onnxruntime says."""
    if "INVALID_PROTOBUF" in text or "No graph was found" in text:
        return "an ONNX file that is incomplete or damaged"
    if "external" in text.lower():
        return "its weights are in another file, which is absent or damaged"
    # its own source file and function come first
    text = re.sub(r"^/\S+:\d+ .*?\) (?=[A-Z])", "", text.split("failed:")[-1])
    text = textwrap.shorten(text, 300)
    return f"an ONNX graph that onnxruntime cannot run here: {text}"
