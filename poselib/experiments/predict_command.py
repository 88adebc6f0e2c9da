"""The command that finds people in images and videos."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poselib.ops.console import complain, interactive
from poselib.ops.io import check_output

if TYPE_CHECKING:
    from poselib.api import Predictor
    from poselib.data.image_folder import ImageFiles
    from poselib.data.video_files import Video

SUMMARY = "find people in images and videos"
DESCRIPTION = """Find people in images and videos.

OUT receives each image with its poses drawn, poses.csv with a row for each person and keypoint,
results.json with the poses in COCO's results format, images.json, a COCO document of the images and
their ids, and coco.json, one of the images and the people drawn, for annotation tools. Images named
by numbers, as COCO's are, have these as ids. Images are turned as their EXIF orientation asks, as a
viewer does: coordinates, heights and widths are px of the turned picture.

Of a video clip.mp4, OUT receives clip.json, the poses of its frames in PoseTrack18's layout with
track ids and times, clip.csv with a row for each frame, person and keypoint, and clip.mp4, or
clip.webm where PyAV is not installed, with the poses drawn.
A folder holds images; with --video it is a video, whose frames are numbered without a gap.
If the prediction is interrupted, the files hold what was found until then.

The ids of images in a file of --boxes are those of images.json, or of a video its frames from 0.
"""


def add_options(add: Callable[..., Any]) -> None:
    """Add the options with the ``add_argument`` of a parser."""
    explained = "image and video files, folders or quoted patterns"
    add("images", nargs="+", metavar="IMAGE", help=explained)
    add("--out", required=True, metavar="FOLDER", help="receives images, videos and JSON")
    explained = "name, file, hf:OWNER/NAME or folder of a training; default: the bundled model"
    add("--model", "--checkpoint", dest="checkpoint", metavar="MODEL", help=explained)
    add_model_options(add)
    add("--min-score", type=float, default=0.0, help="leave out people below it (default 0)")
    explained = "do not draw people below it (0.3; of regression and crops 0.1, LOGO-CAP 0.03)"
    add("--draw-score", type=float, help=explained)
    add("--format", choices=("png", "jpg"), default="png", help="of the drawn images")
    add("--timing", action="store_true", help="print where the time of images goes")
    add("--video", action="store_true", help="each folder is a video and its images are frames")
    add("--fps", type=float, help="frames a second of such a video (default 25)")
    explained = "name, file or folder of what finds the people for systems that see one at a time "
    add("--detector", metavar="MODEL", help=f"{explained}(default: the bundled model)")
    explained = "of people, instead of a detector: a detections file in COCO's results format"
    add("--boxes", metavar="FILE", help=explained)
    explained = "poses of a video over time (default: not at all)"
    add("--smooth", choices=("one-euro", "savgol"), help=explained)


def add_model_options(add: Callable[..., Any]) -> None:
    """Add the options of ``model_options``: how images are presented, and what computes."""
    add("--size", type=int, metavar="PX", help="short side; default: that of the training")
    add("--no-flip", action="store_true", help="do not average with the mirrored image")
    explained = "factors of the size, 1 among them (default 1)"
    add("--scales", type=float, nargs="+", default=[1.0], metavar="S", help=explained)
    explained = "images of one input size at a time (default 1)"
    add("--batch-size", type=int, default=1, metavar="N", help=explained)
    explained = "pad images to multiples of it: larger, fewer sizes and fuller batches"
    add("--multiple", type=int, metavar="PX", help=explained)
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: a GPU if any")
    explained = "of the network (default: float32; auto: bfloat16 where it is faster)"
    precisions = ("float32", "bfloat16", "float16", "auto")
    add("--precision", choices=precisions, default="float32", help=explained)
    add("--fold", action="store_true", help="fold normalizations into convolutions")
    add("--channels-last", action="store_true", help="order of memory, often faster")
    explained = "run the network through torch.compile, and as it is where that fails"
    add("--compile", action="store_true", help=explained)
    add("--cuda-graph", action="store_true", help="of each input size; fast for small batches")
    explained = "threads that read images while the network runs (default 1; 0: none)"
    add("--workers", type=int, default=1, metavar="N", help=explained)


def model_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of ``poselib.load`` that the command line states."""
    from poselib.engine.speed import SpeedOptions

    names = ("size", "scales", "batch_size", "multiple", "device")
    stated = {name: getattr(arguments, name) for name in names}
    computed = {each.name: getattr(arguments, each.name) for each in fields(SpeedOptions)}
    return {**stated, "flip": not arguments.no_flip, "speed": SpeedOptions(**computed)}


def run(arguments: argparse.Namespace) -> str:
    """Check every input, find people, write the results; return a summary."""
    from poselib.data.image_folder import ImageFiles
    from poselib.data.named_inputs import open_inputs
    from poselib.engine.predict_images import RESULTS, predict_images, unique_names
    from poselib.engine.predict_video import predict_video, video_outputs
    from poselib.engine.stage_times import StageTimes

    out = Path(arguments.out)
    paths, videos = open_inputs(arguments.images, arguments.video, arguments.fps)
    if arguments.smooth and not videos:
        raise ValueError("--smooth is of videos, and there is none; --video takes folders for them")
    if arguments.timing and not paths:
        raise ValueError("--timing is of images, and there is none")
    files = ImageFiles(paths) if paths else None
    drawings = [out / f"{name}.{arguments.format}" for name in unique_names(paths)]
    reserved = [path.stem for path in (*drawings, *map(Path, RESULTS))]
    names = unique_names([source.resolve() for source in videos], reserved)
    films = [path for name in names for path in video_outputs(out, name)]
    results = [out / name for name in RESULTS] if files else []
    _check_output(out, arguments.images, [*paths, *videos], [*drawings, *films, *results])
    model = _model(arguments, files, videos)
    threshold = arguments.draw_score
    if threshold is None:
        threshold = model.system.visualization_threshold
    summary = []
    if files:
        timing = StageTimes() if arguments.timing else None
        counts = predict_images(
            partial(model, timing=timing),
            files,
            drawings,
            model.skeleton,
            min_score=arguments.min_score,
            draw_score=threshold,
            workers=min(1, model.speed.workers),
            timing=timing,
            progress=interactive(),
        )
        summary.append(_summary(files.paths, counts, out))
        if timing is not None:
            summary.append(str(timing))
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
    detector = model.detector is not None
    named = arguments.detector if detector else arguments.checkpoint
    tell_of_photographs("predict", "detector" if detector else "model", named, [*paths, *videos])
    return "\n".join(summary)


def _model(
    arguments: argparse.Namespace, files: ImageFiles | None, videos: Mapping[Path, Video]
) -> Predictor:
    """Load the model, with boxes of images or of one video; check that it can be shown these."""
    from poselib.api import load
    from poselib.engine.given_boxes import given_boxes
    from poselib.engine.inference import check_image_sizes

    if arguments.boxes and arguments.detector:
        raise ValueError("--boxes and --detector are given: one of them says where people are")
    model = load(arguments.checkpoint, detector=arguments.detector, **model_options(arguments))
    if arguments.boxes and model.system.crop is None:
        raise ValueError(f"--boxes are for systems of one person; {model.system.name!r} finds all")
    if arguments.boxes and len(videos) + bool(files) > 1:
        raise ValueError("--boxes are of images, or of one video")
    if arguments.boxes:
        ids = files.image_ids if files else range(next(iter(videos.values())).frames)
        model = model.with_options(boxes=given_boxes(arguments.boxes, ids))
    if files:
        check_image_sizes(model.system, model.options, files.paths, files.sizes)
    sizes = [video.size for video in videos.values()]
    check_image_sizes(model.system, model.options, list(videos), sizes)
    return model


def tell_of_photographs(
    command: str, option: str, named: str | None, inputs: Iterable[Path]
) -> None:
    """Say that the bundled model is not for photographs, where none was named for them.

    Args:
        command: that says so.
        option: the option that names the model that finds people.
        named: what it was given.
        inputs: images and videos.
    """
    from poselib.data.synthetic.export import is_rendered
    from poselib.engine.weights.open import PHOTOGRAPHS

    if named is None and not all(map(is_rendered, inputs)):
        complain(f"poselib {command}: {PHOTOGRAPHS}: --{option} dekr_w32_coco")


def _check_output(
    folder: Path, named: Sequence[str], inputs: Sequence[Path], outputs: Sequence[Path]
) -> None:
    """Raise ValueError if results cannot be written there or would replace an input or a run's.

    Nor are they written into a folder that is named as one of images: they would be images of it.
    """
    from poselib.experiments.run_record import RUN

    check_output(folder, folder=True)
    if folder.resolve() in [Path(each).resolve() for each in named if Path(each).is_dir()]:
        raise ValueError(f"--out {folder}: is a folder of the images: give another one")
    if (folder / RUN).is_file() and any(map(os.path.lexists, outputs)):
        raise ValueError(f"--out {folder}: holds a run, whose results these would replace")
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
