"""Options of the command that lists, downloads and imports published weights."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poselib.systems.published import PublishedWeights

SUMMARY = "list, download and import published weights"
DESCRIPTION = """List, download and import published weights.

  list            the names, the data, the published AP in percent at one scale and at several, the
                  short side of images or the crops, px, and where the file comes from
  show NAME       all that is known of it
  download NAME   fetch the file, verify it, and say where it lies; several names are possible
  import FILE     recognize a file of weights, also of the pages that need a browser, and write it
                  with --out as a checkpoint of poselib; --like names the entry of the list that
                  has its input and decoding, where the weights do not tell these
  where           the folder of downloaded files; the variable POSELIB_CACHE names another one

A name is given to predict --model and to poselib.load, which download at its first use.
"""
_ACTIONS = ("list", "show", "download", "import", "where")


def add_options(add: Callable[..., Any]) -> None:
    """Add the options with the ``add_argument`` of a parser."""
    add("action", choices=_ACTIONS, help="what to do")
    add("names", nargs="*", default=(), metavar="NAME", help="or FILE, of import")
    add("--out", metavar="FILE", help="of import: receives the checkpoint, .safetensors")
    add("--like", metavar="NAME", help="of import: the entry of the list that the file is like")


def run(arguments: argparse.Namespace) -> str:
    """Do what the options say; return what is to be printed."""
    action, names = arguments.action, arguments.names
    wanted = {"list": (0, 0), "where": (0, 0), "download": (1, 1000)}.get(action, (1, 1))
    if not wanted[0] <= len(names) <= wanted[1]:
        number = {(0, 0): "no name", (1, 1): "one name"}.get(wanted, "names")
        raise ValueError(f"weights {action} takes {number}, not {len(names)}")
    if action != "import" and (arguments.out or arguments.like):
        raise ValueError("--out and --like are of weights import")
    if action == "list":
        return listed()
    if action == "where":
        return _where()
    if action == "import":
        return _import(Path(names[0]), arguments.out, arguments.like)
    return "\n".join(map(_show if action == "show" else _download, names))


def listed() -> str:
    """Return the catalog as a table of text."""
    from poselib.systems.published import PUBLISHED

    rows = [("name", "data", "AP", "scales", "input", "file")]
    for row in PUBLISHED.values():
        size = f"{row.crop[0]}x{row.crop[1]}" if row.crop else str(row.input_size)
        place = "download" if row.address else "by hand"
        numbers = (f"{ap:.1f}" if ap else "" for ap in (row.ap, row.ap_scales))
        place = "not supported" if row.unsupported else place
        rows.append((row.name, row.data, *numbers, size, place))  # type: ignore[arg-type]
    return _columns(rows)


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def _entry(name: str) -> PublishedWeights:
    from poselib.engine.checkpoints import MODELS
    from poselib.engine.weights.open import find_published

    if name in MODELS:
        raise ValueError(f"{name} comes with poselib: --model {name} takes it, there is no file")
    return find_published(name)


def _show(name: str) -> str:
    from poselib.engine.weights.open import weights_folder

    row = _entry(name)
    path = weights_folder() / row.file
    shown = f"crops of {row.crop[0]} x {row.crop[1]} px" if row.crop else ""
    facts = {
        "name": row.name,
        "not supported": row.unsupported,
        "system": f"{row.system}, {', '.join(f'{k}={v}' for k, v in row.options.items())}",
        "skeleton": row.skeleton,
        "input": shown or f"short side {row.input_size} px, padded to {row.multiple} px",
        "coordinates": row.frame,
        "normalization": f"RGB, mean {row.mean}, deviation {row.std}",
        "published AP": f"{row.ap} on {row.data}, one scale with flip test",
        "at several scales": row.ap_scales or "",
        "setting": row.setting,
        "license": row.license,
        "layout": row.layout,
        "address": row.address,
        "page": row.page,
        "file": f"{path} ({'there' if path.is_file() else 'absent'})",
        "SHA-256": f"{row.sha256}..." if row.sha256 else "not published",
    }
    return _columns([(key, str(value)) for key, value in facts.items() if value])


def _download(name: str) -> str:
    from poselib.engine.weights.open import fetch

    return f"{name}: {fetch(_entry(name))}"


def _import(path: Path, out: str | None, like: str | None) -> str:
    from poselib.engine.checkpoints import check_target, save_system
    from poselib.engine.weights.importing import import_weights

    if out is not None:
        check_target(Path(out))
        if Path(out).resolve() == path.resolve():
            raise ValueError(f"--out {out}: the checkpoint would replace the file")
    model, what = import_weights(path, like or "")
    if out is None:
        return f"{path}: {what}; --out writes it as a checkpoint"
    save_system(Path(out), model.system, provenance=model.provenance)
    return f"{path}: {what}; written to {out}"


def _where() -> str:
    from poselib.engine.weights.open import weights_folder
    from poselib.ops.io import visible_files

    folder = weights_folder()
    files = visible_files(folder)
    sizes = [f"{path.stat().st_size / 2**20:8.1f} MB  {path.name}" for path in files]
    return "\n".join([str(folder), *sizes])
