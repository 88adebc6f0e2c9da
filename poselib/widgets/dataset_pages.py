"""The pages of a contact sheet: which images are found, on the page, and chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from poselib.analysis.image_filter import ImageFilter, ImageIndex
from poselib.skeletons import Skeleton
from poselib.typing import IntArray
from poselib.widgets.contact_tiles import COLUMNS, PAGE
from poselib.widgets.dataset_controls import FIRST

MOVES = {"ArrowLeft": -1, "ArrowRight": 1, "ArrowUp": -COLUMNS, "ArrowDown": COLUMNS}
TURNS = {"PageUp": -1, "PageDown": 1}


@dataclass(frozen=True)
class Page:
    """A page of the images that are found.

    Attributes:
        found: positions in the dataset of all that are found, in their order.
        number: of the page, from 1.
        pages: how many there are, at least 1.
        images: positions of those on the page.
        chosen: position of the image shown large; None without any.
    """

    found: IntArray
    number: int
    pages: int
    images: list[int]
    chosen: int | None


class Pages:
    """Finds the images that an explorer's settings ask for.

    Args:
        index: what they are found by.
        skeleton: names the keypoints.
        most: by the names of ranges, the ends of their controls, which stand for no limit.
    """

    def __init__(self, index: ImageIndex, skeleton: Skeleton, most: Mapping[str, float]) -> None:
        self._index, self._skeleton, self._most = index, skeleton, dict(most)
        self._found = lru_cache(maxsize=4)(self._find)

    def at(self, values: Mapping[str, Any]) -> Page:
        """Return the page that settings ask for, the last one if there are fewer."""
        found = self._found(self._filter(values))
        pages = max(1, -(-len(found) // PAGE))
        number = min(values["page"], pages)
        images = found[(number - 1) * PAGE : number * PAGE].tolist()
        chosen = values["image"]
        if chosen == FIRST or not images:
            chosen = images[0] if images else None
        return Page(found, number, pages, images, chosen)

    def moved(self, values: Mapping[str, Any], key: str) -> dict[str, int]:
        """Return the settings after a key was pressed: another page, or a neighboring image."""
        page = self.at(values)
        if key in TURNS:
            return {"page": int(np.clip(page.number + TURNS[key], 1, page.pages)), "image": FIRST}
        if not page.images:
            return {}
        at = np.flatnonzero(page.found == page.chosen)
        first = int(at[0]) if len(at) else (page.number - 1) * PAGE
        place = int(np.clip(first + MOVES[key], 0, len(page.found) - 1))
        return self.choosing(values, int(page.found[place]))

    def choosing(self, values: Mapping[str, Any], image: int) -> dict[str, int]:
        """Return the settings that show an image large, on the page that has it if one has."""
        (place,) = np.nonzero(self.at(values).found == image)
        return {"image": image, **({"page": int(place[0]) // PAGE + 1} if len(place) else {})}

    def _find(self, wanted: ImageFilter) -> IntArray:
        return wanted(self._index)

    def _filter(self, values: Mapping[str, Any]) -> ImageFilter:
        def limits(name: str) -> tuple[float, float]:
            low, high = values[name]
            return low, np.inf if high >= self._most[name] else high

        return ImageFilter(
            people=limits("people"),
            crowding=limits("crowding"),
            keypoints=tuple(self._skeleton.index(name) for name in values["keypoints"]),
            labeled=values["labeled"],
            size=limits("size"),
            order=values["order"],
        )
