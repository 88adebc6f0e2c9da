"""The contact sheet of an explorer: images read when they are shown, and kept while there is room.

What cannot be read is a tile with the sentence that says why.
"""

from __future__ import annotations

import textwrap
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from poselib.data.image_folder import as_samples
from poselib.plots.poses import paint_truth
from poselib.skeletons import Skeleton
from poselib.structures import Sample
from poselib.widgets.latest import Kept
from poselib.widgets.painting import font_of

Pixels = NDArray[np.uint8]
T = TypeVar("T")
COLUMNS, ROWS = 3, 4
PAGE = COLUMNS * ROWS
_SIDE, _GAP, _TEXT = 200, 8, 26  # px: of a thumbnail, between them, of the line below
_GRAY, _DARK, _RED, _CHOSEN = (236, 236, 238), (33, 33, 38), (198, 40, 40), (208, 28, 139)
_BYTES = 64 * 2**20  # of images that are kept whole


class ImageStore:
    """Images of a dataset with their thumbnails; the latest are kept.

    Args:
        dataset: gives whatever a predictor takes by its position.
        skeleton: of its people.
    """

    def __init__(self, dataset: Any, skeleton: Skeleton) -> None:
        self._dataset, self._skeleton = dataset, skeleton
        self._samples: OrderedDict[int, Sample | Exception] = OrderedDict()
        self._thumbnails = Kept(20 * PAGE)
        self._keeping, self._reading = threading.Lock(), threading.Lock()

    def holds(self, positions: Sequence[int], chosen: int | None) -> bool:
        """Whether the thumbnails, and the chosen image itself, need not be read."""
        there = chosen is None or chosen in self._samples
        return there and all(each in self._thumbnails for each in positions)

    def sample(self, position: int) -> Sample | Exception:
        """Return an image with its people, or why it cannot be read."""
        if (known := self._latest(self._samples, position)) is not None:
            return known
        with self._reading:  # datasets are not made for several threads
            found = self._read(position)
        with self._keeping:
            self._samples[position] = found
            while len(self._samples) > 1 and self._size() > _BYTES:
                self._samples.popitem(last=False)
        return found

    def thumbnail(self, position: int, *, read: bool = True) -> Pixels | None:
        """Return a small picture of an image with its people; None if it has to be read first."""
        known = self._latest(self._thumbnails, position)
        if known is not None or not read:
            return known
        found = self.sample(position)
        tile = _failed(found) if isinstance(found, Exception) else self._small(found)
        with self._keeping:
            return self._thumbnails.put(position, tile)

    def _latest(self, kept: OrderedDict[Any, T], position: int) -> T | None:
        with self._keeping:
            if position in kept:
                kept.move_to_end(position)
            return kept.get(position)

    def _read(self, position: int) -> Sample | Exception:
        try:
            item = self._dataset[position]
            sample = item if isinstance(item, Sample) else as_samples(item)[0][0]
            return fitting(sample, self._skeleton)
        except Exception as error:  # one image; the page goes on
            return error

    def _size(self) -> int:
        kept = [each for each in self._samples.values() if isinstance(each, Sample)]
        return sum(each.image.nbytes + each.ignore_mask.nbytes for each in kept)

    def _small(self, sample: Sample) -> Pixels:
        scale = _SIDE / max(sample.size)
        height, width = (max(1, round(side * scale)) for side in sample.size)
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        pixels = np.ascontiguousarray(sample.image.transpose(1, 2, 0))
        small = cv2.resize(pixels, (width, height), interpolation=way).reshape(height, width, 3)
        people = sample.keypoints * np.array([scale, scale, 1], np.float32)
        painted = paint_truth(small.transpose(2, 0, 1), people, self._skeleton)
        tile = np.full((_SIDE, _SIDE, 3), _GRAY, np.uint8)
        top, left = (_SIDE - height) // 2, (_SIDE - width) // 2
        tile[top : top + height, left : left + width] = painted
        return tile


def sheet_of(
    tiles: Sequence[Pixels | None],
    captions: Sequence[str],
    chosen: int | None,
    *,
    whole: bool = True,
) -> Pixels:
    """Return a page of thumbnails with a line below each; the chosen one is framed.

    Args:
        tiles: at most ``PAGE``; None for one that is being read.
        whole: as high as a full page, even if there are fewer.
    """
    rows = ROWS if whole else max(1, -(-len(tiles) // COLUMNS))
    size = COLUMNS * (_SIDE + _GAP) + _GAP, rows * (_SIDE + _TEXT + _GAP) + _GAP
    image = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(image), font_of(16)
    for n, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        x, y = _corner(n)
        if n == chosen:
            frame = (x - 6, y - 6, x + _SIDE + 5, y + _SIDE + _TEXT - 1)
            draw.rounded_rectangle(frame, 5, fill=_CHOSEN)
        shown = tile if tile is not None else np.full((_SIDE, _SIDE, 3), _GRAY, np.uint8)
        image.paste(Image.fromarray(shown), (x, y))
        color = "white" if n == chosen else _DARK
        draw.text((x + _SIDE / 2, y + _SIDE + 4), caption, color, font, anchor="ma")
    return np.array(image)


def fitting(sample: Sample, skeleton: Skeleton) -> Sample:
    """Return a sample without people as one of a skeleton; others as they are."""
    if len(sample.keypoints):
        return sample
    return replace(sample, keypoints=np.zeros((0, len(skeleton), 3), np.float32))


def message(text: str, size: int = _SIDE, *, wrong: bool = False) -> Pixels:
    """Return a gray square, side in px, with a sentence in it."""
    letters = 15 if size <= _SIDE else 18
    image = Image.new("RGB", (size, size), _GRAY)
    lines = textwrap.wrap(text, round(1.7 * size / letters), max_lines=9, placeholder=" ...")
    where, font = (size / 2, size / 2), font_of(letters)
    color = _RED if wrong else _DARK
    ImageDraw.Draw(image).text(where, "\n".join(lines), color, font, "mm", 5, "center")
    return np.array(image)


def tile_at(x: float, y: float) -> int | None:
    """Return the number of the tile at a point of the sheet, px; a gap is the next one's."""
    column, row = int(x // (_SIDE + _GAP)), int(y // (_SIDE + _TEXT + _GAP))
    return row * COLUMNS + column if 0 <= column < COLUMNS and 0 <= row < ROWS else None


def _failed(error: Exception) -> Pixels:
    return message(str(error) or type(error).__name__, wrong=True)


def _corner(number: int) -> tuple[int, int]:
    row, column = divmod(number, COLUMNS)
    return _GAP + column * (_SIDE + _GAP), _GAP + row * (_SIDE + _TEXT + _GAP)
