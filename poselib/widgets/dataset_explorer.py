"""A dataset seen: a contact sheet with filters, and one image large, as trainings see it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import ipywidgets as ipw
from matplotlib.figure import Figure

from poselib.analysis.image_filter import ImageIndex
from poselib.analysis.training_views import TrainingViews
from poselib.data.catalog import DATASETS, SYNTHETIC
from poselib.data.image_folder import bare_sample
from poselib.data.synthetic.config import SceneConfig
from poselib.experiments.any_dataset import annotations_of
from poselib.plots.heatmaps import show_targets
from poselib.plots.poses import contact_sheet
from poselib.skeletons import Skeleton
from poselib.structures import Sample
from poselib.widgets.canvas import ImageCanvas
from poselib.widgets.contact_tiles import ImageStore, fitting, message, sheet_of, tile_at
from poselib.widgets.dataset_controls import (
    FILTERS,
    FIRST,
    RANGES,
    SECTIONS,
    SHOWN,
    DatasetSettings,
    make_controls,
    resolved,
    show_fitting,
)
from poselib.widgets.dataset_given import open_given
from poselib.widgets.dataset_pages import MOVES, TURNS, Page, Pages
from poselib.widgets.explorer import Explorer, settings_of
from poselib.widgets.sample_view import HEATMAPS, Layers, SampleView
from poselib.wording import people_label

_LARGE = 512  # px on the page, of the large image
_MARKERS = "● left side &nbsp; ■ right side &nbsp; ▲ midline &nbsp; ○ □ △ hidden"
_DOTS = "dots: labeled keypoints, a color for each person"


class DatasetExplorer(Explorer):
    """See ``dataset``."""

    function = "dataset"
    slow = (*FILTERS, "page", "image")

    def __init__(self, dataset: Any, skeleton: Skeleton, name: str, **settings: Any) -> None:
        given = settings.pop("given")
        self.dataset, self.skeleton, self.name = dataset, skeleton, name
        self.annotations = annotations_of(dataset, skeleton)
        self.title = name or getattr(self.annotations.source, "name", "dataset")
        if not len(self.annotations.image_ids):
            raise ValueError(f"{self.title}: there is no image to show")
        self.index = ImageIndex.of(self.annotations)
        self.store = ImageStore(dataset, skeleton)
        self.sheet = ImageCanvas(width=470, key_names=[*TURNS, *MOVES])
        self.canvas = ImageCanvas(width=_LARGE)
        self._views = lru_cache(maxsize=8)(self._view)
        self._sheet_state: Any = None
        self._own = make_controls(self.index, skeleton)
        self.pages = Pages(self.index, skeleton, {name: self._own[name].max for name in RANGES})
        super().__init__(
            settings_of(DatasetSettings, self.function, settings),
            self._own,
            [self._arrange()],
            sections=SECTIONS,
            given=given,
            resolve=self._resolve,
        )
        self.sheet.observe(self._clicked, "clicked")
        self.sheet.observe(lambda change: self.press(change["new"][0]), "pressed")

    def compute(self, values: Mapping[str, Any]) -> Page | None:
        shown = self.pages.at(values)
        for position in shown.images:
            if self.overtaken:
                return None
            self.store.thumbnail(position)
        if shown.chosen is not None:
            self.store.sample(shown.chosen)
        return shown

    def known(self, values: Mapping[str, Any]) -> Page | None:
        shown = self.pages.at(values)
        return shown if self.store.holds(shown.images, shown.chosen) else None

    def preview(self, values: Mapping[str, Any]) -> None:
        self._draw_sheet(self.pages.at(values))

    def prepare(self, values: Mapping[str, Any]) -> None:
        for position in self.pages.at({**values, "page": values["page"] + 1}).images:
            if not self.overtaken:
                self.store.thumbnail(position)

    def fit(self, values: Mapping[str, Any], computed: Page) -> None:
        if computed.chosen is not None:
            self.controls[SHOWN].value = computed.chosen

    def draw(self, values: Mapping[str, Any], computed: Page) -> str:
        self._draw_sheet(computed)
        summary = self.index.summary(computed.found)
        if computed.chosen is None:
            self.canvas.show(message("no image", _LARGE), title="")
            return f"{summary}: no image has all of this; widen a range"
        sample = self.store.sample(computed.chosen)
        title = self._title(computed.chosen)
        if isinstance(sample, Exception):
            text = str(sample) or type(sample).__name__
            self.canvas.show(message(text, _LARGE, wrong=True), title=title)
            return f"{summary}. Image {computed.chosen} cannot be shown: {text}"
        try:
            show_fitting(self.controls, self._one_person(values))
            view, note = self._as_asked(values, sample, computed.chosen)
            picture, labels, drawn = view.paint(Layers.of(values))
        except Exception as error:  # no other image stays beside it
            self.canvas.show(message(str(error), _LARGE, wrong=True), title=title)
            raise
        height, width = picture.size
        self.canvas.width = min(_LARGE, round(1.1 * _LARGE * width / height))
        self._legend.value = _DOTS if values["system"] else _MARKERS
        self.canvas.show(picture.pixels, picture.size, labels, title=title)
        return "; ".join(each for each in (summary, note, drawn) if each)

    def figure(self) -> Figure:
        shown: Page = self.computed()
        values, summary = self.values, self.index.summary(shown.found)
        if shown.chosen is None:
            raise ValueError(f"{summary}: no image to draw")
        if values["image"] == FIRST and not values["augment"] and not values["system"]:
            drawn = [self._drawable(position) for position in shown.images]
            samples, titles = [each[0] for each in drawn], [each[1] for each in drawn]
            heading = f"{self.title}: {summary}"
            return contact_sheet(samples, self.skeleton, titles=titles, title=heading)
        sample, title = self._drawable(shown.chosen)
        view, note = self._as_asked(values, sample, shown.chosen)
        title = ": ".join(filter(None, (f"{self.title}, image {title}", note)))
        whole = values["target"] == HEATMAPS and not values["keypoint"]
        if view.targets is not None and whole:
            heat, keypoints = view.targets.heatmaps[-1][0], view.sample.keypoints
            maps = heat[: len(self.skeleton)]
            return show_targets(view.sample.image, maps, keypoints, self.skeleton, title=title)
        return view.figure(Layers.of(values), title)

    def _arrange(self) -> ipw.Widget:
        """Return both pictures with the buttons below them, under each other where it is narrow."""
        earlier, later = ipw.Button(icon="chevron-left"), ipw.Button(icon="chevron-right")
        earlier.tooltip, later.tooltip = "Previous page (PageUp)", "Next page (PageDown)"
        anew = ipw.Button(description="Augment again", icon="random")
        anew.tooltip = "Augment as in the next epoch of a training"
        earlier.layout.width = later.layout.width = "3em"
        earlier.on_click(lambda _: self.press("PageUp"))
        later.on_click(lambda _: self.press("PageDown"))
        anew.on_click(lambda _: self.draw_anew())
        self._buttons, self._where, self._legend = (earlier, later), ipw.HTML(), ipw.HTML()
        columns = [
            ipw.VBox([self.sheet, ipw.HBox([earlier, self._where, later])]),
            ipw.VBox([self.canvas, ipw.HBox([anew, self._legend])]),
        ]
        return ipw.HBox(columns, layout=ipw.Layout(flex_flow="row wrap", grid_gap="0 16px"))

    def _view(self, preset: str, system: str) -> TrainingViews:
        known = self.name if self.name in SYNTHETIC or self.name in DATASETS else ""
        return TrainingViews.of(preset, known, self.skeleton, system)

    def _one_person(self, values: Mapping[str, Any]) -> bool:
        system = values["system"]
        return bool(system) and self._views(values["preset"], system).one_person

    def _as_asked(
        self, values: Mapping[str, Any], sample: Sample, position: int
    ) -> tuple[SampleView, str]:
        """Return an image as it is, or as a training sees it with its targets, and which is it."""
        if not values["augment"] and not values["system"]:
            return SampleView(sample, self.skeleton), ""
        views = self._views(values["preset"], values["system"])
        sample = replace(sample, image_id=self.annotations.image_ids[position])  # as in the title
        return SampleView.in_training(views, sample, position, values)

    def _draw_sheet(self, shown: Page) -> None:
        tiles = [self.store.thumbnail(position, read=False) for position in shown.images]
        captions = [self._caption(position) for position in shown.images]
        chosen = shown.images.index(shown.chosen) if shown.chosen in shown.images else None
        first, last = shown.number <= 1, shown.number >= shown.pages
        self._buttons[0].disabled, self._buttons[1].disabled = first, last
        self._where.value = f"page {shown.number:,} of {shown.pages:,}"
        state = (tuple(shown.images), chosen, sum(tile is None for tile in tiles))
        if state != self._sheet_state:
            pixels = sheet_of(tiles, captions, chosen, whole=shown.pages > 1)
            self.sheet.show(pixels, title=f"{self.title}: click an image, or move by arrow keys")
            self._sheet_state = state

    def _caption(self, position: int) -> str:
        people, crowding = int(self.index.people[position]), self.index.crowding[position]
        text = f"{position}: {people_label(people)}"
        return f"{text}, CI {crowding:.2f}" if people > 1 else text

    def _title(self, position: int) -> str:
        number, names = self.annotations.image_ids[position], self.annotations.file_names
        text = f"image {position} (id {number}): {people_label(int(self.index.people[position]))}"
        text += f", crowd index {self.index.crowding[position]:.2f}"
        return f"{text}, {names[position]}" if names and names[position] else text

    def _drawable(self, position: int) -> tuple[Sample, str]:
        found = self.store.sample(position)
        if isinstance(found, Sample):
            return found, self._caption(position)
        return fitting(bare_sample(message("")), self.skeleton), f"{position}: {found}"

    def _resolve(self, settings: dict[str, Any]) -> dict[str, Any]:
        synthetic = isinstance(getattr(self.dataset, "config", None), SceneConfig)
        return resolved(settings, self._own, "small" if synthetic else "paper")

    def _changed(self, change: Any) -> None:
        if self._held:
            return
        if change.owner is self.controls[SHOWN]:
            self.set(**self.pages.choosing(self.values, change.new))
        elif change.owner in [self.controls[name] for name in FILTERS]:
            self.set(page=1, image=FIRST)  # of what is found now
        else:
            super()._changed(change)

    def _clicked(self, change: Any) -> None:
        x, y, number = change["new"]
        if not number:
            return
        self.sheet.clicked = [0.0, 0.0, 0.0]  # no cross stays where the next page is
        tile, shown = tile_at(x, y), self.pages.at(self.values)
        if tile is not None and tile < len(shown.images):
            self.set(image=shown.images[tile])

    def press(self, key: str) -> None:
        """Turn to another page, or choose a neighboring image; the keys of the contact sheet."""
        self.set(**self.pages.moved(self.values, key))

    def draw_anew(self) -> None:
        """Augment as in the next epoch."""
        epoch = self.controls["epoch"].value
        self.set(augment=True, epoch=epoch + 1 if self.controls["augment"].value else epoch)


def dataset(
    dataset: Any = "synthetic",
    split: str = "val",
    folder: str | Path = "",
    *,
    images: str | Path = "",
    skeleton: Skeleton | str | Path = "",
    count: int | None = None,
    **settings: Any,
) -> DatasetExplorer:
    """Show a dataset: a contact sheet with filters, and its images with their annotations.

    PageUp and PageDown turn the contact sheet, arrow keys and clicks choose an image. What a
    filter finds follows from the annotations: only images of the page are read.

    Args:
        dataset: a name of ``poselib.open_dataset``; what this or ``open_files`` returned; a
            COCO-format annotation file or a folder with one; or a list of samples. Of clips, the
            frames are shown.
        split: of a dataset by name or of a folder.
        folder: of a real dataset by name.
        images: the folder of the images of an annotation file, if it is not found.
        skeleton: of what does not state one, its name or file; COCO's for samples.
        count: synthetic scenes or clips that are rendered; by default as many as are held out;
            real images are all shown.
        **settings: see ``widgets.dataset_controls.DatasetSettings``: what is asked of images,
            ``people=(2, 5)``, ``crowding=(0.1, 1)``, ``keypoints=("nose",)``, ``labeled=9``,
            ``size=(32, 96)``, ``order="most crowded"``; ``page`` and ``image``; what is drawn,
            ``poses``, ``boxes``, ``numbers`` and ``ignored``; and what a training sees of the
            image: ``augment`` with ``seed`` and ``epoch``, ``preset``, the targets of a
            ``system``, ``target`` and ``keypoint``, and ``person``.

    Raises:
        FileNotFoundError, ValueError: the dataset cannot be opened, an argument is for other
            datasets, or a setting is unknown or out of range.

    Example:
        >>> shown = dataset("synthetic", count=4, order="most people", system="dekr")
        >>> shown.wait()
        >>> shown.code
        "poselib.widgets.dataset('synthetic', count=4, order='most people', system='dekr')"
    """
    arguments = {"split": split, "folder": folder, "images": images, "skeleton": skeleton}
    opened, own, name, given = open_given(dataset, {**arguments, "count": count})
    return DatasetExplorer(opened, own, name, given=given, **settings)
