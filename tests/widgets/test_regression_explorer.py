"""The explorer of regressed poses: known people found, clicked and looked into, and errors."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("anywidget")

from matplotlib.figure import Figure

import poselib
from poselib.engine.checkpoints import save_system
from poselib.engine.export.network import ExportedNetwork
from poselib.skeletons import SKELETONS
from poselib.systems import build
from poselib.widgets.regression_controls import (
    control_widgets,
    parse_cell,
    suit_controls,
    views_of,
)
from poselib.widgets.regression_explorer import RegressionExplorer, regression
from tests.analysis.factories import STANDING, build_tiny, known_people_system, standing

CROWDPOSE = SKELETONS["crowdpose"]
PEOPLE = (STANDING * 0.7, STANDING * 0.7 + np.array([40.0, 8.0], np.float32))


@pytest.fixture(scope="module")
def adapting() -> RegressionExplorer:
    """Known people, whose keypoints are moved by local filters."""
    model = poselib.load(known_people_system(*PEOPLE), size=128, flip=False)
    explorer = regression(model, standing(*PEOPLE), min_score=0.0)
    explorer.computed()
    return explorer


@pytest.fixture(scope="module")
def adaptive() -> RegressionExplorer:
    """An untrained network with adaptive convolutions."""
    torch.manual_seed(0)  # of some networks no unit on the way to an offset is active
    explorer = regression(poselib.load(build_tiny(CROWDPOSE), size=64), scene=2)
    explorer.computed()
    return explorer


def pictures(explorer: RegressionExplorer) -> tuple[bytes, ...]:
    canvases = (explorer.left, explorer.right, explorer.chart, *explorer.filters)
    return tuple(canvas.picture for canvas in canvases)


def test_options_of_a_models_own_are_reached(adaptive: RegressionExplorer) -> None:
    own = build("dekr", CROWDPOSE, backbone="hrnet_tiny", width=4, nms_distance=8.0)
    explorer = regression(poselib.load(own, size=64), scene=2, min_score=1.5)
    explorer.computed()
    assert explorer.values["nms_distance"] == 8.0 and explorer.values["min_score"] == 1.5
    assert explorer.code == "poselib.widgets.regression(model, scene=2, min_score=1.5)"
    assert adaptive.controls["nms_distance"].max == 1.0


def test_the_people_are_those_of_the_decoder(adapting: RegressionExplorer) -> None:
    adapting.set(person=2, keypoint="left_wrist", cell="", view="center map")
    chosen = adapting.chosen
    assert chosen is not None and chosen.person == 1
    (expected,) = chosen.image.system.decode(chosen.image.outputs)
    row = int(np.argsort(-expected.person_scores, kind="stable")[1])
    np.testing.assert_allclose(chosen.after, expected.keypoints[row], atol=1e-5)
    assert chosen.fit is not None
    assert f"OKS {chosen.fit.oks[0]:.3f} → {chosen.fit.oks[1]:.3f}" in adapting.status.value
    assert "left wrist" in adapting.status.value and "person 2" in adapting.status.value


def test_a_click_chooses_a_keypoint_its_person_or_a_cell(adapting: RegressionExplorer) -> None:
    adapting.set(person=1, cell="")
    assert adapting.chosen is not None
    x, y = adapting.chosen.people.poses.keypoints[1, 15].tolist()
    adapting.left.clicked = [x + 0.5, y, 1.0]
    assert adapting.values["person"] == 2 and adapting.values["keypoint"] == "left_ankle"
    center = adapting.chosen.image.px_of(adapting.chosen.people.cells[0]).tolist()
    adapting.right.clicked = [*center, 1.0]
    assert adapting.values["person"] == 1 and adapting.values["keypoint"] == "left_ankle"
    adapting.right.clicked = [2.0, 126.0, 2.0]
    assert adapting.values["cell"] == "0, 31" and adapting.chosen.person == -1
    image = adapting.chosen.image
    offsets = image.outputs.offsets[0, :, :, 31, 0].numpy()
    np.testing.assert_allclose(
        adapting.chosen.before, image.px_of((0, 31)) - 4 * offsets, atol=1e-3
    )
    adapting.set(person=2)
    assert adapting.values["cell"] == "" and adapting.chosen.person == 1
    adapting.set(cell="3, 4", person=1)
    assert adapting.values["cell"] == "3, 4" and adapting.values["person"] == 1


def test_a_bar_chooses_its_keypoint(adapting: RegressionExplorer) -> None:
    x, y = adapting.chart.axes.transData.transform((5.0, 0.0))
    adapting.chart.clicked = [float(x), float(adapting.chart.size[0] - y), 1.0]
    assert adapting.values["keypoint"] == "left_shoulder"


def test_every_control_changes_the_picture(adapting: RegressionExplorer) -> None:
    adapting.set(person=1, keypoint="left_wrist", view="center map", cell="")
    for name, value in {
        "keypoint": "nose", "view": "local filter", "truth": False, "cell": "9, 9",
        "prior": "expansion", "nms_distance": 1.0,
    }.items():  # fmt: skip
        before = pictures(adapting)
        adapting.set(**{name: value})
        assert adapting.error is None and pictures(adapting) != before, name
    adapting.set(cell="", center_threshold=1.0)
    assert "cell " in adapting.status.value  # without people, the highest cell of the center map
    defaults = {name: adapting._defaults[name] for name in ("center_threshold", "nms_distance")}
    adapting.set(**defaults, prior="both", truth=True, view="center map")


def test_views_follow_from_the_system(
    adapting: RegressionExplorer, adaptive: RegressionExplorer
) -> None:
    assert adapting.controls["view"].options[-1] == "local filter"
    assert adaptive.controls["view"].options[-1] == "activated pixels"
    assert adaptive._strip.layout.display == "none"
    assert adaptive.controls["prior"].layout.display == "none"
    assert tuple(adaptive.controls["keypoint"].options) == CROWDPOSE.keypoints
    system, controls = adaptive.models.predictor("").system, control_widgets()
    options = replace(system.decode_options, max_people=50)
    suit_controls(controls, replace(system, decode_options=options))
    assert controls["person"].max == 50  # each one that may be clicked


def test_saliency_and_activated_pixels(adaptive: RegressionExplorer) -> None:
    adaptive.set(view="saliency", cell="6, 7", keypoint=CROWDPOSE.keypoints[1])
    seen = adaptive.computed()
    np.testing.assert_array_equal(seen.saliency, seen.image.saliency((6, 7), 1))
    assert "% of the saliency within" in adaptive.status.value
    plain = adaptive.right.picture
    adaptive.set(guided=True)
    adaptive.wait()
    assert adaptive.right.picture != plain and adaptive.error is None
    adaptive.set(view="activated pixels")
    adaptive.wait()
    assert "81 activated pixels" in adaptive.status.value
    adaptive.set(view="center map", guided=False)


def test_what_needs_no_network_is_quick(adapting: RegressionExplorer) -> None:
    used = []
    for keypoint in ("nose", "left_hip", "nose", "left_hip"):
        begin = time.thread_time()
        adapting.set(keypoint=keypoint)
        used.append(time.thread_time() - begin)
    assert min(used) < 0.25  # of the processor, also while others use it


@pytest.mark.parametrize("view", ["center map", "local filter"])
def test_its_figure_and_its_code(adapting: RegressionExplorer, view: str) -> None:
    adapting.set(view=view, keypoint="left_knee", person=2, cell="")
    assert isinstance(adapting.figure(), Figure)
    rest = "keypoint='left_knee', person=2, min_score=0.0"
    code = f"view={view!r}, " if view != "center map" else ""
    given = f"poselib.widgets.regression(model, image, {code}{rest})"
    assert adapting.code == given
    again = eval(given, {"poselib": poselib, "model": adapting.models.predictor(""),
                         "image": standing(*PEOPLE)})  # fmt: skip
    again.computed()
    assert again.values == adapting.values and pictures(again) == pictures(adapting)


def test_a_model_is_named_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "toy.safetensors"
    save_system(path, build_tiny(CROWDPOSE))
    explorer = regression()
    explorer.wait()
    assert "regression takes a system that regresses poses" in explorer.status.value
    assert explorer.code == "poselib.widgets.regression()"
    explorer.controls["model"].value = str(path)
    explorer.computed()
    assert tuple(explorer.controls["keypoint"].options) == CROWDPOSE.keypoints
    assert explorer.code == f"poselib.widgets.regression({str(path)!r})"
    explorer.controls["model"].value = str(tmp_path / "absent.pt")
    explorer.wait()
    assert "absent.pt" in explorer.status.value and "Traceback" not in explorer.status.value


def test_other_systems_are_refused() -> None:
    grouping: Any = build("hae", CROWDPOSE, backbone="hrnet_tiny_light")
    with pytest.raises(ValueError, match=r"groups keypoints by tags: poselib.widgets.association"):
        regression(grouping)


def test_a_graph_without_gradients_has_no_saliency() -> None:
    system = build_tiny(CROWDPOSE)
    exported = replace(system, model=ExportedNetwork.__new__(ExportedNetwork))
    torch.nn.Module.__init__(exported.model)
    assert set(views_of(system)) - set(views_of(exported)) == {"saliency", "activated pixels"}


def test_sliders_are_asked_for_numbers() -> None:
    for wrong in ("much", float("inf"), float("nan")):
        with pytest.raises(ValueError, match="nms_distance"):
            regression(min_score=0.2, nms_distance=wrong)


def test_cells_that_are_none(adapting: RegressionExplorer) -> None:
    assert parse_cell("3, 4", (5, 6)) == (3, 4)
    for wrong in ("6, 0", "0, 5", "a, b", "3"):
        with pytest.raises(ValueError, match="column below 6 and a row below 5"):
            parse_cell(wrong, (5, 6))
    for view in ("center map", "saliency"):
        adapting.set(cell="99, 1", view=view)
        adapting.wait()
        assert "cell must be a column below 32" in adapting.status.value
        adapting.set(cell="", view="center map")
        assert adapting.error is None
