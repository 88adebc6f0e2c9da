"""A picture that can be clicked, with a box that can be dragged, and a button that copies text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import cv2
import numpy as np
import traitlets
from numpy.typing import NDArray


def source_of(name: str) -> str:
    """Return the text of a script or style sheet: given its path, anywidget keeps each widget."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


class ImageCanvas(anywidget.AnyWidget):
    """An image in which points can be clicked and a box dragged, by mouse, touch or keyboard.

    Arrow keys move a cross, with Shift ten times as far, and Enter clicks there; with ``boxed``
    they move the box. Keys of ``key_names`` are told to Python instead. All coordinates are px of
    an image of ``size``, whatever the resolution of the picture that shows it.

    Attributes:
        picture: an encoded image; see ``show``.
        size: (H, W), px, of the coordinates.
        width: px on the page, at most.
        clicked: (x, y, n), the point of the n-th click; n = 0 before the first.
        boxed: whether dragging draws and moves a box; otherwise it clicks.
        box: left, top, right, bottom of the box; empty without one.
        key_names: names of keys as browsers know them, such as ``"PageDown"``.
        pressed: (key, n), the n-th of these that was pressed; empty before the first.
        labels: (x, y, text) of points that are named when the mouse is near.
        title: for those who cannot see it, and above it.
    """

    _esm = source_of("canvas.js")
    _css = source_of("canvas.css")
    picture = traitlets.Bytes(b"").tag(sync=True)
    size = traitlets.List(traitlets.Float(), [1.0, 1.0]).tag(sync=True)
    width = traitlets.Int(512).tag(sync=True)
    clicked = traitlets.List(traitlets.Float(), [0.0, 0.0, 0.0]).tag(sync=True)
    boxed = traitlets.Bool(False).tag(sync=True)
    box = traitlets.List(traitlets.Float(), []).tag(sync=True)
    key_names = traitlets.List(traitlets.Unicode(), []).tag(sync=True)
    pressed: traitlets.List[Any] = traitlets.List([]).tag(sync=True)
    labels: traitlets.List[Any] = traitlets.List([]).tag(sync=True)
    title = traitlets.Unicode("").tag(sync=True)

    def show(
        self,
        pixels: NDArray[np.uint8],
        size: tuple[int, int] | None = None,
        labels: list[tuple[float, float, str]] | None = None,
        title: str | None = None,
    ) -> None:
        """Show pixels (h, w, 3), uint8 RGB, with their names, in one message.

        Args:
            size: (H, W) of the coordinates; by default that of the pixels.
            labels: (x, y, text), px of ``size``.
            title: stays as it is if None.
        """
        values: dict[str, Any] = {"picture": encode(pixels), "labels": labels or []}
        values["size"] = [float(side) for side in size or pixels.shape[:2]]
        if title is not None:
            values["title"] = title
        with self.hold_sync():
            for name, value in values.items():
                setattr(self, name, value)


class CopyButton(anywidget.AnyWidget):
    """A button that puts a text on the clipboard.

    Attributes:
        text: what is copied.
        description: what is on the button.
        tooltip: what it does.
    """

    _esm = source_of("copy.js")
    text = traitlets.Unicode("").tag(sync=True)
    description = traitlets.Unicode("Copy code").tag(sync=True)
    tooltip = traitlets.Unicode("").tag(sync=True)


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels (h, w, 3), uint8 RGB, as a JPEG file: small, and quick to write and show."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, 93, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    return cv2.imencode(".jpg", pixels[..., ::-1], quality)[1].tobytes()
