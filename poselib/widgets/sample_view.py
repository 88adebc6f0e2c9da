"""One image large: its people, boxes, ignored regions and training targets painted over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from poselib.analysis.training_views import TrainingViews, offset_arrows
from poselib.data.transforms import fit
from poselib.plots import style
from poselib.plots.style import WHITE, Color, blend, display_name, person_colors
from poselib.skeletons import Skeleton
from poselib.structures import RegressionTargets, Sample, Targets
from poselib.widgets.painting import Picture

HEATMAPS, CENTERS, OFFSETS = "heatmaps", "centers", "offsets"
TARGETS = (HEATMAPS, CENTERS, OFFSETS)
_LARGEST = 1024  # px; more than a page shows takes time and memory
_VISIBILITY = ("not labeled", "hidden", "visible")
_FAINT = 0.02  # values of heatmaps below it are not painted
Label = tuple[float, float, str]


@dataclass(frozen=True)
class Layers:
    """What is painted over an image; see ``dataset_controls.DatasetSettings``."""

    poses: bool = True
    boxes: bool = False
    numbers: bool = False
    ignored: bool = True
    target: str = HEATMAPS
    keypoint: str = ""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Layers:
        """Return those that settings ask for."""
        return cls(**{each.name: settings[each.name] for each in fields(cls)})


@dataclass(frozen=True)
class SampleView:
    """An image with its people, and with what a network is trained to predict there.

    Attributes:
        sample: the image.
        skeleton: of its people.
        targets: of the sample as a batch of one image; None for none.
    """

    sample: Sample
    skeleton: Skeleton
    targets: Targets | None = None

    @classmethod
    def in_training(
        cls, views: TrainingViews, sample: Sample, position: int, settings: Mapping[str, Any]
    ) -> tuple[SampleView, str]:
        """Return an image as a training sees it, with its targets, and a remark on how.

        Args:
            position: of the image in the dataset.
            settings: ``augment``, ``seed``, ``epoch`` and ``person``; the last one that there is,
                if there are fewer.
        """
        person = min(settings["person"], max(0, len(sample.keypoints) - 1))
        if settings["augment"]:
            seed, epoch = settings["seed"], settings["epoch"]
            shown = views.augmented(sample, seed=seed, epoch=epoch, index=position, person=person)
            remark = f"augmented as in epoch {epoch} of a training with seed {seed}"
        else:
            shown, remark = views.plain(sample, person), "at the size of training"
        remark += f", {shown.size[1]} x {shown.size[0]} px"
        remark += f", person {person}" if views.one_person else ""
        targets = None if views.system is None else views.targets(shown)
        return cls(shown, views.skeleton, targets), remark

    def paint(self, layers: Layers) -> tuple[Picture, list[Label], str]:
        """Return the picture, the names of points in it, px of its size, and a remark."""
        sample, largest = self.sample, max(self.sample.size)
        if largest > _LARGEST and self.targets is None:
            shrunk = fit(sample, _LARGEST)
            height, width = (max(1, round(side * _LARGEST / largest)) for side in sample.size)
            cut = shrunk.image[:, :height, :width], shrunk.ignore_mask[:height, :width]
        else:
            shrunk, cut = sample, (sample.image, sample.ignore_mask)
        picture = Picture(cut[0], pale=self.targets is not None)
        colors, remark = person_colors(len(sample.keypoints)), ""
        if self.targets is not None:
            remark = self._add_targets(picture, self.targets, layers, colors)
        if layers.ignored and cut[1].any():
            picture.add_region(cut[1])
        if layers.boxes and shrunk.boxes is not None:
            for box, color in zip(shrunk.boxes, colors, strict=True):
                picture.add_box(box.tolist(), color)
        elif layers.boxes and len(colors):
            remark = remark or "the people have no boxes"
        if layers.poses and self.targets is not None:
            self._add_keypoints(picture, colors)
        elif layers.poses:
            picture.add_people(shrunk.keypoints, self.skeleton)
        labels = self._labels(shrunk)
        if layers.numbers:
            self._add_numbers(picture, shrunk, colors)
        return picture, labels, remark

    @style.theme
    def figure(self, layers: Layers, title: str) -> Figure:
        """Return the picture as a figure, with what is seen of targets and what marks mean."""
        picture, _, remark = self.paint(layers)
        figure, (ax,) = style.panel_grid([picture.size], 1)
        title = "; ".join(filter(None, (title, remark)))
        style.show_image(ax, picture.pixels.transpose(2, 0, 1), title)
        if layers.poses and self.targets is None:
            style.legend_below(figure, style.VISIBILITY)
        return figure

    def _add_targets(
        self, picture: Picture, targets: Targets, layers: Layers, colors: tuple[Color, ...]
    ) -> str:
        k = self.skeleton.index(layers.keypoint) if layers.keypoint else None
        if layers.target == HEATMAPS or not isinstance(targets, RegressionTargets):
            heat = targets.heatmaps[-1][0, : len(self.skeleton)].numpy()
            picture.add_map(heat.max(axis=0) if k is None else heat[k], (_FAINT, 1.0))
            height, width = heat.shape[1:]
            remark = f"target heatmaps of {width} x {height} cells, peaks of 1"
            if k is not None and not heat[k].any():
                remark = f"no {display_name(layers.keypoint)} is labeled in this image"
            if layers.target != HEATMAPS:
                remark = f"this system has no {layers.target}: {remark}"
            return remark
        if layers.target == CENTERS:
            return self._add_centers(picture, targets, colors)
        starts, ends, people = offset_arrows(targets, k)
        tones = [blend(colors[n], WHITE, 0.15) for n in people]
        picture.add_arrows(starts, ends, tones, line=2 if k is None else 1)
        if not len(starts):
            return "no person has a center with this offset"
        of = "all labeled keypoints" if k is None else display_name(layers.keypoint)
        origin = "centers" if k is None else "each cell of the center regions"
        return f"offsets from {origin} to {of}, {len(starts)} arrows"

    def _add_centers(
        self, picture: Picture, targets: RegressionTargets, colors: tuple[Color, ...]
    ) -> str:
        heat = targets.heatmaps[0][0, -1].numpy()
        picture.add_map(heat, (_FAINT, 1.0))
        owners = targets.center_assignment[0].numpy()
        owner = owners if owners.ndim == 2 else owners.max(axis=0)
        stride = targets.image_size[0] / owner.shape[0]
        ys, xs = np.nonzero(owner >= 0)
        middles = (np.stack([xs, ys], axis=1) + 0.5) * stride
        picture.add_dots(middles, [colors[n] for n in owner[ys, xs]], radius=2.0)
        count = int((targets.centers[0, :, 2] > 0).sum())
        return f"center heatmap, with the cells of {count} center regions as dots"

    def _labels(self, shown: Sample) -> list[Label]:
        names = [display_name(name) for name in self.skeleton.keypoints]
        labels = [
            (float(x), float(y), f"{names[k]}, {_VISIBILITY[int(v)]}: {self._person(n)}")
            for n, person in enumerate(shown.keypoints)
            for k, (x, y, v) in enumerate(person.tolist())
            if v > 0
        ]
        if shown.boxes is not None:
            for n, (left, top, right, _) in enumerate(shown.boxes.tolist()):
                middle = ((left + right) / 2, max(top, 0.0))
                labels.append((*middle, f"box of {self._person(n)}"))
        return labels

    def _person(self, number: int) -> str:
        size, tracks = np.sqrt(self.sample.areas[number]), self.sample.tracks
        track = "" if tracks is None else f", track {tracks[number]}"
        return f"person {number}{track}, √area {size:.0f} px"

    def _add_keypoints(self, picture: Picture, colors: tuple[Color, ...]) -> None:
        """Dot the keypoints alone, so that the targets below them are seen."""
        people, types = np.nonzero(self.sample.keypoints[..., 2] > 0)
        points = self.sample.keypoints[people, types, :2]
        picture.add_dots(points, [colors[n] for n in people], radius=1.6 + 0.3 * picture.unit)

    def _add_numbers(self, picture: Picture, shown: Sample, colors: tuple[Color, ...]) -> None:
        points, texts, tones = [], [], []
        for n, person in enumerate(shown.keypoints):
            labeled = person[person[:, 2] > 0, :2]
            if len(labeled):
                x, y = labeled[labeled[:, 1].argmin()]
                points.append((x, y - 10 / picture.unit))
                texts.append(self._person(n).replace("person ", ""))
                tones.append(blend(colors[n], WHITE, 0.35))
        if points:
            # Legible where the page shows the picture smaller.
            size = round(15 * max(picture.pixels.shape) / 512)
            picture.add_texts(points, texts, tones, size)
