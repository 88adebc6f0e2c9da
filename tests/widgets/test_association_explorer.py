"""The explorer of association: right keypoints, right steps, and every control has an effect."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("anywidget")

from matplotlib.colors import same_color
from matplotlib.figure import Figure
from PIL import Image

import poselib
from poselib.analysis.association_reasons import explain_distance, explain_keypoint
from poselib.decoders.associative import decode_associative
from poselib.engine.checkpoints import BUNDLED, save_system
from poselib.engine.inference import PredictOptions
from poselib.engine.variants import with_options
from poselib.plots.style import ALERT, display_name
from poselib.skeletons import CROWDPOSE
from poselib.widgets.association_charts import draw_matrix, draw_strips
from poselib.widgets.association_explorer import AssociationExplorer
from poselib.widgets.association_settings import LEGEND, parse_scales
from poselib.widgets.decoding import DECODING, SECOND
from poselib.widgets.images import UPLOAD

START: dict[str, Any] = {"size": 64, "scene": 3, "crowd_index": 0.3}


@pytest.fixture(scope="module")
def shared() -> AssociationExplorer:
    explorer = poselib.widgets.association(**START)
    explorer.computed()
    return explorer


@pytest.fixture
def explorer(shared: AssociationExplorer) -> AssociationExplorer:
    """The explorer as it was at first."""
    reset(shared)
    return shared


def reset(explorer: AssociationExplorer, **changes: Any) -> None:
    last = {"step": explorer.controls["step"].max}
    explorer.set(**{**explorer._defaults, **explorer._own, **START, **last, **changes})
    explorer.computed()


def test_changes_leave_nothing_behind(explorer: AssociationExplorer) -> None:
    def objects_after(changes: int) -> int:
        for _ in range(changes):
            for control, value in {"refine": False, "source": UPLOAD, "poses": False}.items():
                before = explorer.values[control]
                for each in (value, before):
                    explorer.set(**{control: each})
                    explorer.wait()
        gc.collect()
        return len(gc.get_objects())

    objects_after(3)
    assert abs(objects_after(1) - objects_after(6)) < 50


def pictures(explorer: AssociationExplorer) -> tuple[bytes, ...]:
    canvases = [*explorer.canvases.values(), explorer.matrix, explorer.strips]
    return tuple(canvas.picture for canvas in canvases)


def wrong_of(explorer: AssociationExplorer) -> np.ndarray:
    view = explorer.views["first"]
    return np.argwhere(view.wrong & view.shown)


def test_all_steps_show_the_poses_of_the_decoder(explorer: AssociationExplorer) -> None:
    view, seen = explorer.views["first"], explorer.computed()
    (decoded,) = decode_associative(seen.outputs, view.walk.options)
    assert view.count == view.walk.length
    assert np.array_equal(view.walk.after(view.count).keypoints, decoded.keypoints)
    assert view.walk.options == seen.system.decode_options
    explorer.set(step=0)
    assert not explorer.views["first"].shown.any() and not explorer.canvases["first"].labels
    explorer.set(step=3)
    assert explorer.canvases["first"].title.startswith("people after step 3 of ")
    assert len(explorer.canvases["first"].labels) == explorer.views["first"].shown.sum() > 0


def test_a_wrong_keypoint_that_is_clicked_is_explained_in_its_step(
    explorer: AssociationExplorer,
) -> None:
    wrong = wrong_of(explorer)
    assert len(wrong)
    for person, keypoint in wrong[:2]:
        explorer.set(step=explorer.controls["step"].max, person=0)
        view = explorer.views["first"]
        x, y = view.walk.poses.keypoints[person, keypoint].tolist()
        explorer.canvases["first"].clicked = [x, y, 1.0]
        values = explorer.values
        chosen = explorer.views["first"]
        assert chosen.wrong[chosen.person, chosen.keypoint]
        skeleton = view.seen.system.skeleton
        assert values["keypoint"] == skeleton.keypoints[chosen.keypoint]
        assert values["step"] == view.walk.step_of[chosen.person, chosen.keypoint] + 1
        sentence = explain_keypoint(
            view.walk, chosen.person, chosen.keypoint, skeleton, view.errors
        )
        assert "belongs" in sentence and chosen.explain() == sentence
    explorer.canvases["first"].clicked = [0.5, 63.5, 2.0]  # nobody is there
    assert explorer.values["person"] == 0
    explorer.set(step=0)
    view = explorer.views["first"]
    (person, keypoint), *_ = np.argwhere(view.waiting)
    place = view.walk.poses.keypoints[person, keypoint].tolist()
    explorer.canvases["first"].clicked = [*place, 3.0]
    assert explorer.values["step"] == view.walk.step_of[person, keypoint] + 1  # a dot that waits
    explorer.set(person=99, keypoint="nose")
    assert "There is no person 99 with a nose." in explorer.status.value


def test_charts_are_clicked(explorer: AssociationExplorer, monkeypatch: Any) -> None:
    monkeypatch.setattr(explorer.matrix, "at_click", lambda: (2.5, 4.5))
    explorer.matrix.clicked = [1.0, 1.0, 1.0]
    assert explorer.values["step"] == 3
    assert explorer.values["keypoint"] == explorer.computed().system.skeleton.keypoints[4]
    x, y, person, keypoint = explorer._dots[0]
    monkeypatch.setattr(explorer.strips, "at_click", lambda: (x, y))
    explorer.strips.clicked = [1.0, 1.0, 1.0]
    view = explorer.views["first"]
    assert (view.person, view.keypoint) == (person, keypoint) and view.chosen
    assert explorer.values["step"] == view.walk.step_of[person, keypoint] + 1


def test_a_cell_of_the_matrix_names_its_keypoint_and_its_person(
    explorer: AssociationExplorer, monkeypatch: Any
) -> None:
    walk, skeleton = explorer.views["first"].walk, explorer.computed().system.skeleton
    assert len(explorer.matrix.labels) == len(walk.nearest)
    (step, k), pair = next(each for each in walk.nearest.items() if each[0][0] == 3)
    name, value = display_name(skeleton.keypoints[k]), walk.distances[step, k]
    there = f"step 4, {name}: {value:.3f} to person"
    (label,) = (text for _, _, text in explorer.matrix.labels if text.startswith(there))
    assert label.startswith(f"{there} {pair.reference + 1}")
    explorer.set(step=step + 1)
    before = explorer.canvases["first"].picture
    monkeypatch.setattr(explorer.matrix, "at_click", lambda: (step + 0.5, k + 0.5))
    explorer.matrix.clicked = [1.0, 1.0, 2.0]
    assert explain_distance(walk, step, k, skeleton) in explorer.status.value
    assert explorer.canvases["first"].picture != before  # the keypoint is ringed
    explorer.set(compare=True, second_order="top_down", side="second")
    walk, numbers = explorer.views["second"].walk, explorer.views["second"].numbers.tolist()
    step, k = next(iter(walk.nearest))
    explorer.set(step=step + 1, keypoint=skeleton.keypoints[k])
    assert explain_distance(walk, step, k, skeleton, numbers) in explorer.status.value


def test_red_is_the_wrong_person_alone(explorer: AssociationExplorer) -> None:
    view = explorer.views["first"]
    axes = Figure().subplots(1, 2)
    draw_matrix(axes[0], view)
    draw_strips(axes[1], view)
    for ax in axes:
        red = [each for each in ax.lines if same_color(each.get_markeredgecolor(), ALERT)]
        red += [each for each in ax.patches if same_color(each.get_edgecolor(), ALERT)]
        assert {each.get_gid() for each in red} == ({"wrong"} if ax is axes[1] else set())
    assert len([each for each in axes[1].lines if each.get_gid() == "wrong"]) == len(
        wrong_of(explorer)
    )
    assert "outlier" in LEGEND and "wrong person" in LEGEND and "Red" not in LEGEND


def test_controls_of_the_comparison_are_above_the_pictures(explorer: AssociationExplorer) -> None:
    rows = explorer.box.children[0].children[1].children[1].children
    sought = (explorer.controls["compare"], explorer.controls[SECOND + "order"], explorer.matrix)
    toggle, second, pictures = (
        next(n for n, row in enumerate(rows) if each in getattr(row, "children", ()))
        for each in sought
    )
    assert toggle < second < pictures and rows[second].layout.display == "none"
    explorer.set(compare=True)
    assert rows[second].layout.display is None


def other_value(explorer: AssociationExplorer, name: str) -> Any:
    """Return a value that a setting of a decoding does not have."""
    control, value = explorer.controls[name], explorer.controls[name].value
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return next(option for option in control.options if option != value)
    return {"detection_threshold": 0.5, "tag_threshold": 0.2, "max_people": 1}[
        name.removeprefix(SECOND)
    ]


@pytest.mark.parametrize("name", DECODING)
def test_controls_of_the_decoding_are_the_options_of_the_decoder(
    explorer: AssociationExplorer, name: str
) -> None:
    value = other_value(explorer, name)
    explorer.set(**{name: value})
    options = explorer.views["first"].walk.options
    found = getattr(options, name, getattr(options.grouping, name, None))
    wanted = tuple(range(17)) if name == "order" else value
    assert found == wanted and explorer.error is None
    (decoded,) = decode_associative(explorer.computed().outputs, options)
    assert np.array_equal(explorer.views["first"].walk.poses.scores, decoded.scores)
    assert f"{name}={value!r}" in explorer.code


@pytest.mark.parametrize(
    "change",
    [
        {"map_shown": "heatmap"},
        {"map_shown": "tags"},
        {"map_shown": "tags", "keypoint": "nose"},
        {"poses": False},
        {"min_score": 0.7},
        {"step": 2},
        {"compare": True},
        {"scene": 4},
        {"people": 2},
        {"crowd_index": 0.5},
        {"flip": True},
        {"scales": "1, 0.5"},
    ],
    ids=str,
)
def test_controls_change_the_picture(explorer: AssociationExplorer, change: dict[str, Any]) -> None:
    before = pictures(explorer)
    explorer.set(**change)
    explorer.computed()
    assert pictures(explorer) != before and explorer.error is None


def test_two_decodings_are_compared(explorer: AssociationExplorer) -> None:
    explorer.set(compare=True, second_order="progressive")
    assert "are of the same people" in explorer.status.value
    explorer.set(second_tag_threshold=0.1)
    views = explorer.views
    assert views["first"].differs.any() and views["second"].differs.any()
    assert "keypoints went to another person" in explorer.status.value
    explorer.set(side="second", step=2)
    second = explorer.views["second"].walk
    assert explorer._drawn["matrix"][0] == id(second)
    assert explorer.canvases["second"].title.startswith("second decoding")
    assert explorer.figure().axes[1].get_title().startswith("second decoding")


def test_its_code_gives_it_again(explorer: AssociationExplorer) -> None:
    explorer.set(order="top_down", step=4, keypoint="left_hip", map_shown="heatmap")
    assert explorer.code == (
        "poselib.widgets.association(scene=3, crowd_index=0.3, order='top_down', size=64, "
        "map_shown='heatmap', keypoint='left_hip', step=4)"
    )
    again = eval(explorer.code)
    again.computed()
    assert again.values == explorer.values and pictures(again)[:1] == pictures(explorer)[:1]
    reset(explorer, people=3)
    assert "step" not in explorer.code


def test_another_model_brings_its_own_decoding(
    explorer: AssociationExplorer, tmp_path: Path
) -> None:
    explorer.set(keypoint="nose", tag_threshold=0.5)
    other = with_options(poselib.load().system, detection_threshold=0.3, tag_threshold=6.0)
    save_system(tmp_path / "other.safetensors", other)
    explorer.set(model=str(tmp_path / "other.safetensors"))
    assert explorer.computed() and explorer.values["keypoint"] == "nose"
    assert explorer.values["detection_threshold"] == 0.3
    assert explorer.values["second_tag_threshold"] == 6.0
    assert "tag_threshold=0.5" in explorer.code and "detection" not in explorer.code
    with pytest.raises(ValueError, match="keypoint cannot be 'tail'; known: all, nose, left_eye"):
        explorer.set(keypoint="tail")
    explorer.set(model="absent")
    explorer.wait()
    assert "unknown model" in explorer.status.value and "Error" not in explorer.status.value
    explorer.set(model="")
    explorer.computed()


@pytest.mark.slow
def test_another_model_brings_its_keypoints_and_orders(
    explorer: AssociationExplorer, tmp_path: Path
) -> None:
    explorer.set(keypoint="nose", person=1)
    model = poselib.build("hae", CROWDPOSE, backbone="hrnet_tiny", detection_threshold=0.0)
    save_system(tmp_path / "other.safetensors", model)
    explorer.set(model=str(tmp_path / "other.safetensors"))
    seen = explorer.computed()
    assert seen.sample.keypoints.shape[1:] == (14, 3) and explorer.values["keypoint"] == "all"
    assert len(explorer.controls["keypoint"].options) == 15 and explorer.values["person"] == 0
    assert explorer.values["detection_threshold"] == 0.0
    explorer.set(model="")
    assert explorer.computed().sample.keypoints.shape[1] == 17


@pytest.mark.parametrize("frame", ["center", "aligned"])
def test_other_frames_fixed_orders_and_images_without_people(frame: str) -> None:
    system = with_options(poselib.load().system, frame=frame, progressive=False)
    noise = np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)
    system = replace(system, input_size=64)
    explorer = poselib.widgets.association(system, noise, min_score=0.0)
    seen, view = explorer.computed(), explorer.views["first"]
    assert explorer.code == "poselib.widgets.association(model, image, min_score=0.0)"
    assert view.errors is None and explorer.values["order"] == "dataset"
    (poses,) = poselib.load(system, flip=False)([noise])
    assert np.isclose(poses.person_scores.sum(), view.walk.poses.person_scores.sum(), atol=1e-5)
    over = seen.over_image(seen.heatmaps[0])
    assert over.shape == (seen.sample.size if frame == "aligned" else seen.heatmaps.shape[1:])
    assert (over[0, 0], over[-1, -1]) == (seen.heatmaps[0][0, 0], seen.heatmaps[0][-1, -1])
    explorer.set(detection_threshold=1.0, compare=True)
    assert "No peak of a heatmap is above the threshold." in explorer.status.value
    assert explorer.error is None and explorer.figure() is not None
    explorer.set(source="synthetic scene", map_shown="heatmap")
    explorer.computed()
    assert explorer.views["first"].errors is not None
    kept = weakref.ref(explorer)
    explorer.close()
    del explorer
    gc.collect()
    assert kept() is None


def test_options_of_its_own_are_offered() -> None:
    system = poselib.load().system
    grouping = replace(system.decode_options.grouping, tag_threshold=6.0, max_people=2000)
    own = replace(system.decode_options, order=tuple(range(16, -1, -1)), grouping=grouping)
    explorer = poselib.widgets.association(replace(system, decode_options=own), **START)
    assert explorer.computed() and explorer.views["first"].walk.options == own
    assert explorer.code.startswith("poselib.widgets.association(model, scene=3")


def test_its_code_gives_it_again_with_another_model_and_image(tmp_path: Path) -> None:
    path = str(tmp_path / "noise.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)).save(path)
    given = poselib.load(size=64, flip=True)
    explorer = poselib.widgets.association(given, path, size=64)
    assert explorer.code.endswith(f"(model, {path!r}, size=64)")
    explorer.set(model=str(BUNDLED))
    explorer.computed()
    arguments = f"image={path!r}, model={str(BUNDLED)!r}, size=64, flip=True"
    assert explorer.code == f"poselib.widgets.association({arguments})"
    again = eval(explorer.code)
    assert again.computed() and again.values == explorer.values


def test_its_code_gives_what_another_model_left(explorer: AssociationExplorer) -> None:
    grouping = replace(poselib.load().system.decode_options.grouping, tag_threshold=6.0)
    own = replace(poselib.load().system.decode_options, grouping=grouping)
    given = poselib.load(replace(poselib.load().system, decode_options=own), scales=(0.75, 1.0))
    first = poselib.widgets.association(given, **START, tag_threshold=5.5)
    assert "scales" not in first.code
    first.set(model=str(BUNDLED))
    first.computed()
    assert "scales='0.75, 1'" in first.code and "tag_threshold=5.5" in first.code
    again = eval(first.code)
    assert again.computed() and again.values == first.values and again.code == first.code
    first.set(scales="1")
    explorer.set(scales="1")
    assert first.computed() and "scales" not in first.code
    with pytest.raises(ValueError, match=r"scales must be numbers with commas .*, not '1, x'"):
        poselib.widgets.association(scales="1, x")


def test_it_is_drawn_without_computing_and_keeps_little(explorer: AssociationExplorer) -> None:
    computed = explorer.computed()
    for threshold in np.linspace(0.2, 2.0, 10):
        explorer.set(tag_threshold=float(threshold))
    assert explorer.computed() is computed and len(computed._walks) <= 8


def test_given_options_are_those_of_the_predictor() -> None:
    model = poselib.load(size=64, flip=True, scales=(1.0, 0.5))
    assert model.options == PredictOptions(size=64, flip=True, scales=(1.0, 0.5))
    explorer = poselib.widgets.association(model, **{**START, "size": 0})
    seen = explorer.computed()
    assert explorer.values["flip"] and explorer.values["scales"] == "1, 0.5"
    assert seen.outputs.tags.shape[2] == 2 and min(seen.sample.size) == 64
    assert "flip" not in explorer.code
    with pytest.raises(ValueError, match="association has no setting 'ordre'"):
        poselib.widgets.association(model, ordre="dataset")


def test_scales_keep_their_digits_and_may_be_numbers() -> None:
    third = 1 / 3
    model = poselib.load(size=128, flip=False, scales=(1.0, third))
    explorer = poselib.widgets.association(model, **{**START, "size": 0})
    assert parse_scales(explorer.values["scales"]) == (1.0, third)
    explorer = poselib.widgets.association(**START, scales=(1, 0.5))
    assert explorer.values["scales"] == "1, 0.5" and "scales='1, 0.5'" in explorer.code
    for wrong in (5, [None], "a"):
        with pytest.raises(ValueError, match="scales must be numbers"):
            poselib.widgets.association(**START, scales=wrong)


def test_steps_are_numbers() -> None:
    for wrong in (None, "all", -5):
        with pytest.raises(ValueError, match="step"):
            poselib.widgets.association(**START, step=wrong)
