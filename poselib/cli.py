"""The command line: ``poselib predict``, ``poselib decode`` and ``poselib synthetic``."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from poselib import __version__
from poselib.engine.interrupts import exit_on_signals
from poselib.ops.console import complain, interactive, one_line, say
from poselib.ops.io import atomic_write, check_output, write_json
from poselib.ops.processor import spin_briefly

# What takes long to import is imported by the command that needs it.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
    Run = Callable[[argparse.Namespace], str]

_EXAMPLES = """examples:
  poselib predict street.jpg --out poses
  poselib predict photos/ "more/*.png" --checkpoint runs/x/checkpoint.pt --out poses --size 512
  poselib predict photos/ --out poses --batch-size 8 --scales 0.5 1 2 --device cuda
  poselib decode maps.npz --out poses.npz --order associative --threads 2
  poselib synthetic data/train --count 5000 --people 1 4
  poselib synthetic data/crowd --count 500 --size 256 --people 3 6 --crowd-index 0.5
  poselib synthetic data/clips --clips 50 --frames 30
"""
_PREDICT = """Find people in images.

OUT receives each image with its poses drawn, results.json with the poses in COCO's results
format, and images.json, a COCO document of the images and their ids. Images named by numbers, as
COCO's are, have these as ids. Images are turned as their EXIF orientation asks, as a viewer does:
coordinates, heights and widths are px of the turned picture.
"""
_DECODE = """Group the keypoints of stored maps into people.

MAPS is an npz file of NumPy with two arrays, from whatever network: heatmaps (K, H, W) and tags
(K, H, W, L), both floating-point and finite; tags (K, H, W) are taken for L = 1. OUT receives
keypoints (N, K, 2), scores (N, K) and person_scores (N,), float32: x and y in px of the maps, where
the center of the first pixel is at (0.5, 0.5), and (0, 0) with score 0 for what is missing.

One line of JSON says how many people were found and how many milliseconds each stage took, from
maps in memory to poses: the median of the repeats, before which one is not timed.
"""
_SYNTHETIC = "Write images or clips of synthetic people and annotations to a new folder."
# Bytes of a drawing's name before the ending, and a number where names repeat.
_LONGEST = 240
_RESULTS = ("images.json", "results.json")
# Options that are counts of at least one; what the library checks itself is not among them.
_COUNTS = ("threads", "repeats", "processes", "count", "clips")
# Images that are held in memory together, unless a batch has more.
_IN_MEMORY = 8


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 2 for bad input, 130 when interrupted."""
    spin_briefly()
    arguments = _parser().parse_args(argv)
    try:
        _check_options(arguments)
        with exit_on_signals():
            say(arguments.run(arguments))
    except KeyboardInterrupt:
        complain(f"poselib {arguments.command}: interrupted")
        return 130
    except Exception as error:
        if (reason := one_line(error)) is None:
            raise
        complain(f"poselib {arguments.command}: {reason}")
        return 2
    return 0


def _check_options(arguments: argparse.Namespace) -> None:
    """Raise ValueError for an option that is empty, no number, or less than its command can use."""
    for name, value in vars(arguments).items():
        option = f"--{name.replace('_', '-')}"
        if value == []:  # what argparse makes of --seed=--
            raise ValueError(f"{option}: a value is missing")
        for each in value if isinstance(value, list | tuple) else [value]:
            if each == "":
                raise ValueError(f"{option}: an empty text is no name")
            if isinstance(each, float) and not math.isfinite(each):
                raise ValueError(f"{option} must be a finite number, not {each}")
            if name in _COUNTS and each is not None and each < 1:
                raise ValueError(f"{option} must be 1 or more, not {each}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poselib",
        description="Multi-person human pose estimation.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"poselib {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_predict(commands)
    _add_decode(commands)
    _add_synthetic(commands)
    return parser


def _command(
    commands: Commands, name: str, run: Run, summary: str, description: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_predict(commands: Commands) -> None:
    add = _command(commands, "predict", _predict, "find people in images", _PREDICT).add_argument
    add("images", nargs="+", metavar="IMAGE", help="image files, folders or quoted patterns")
    add("--out", required=True, metavar="FOLDER", help="receives images and JSON")
    add("--checkpoint", metavar="FILE", help="or a model's name; default: the bundled model")
    add("--size", type=int, metavar="PX", help="short side; default: that of the training")
    add("--no-flip", action="store_true", help="do not average with the mirrored image")
    explained = "factors of the size, 1 among them (default 1)"
    add("--scales", type=float, nargs="+", default=[1.0], metavar="S", help=explained)
    add("--batch-size", type=int, default=1, metavar="N", help="images at a time (default 1)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: a GPU if any")
    add("--min-score", type=float, default=0.0, help="leave out people below it (default 0)")
    add("--draw-score", type=float, help="do not draw people below it (0.3, or 0.1 of regression)")
    add("--format", choices=("png", "jpg"), default="png", help="of the drawn images")


def _add_decode(commands: Commands) -> None:
    summary = "group the keypoints of stored maps into people"
    add = _command(commands, "decode", _decode, summary, _DECODE).add_argument
    add("maps", metavar="MAPS", help="npz file of heatmaps and tags")
    add("--out", required=True, metavar="OUT", help="npz file, receives the poses")
    orders = ("progressive", "associative")
    explained = "of the keypoint types: the easiest first (default), or as they are stored"
    add("--order", choices=orders, default=orders[0], help=explained)
    add("--threads", type=int, default=1, metavar="N", help="that may be used (default 1)")
    add("--repeats", type=int, default=5, metavar="N", help="that are timed (default 5)")


def _add_synthetic(commands: Commands) -> None:
    from poselib.data.synthetic.command import add_options

    summary = "render a synthetic dataset in COCO's format, or clips in PoseTrack18's"
    add_options(_command(commands, "synthetic", _synthetic, summary, _SYNTHETIC).add_argument)


def _predict(arguments: argparse.Namespace) -> str:
    """Check every input, find people, write the results; return a summary."""
    from tqdm import tqdm

    from poselib.api import load
    from poselib.data.image_folder import ImageFiles, image_paths
    from poselib.data.readers.coco import write_results
    from poselib.plots.poses import paint_poses

    out = Path(arguments.out)
    files = ImageFiles(image_paths(arguments.images))
    names = _drawing_names(files.paths, arguments.format)
    _check_output(out, files.paths, names)
    model = load(
        arguments.checkpoint,
        size=arguments.size,
        flip=not arguments.no_flip,
        scales=arguments.scales,
        batch_size=arguments.batch_size,
        device=arguments.device,
    )
    model.check_sizes(files.paths, files.sizes)
    threshold = arguments.draw_score
    if threshold is None:
        threshold = model.system.visualization_threshold
    results, counts = [], []
    at_once = max(_IN_MEMORY, arguments.batch_size)
    with tqdm(total=len(files), disable=not interactive(), desc="predict") as bar:
        for first in range(0, len(files), at_once):
            numbers = range(first, min(first + at_once, len(files)))
            samples = [files[number] for number in numbers]
            for number, sample, poses in zip(numbers, samples, model(samples), strict=True):
                kept = poses.above(arguments.min_score)
                drawn = kept.above(threshold)
                picture = paint_poses(sample.image, drawn, model.skeleton)
                _write_image(out / names[number], picture)
                results += kept.to_coco(sample.image_id, files.category_id)
                counts.append((len(drawn), len(kept)))
                bar.update()
    document = files.document(model.skeleton)
    for image, name in zip(document["images"], names, strict=True):
        image["drawing"] = name
    images_file, results_file = (out / name for name in _RESULTS)
    write_json(images_file, document)
    write_results(results, results_file)
    return _summary(files.paths, counts, out)


def _decode(arguments: argparse.Namespace) -> str:
    """Decode stored maps, write the poses; return the times as JSON."""
    from poselib.decoders.associative import AssociativeOptions
    from poselib.engine.decode_maps import decode_stages, read_maps, write_poses
    from poselib.engine.timing import limited_threads

    maps_file, out = Path(arguments.maps), Path(arguments.out)
    check_output(out)
    if out.resolve() == maps_file.resolve():
        raise ValueError(f"--out {out}: the poses would replace the maps")
    maps = read_maps(maps_file)
    associative = arguments.order == "associative"
    options = AssociativeOptions(range(maps.tags.shape[1]) if associative else "progressive")
    with limited_threads(arguments.threads):
        times = decode_stages(maps, options, arguments.repeats, warmup=1)
    write_poses(out, times.poses[0])
    facts = {
        "people": len(times.poses[0]),
        **{stage: round(ms, 3) for stage, ms in times.medians().items()},
        "unit": "ms",
        **{name: getattr(arguments, name) for name in ("order", "threads", "repeats")},
    }
    return json.dumps(facts)


def _synthetic(arguments: argparse.Namespace) -> str:
    from poselib.data.synthetic.command import write

    return write(arguments, progress=interactive())


def _drawing_names(paths: Sequence[Path], suffix: str) -> list[str]:
    """Return a file name for each drawing: the image's, with _2, _3, ... where names repeat."""
    taken: set[str] = set()
    names = []
    for path in paths:
        whole = os.fsdecode(os.fsencode(path.stem)[:_LONGEST])
        choices = (whole if n == 1 else f"{whole}_{n}" for n in count(1))
        # File systems may not tell capitals from small letters.
        stem = next(choice for choice in choices if choice.lower() not in taken)
        taken.add(stem.lower())
        names.append(f"{stem}.{suffix}")
    return names


def _check_output(folder: Path, inputs: Sequence[Path], names: Sequence[str]) -> None:
    """Raise ValueError if results cannot be written there or would replace an input."""
    check_output(folder, folder=True)
    sources = {path.resolve() for path in inputs}
    for name in (*names, *_RESULTS):
        if (folder / name).resolve() in sources:
            raise ValueError(f"--out {folder}: the drawing would replace the image {folder / name}")
        if os.path.lexists(folder / name):
            check_output(folder / name)


def _write_image(path: Path, image: NDArray[np.uint8]) -> None:
    from poselib.data.image_io import encode_image

    content = encode_image(image, path.suffix)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def _summary(paths: Sequence[Path], counts: Sequence[tuple[int, int]], folder: Path) -> str:
    """Say how many people of each image are drawn, and are in results.json where these differ."""
    each = [
        f"{path.name}: {drawn}" + (f" drawn ({kept} in results.json)" if drawn < kept else "")
        for path, (drawn, kept) in zip(paths, counts, strict=True)
    ]
    listed = ", ".join(each[:10]) + (", ..." if len(each) > 10 else "")
    return f"people found: {listed}; drawn images, results.json and images.json in {folder}"


if __name__ == "__main__":
    sys.exit(main())
