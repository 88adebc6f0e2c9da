"""Prediction of videos to files: poses as PoseTrack18's JSON and as CSV, and the video drawn."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from poselib.data.posetrack_export import PosesDocument
from poselib.data.video_files import Video
from poselib.data.video_writer import VideoWriter, video_suffix
from poselib.engine.image_stream import FrameStream, follow
from poselib.engine.predict_images import csv_of_poses
from poselib.ops.io import atomic_write
from poselib.plots.poses import paint_poses
from poselib.wording import counted

# Frames a second of a film at most, where times are variable and frames may be repeated.
_MOST_FRAMES = 60.0


@dataclass(frozen=True)
class VideoResult:
    """What was written of a video.

    Attributes:
        document: the JSON file.
        film: the video file with poses drawn.
        frames: how many were read.
        tracks: how many are in the JSON file.
        people: how many of them are drawn.
    """

    document: Path
    film: Path
    frames: int
    tracks: int
    people: int

    def __str__(self) -> str:
        table = self.document.with_suffix(".csv").name
        written = f"{self.document.name}, {table} and {self.film.name} in {self.document.parent}"
        found = counted(self.tracks, "track")
        if self.people < self.tracks:
            found += f" ({self.people} drawn)"
        return f"{found} in {counted(self.frames, 'frame')}; {written}"


def video_outputs(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """Return the JSON file, the film and the CSV that ``predict_video`` writes into a folder."""
    return folder / f"{name}.json", folder / f"{name}{video_suffix()}", folder / f"{name}.csv"


def predict_video(
    stream: FrameStream,
    video: Video,
    folder: Path,
    name: str = "",
    *,
    number: int = 0,
    smooth: str | None = None,
    min_score: float = 0.0,
    draw_score: float = 0.0,
    progress: bool = False,
) -> VideoResult:
    """Find the people of a video; write their poses, and the video with the poses drawn.

    ``<name>.json`` has PoseTrack18's layout, with track ids and times, and ``<name>.mp4``, or
    ``.webm`` without PyAV, has the frames at their own times. ``<name>.csv`` has a row for each
    frame, person and keypoint. Frames are read, predicted and written one by one. If the prediction
    is interrupted, all files hold what there was until then, and ``info.complete`` of the JSON is
    false.

    Args:
        stream: at its start.
        video: what ``open_video`` returns.
        folder: receives the files.
        name: of the files; by default that of the video.
        number: of the video among several, on which the ids of its frames depend.
        smooth: ``"one-euro"`` or ``"savgol"``, see ``ops.smoothing.smoothed``.
        min_score: people below it are left out.
        draw_score: people whose score is below it are not drawn.
        progress: show a bar.

    Raises:
        ValueError: the smoothing is unknown.
    """
    document_file, film_file, csv_file = video_outputs(folder, name or video.name)
    tracks: set[int] = set()
    drawn_tracks: set[int] = set()
    ended: BaseException | None = None
    with ExitStack() as files:
        temporary = files.enter_context(atomic_write(document_file))
        text = files.enter_context(temporary.open("w", encoding="utf-8"))
        document = PosesDocument(text, stream.skeleton, video.name, number, video.size)
        place = files.enter_context(atomic_write(film_file))
        rate = video.rate if video.constant else min(video.rate, _MOST_FRAMES)
        film = files.enter_context(VideoWriter(place, video.size, rate))
        add_rows = files.enter_context(csv_of_poses(csv_file, stream.skeleton))
        bar = files.enter_context(
            tqdm(total=video.frames, disable=not progress, desc=video.name, unit="frame")
        )
        try:
            for frame, poses in follow(stream, video, smooth):
                poses = poses.above(min_score)
                drawn = poses.above(draw_score)
                picture = paint_poses(frame.image.transpose(2, 0, 1), drawn, stream.skeleton)
                film.write(picture, frame.time)
                add_rows(poses, frame=document.frames, time=frame.time)
                document.add(frame.name, poses)
                tracks.update([] if poses.tracks is None else poses.tracks.tolist())
                drawn_tracks.update([] if drawn.tracks is None else drawn.tracks.tolist())
                bar.update()
        except BaseException as error:
            if not document.frames:
                raise
            ended = error
        info = {"video": video.name, "fps": round(video.rate, 6), "complete": ended is None}
        document.finish({**info, "frames": document.frames, "smoothing": smooth})
    if ended is not None:
        raise ended
    numbers = document.frames, len(tracks), len(drawn_tracks)
    return VideoResult(document_file, film_file, *numbers)
