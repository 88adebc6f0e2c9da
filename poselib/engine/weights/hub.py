"""Models on Hugging Face's hub: a folder with the weights and a model card, and loading from it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poselib.engine.checkpoints import Checkpoint, load_checkpoint, save_system
from poselib.ops.io import atomic_write, check_output
from poselib.systems import System

FILE, CARD = "model.safetensors", "README.md"
# The hub's names of licenses, by those of SPDX.
_LICENSES = {"Apache-2.0": "apache-2.0", "MIT": "mit"}
_USE = """```python
import poselib

model = poselib.load("hf:OWNER/NAME")  # or the path of this folder
poses = model("photo.jpg")
figure = model.plot("photo.jpg", poses)
```"""


def load_from_hub(
    name: str, *, endpoint: str | None = None, cache: Path | None = None
) -> Checkpoint:
    """Load a model that ``save_pretrained`` wrote from Hugging Face's hub.

    Files are kept where huggingface_hub keeps them, and its variables, such as ``HF_ENDPOINT``,
    ``HF_HOME`` and ``HF_HUB_OFFLINE``, have their effect.

    Args:
        name: ``"OWNER/NAME"``, with ``@REVISION`` behind it, if one is wanted.
        endpoint: of another hub.
        cache: another folder where files are kept.

    Raises:
        FileNotFoundError: it cannot be downloaded.
        ValueError: the name is none, or what it names is no model of poselib.
    """
    found = re.fullmatch(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", name)
    if not found:
        raise ValueError(f"hf:{name}: OWNER/NAME or OWNER/NAME@REVISION is wanted")
    from huggingface_hub import hf_hub_download, hf_hub_url  # takes a while to import
    from huggingface_hub.errors import RemoteEntryNotFoundError

    repository, revision = found[1], found[2]
    unreachable = _network_error(hf_hub_url(repository, FILE, revision=revision, endpoint=endpoint))
    try:
        path = hf_hub_download(
            repository,
            FILE,
            revision=revision,
            endpoint=endpoint,
            cache_dir=cache,
            library_name="poselib",
            local_files_only=unreachable is not None,
        )
    except RemoteEntryNotFoundError as error:
        raise ValueError(
            f"hf:{name} has no {FILE}, which poselib's save_pretrained writes"
        ) from error
    except Exception as error:  # of several network libraries, and of the hub
        cause = unreachable or error
        reason = textwrap.shorten(" ".join(str(cause).split()), 300) or type(cause).__name__
        raise FileNotFoundError(f"hf:{name} could not be downloaded ({reason})") from cause
    return load_checkpoint(Path(path))


def _network_error(address: str) -> Exception | None:
    """Return why the hub cannot be reached, if so; to download asks it for 23 seconds."""
    from huggingface_hub import get_hf_file_metadata
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        get_hf_file_metadata(address)
    except (HfHubHTTPError, OfflineModeIsEnabled):  # of which the download says more
        return None
    except Exception as error:  # of several network libraries
        return error
    return None


def save_pretrained(
    folder: Path,
    system: System,
    *,
    name: str = "",
    provenance: Mapping[str, Any] | None = None,
    license: str = "",
    metrics: Mapping[str, float] | None = None,
    data: str = "",
) -> Path:
    """Write a model as a folder for Hugging Face's hub: its weights and a model card.

    Args:
        folder: receives both files, and may hold others.
        system: whose weights are written.
        name: of the model; by default that of the folder.
        provenance: where it comes from; see ``engine.checkpoints.Checkpoint``.
        license: of the weights, as the hub names it; by default that of the provenance.
        metrics: what was measured, by name.
        data: what it was measured on.

    Returns:
        The folder.

    Raises:
        ValueError: the folder cannot be written to.
    """
    folder, known = Path(folder), dict(provenance or {})
    check_output(folder, folder=True)
    stated = license or str(known.get("license", ""))
    title = name or folder.resolve().name
    front = _front_matter(title, _LICENSES.get(stated, stated), metrics or {}, data)
    save_system(folder / FILE, system, provenance=known)
    with atomic_write(folder / CARD) as temporary:
        card = [front, f"# {title}", _about(system), _USE, *_origin(known, metrics or {}, data)]
        temporary.write_text("\n\n".join(card) + "\n", encoding="utf-8")
    return folder


def _front_matter(title: str, license: str, metrics: Mapping[str, float], data: str) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult("keypoint-detection", data, data, metric, value)
        for metric, value in metrics.items()
        if data
    ]
    known = license if re.fullmatch(r"[a-z0-9.-]+", license) else "other" if license else None
    facts = ModelCardData(
        license=known,
        license_name=license if known == "other" else None,
        library_name="poselib",
        pipeline_tag="keypoint-detection",
        tags=["human-pose-estimation"],
        metrics=list(metrics) or None,
        model_name=title if results else None,
        eval_results=results or None,
    )
    return f"---\n{facts.to_yaml()}\n---"


def _about(system: System) -> str:
    shown = f"images whose short side is {system.input_size} px"
    if system.crop is not None:
        shown = f"crops of one person, {system.crop[0]} x {system.crop[1]} px"
    names = ", ".join(system.skeleton.keypoints)
    return (
        f"A model of poselib that finds the {len(system.skeleton)} keypoints of "
        f"`{system.skeleton.name}` in {shown}: system `{system.name}`, "
        f"{sum(each.numel() for each in system.model.parameters()):,} parameters.\n\n"
        f"Keypoints: {names}."
    )


def _origin(known: Mapping[str, Any], metrics: Mapping[str, float], data: str) -> list[str]:
    facts = {key: value for key, value in known.items() if isinstance(value, str | int | float)}
    lines = [f"- {metric}{f' on {data}' if data else ''}: {v:g}" for metric, v in metrics.items()]
    origin = [f"- {key}: {value}" for key, value in facts.items() if str(value)]
    sections = {"Measured": lines, "Where it comes from": origin}
    return [f"## {title}\n\n" + "\n".join(found) for title, found in sections.items() if found]
