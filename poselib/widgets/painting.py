"""Pictures of maps, poses and marks over an image, painted into pixels: within milliseconds.

Points are px of the image; the picture is enlarged by a whole number so that lines stay fine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import cv2
import matplotlib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from poselib.ops.map_coordinates import CropFrame, cell_stride
from poselib.plots.poses import paint_poses, paint_truth
from poselib.plots.style import ALERT, INK, WHITE, Color, as_image, to_pale_gray
from poselib.poses import Poses
from poselib.skeletons import Skeleton
from poselib.structures import Size
from poselib.typing import FloatArray

Pixels = NDArray[np.uint8]
_SIDE = 512  # px to which small images are enlarged
_HATCH = 15  # px of the picture between the lines of a hatched region
_SHIFT = 4  # bits of a pixel's fractions in OpenCV's drawing


class Picture:
    """An image that marks are painted over.

    Args:
        image: (3, H, W) uint8 RGB.
        pale: make it light gray, so that colors over it stand out.
        side: px to which a small image is enlarged, about.

    Attributes:
        size: (H, W) of the image, px.
        unit: px of the picture for each px of the image.
        pixels: (h, w, 3) uint8 RGB, what has been painted so far.
    """

    def __init__(self, image: ArrayLike, *, pale: bool = False, side: int = _SIDE) -> None:
        pixels = as_image(image)
        self.size: tuple[int, int] = (pixels.shape[1], pixels.shape[2])
        self.unit = max(1, round(side / max(self.size)))
        shown = to_pale_gray(pixels) if pale else pixels
        rows = shown.transpose(1, 2, 0).repeat(self.unit, 0).repeat(self.unit, 1)
        self.pixels: Pixels = np.ascontiguousarray(rows)

    def add_map(
        self,
        values: ArrayLike,
        limits: tuple[float, float],
        *,
        colors: str = "magma",
        opacity: ArrayLike | None = None,
    ) -> Picture:
        """Lay a map (h, w) over the image, cell for cell.

        Args:
            limits: values of the first and the last color.
            colors: one of matplotlib's maps of colors.
            opacity: (h, w) in [0, 1]; by default clear where low and 0.9 where high.
        """
        low, high = limits
        cells = np.nan_to_num(np.asarray(values, np.float32), nan=low)
        levels = np.clip((cells - low) / max(high - low, 1e-12), 0.0, 1.0)
        alpha = np.clip(1.5 * levels, 0.0, 0.9) if opacity is None else np.asarray(opacity)
        table = (255 * matplotlib.colormaps[colors](np.arange(256))[:, :3]).round()
        tint = table[(255 * levels).round().astype(np.intp)].astype(np.float32)
        height, width = self.pixels.shape[:2]
        layer = np.concatenate([tint * alpha[..., None], alpha[..., None]], axis=2)
        layer = layer.astype(np.float32)
        layer = cv2.resize(layer, (width, height), interpolation=cv2.INTER_NEAREST)
        mixed = self.pixels * (1.0 - layer[..., 3:]) + layer[..., :3]
        self.pixels = mixed.round().astype(np.uint8)
        return self

    def add_poses(self, poses: Poses, skeleton: Skeleton) -> Picture:
        """Paint people, px of the image, each in a color of its own."""
        enlarged = replace(poses, keypoints=poses.keypoints * self.unit)
        self.pixels = paint_poses(self.pixels.transpose(2, 0, 1), enlarged, skeleton)
        return self

    def add_people(
        self, keypoints: NDArray[np.float32], skeleton: Skeleton, weight: float = 1.0
    ) -> Picture:
        """Paint annotated people (N, K, 3), px of the image: rings are hidden keypoints."""
        enlarged = keypoints * np.array([self.unit, self.unit, 1], np.float32)
        pixels = self.pixels.transpose(2, 0, 1)
        self.pixels = paint_truth(pixels, enlarged, skeleton, weight=weight)
        return self

    def add_region(self, mask: NDArray[np.bool_], color: Color = ALERT) -> Picture:
        """Hatch the pixels of a mask (H, W)."""
        inside = mask.repeat(self.unit, 0).repeat(self.unit, 1)
        ys, xs = np.nonzero(inside)
        lines = (xs + ys) % _HATCH < _HATCH // 5
        pale = 0.65 * self.pixels[ys, xs] + 0.35 * 255
        self.pixels[ys, xs] = np.where(lines[:, None], np.array(_bytes(color)), pale).round()
        return self

    def add_texts(
        self, points: ArrayLike, texts: Sequence[str], colors: Sequence[Color], size: int = 15
    ) -> Picture:
        """Write texts centered above points (n, 2), px of the image; size is px of the picture."""
        shown = Image.fromarray(self.pixels)
        draw, font = ImageDraw.Draw(shown), font_of(size)
        for (x, y), text, color in zip(np.asarray(points) * self.unit, texts, colors, strict=True):
            half = draw.textlength(text, font) / 2 + 3
            x = float(np.clip(x, half, max(half, shown.width - half)))
            y = float(np.clip(y, size + 4, shown.height - 2))
            outline: dict[str, Any] = {"stroke_width": 3, "stroke_fill": _bytes(INK)}
            draw.text((x, y), text, _bytes(color), font, anchor="mb", **outline)
        self.pixels = np.array(shown)
        return self

    def add_rings(
        self, points: ArrayLike, color: Color = ALERT, radius: float = 9.0, line: int = 2
    ) -> Picture:
        """Ring points (n, 2), px of the image; radius and line are px of the picture."""
        for x, y in self._fixed(points):
            for tone, extra in ((WHITE, 2), (color, 0)):
                spec = (round(radius * 2**_SHIFT), _bytes(tone), line + extra, cv2.LINE_AA, _SHIFT)
                cv2.circle(self.pixels, (x, y), *spec)
        return self

    def add_dots(
        self, points: ArrayLike, colors: Sequence[Color] | Color, radius: float = 4.0
    ) -> Picture:
        """Paint points (n, 2), px of the image, in one color or one for each; edged dark."""
        fixed = self._fixed(points)
        each = [colors] * len(fixed) if colors and isinstance(colors[0], float) else colors
        for (x, y), color in zip(fixed, each, strict=True):
            for tone, more in ((INK, 1.2), (color, 0.0)):
                size = round((radius + more) * 2**_SHIFT)
                cv2.circle(self.pixels, (x, y), size, _bytes(tone), -1, cv2.LINE_AA, _SHIFT)  # type: ignore[arg-type]
        return self

    def add_arrows(
        self, starts: ArrayLike, ends: ArrayLike, colors: Sequence[Color], line: int = 2
    ) -> Picture:
        """Paint arrows from points (n, 2) to points (n, 2), px of the image."""
        pairs = zip(self._fixed(starts), self._fixed(ends), colors, strict=True)
        for first, last, color in pairs:
            length = max(np.hypot(*np.subtract(last, first)) / 2**_SHIFT, 1.0)
            tip = min(0.4, 9.0 / length)
            for tone, extra in ((INK, 1), (color, 0)):
                spec = (_bytes(tone), line + extra, cv2.LINE_AA, _SHIFT, tip)
                cv2.arrowedLine(self.pixels, first, last, *spec)
        return self

    def add_lines(self, starts: ArrayLike, ends: ArrayLike, color: Color, line: int = 2) -> Picture:
        """Paint lines from points (n, 2) to points (n, 2), px of the image, edged dark."""
        for first, last in zip(self._fixed(starts), self._fixed(ends), strict=True):
            for tone, extra in ((INK, 2), (color, 0)):
                cv2.line(self.pixels, first, last, _bytes(tone), line + extra, cv2.LINE_AA, _SHIFT)
        return self

    def add_crosses(
        self, points: ArrayLike, color: Color, arm: float = 5.0, *, diagonal: bool = False
    ) -> Picture:
        """Paint crosses at points (n, 2), px of the image; arms are px of the picture.

        Args:
            diagonal: thick ones, edged white, that cross something out.
        """
        places, reach = np.asarray(points, np.float64).reshape(-1, 2), arm / self.unit
        arms = ([reach, reach], [reach, -reach]) if diagonal else ([reach, 0.0], [0.0, reach])
        for tone, line in ((WHITE, 5), (color, 3)) if diagonal else ((INK, 3), (color, 1)):
            for axis in arms:
                pairs = zip(self._fixed(places - axis), self._fixed(places + axis), strict=True)
                for first, last in pairs:
                    cv2.line(self.pixels, first, last, _bytes(tone), line, cv2.LINE_AA, _SHIFT)
        return self

    def add_box(self, box: Sequence[float], color: Color = ALERT, line: int = 2) -> Picture:
        """Outline a box: left, top, right, bottom, px of the image."""
        (left, top), (right, bottom) = self._fixed(np.reshape(box, (2, 2)))
        spec = (_bytes(color), line, cv2.LINE_AA, _SHIFT)
        cv2.rectangle(self.pixels, (left, top), (right, bottom), *spec)
        return self

    def _fixed(self, points: ArrayLike) -> list[tuple[int, int]]:
        # OpenCV's pixel centers are whole numbers; bounds keep far points within its numbers.
        array = np.asarray(points, np.float64).reshape(-1, 2) * self.unit - 0.5
        bound = 4.0 * max(self.pixels.shape)
        array = np.clip(np.nan_to_num(array, nan=-bound), -bound, bound) * 2**_SHIFT
        return [(x, y) for x, y in array.round().astype(int).tolist()]


def over_image(values: FloatArray, size: Size, frame: CropFrame) -> FloatArray:
    """Return a map (h, w) so that ``Picture.add_map`` lays each value where its cell stands.

    Args:
        size: (H, W) of the image, px; the result has it in frames of pixel indices.
        frame: what a cell of the map stands for.
    """
    if frame == "center":
        return values
    cells = (values.shape[0], values.shape[1])
    rows, columns = (
        np.minimum(np.rint(np.arange(side) / stride), count - 1).astype(int)
        for side, stride, count in zip(size, cell_stride(size, cells, frame), cells, strict=True)
    )
    return values[rows[:, None], columns]


def side_by_side(first: Picture, second: Picture, gap: int = 8) -> Pixels:
    """Return two pictures of one size beside each other."""
    bar = np.full((first.pixels.shape[0], gap, 3), 255, np.uint8)
    return np.concatenate([first.pixels, bar, second.pixels], axis=1)


@lru_cache(maxsize=8)
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """Return the font of texts in pictures, px: the one that comes with matplotlib."""
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)


def _bytes(color: Color) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in color)
    return red, green, blue
