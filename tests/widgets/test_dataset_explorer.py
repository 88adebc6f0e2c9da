"""The explorer of datasets: what it finds, reads, shows and says."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("anywidget")

from matplotlib.figure import Figure
from PIL import Image

import poselib
from poselib.data.synthetic.config import SceneConfig
from poselib.data.synthetic.dataset import SyntheticScenes, write_scenes
from poselib.experiments.any_dataset import open_any
from poselib.skeletons import COCO
from poselib.structures import Sample
from poselib.widgets.contact_tiles import PAGE, tile_at
from poselib.widgets.dataset_explorer import DatasetExplorer, dataset

COUNT = 2 * PAGE + 3


class Counted:
    """A dataset that counts how often an image is read."""

    skeleton = COCO

    def __init__(self) -> None:
        self.scenes = SyntheticScenes(SceneConfig(size=64), COUNT, 5, COCO).cached()
        self.read: list[int] = []
        self.annotations = self.scenes.annotations

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Sample:
        self.read.append(index)
        return self.scenes[index]


SOURCE = Counted()


@pytest.fixture(scope="module")
def shared() -> DatasetExplorer:
    explorer = dataset(SOURCE, preset="smoke")
    explorer.wait()
    return explorer


@pytest.fixture
def explorer(shared: DatasetExplorer) -> Iterator[DatasetExplorer]:
    yield shared
    shared.set(**{**shared._defaults, "preset": "smoke"})
    shared.wait()


def status(explorer: DatasetExplorer) -> str:
    return explorer.status.value


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture))).astype(int)


def test_only_the_images_of_the_page_are_read() -> None:
    source = Counted()
    explorer = dataset(source)
    explorer.wait()
    assert source.read == list(range(PAGE))
    explorer.press("PageDown")
    explorer.wait()
    assert source.read == list(range(2 * PAGE))
    explorer.press("PageUp")
    assert explorer.pages.at(explorer.values).number == 1 and len(source.read) == 2 * PAGE
    explorer.set(order="most people")
    explorer.wait()
    assert len(source.read) == len(set(source.read))


def test_the_next_page_is_read_while_nothing_else_is_asked_for() -> None:
    source = Counted()
    explorer = dataset(source)
    explorer.wait()
    explorer._displayed = True
    explorer.press("PageDown")
    explorer.wait()
    assert source.read == list(range(COUNT))
    explorer.press("PageDown")  # is there at once
    assert explorer.pages.at(explorer.values).number == 3 and "computing" not in status(explorer)


def test_what_is_found_is_counted(explorer: DatasetExplorer) -> None:
    people = [len(SOURCE.scenes[n].keypoints) for n in range(COUNT)]
    assert f"{COUNT} of {COUNT} images, {sum(people)} people" in status(explorer)
    explorer.set(people=(2, 2), page=2)
    explorer.wait()
    found = [n for n in range(COUNT) if people[n] == 2]
    assert f"{len(found)} of {COUNT} images, {2 * len(found)} people" in status(explorer)
    page = explorer.pages.at(explorer.values)
    assert page.found.tolist() == found and page.chosen in found


def test_a_filter_begins_at_its_first_page(explorer: DatasetExplorer) -> None:
    explorer.set(page=2, image=1)
    explorer.controls["order"].value = "most crowded"
    explorer.wait()
    assert explorer.values["page"] == 1 and explorer.values["image"] == -1
    assert f"image {int(explorer.index.crowding.argmax())} " in explorer.canvas.title


def test_clicks_and_keys_choose_an_image(explorer: DatasetExplorer) -> None:
    explorer.sheet.clicked = [300.0, 300.0, 1.0]  # the middle of the second row
    explorer.wait()
    assert tile_at(300, 300) == 4 and explorer.values["image"] == 4
    assert explorer.sheet.clicked == [0.0, 0.0, 0.0]
    for number, (key, image) in enumerate([("ArrowRight", 5), ("ArrowDown", 8), ("ArrowUp", 5)]):
        explorer.sheet.pressed = [key, number + 1]
        assert explorer.values["image"] == image
    explorer.set(image=PAGE - 1)
    explorer.press("ArrowRight")
    explorer.wait()
    assert explorer.values["image"] == PAGE and explorer.values["page"] == 2
    explorer.press("PageDown")
    explorer.press("PageDown")
    explorer.wait()
    assert explorer.values["page"] == 3 and explorer._buttons[1].disabled


def test_the_number_of_the_image_that_is_shown_is_seen_and_written(
    explorer: DatasetExplorer,
) -> None:
    control = explorer.controls["shown"]
    assert control.value == 0 and explorer.values["image"] == -1 and control.min == 0
    explorer.controls["order"].value = "most crowded"
    explorer.wait()
    assert control.value == int(explorer.index.crowding.argmax())
    assert explorer.values["image"] == -1 and "image" not in explorer.code
    explorer.press("PageDown")
    explorer.wait()
    page = explorer.pages.at(explorer.values)
    assert page.number == 2 and control.value == page.images[0]
    control.value = sought = int(page.found[-1])  # as if by the page
    explorer.wait()
    assert (explorer.values["image"], explorer.values["page"]) == (sought, page.pages)
    assert explorer.canvas.title.startswith(f"image {sought} ")
    explorer.set(people=(1, 1))
    control.value = other = int(explorer.index.people.argmax())  # it is not found, yet shown
    explorer.wait()
    assert explorer.canvas.title.startswith(f"image {other} ") and explorer.error is None


@pytest.mark.parametrize(
    ("first", "change"),
    [
        ({}, {"poses": False}),
        ({}, {"boxes": True}),
        ({}, {"numbers": True}),
        ({}, {"augment": True}),
        ({}, {"system": "hae"}),
        ({}, {"image": 2}),
        ({"augment": True}, {"seed": 1}),
        ({"augment": True}, {"epoch": 1}),
        ({"augment": True}, {"preset": "paper"}),
        ({"system": "dekr"}, {"target": "centers"}),
        ({"system": "dekr"}, {"target": "offsets"}),
        ({"system": "hae"}, {"keypoint": "nose"}),
        ({"system": "dekr", "target": "offsets"}, {"keypoint": "left_hip"}),
        ({"system": "jre", "order": "most people"}, {"person": 1}),
    ],
)
def test_each_control_changes_the_image(
    explorer: DatasetExplorer, first: dict[str, Any], change: dict[str, Any]
) -> None:
    explorer.set(**first)
    explorer.wait()
    before = pixels(explorer.canvas.picture)
    explorer.set(**change)
    explorer.wait()
    after = pixels(explorer.canvas.picture)
    assert explorer.error is None
    assert before.shape != after.shape or np.abs(before - after).max() > 60


def test_controls_that_change_nothing_are_hidden(explorer: DatasetExplorer) -> None:
    def shown() -> set[str]:
        names = ("seed", "epoch", "preset", "target", "keypoint", "person")
        return {name for name in names if explorer.controls[name].layout.display is None}

    assert not shown()
    explorer.set(augment=True)
    assert shown() == {"seed", "epoch", "preset"}
    explorer.set(augment=False, system="jre")
    assert shown() == {"preset", "target", "keypoint", "person"}


def test_targets_that_a_system_lacks_are_said(explorer: DatasetExplorer) -> None:
    explorer.set(system="hae", target="centers")
    assert "this system has no centers: target heatmaps of" in status(explorer)


def test_augmentation_is_drawn_anew_and_can_be_drawn_again(explorer: DatasetExplorer) -> None:
    explorer.draw_anew()
    assert "augmented as in epoch 0 of a training with seed 0, 128 x 128 px" in status(explorer)
    first = explorer.canvas.picture
    explorer.draw_anew()
    assert explorer.values["epoch"] == 1 and explorer.canvas.picture != first
    explorer.set(epoch=0)
    assert explorer.canvas.picture == first


def test_keypoints_are_named(explorer: DatasetExplorer) -> None:
    sample = SOURCE.scenes[0]
    labels = [label for label in explorer.canvas.labels if "box" not in label[2]]
    assert len(labels) == (sample.keypoints[..., 2] > 0).sum()
    x, y, text = labels[0]
    person, k = np.argwhere(sample.keypoints[..., 2] > 0)[0]
    assert (x, y) == pytest.approx(sample.keypoints[person, k, :2].tolist())
    assert text.startswith(COCO.keypoints[k].replace("_", " ")) and "√area" in text


def test_its_code_gives_it_again(explorer: DatasetExplorer) -> None:
    explorer.set(order="most people", people=(2, 3), page=2, system="dekr", target="centers")
    explorer.wait()
    again = eval(explorer.code, {"poselib": poselib, "dataset": SOURCE})
    again.wait()
    assert again.values == explorer.values and again.canvas.picture == explorer.canvas.picture
    assert again.sheet.picture == explorer.sheet.picture
    named = dataset("crowd", "val", count=2, boxes=True)
    assert named.code == "poselib.widgets.dataset('crowd', count=2, boxes=True)"
    named.wait()


def test_what_is_copied_is_its_code_once_controls_are_shown(explorer: DatasetExplorer) -> None:
    explorer.set(system="dekr")
    explorer.set(target="offsets")
    explorer.set(system="")
    assert "target" not in explorer._copy.text
    explorer.set(system="dekr")
    assert "target='offsets'" in explorer._copy.text and explorer._copy.text == explorer.code
    explorer.set(system="", epoch=3)
    explorer.draw_anew()
    assert "augment=True, epoch=3" in explorer._copy.text


def test_figures_show_the_page_or_the_image(explorer: DatasetExplorer) -> None:
    figure = explorer.figure()
    assert isinstance(figure, Figure) and len(figure.axes) == PAGE
    explorer.set(image=3)
    assert len(explorer.figure().axes) == 1
    explorer.set(system="dekr")
    assert "heatmap value" in {ax.get_ylabel() for ax in explorer.figure().get_axes()} | {
        child.get_ylabel() for ax in explorer.figure().axes for child in ax.child_axes
    }
    explorer.set(target="offsets")
    assert "offsets from centers" in status(explorer) and len(explorer.figure().axes) == 1
    assert "offsets from centers" in explorer.figure().axes[0].get_title().replace("\n", " ")


def test_a_figure_of_an_image_has_what_is_drawn_over_it(explorer: DatasetExplorer) -> None:
    def drawn() -> np.ndarray:
        figure = explorer.figure()
        assert bool(figure.legends) == explorer.values["poses"]
        return np.asarray(figure.axes[0].images[0].get_array()).astype(int)

    explorer.set(image=3)
    before = drawn()
    for change in ({"boxes": True}, {"numbers": True}, {"poses": False}):
        explorer.set(**change)
        after = drawn()
        assert np.abs(before - after).max() > 60
        before = after


def test_nothing_found_is_said(explorer: DatasetExplorer) -> None:
    explorer.set(labeled=17, keypoints=("nose",), size=(0, 1))
    explorer.wait()
    assert f"0 of {COUNT} images" in status(explorer) and "widen a range" in status(explorer)
    with pytest.raises(ValueError, match="no image to draw"):
        explorer.figure()


def test_a_broken_image_is_a_tile_with_a_sentence(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "scenes", SceneConfig(size=64), 4, 5, COCO)
    opened, _, _ = open_any(folder)
    paths = [opened.image_path(n) for n in range(4)]  # type: ignore[attr-defined]
    paths[1].unlink()
    paths[2].write_bytes(paths[2].read_bytes()[:300])
    explorer = dataset(opened)
    explorer.wait()
    assert explorer.error is None and "4 of 4 images" in status(explorer)
    sound = dataset(SyntheticScenes(SceneConfig(size=64), 4, 5, COCO))
    sound.wait()
    tiles = [pixels(each.sheet.picture) for each in (explorer, sound)]
    differs = (np.abs(tiles[0] - tiles[1]).max(axis=2) > 60).sum(axis=0)
    columns = [differs[208 * n + 8 : 208 * n + 208].sum() for n in range(3)]
    assert columns[0] < 20 and min(columns[1:]) > 2000  # files hold rounded coordinates
    titles = [ax.get_title() for ax in explorer.figure().axes[:4]]
    assert "does not exist" in titles[1].replace("\n", " ") and "truncated" in titles[2]
    for number in (1, 2):
        explorer.set(image=number)
        assert f"Image {number} cannot be shown: " in status(explorer)
        assert paths[number].name in status(explorer) and explorer.error is None
    explorer.set(image=3)
    assert "cannot" not in status(explorer) and len(explorer.canvas.labels) > 5
    assert len(explorer.figure().axes) == 1


def test_samples_without_people_and_with_ignored_regions() -> None:
    ignored = np.zeros((64, 64), bool)
    ignored[:32] = True
    sample = replace(SOURCE.scenes[0], ignore_mask=ignored)
    explorer = dataset([sample, SOURCE.scenes[1].image.transpose(1, 2, 0)])
    explorer.wait()
    before = pixels(explorer.canvas.picture)
    explorer.set(ignored=False)
    changed = np.abs(before - pixels(explorer.canvas.picture)).max(axis=2) > 60
    assert changed[:250].mean() > 0.1 and not changed[262:].any()
    explorer.set(image=1)
    assert explorer.error is None and "0 people" in explorer.canvas.title
    explorer.sheet.clicked = [-5.0, -5.0, 1.0]  # beside the sheet
    assert explorer.values["image"] == 1
    with pytest.raises(ValueError, match="a list of samples; the one given is empty"):
        dataset([])


def test_no_other_image_stays_beside_an_error() -> None:
    explorer = dataset([SOURCE.scenes[1].image.transpose(1, 2, 0), SOURCE.scenes[0]], image=1)
    explorer.wait()
    before = explorer.canvas.picture
    explorer.set(system="jre", image=0)
    explorer.wait()
    number = explorer.annotations.image_ids[0]
    assert isinstance(explorer.error, ValueError) and f"image with id {number}" in status(explorer)
    assert explorer.canvas.title.startswith(f"image 0 (id {number})")
    assert explorer.canvas.picture != before and not explorer.canvas.labels
    explorer.set(image=1)
    assert explorer.error is None and explorer.canvas.labels


def test_ranges_may_reach_beyond_the_dataset(explorer: DatasetExplorer) -> None:
    wide = dataset(SOURCE, preset="smoke", people=(2, 99), crowding=(0.0, 9.0), size=(1, 9999))
    most = [wide.controls[name].max for name in ("people", "size")]
    assert wide.values["people"] == (2, most[0]) and wide.values["size"] == (1, most[1])
    assert len(wide.pages.at(wide.values).found) == (explorer.index.people >= 2).sum()
    with pytest.raises(ValueError, match=rf"people must be from 0 to {most[0]}, not \(98, 99\)"):
        dataset(SOURCE, people=(98, 99))


def test_an_own_skeleton_is_a_name_in_the_code() -> None:
    images = [SOURCE.scenes[0].image.transpose(1, 2, 0)]
    for own, code in ((replace(COCO, name="own"), "skeleton"), (COCO, "'coco'")):
        explorer = dataset(images, skeleton=own)
        explorer.wait()
        assert explorer.code == f"poselib.widgets.dataset(dataset, skeleton={code})"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"order": "size"}, "order cannot be 'size'; known: as is, most people"),
        ({"peple": (1, 2)}, "dataset has no setting 'peple'; known: people"),
        ({"keypoints": ("tail",)}, "keypoints cannot be"),
        ({"system": "other"}, "system cannot be 'other'"),
        ({"people": 5}, "people must be two numbers, lowest and highest, not 5"),
        ({"size": (1, "a")}, "size must be two numbers, lowest and highest"),
        ({"crowding": (float("nan"), 1.0)}, "crowding must be from 0.0 to"),
    ],
)
def test_wrong_settings_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataset(SOURCE, **given)
