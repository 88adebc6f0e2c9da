"""The control of an explorer that chooses an image: a synthetic scene, a dataset's, or a file."""

from __future__ import annotations

import io
import os.path
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets as ipw
from PIL import Image

from poselib.data.image_folder import as_samples
from poselib.data.synthetic.dataset import SceneConfig, SyntheticScenes
from poselib.skeletons import Skeleton
from poselib.structures import Sample
from poselib.widgets.given import IMAGE, check_images, frames_of
from poselib.widgets.latest import Kept

SYNTHETIC, GIVEN, FILE, UPLOAD = "synthetic scene", "images given", "file", "upload"
NAMES = ("source", "scene", "people", "crowd_index", "index", "file", "upload")
_SHOWN = {
    SYNTHETIC: ("scene", "people", "crowd_index"),
    GIVEN: ("index",),
    FILE: ("file",),
    UPLOAD: ("upload",),
}


@dataclass(frozen=True)
class ImageSettings:
    """Which image an explorer shows.

    Attributes:
        source: "synthetic scene", "images given", "file" or "upload"; empty is the images given,
            or else a synthetic scene.
        scene: number of the synthetic scene.
        people: how many it has.
        crowd_index: how much they overlap, in [0, 1].
        index: of the image among those given.
        file: path of an image file.
    """

    source: str = ""
    scene: int = 0
    people: int = 3
    crowd_index: float = 0.4
    index: int = 0
    file: str = ""


class ImageSource:
    """Controls that choose an image, and the image that they choose.

    Args:
        images: one image or several, as a predictor takes them, or a dataset; None for none.
        skeleton: the keypoints of synthetic people.
        size: side of synthetic scenes, px.

    Attributes:
        uploads: how often a file was uploaded: an image depends on it beside the settings.
        controls: by the name of a setting, with ``upload``, which has none: a file from the disk
            of the browser's machine.

    Raises:
        FileNotFoundError: an image file is absent.
        ValueError: it is not an image, several or a dataset of them.
    """

    def __init__(self, images: Any, skeleton: Skeleton, size: int) -> None:
        images = frames_of(images)
        if images is not None:
            check_images(images)
        self._samples = None if images is None else as_samples(images)[0]
        if self._samples is not None and isinstance(images, IMAGE):
            self._samples[0]  # of one image it is said at once that it is none
        self._skeleton, self._size = skeleton, size
        count = 0 if self._samples is None else len(self._samples)
        self.uploads = 0
        self._uploaded: Sample | Exception = ValueError("choose a file to upload")
        kinds = [SYNTHETIC, *([GIVEN] if count else []), FILE, UPLOAD]
        self.controls: dict[str, Any] = {
            "source": ipw.Dropdown(options=kinds, description="image"),
            "scene": ipw.BoundedIntText(0, 0, 999, description="scene"),
            "people": ipw.IntSlider(3, 1, 8, description="people"),
            "crowd_index": ipw.FloatSlider(
                0.4, min=0, max=0.9, step=0.05, description="crowd index"
            ),
            "index": ipw.BoundedIntText(0, 0, max(count - 1, 0), description="number"),
            "file": ipw.Text("", description="file", continuous_update=False),
            "upload": ipw.FileUpload(accept="image/*", description="Choose a file"),
        }
        for name in ("people", "crowd_index"):
            self.controls[name].continuous_update = False
        self.controls["source"].value = GIVEN if count else SYNTHETIC
        self.controls["source"].observe(self._show_fitting, "value")
        self.controls["upload"].observe(self._receive, "value")
        self._show_fitting()
        self._rendered = Kept(8)  # synthetic scenes

    def resolve(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the image's settings with the source that an empty one means."""
        source = settings["source"] or (FILE if settings["file"] else self.controls["source"].value)
        return {**settings, "source": source}

    def sample(
        self, values: Mapping[str, Any], skeleton: Skeleton | None = None, size: int | None = None
    ) -> Sample:
        """Return the image that the values choose, with its people where they are known.

        Args:
            skeleton, size: of synthetic scenes, if a model needs others than the first one.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is not an image, or nothing was uploaded.
        """
        if values["source"] == SYNTHETIC:
            numbers = values["scene"], values["people"], values["crowd_index"]
            return self._scene(*numbers, skeleton or self._skeleton, size or self._size)
        if values["source"] == FILE:
            if not values["file"]:
                raise ValueError("name an image file")
            return as_samples(os.path.expanduser(values["file"]))[0][0]
        if values["source"] == UPLOAD:
            if isinstance(self._uploaded, Exception):
                raise self._uploaded.with_traceback(None)  # raised again, it would grow
            return self._uploaded
        assert self._samples is not None
        return self._samples[values["index"]]

    def _scene(
        self, scene: int, people: int, crowd_index: float, skeleton: Skeleton, size: int
    ) -> Sample:
        key = scene, people, crowd_index, skeleton.name, skeleton.keypoints, size
        if key not in self._rendered:
            index = crowd_index if people > 1 else 0.0
            config = SceneConfig(size, people=(people, people), crowd_index=index)
            self._rendered.put(key, SyntheticScenes(config, scene + 1, 5, skeleton)[scene])
        found: Sample = self._rendered[key]
        return found

    def _show_fitting(self, _: Any = None) -> None:
        fitting = _SHOWN[self.controls["source"].value]
        for name in NAMES[1:]:
            self.controls[name].layout.display = None if name in fitting else "none"

    def _receive(self, _: Any) -> None:
        self.uploads += 1
        for file in self.controls["upload"].value:
            try:
                with Image.open(io.BytesIO(bytes(file["content"]))) as image:
                    self._uploaded = as_samples(image)[0][0]
            except Exception as error:  # a decompression bomb too; said when the image is asked for
                self._uploaded = ValueError(f"{file['name']} is not an image: {error}")
