"""Small scenes for the drawings, and a guard against figures left in pyplot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from poselib.skeletons import COCO
from poselib.structures import AffineTransform, Poses, Sample
from tests.plots.factories import Step, step

HEIGHT, WIDTH = 96, 128


@pytest.fixture(autouse=True)
def nothing_leaks_into_pyplot() -> Iterator[None]:
    before = plt.get_fignums()
    yield
    assert plt.get_fignums() == before


@dataclass(frozen=True)
class Scene:
    """Two people in a gray image, the second without its face."""

    image: NDArray[np.uint8]
    keypoints: NDArray[np.float32]

    @property
    def poses(self) -> Poses:
        seen = self.keypoints[..., 2] > 0
        xy = np.where(seen[..., None], self.keypoints[..., :2], 0).astype(np.float32)
        return Poses(xy, seen.astype(np.float32) * 0.8, np.array([0.9, 0.4], np.float32))

    @property
    def sample(self) -> Sample:
        ignore = np.zeros(self.image.shape[1:], bool)
        ignore[:20, 100:] = True
        areas = np.array([900, 400], np.float32)
        return Sample(self.image, self.keypoints, areas, ignore, 7, AffineTransform.identity())


def person(x: float, y: float, size: float) -> NDArray[np.float32]:
    """An upright person (K, 3) with its nose at (x, y), ``size`` px high."""
    places = {
        "nose": (0, 0), "eye": (0.04, -0.03), "ear": (0.08, 0), "shoulder": (0.13, 0.15),
        "elbow": (0.2, 0.3), "wrist": (0.22, 0.45), "hip": (0.09, 0.5), "knee": (0.1, 0.72),
        "ankle": (0.1, 0.95),
    }  # fmt: skip
    rows = []
    for name in COCO.keypoints:
        side = 1 if name.startswith("left_") else -1
        dx, dy = places[name.removeprefix("left_").removeprefix("right_")]
        rows.append((x + side * dx * size, y + dy * size, 2))
    return np.array(rows, np.float32)


@pytest.fixture
def scene() -> Scene:
    people = np.stack([person(30, 10, 70), person(90, 30, 50)])
    people[1, :5] = 0
    people[0, COCO.index("left_wrist"), 2] = 1
    return Scene(np.full((3, HEIGHT, WIDTH), 120, np.uint8), people)


@pytest.fixture
def steps() -> list[Step]:
    """Noses start two people, hips join them, and a wrist starts a third."""
    return [
        step(0, [[10, 5], [25, 8]], [0.0, 2.0], [0, 1], [True, True]),
        step(11, [[26, 20], [10, 18]], [2.2, 0.2], [1, 0], [False, False], {11: 0.2, 9: 3.0}),
        step(9, [[30, 12]], [5.0], [2], [True], {9: 2.8}),
    ]


@pytest.fixture
def no_overlap() -> Callable[[Figure], None]:
    """A check that no text of a figure lies on another one, or outside."""

    def check(figure: Figure) -> None:
        figure.draw_without_rendering()
        texts = [figure._suptitle, *(text for one in figure.legends for text in one.get_texts())]
        for ax in figure.axes:
            texts += [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts]
            texts += ax.get_yticklabels() if ax.axison else []
            texts += ax.get_legend().get_texts() if ax.get_legend() else []
        shown = [text for text in texts if text and text.get_text() and text.get_visible()]
        boxes = [text.get_window_extent() for text in shown]
        for n, box in enumerate(boxes):
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
            assert not any(box.overlaps(other) for other in boxes[:n])

    return check
