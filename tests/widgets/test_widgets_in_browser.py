"""The explorers in JupyterLab, as they are used: by mouse and keyboard in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from PIL import Image

pytest.importorskip("anywidget")
pytest.importorskip("jupyterlab")
pytest.importorskip("playwright.sync_api")

from playwright.sync_api import TimeoutError

from poselib.engine.checkpoints import save_system
from poselib.skeletons import COCO
from poselib.systems import build
from tests.experiments.factories import saved_system
from tests.experiments.run_folders import evaluation, moved_images, training, write_dataset
from tests.widgets.lab import Explored, Lab, find_chromium, open_lab

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium"),
]

# Of each explorer the line that opens it, and what changes its pictures: what is done on the page.
EXPLORERS: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "association": (
        "poselib.widgets.association()",
        [
            ("choose", "show", "tags"),
            ("choose", "keypoint", "left elbow"),
            ("slide", "step", "ArrowLeft"),
            ("tick", "refinement"),
            ("slide", "peaks above", "PageUp"),
            ("choose", "order", "top_down"),
            ("tick", "compare with a second decoding"),
            ("click", 2, 0.6, 0.5),  # a step of the matrix
            ("play",),
            ("count", "scene", 22),
        ],
    ),
    "relations": (
        "poselib.widgets.relations('rpstn.safetensors')",
        [
            ("slide", "frame"),
            ("drag", 1, (0.3, 0.3), (0.6, 0.6)),
            ("choose", "joint", "right knee"),
            ("click", 3, 0.4, 0.4),  # a cell of the matrix of correlations
            ("slide", "temperature"),
            ("choose", "covers", "a run of frames"),
            ("tick", "annotated joints"),
            ("press", "Remove mask"),
        ],
    ),
    "dataset": (
        "poselib.widgets.dataset('synthetic', count=14)",
        [
            ("tick", "boxes"),
            ("choose", "sort", "most people"),
            ("slide", "people", "End"),
            ("click", 0, 0.5, 0.4),
            ("press", "Augment again"),
            ("choose", "targets of", "dekr"),
            ("choose", "target", "offsets"),
            ("count", "epoch", 3),
        ],
    ),
    "regression": (
        "poselib.widgets.regression(poselib.load('dekr.safetensors', size=64))",
        [
            ("choose", "view", "keypoint heatmap"),
            ("choose", "keypoint", "nose"),
            ("slide", "person"),
            ("choose", "view", "activated pixels"),
            ("choose", "view", "saliency"),
            ("tick", "guided backpropagation"),
            ("choose", "view", "center map"),
            ("write", "cell", "3, 4"),
            ("click", 1, 0.9, 0.9),
            ("click", 2, 0.5, 0.3),
            ("tick", "annotations"),
            ("tick", "flip testing"),
        ],
    ),
    "results": (
        "poselib.widgets.results('runs', run='two', view='images')",
        [
            ("count", "number", 2),
            ("choose", "errors", "jitter"),
            ("choose", "errors", "miss"),
            ("pick", 2, "Shift+Enter"),
            ("click", 0, 0.93, 0.3),  # a bar of the comparison: an image
            ("radio", "worst images"),
        ],
    ),
}
CELLS = {
    "toy": "import poselib\nfrom tests.widgets.toy_explorer import Toy\nToy()",
    **{name: code for name, (code, _) in EXPLORERS.items()},
}
NAMES = list(CELLS)

each_explorer = pytest.mark.parametrize("name", EXPLORERS)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "files").mkdir()
    saved_system("rpstn", folder / "files" / "rpstn.safetensors")
    with torch.random.fork_rng():
        torch.manual_seed(0)  # with other weights there may be no center to choose
        options = {"width": 4, "backbone": "hrnet_tiny", "center_threshold": 0.0}
        save_system(folder / "files" / "dekr.safetensors", build("dekr", COCO, **options))
    dataset = write_dataset(folder / "toy")
    for run, by in {"one": (0.0, 8.0, 2.0, 3.0, 0.0), "two": (4.0, 1.0, 2.0, 0.0, 0.0)}.items():
        evaluation(folder / "files" / "runs", run, dataset, moved_images(dataset, *by))
    training(folder / "files" / "runs", "trained").finish({"AP": 0.75})
    with open_lab(folder, list(CELLS.values()), {}) as lab:
        yield lab


@pytest.fixture(scope="module")
def opened(lab: Lab, toy: Explored) -> dict[str, Explored]:
    return {name: lab.run(NAMES.index(name)) for name in EXPLORERS}


@pytest.fixture(scope="module")
def toy(lab: Lab) -> Explored:
    return lab.run(NAMES.index("toy"))


def test_controls_change_the_picture(toy: Explored) -> None:
    with toy.changing():
        toy.slide("gain")
    with toy.changing():
        toy.choose("colors", "viridis")
    assert not toy.control("pale").count()
    toy.unfold()
    with toy.changing():
        toy.tick("pale")
    with toy.changing():
        toy.count("scene", 7)
    assert toy.status == "point [0, 0, 0], box []"


def test_pictures_take_clicks_boxes_and_keys(toy: Explored) -> None:
    with toy.changing():
        toy.click(0, 0.25, 0.5)
    toy.says("point [16, 32, 1], box []")
    with toy.changing():
        toy.drag(1, (0.25, 0.25), (0.75, 0.5))
    toy.says("box [16, 16, 48, 32]")
    with toy.changing():
        toy.drag(1, (0.5, 0.3), (0.5, 0.55))  # begins in the box: moves it
    toy.says("box [16, 32, 48, 48]")
    toy.tab_to_canvas()
    with toy.changing():
        for key in ("ArrowRight", "Shift+ArrowDown", "Enter"):
            toy.page.keyboard.press(key)
    toy.says("point [17, 42, 2]")


def test_points_are_named_and_files_uploaded(toy: Explored) -> None:
    toy.page.mouse.move(*toy.point(0, 0.52, 0.5))
    note = toy.cell.locator(".poselib-note:visible")
    assert note.inner_text() == "left wrist"
    file = toy.lab.folder / "own.png"
    Image.new("RGB", (40, 30), "green").save(file)
    toy.choose("image", "upload")
    toy.says("choose a file to upload")
    with toy.changing():
        toy.upload(file)
    height, width = toy.canvases.first.evaluate("canvas => [canvas.height, canvas.width]")
    assert height * 40 == width * 30


def test_errors_are_sentences(toy: Explored) -> None:
    toy.choose("image", "file")
    toy.says("name an image file")
    toy.write("file", "absent.png")
    toy.says("absent.png")
    (contrast,) = (ratio for ratio, _, text in toy.contrasts() if text.endswith("absent.png"))
    assert contrast > 4.5 and "Error" not in toy.status
    toy.tick("fault")
    toy.choose("image", "synthetic scene")
    toy.says("ZeroDivisionError: a fault on purpose")
    with toy.changing():
        toy.tick("fault")
    toy.says("point")


def test_code_is_copied_and_the_figure_saved(toy: Explored) -> None:
    toy.press("Copy code")
    copied = toy.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("poselib.widgets.toy(") and "colors='viridis'" in copied
    toy.press("Save figure")
    toy.says("written: figures/toy.png")
    assert (toy.lab.folder / "figures" / "toy.json").is_file()


@each_explorer
def test_controls_of_explorers_change_pictures(opened: dict[str, Explored], name: str) -> None:
    explorer = opened[name]
    explorer.unfold()
    done = "nothing"
    try:
        for action, *arguments in EXPLORERS[name][1]:
            with explorer.changing():
                getattr(explorer, action)(*arguments)
            done = f"{action} {arguments}"
    except TimeoutError as error:
        raise AssertionError(f"no picture changes after {done}; {explorer.status}") from error


@pytest.mark.parametrize("name", ["association", "regression", "relations", "results"])
def test_errors_of_explorers_are_sentences(opened: dict[str, Explored], name: str) -> None:
    if name == "results":
        opened[name].write("run", "absent.png")
    else:
        opened[name].choose("clip" if name == "relations" else "image", "file")
        opened[name].write("file", "absent.png")
    opened[name].says("absent.png")


@each_explorer
def test_explorers_are_used_by_keyboard(opened: dict[str, Explored], name: str) -> None:
    opened[name].tab_to_canvas()


@pytest.mark.parametrize("name", ["toy", "association"])
def test_programs_that_execute_files_get_a_figure(
    lab: Lab, opened: dict[str, Explored], name: str
) -> None:
    assert "image/png" in lab.run_unseen(CELLS[name])


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_texts_are_legible(
    lab: Lab, toy: Explored, opened: dict[str, Explored], theme: str
) -> None:
    lab.set_theme(theme)
    for explorer in (toy, *opened.values()):
        texts = explorer.contrasts()
        faint = [each for each in texts if each[0] < 4.5 or each[1] < 11]
        assert not faint and len(texts) > 10
        assert not explorer.cut_labels()


def test_nothing_goes_wrong_unseen(lab: Lab, toy: Explored, opened: dict[str, Explored]) -> None:
    assert not any(explorer.tracebacks() for explorer in (toy, *opened.values()))
    assert not lab.complaints
    assert lab.hosts == {"127.0.0.1"}
    assert "Traceback" not in lab.log.read_text()
