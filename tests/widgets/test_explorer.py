"""What all explorers share, tried on one that shows the brightness of an image."""

from __future__ import annotations

import gc
import io
import json
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("anywidget")

import ipywidgets as ipw
import torch
from matplotlib.figure import Figure
from PIL import Image

from poselib.ops.map_coordinates import CROP_FRAMES, CropFrame, cell_to_px, half_pixel
from poselib.skeletons import SKELETONS
from poselib.widgets import latest
from poselib.widgets.canvas import ImageCanvas
from poselib.widgets.explorer import Explorer, is_batch, settings_of
from poselib.widgets.images import NAMES, ImageSettings, ImageSource
from poselib.widgets.latest import LatestJob
from poselib.widgets.painting import Picture, over_image
from poselib.widgets.settings import reach
from poselib.widgets.table import Table

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Settings(ImageSettings):
    gain: float = 1.0


class Brightness(Explorer):
    function = "brightness"
    slow = NAMES[:6]

    def __init__(self, images: Any = None, **settings: Any) -> None:
        self.source = ImageSource(images, SKELETONS["coco"], 64)
        self.canvas, self.tables = ImageCanvas(), [Table()]
        self.canvas.observe(lambda _: self.refresh(), "clicked")
        self.tables[0].observe(lambda _: self.refresh(), "picked")
        self.computations: list[int] = []
        self.go = threading.Event()
        self.go.set()
        gain = ipw.FloatSlider(1.0, min=0.0, max=2.0)
        super().__init__(
            settings_of(Settings, self.function, settings),
            {**self.source.controls, "gain": gain},
            [self.canvas],
            given=[] if images is None else ["image"],
            resolve=self.source.resolve,
        )

    def compute(self, values: Mapping[str, Any]) -> Any:
        self.go.wait(10)
        self.computations.append(values["scene"])
        return self.source.sample(values)

    def draw(self, values: Mapping[str, Any], computed: Any) -> str:
        if values["gain"] == 2.0:
            raise ZeroDivisionError("too bright")
        bright = np.clip(computed.image * values["gain"], 0, 255).astype(np.uint8)
        self.canvas.show(Picture(bright).pixels, bright.shape[1:])
        return f"brightness {bright.mean():.0f}"

    def figure(self) -> Figure:
        figure = Figure()
        figure.subplots().imshow(self.computed().image.transpose(1, 2, 0))
        return figure


@pytest.fixture
def explorer() -> Brightness:
    explorer = Brightness(np.full((40, 60, 3), 100, np.uint8))
    explorer.wait()
    return explorer


def test_a_quick_control_draws_without_computing(explorer: Brightness) -> None:
    assert "brightness 100" in explorer.status.value
    before = explorer.canvas.picture
    explorer.controls["gain"].value = 0.5
    assert "brightness 50" in explorer.status.value and explorer.canvas.picture != before
    assert len(explorer.computations) == 1 and explorer.seconds > 0


def test_what_is_overtaken_is_not_computed() -> None:
    explorer = Brightness()
    explorer.wait()
    explorer.go.clear()
    explorer.set(scene=1)  # runs, and waits
    pictures: list[bytes] = []
    explorer.canvas.observe(lambda change: pictures.append(change["new"]), "picture")
    for scene in (2, 3, 4):
        explorer.set(scene=scene)
    explorer.go.set()
    explorer.wait()
    assert explorer.computations[0] == 0 and explorer.computations[-1] == 4
    assert len(explorer.computations) <= 3 and len(pictures) == 1
    explorer.set(scene=0)  # is still known
    assert explorer.computations[-1] == 4


def test_what_is_kept_is_shown_at_once_and_long_work_learns_that_it_is_overtaken() -> None:
    class Keeping(Brightness):
        previews = 0

        def known(self, values: Mapping[str, Any]) -> Any:
            return self.source.sample(values) if values["scene"] == 7 else None

        def preview(self, values: Mapping[str, Any]) -> None:
            self.previews += 1

        def compute(self, values: Mapping[str, Any]) -> Any:
            found = super().compute(values)
            overtaken.append(self.overtaken)
            return found

    overtaken: list[bool] = []
    explorer = Keeping()
    explorer.wait()
    explorer.go.clear()
    explorer.set(scene=1)
    explorer.set(scene=7)  # needs no computation, and drops the one that runs
    assert "brightness" in explorer.status.value and explorer.previews == 2
    explorer.go.set()
    explorer.wait()
    assert overtaken[0] is False and all(overtaken[1:]) and 7 not in explorer.computations


def test_a_change_while_another_thread_draws_is_not_lost(monkeypatch: Any) -> None:
    explorer = Brightness()
    explorer.wait()

    def fit(values: Mapping[str, Any], computed: Any) -> None:
        explorer.controls["scene"].value = 5  # as if by the page

    monkeypatch.setattr(explorer, "fit", fit)
    explorer.set(scene=1)
    explorer.wait()
    assert explorer.computations == [0, 1, 5]


def test_memory_does_not_grow(explorer: Brightness) -> None:
    for gain in np.linspace(0, 1.9, 50):
        explorer.set(gain=float(gain))
    assert len(explorer._computed) == 1
    explorer.set(source="synthetic scene")
    for scene in range(12):
        explorer.set(scene=scene)
        explorer.wait()
    assert len(explorer._computed) <= 4
    explorer.close()
    assert not explorer._computed


def test_a_closed_explorer_is_forgotten() -> None:
    explorer = Brightness()
    explorer.wait()
    kept = weakref.ref(explorer)
    explorer.close()
    del explorer
    gc.collect()
    assert kept() is None


def test_what_cannot_be_shown_stops_no_later_job() -> None:
    job, found = LatestJob(), list[int]()
    job.start(lambda: 0, lambda value: found.append(1 // value))
    job.wait(10)
    job.start(lambda: 2, found.append)
    job.wait(10)
    assert found == [2]


def test_memory_is_given_back_after_long_jobs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given_back = list[int]()
    monkeypatch.setattr(latest, "release_freed_memory", lambda: given_back.append(1))
    job = LatestJob()
    for longest, times in ((60.0, 0), (0.0, 1)):
        monkeypatch.setattr(latest, "_LONG", longest)
        job.start(lambda: 0, lambda _: None)
        job.wait(10)
        assert len(given_back) == times


def test_faults_of_settings_that_have_changed_since_are_not_said(explorer: Brightness) -> None:
    explorer._keep("settings of before", ValueError("of before"))
    assert explorer.error is None and "of before" not in explorer.status.value


def test_a_figure_does_not_wait_for_what_may_be_next() -> None:
    began, go_on, ended = (threading.Event() for _ in range(3))

    class Preparing(Brightness):
        def prepare(self, values: Mapping[str, Any]) -> None:
            began.set()
            go_on.wait(10)
            ended.set()

    explorer = Preparing()
    explorer.wait()
    explorer._displayed = True
    explorer.set(scene=1)
    assert began.wait(10) and isinstance(explorer.figure(), Figure) and not ended.is_set()
    go_on.set()
    explorer.wait()


@pytest.mark.parametrize("frame", CROP_FRAMES)
def test_a_map_lies_where_its_cells_stand(frame: CropFrame) -> None:
    size, cells = (32, 24), np.arange(48.0).reshape(8, 6)
    pixels = over_image(cells, size, frame)
    if frame == "center":
        pixels = pixels.repeat(4, 0).repeat(4, 1)
    places = torch.tensor([(column, row) for row in range(8) for column in range(6)])
    points = cell_to_px(places, size, (8, 6), frame).numpy() + half_pixel(frame)
    for (x, y), value in zip(points.tolist(), cells.ravel(), strict=True):
        assert pixels[min(int(y), 31), min(int(x), 23)] == value
        assert pixels[max(int(y - 1.4), 0), max(int(x - 1.4), 0)] == value


def test_its_code_gives_it_again(explorer: Brightness) -> None:
    assert explorer.code == "poselib.widgets.brightness(image)"
    explorer.set(gain=0.5, source="synthetic scene", scene=7)
    code = "poselib.widgets.brightness(image, source='synthetic scene', scene=7, gain=0.5)"
    assert explorer.code == code and explorer._copy.text == code
    again = Brightness(explorer.source._samples, source="synthetic scene", scene=7, gain=0.5)
    explorer.wait()
    again.wait()
    assert again.values == explorer.values and again.canvas.picture == explorer.canvas.picture


def test_any_scene_and_image_is_a_number_to_be_written() -> None:
    images = [np.full((4, 6, 3), tone, np.uint8) for tone in (10, 20, 30)]
    controls = Brightness(images).source.controls
    fields = {"scene": 999, "index": 2}
    for name, last in fields.items():
        assert isinstance(controls[name], ipw.BoundedIntText) and controls[name].max == last
    explorer = Brightness(images, index=2)
    explorer.wait()
    assert "brightness 30" in explorer.status.value
    explorer.set(source="synthetic scene", scene=998)
    explorer.wait()
    assert explorer.error is None and "scene=998" in explorer.code


def test_sliders_reach_what_is_wanted() -> None:
    controls = {"a": ipw.FloatSlider(max=1.0), "b": ipw.IntSlider(max=5), "c": ipw.Checkbox()}
    reach(controls, {"a": 8.0, "b": 3, "c": True, "d": 2})
    assert (controls["a"].max, controls["b"].max) == (8.0, 5)
    reach(controls, {"a": None, "b": 9})
    assert (controls["a"].max, controls["b"].max) == (8.0, 9)


def test_settings_of_controls_that_are_hidden_are_no_code(explorer: Brightness) -> None:
    explorer.set(source="synthetic scene", scene=7)
    explorer.set(source="images given", file="absent.png")
    assert explorer.code == "poselib.widgets.brightness(image)"


def test_a_figure_is_saved_with_its_settings(explorer: Brightness, tmp_path: Path) -> None:
    path = explorer.save(tmp_path / "shown.png")
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["parameters"]["code"] == explorer.code and about["parameters"]["gain"] == 1.0
    _, name, button = explorer.box.children[-1].children
    for given, said in ("bad.jpg", ".png"), ("good.png", "written: "):
        name.value = str(tmp_path / given)
        button.click()
        assert said in explorer.status.value


def test_errors_are_sentences(
    explorer: Brightness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer.set(gain=2.0)
    assert "ZeroDivisionError: too bright" in explorer.status.value
    explorer.set(source="file", gain=1.0, file=str(tmp_path / "absent.png"))
    explorer.wait()
    assert "absent.png" in explorer.status.value and "Error" not in explorer.status.value
    with pytest.raises(FileNotFoundError):
        explorer.computed()
    explorer.set(source="upload")
    explorer.wait()
    assert "choose a file" in explorer.status.value
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    large = io.BytesIO()
    Image.new("RGB", (4, 4)).save(large, "png")
    for content, why in ((b"abc", "cannot identify"), (large.getvalue(), "exceeds limit")):
        file = {"name": "a.png", "type": "", "size": len(content), "last_modified": NOW}
        explorer.controls["upload"].value = ({**file, "content": memoryview(content)},)
        explorer.wait()
        assert "a.png is not an image" in explorer.status.value and why in explorer.status.value


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gian": 1}, "brightness has no setting 'gian'; known: source"),
        ({"gain": 3.0}, "gain must be from 0.0 to 2.0, not 3.0"),
        ({"source": "moon"}, "source cannot be 'moon'; known: synthetic scene"),
    ],
)
def test_wrong_settings_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Brightness(**given)


def test_what_is_set_before_a_wrong_setting_is_drawn(explorer: Brightness) -> None:
    with pytest.raises(ValueError, match="gain must be"):
        explorer.set(source="synthetic scene", gain=3.0)
    explorer.wait()
    assert explorer.computations == [0, 0] and "brightness 100" not in explorer.status.value


def test_without_a_page_it_is_a_figure(explorer: Brightness, monkeypatch: Any) -> None:
    import IPython.display

    shown: list[Any] = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    assert is_batch()
    explorer._ipython_display_()
    assert isinstance(shown[0], Figure)
