"""The command line: ``poselib predict``, ``train``, ``decode``, ``synthetic`` and others."""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poselib import __version__
from poselib.engine.interrupts import exit_on_signals
from poselib.ops.console import complain, interactive, one_line, parse, say
from poselib.ops.io import check_output
from poselib.ops.processor import spin_briefly

# What takes long to import is imported by the command that needs it.
if TYPE_CHECKING:
    from poselib.api import Predictor
    from poselib.data.image_folder import ImageFiles
    from poselib.data.video_files import Video

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
    Run = Callable[[argparse.Namespace], str]

_EXAMPLES = """examples:
  poselib predict street.jpg --out poses
  poselib predict photos/ --model dekr_w32_coco --out poses
  poselib predict photos/ "more/*.png" --model runs/x --out poses --size 512
  poselib predict photos/ --out poses --batch-size 8 --scales 0.5 1 2 --device cuda
  poselib predict clip.mp4 --out poses --smooth one-euro
  poselib predict walk/ run/ --video --fps 30 --out poses
  poselib train --data hands/ --out runs/hands
  poselib train --data hands/ --init dekr_w32_coco --steps 2000 --out runs/hands
  poselib evaluate --model runs/hands --data hands/
  poselib evaluate --model dekr_w32_coco --data coco --data-dir data/coco --out runs/dekr_w32
  poselib decode maps.npz --out poses.npz --order associative --threads 2
  poselib synthetic data/train --count 5000 --people 1 4
  poselib synthetic data/crowd --count 500 --size 256 --people 3 6 --crowd-index 0.5
  poselib synthetic data/clips --clips 50 --frames 30
"""
_PREDICT = """Find people in images and videos.

OUT receives each image with its poses drawn, poses.csv with a row for each person and keypoint,
results.json with the poses in COCO's results format, images.json, a COCO document of the images and
their ids, and coco.json, one of the images and the people drawn, for annotation tools. Images named
by numbers, as COCO's are, have these as ids. Images are turned as their EXIF orientation asks, as a
viewer does: coordinates, heights and widths are px of the turned picture.

Of a video clip.mp4, OUT receives clip.json, the poses of its frames in PoseTrack18's layout with
track ids and times, clip.csv with a row for each frame, person and keypoint, and clip.mp4, or
clip.webm where PyAV is not installed, with the poses drawn.
A folder holds images; with --video it is a video, whose frames are numbered without a gap.

The ids of images in a file of --boxes are those of images.json, or of a video its frames from 0.
"""
_SYNTHETIC = "Write images or clips of synthetic people and annotations to a new folder."
# Options that are counts of at least one; what the library checks itself is not among them.
_COUNTS = ("threads", "repeats", "processes", "count", "clips")
# Commands in files of their own, each with SUMMARY, DESCRIPTION, add_options and run.
_FILES = {
    "train": "poselib.experiments.train_command",
    "evaluate": "poselib.experiments.evaluate_command",
    "weights": "poselib.engine.weights.command",
    "decode": "poselib.engine.decode_command",
    "export": "poselib.engine.export.command",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 2 for bad input, 130 when interrupted."""
    spin_briefly()
    arguments = parse(_parser(), argv)
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
    _add_synthetic(commands)
    for name, module in _FILES.items():
        file = importlib.import_module(module)
        add = _command(commands, name, file.run, file.SUMMARY, file.DESCRIPTION).add_argument
        file.add_options(add)
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
    parser.set_defaults(run=run, parser=parser)
    return parser


def _add_predict(commands: Commands) -> None:
    summary = "find people in images and videos"
    add = _command(commands, "predict", _predict, summary, _PREDICT).add_argument
    explained = "image and video files, folders or quoted patterns"
    add("images", nargs="+", metavar="IMAGE", help=explained)
    add("--out", required=True, metavar="FOLDER", help="receives images, videos and JSON")
    explained = "name, file, hf:OWNER/NAME or folder of a training; default: the bundled model"
    add("--model", "--checkpoint", dest="checkpoint", metavar="MODEL", help=explained)
    add("--size", type=int, metavar="PX", help="short side; default: that of the training")
    add("--no-flip", action="store_true", help="do not average with the mirrored image")
    explained = "factors of the size, 1 among them (default 1)"
    add("--scales", type=float, nargs="+", default=[1.0], metavar="S", help=explained)
    add("--batch-size", type=int, default=1, metavar="N", help="images at a time (default 1)")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: a GPU if any")
    add("--min-score", type=float, default=0.0, help="leave out people below it (default 0)")
    explained = "do not draw people below it (0.3; of regression and crops 0.1, LOGO-CAP 0.03)"
    add("--draw-score", type=float, help=explained)
    add("--format", choices=("png", "jpg"), default="png", help="of the drawn images")
    add("--video", action="store_true", help="each folder is a video and its images are frames")
    add("--fps", type=float, help="frames a second of such a video (default 25)")
    explained = "finds the people for systems that see one at a time (default: the bundled model)"
    of_people = commands.choices["predict"].add_mutually_exclusive_group()
    of_people.add_argument("--detector", metavar="FILE", help=explained)
    explained = "of people, instead of a detector: a detections file in COCO's results format"
    of_people.add_argument("--boxes", metavar="FILE", help=explained)
    explained = "poses of a video over time (default: not at all)"
    add("--smooth", choices=("one-euro", "savgol"), help=explained)


def _add_synthetic(commands: Commands) -> None:
    from poselib.data.synthetic.command import add_options

    summary = "render a synthetic dataset in COCO's format, or clips in PoseTrack18's"
    add_options(_command(commands, "synthetic", _synthetic, summary, _SYNTHETIC).add_argument)


def _predict(arguments: argparse.Namespace) -> str:
    """Check every input, find people, write the results; return a summary."""
    from poselib.data.image_folder import ImageFiles
    from poselib.data.video_files import open_inputs
    from poselib.engine.predict_images import RESULTS, predict_images, unique_names
    from poselib.engine.predict_video import predict_video, video_outputs

    out = Path(arguments.out)
    paths, videos = open_inputs(arguments.images, arguments.video, arguments.fps)
    if arguments.smooth and not videos:
        raise ValueError("--smooth is of videos, and there is none; --video takes folders for them")
    files = ImageFiles(paths) if paths else None
    drawings = [out / f"{name}.{arguments.format}" for name in unique_names(paths)]
    reserved = [path.stem for path in (*drawings, *map(Path, RESULTS))]
    names = unique_names([source.resolve() for source in videos], reserved)
    films = [path for name in names for path in video_outputs(out, name)]
    results = [out / name for name in RESULTS] if files else []
    _check_output(out, [*paths, *videos], [*drawings, *films, *results])
    model = _model(arguments, files, videos)
    threshold = arguments.draw_score
    if threshold is None:
        threshold = model.system.visualization_threshold
    summary = []
    if files:
        counts = predict_images(
            model,
            files,
            drawings,
            model.skeleton,
            batch_size=arguments.batch_size,
            min_score=arguments.min_score,
            draw_score=threshold,
            progress=interactive(),
        )
        summary.append(_summary(files.paths, counts, out))
    for number, (source, name) in enumerate(zip(videos, names, strict=True)):
        found = predict_video(
            model.stream(),
            videos[source],
            out,
            name,
            number=number,
            smooth=arguments.smooth,
            min_score=arguments.min_score,
            draw_score=threshold,
            progress=interactive(),
        )
        summary.append(f"{source.name}: {found}")
    _tell_of_photographs(arguments, model, [*paths, *videos])
    return "\n".join(summary)


def _model(
    arguments: argparse.Namespace, files: ImageFiles | None, videos: Mapping[Path, Video]
) -> Predictor:
    """Load the model, with boxes of images or of one video; check that it can be shown these."""
    from poselib.api import load
    from poselib.engine.inference import check_image_sizes
    from poselib.engine.person_boxes import ListedBoxes

    model = load(
        arguments.checkpoint,
        size=arguments.size,
        flip=not arguments.no_flip,
        scales=arguments.scales,
        batch_size=arguments.batch_size,
        device=arguments.device,
        detector=arguments.detector,
    )
    if arguments.boxes and model.system.crop is None:
        raise ValueError(f"--boxes are for systems of one person; {model.system.name!r} finds all")
    if arguments.boxes and len(videos) + bool(files) > 1:
        raise ValueError("--boxes are of images, or of one video")
    if arguments.boxes:
        ids = files.image_ids if files else range(next(iter(videos.values())).frames)
        model = model.with_options(boxes=ListedBoxes.read(Path(arguments.boxes), ids))
    if files:
        check_image_sizes(model.system, model.options, files.paths, files.sizes)
    sizes = [video.size for video in videos.values()]
    check_image_sizes(model.system, model.options, list(videos), sizes)
    return model


def _tell_of_photographs(
    arguments: argparse.Namespace, model: Predictor, inputs: Sequence[Path]
) -> None:
    """Say that the bundled model is not for photographs, where none was named for them."""
    from poselib.data.synthetic.export import is_rendered
    from poselib.engine.weights.open import PHOTOGRAPHS

    option = "model" if model.detector is None else "detector"
    named = arguments.checkpoint if option == "model" else arguments.detector
    if named is None and not all(map(is_rendered, inputs)):
        complain(f"poselib predict: {PHOTOGRAPHS}: --{option} dekr_w32_coco")


def _synthetic(arguments: argparse.Namespace) -> str:
    from poselib.data.synthetic.command import write

    return write(arguments, progress=interactive())


def _check_output(folder: Path, inputs: Sequence[Path], outputs: Sequence[Path]) -> None:
    """Raise ValueError if results cannot be written there or would replace an input."""
    check_output(folder, folder=True)
    sources = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in sources:
            raise ValueError(f"--out {folder}: what is drawn would replace the input {path}")
        if os.path.lexists(path):
            check_output(path)


def _summary(paths: Sequence[Path], counts: Sequence[tuple[int, int]], folder: Path) -> str:
    """Say how many people of each image are drawn, and are in results.json where these differ."""
    each = [
        f"{path.name}: {drawn}" + (f" drawn ({kept} in results.json)" if drawn < kept else "")
        for path, (drawn, kept) in zip(paths, counts, strict=True)
    ]
    listed = ", ".join(each[:10]) + (", ..." if len(each) > 10 else "")
    written = "drawn images, poses.csv, results.json, images.json and coco.json"
    return f"people found: {listed}; {written} in {folder}"


if __name__ == "__main__":
    sys.exit(main())
