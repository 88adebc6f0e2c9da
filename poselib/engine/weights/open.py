"""Models by their names: bundled, published, on Hugging Face's hub, or files."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from poselib.data.synthetic.export import is_rendered
from poselib.engine.checkpoints import (
    BUNDLED,
    MODELS,
    BareWeightsError,
    Checkpoint,
    load_checkpoint,
)
from poselib.engine.train import TrainResult
from poselib.engine.weights.download import cache_folder, check_file, download
from poselib.models.pretrained import load_official_weights, read_weights
from poselib.ops.weights_io import Weights
from poselib.systems import System, build
from poselib.systems.published import PUBLISHED, PublishedWeights
from poselib.wording import meant

HUB = "hf:"  # what stands before the name of a model on Hugging Face's hub

PHOTOGRAPHS = (
    f"the bundled model {BUNDLED.stem} knows synthetic people alone, and in photographs finds next "
    "to no people; published weights of real people are loaded by name, such as dekr_w32_coco, "
    "higherhrnet_w32_coco_512 or hrnet_w32_ae_coco (poselib weights list shows all)"
)


def warn_of_photographs(model: str, paths: Sequence[str | Path]) -> None:
    """Warn, once in a process, if the bundled model is shown files that are no synthetic scenes.

    Args:
        model: name of the model that finds people.
        paths: of images or videos.
    """
    if model == BUNDLED.stem and not all(is_rendered(Path(path)) for path in paths):
        _warn_once(f'{PHOTOGRAPHS}: poselib.load("dekr_w32_coco"), or detector="dekr_w32_coco"')


@cache
def _warn_once(text: str) -> None:
    warnings.warn(text, stacklevel=4)


def open_model(source: Any) -> tuple[Checkpoint, str]:
    """Return the model that ``poselib.load`` is given, and the name or file if it comes from there.

    Raises:
        FileNotFoundError, ValueError: as ``load_model``, or the source is none of a model.
    """
    system = source.system if isinstance(source, TrainResult) else source
    if isinstance(system, System):
        return Checkpoint(system), ""
    if not isinstance(source, str | Path | None):
        raise ValueError(f"a name, a file or a System is wanted, not {type(source).__name__}")
    name = BUNDLED.stem if source is None else str(source)
    return load_model(name), name


def check_name(name: str) -> None:
    """Raise ValueError, without loading, if a name is no model's and not like a file's."""
    known = name in MODELS or name in PUBLISHED or name.startswith(HUB)
    if not known and name == Path(name).stem and not Path(name).exists():
        raise ValueError(_unknown(name))


def load_model(name: str) -> Checkpoint:
    """Load a model by its name, or from a file.

    Args:
        name: of a model that comes with poselib or of published weights (``PUBLISHED``), which are
            downloaded at their first use; ``"hf:OWNER/NAME"``, with ``@REVISION`` if wanted, of
            Hugging Face's hub; a file or folder as ``load_checkpoint`` reads it; or a file of
            weights that others published, if what it holds tells all that is needed.

    Raises:
        FileNotFoundError: there is no such file, or a download failed.
        ValueError: the name is unknown, or a file is not what it should be.
    """
    if name in MODELS:
        return load_checkpoint(MODELS[name])
    if name in PUBLISHED:
        return Checkpoint(load_published(name), provenance_of(PUBLISHED[name]))
    if name.startswith(HUB):
        from poselib.engine.weights.hub import load_from_hub

        return load_from_hub(name.removeprefix(HUB))
    check_name(name)
    path = Path(name)
    try:
        return load_checkpoint(path)
    except BareWeightsError:
        from poselib.engine.weights.importing import import_weights

        return import_weights(path)[0]


def load_published(
    name: str | PublishedWeights, *, folder: Path | None = None, progress: bool = True
) -> System:
    """Load published weights, downloaded at their first use, into the system they belong to.

    Args:
        name: key in ``PUBLISHED``, or an entry of the same type.
        folder: where files are kept; by default ``weights_folder()``.
        progress: show a bar while it is downloaded.

    Raises:
        FileNotFoundError: the file cannot be had; the message says where to put it by hand.
        ValueError: the name is unknown, the entry not supported, or the file not the published one.

    Example:
        >>> from poselib.systems.published import PUBLISHED
        >>> PUBLISHED["dekr_w32_coco"].ap
        68.6
    """
    row = find_published(name) if isinstance(name, str) else name
    return system_of(row, fetch(row, folder=folder, progress=progress))


def find_published(name: str) -> PublishedWeights:
    """Return an entry of the catalog.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in PUBLISHED:
        raise ValueError(_unknown(name))
    return PUBLISHED[name]


def fetch(row: PublishedWeights, *, folder: Path | None = None, progress: bool = True) -> Path:
    """Return where the file of an entry lies, downloaded if it is not there, and verified.

    Raises:
        FileNotFoundError, ValueError: as ``load_published``.
    """
    if row.unsupported:
        raise ValueError(f"{row.name} cannot be loaded: {row.unsupported}")
    path = (folder or weights_folder()) / row.file
    if row.address:
        return download(row.address, path, sha256=row.sha256, progress=progress)
    if not path.is_file():
        raise FileNotFoundError(
            f"{row.name}: its file has no address of its own; take {row.file} from {row.page} in a "
            f"browser and put it at {path}"
        )
    check_file(path, row.sha256)
    return path


def weights_folder() -> Path:
    """Return the folder that downloaded files of weights are kept in."""
    return cache_folder() / "weights"


def system_of(row: PublishedWeights, path: Path) -> System:
    """Return the system of an entry of the catalog, with the weights of a file.

    Raises:
        ValueError: the file holds no weights or those of another network.
    """
    if row.unsupported:
        raise ValueError(f"{row.name} cannot be loaded: {row.unsupported}")
    system = build(row.system, row.skeleton, **row.options)
    weights = read_weights(path)
    if row.maps:
        weights = _first_maps(weights, row.maps, len(system.skeleton))
    load_official_weights(system.model, weights, path)
    system.model.eval()
    if row.crop is not None:
        return system
    return replace(system, input_size=row.input_size, multiple=row.multiple)


def provenance_of(row: PublishedWeights) -> dict[str, Any]:
    """Return what a checkpoint that is made of published weights says of their origin."""
    return {
        "published": row.name,
        "source": row.address or row.page,
        "sha256": row.sha256,
        "license": row.license,
        "ap": row.ap,
        "data": row.data,
    }


def _first_maps(weights: Weights, maps: int, wanted: int) -> Weights:
    """Return weights whose last layer gives the first of its maps alone."""
    return {
        name: value[:wanted] if "final_layer." in name and value.shape[:1] == (maps,) else value
        for name, value in weights.items()
    }


def _unknown(name: str) -> str:
    like = meant(name, [*MODELS, *PUBLISHED]) or ";"
    return (
        f"unknown model {name!r}{like} known: {', '.join(MODELS)} and those of poselib weights "
        "list; files of models end in .safetensors, .pt, .pth or .onnx"
    )
