"""The explorer of relations: right values, clicks, masks, clips of all kinds, refusals."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip("anywidget")

from matplotlib.figure import Figure

from poselib.analysis.relations import relate_clips, weights_at
from poselib.api import Predictor, load
from poselib.data.clips import PersonClips
from poselib.data.synthetic.clip_dataset import SyntheticClips
from poselib.data.synthetic.config import ClipConfig
from poselib.skeletons import POSETRACK18
from poselib.structures import Poses
from poselib.systems import build
from poselib.widgets import relations
from poselib.widgets.relations_explorer import RelationExplorer
from poselib.widgets.relations_settings import relation_controls

TINY = {"backbone": "hrnet_tiny_light", "height": 64, "width": 64, "sigma": 1.0}
FRAMES = SyntheticClips(ClipConfig(size=64, frames=5), 2, 3, POSETRACK18).cached()
CLIP = PersonClips(FRAMES, 5)[0]
MASK = (10.0, 4.0, 60.0, 60.0)
QUICK = ("joint", "other", "reference", "threshold", "truth")


def whole_box(sample: Any) -> Any:
    raise AssertionError("no detector is to be asked")


@pytest.fixture(scope="module")
def model() -> Predictor:
    torch.manual_seed(0)
    system = build(
        "rpstn", POSETRACK18, initializer_backbone="hrnet_tiny_light", channels=8, **TINY
    )
    network: Any = system.model.eval()
    for layer in (network.head, network.initializer.final_layer, network.relation.W[1]):
        torch.nn.init.normal_(layer.weight, std=0.5)  # they begin near zero
    return load(system, boxes=whole_box)


@pytest.fixture(scope="module")
def shared(model: Predictor) -> RelationExplorer:
    return relations(model, CLIP, mask=MASK, frame=2)


@pytest.fixture
def explorer(shared: RelationExplorer) -> RelationExplorer:
    shared.set(**{**shared._defaults, "mask": "10 4 60 60", "frame": 2})
    assert shared.computed() is not None
    return shared


def shown(explorer: RelationExplorer) -> list[bytes]:
    canvases = [*explorer.pictures, *explorer.matrices, explorer.maps]
    return [canvas.picture for canvas in canvases]


def test_it_shows_what_the_library_finds(explorer: RelationExplorer, model: Predictor) -> None:
    explorer.set(mask="")
    view = explorer.computed()
    (related,) = relate_clips(model.system, [CLIP])
    assert torch.allclose(view.clear.heatmaps[0], related.outputs.heatmaps[2], atol=1e-4)
    assert torch.allclose(view.relations.weights[0], related.relations.weights[2], atol=1e-3)
    (expected,) = model.system.decode(replace(view.clear))
    assert np.allclose(view.poses[0].keypoints, expected.keypoints, atol=1e-3)
    assert not view.differs and "no mask here" in explorer.status.value
    explorer.set(temperature=10.0)
    view = explorer.computed()
    cooler = weights_at(explorer.system, view.relations.correlation, 10.0)
    assert torch.allclose(view.relations.weights, cooler)


def test_every_control_changes_the_pictures(explorer: RelationExplorer) -> None:
    for change, changed in (
        ({"joint": "nose"}, (3, 4, 5)),
        ({"other": "nose"}, (3, 4)),
        ({"frame": 3}, (0, 1, 2, 5)),
        ({"mask": "20 20 40 40"}, (1, 2)),
        ({"masked": "a run of frames", "run": (0, 1)}, (1, 2)),
        ({"temperature": 100.0}, (4,)),
        ({"truth": False}, (0, 1, 2)),
    ):
        before = shown(explorer)
        explorer.set(**change)
        explorer.computed()
        after = shown(explorer)
        assert all(before[n] != after[n] for n in changed), change
    explorer.set(mask="0 0 64 64", masked="this frame", reference="person", threshold=1.0)
    far = explorer.computed().joints(1, ("person", 1.0))
    assert f"with the mask: {int(far.found.sum())} of 15 found" == explorer.pictures[1].title
    explorer.set(threshold=0.05)
    near = explorer.computed().joints(1, ("person", 0.05))
    assert f"with the mask: {int(near.found.sum())} of 15 found" == explorer.pictures[1].title
    assert near.found.sum() < far.found.sum()
    explorer.set(reference="torso")
    assert explorer.error is None


def test_a_mask_is_dragged(explorer: RelationExplorer) -> None:
    canvas = explorer.pictures[1]
    pictures: list[bytes] = []
    canvas.observe(lambda change: pictures.append(change["new"]), "picture")
    canvas.box = [12.04, 8.0, 40.0, 52.0]
    assert pictures  # at once, before the network has run
    view = explorer.computed()
    assert explorer.values["mask"] == "12 8 40 52" and canvas.box[0] == 12.04
    assert (view.seen[:, 8:52, 12:40] == 127).all()
    assert "under the mask" in explorer.status.value
    x, y, seen = view.crop.keypoints[0].T
    masked = (seen > 0) & (x >= 12) & (x < 40) & (y >= 8) & (y < 52)
    joints = view.joints(1, ("torso", 0.2))
    assert joints is not None and (joints.masked == masked).all()
    shown = canvas.picture
    canvas.box = [0.0, 0.0, 20.0, 20.0]
    canvas.box = [12.0, 8.0, 40.0, 52.0]  # back again, perhaps before the network has run
    explorer.wait()
    assert canvas.picture == shown
    explorer.set(mask="1 2 30 40")
    explorer.wait()
    assert canvas.box == [1, 2, 30, 40]
    canvas.box = []
    explorer.wait()
    assert explorer.values["mask"] == "" and not explorer.computed().differs


def test_frames_that_were_computed_are_shown_without_the_network(
    explorer: RelationExplorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer.set(mask="")
    explorer.runs.fill(explorer.values, lambda: False)
    monkeypatch.setattr(explorer._job, "start", None)  # no job may be started
    for frame in range(5):
        explorer.set(frame=frame)
        assert f"frame {frame}:" in explorer.status.value
    assert len(explorer._computed) <= 4
    monkeypatch.undo()
    for step in range(8):
        explorer.set(mask=f"{step} 0 30 30", frame=0)
        explorer.wait()
    assert len(explorer.runs._masked) == 6
    for step in range(3):
        explorer.set(temperature=2.0 + step)
        explorer.wait()
    assert len(explorer.runs._runs) == len(explorer.runs._masked) == 2


def test_clicks_choose_joints(explorer: RelationExplorer) -> None:
    chart = explorer.matrices[1]
    x, y = (chart._columns[3] + chart._columns[4]) / 2, (chart._rows[7] + chart._rows[8]) / 2
    chart.clicked = [float(x), float(y), 1.0]
    names = POSETRACK18.keypoints
    assert (explorer.values["joint"], explorer.values["other"]) == (names[7], names[3])
    weight = float(explorer.computed().relations.weights[0, 7, 3])
    assert f"by {weight:.3f}" in explorer.status.value
    label = next(label for label in chart.labels if np.hypot(label[0] - x, label[1] - y) < 2)
    assert label[2].endswith(f": {weight:.3f}") and label[2].startswith("left wrist to")
    chart.clicked = [1.0, 1.0, 2.0]  # beside the matrix
    assert explorer.values["joint"] == names[7]
    left, top = explorer.computed().poses[0].keypoints[0, 2].tolist()
    explorer.pictures[0].clicked = [left, top, 1.0]
    points = explorer.computed().poses[0].keypoints[0]
    chosen = points[names.index(explorer.values["joint"])]
    assert np.allclose(chosen, points[2], atol=1e-3)


def test_its_code_and_its_figure_are_of_what_is_seen(
    explorer: RelationExplorer, model: Predictor
) -> None:
    explorer.set(frame=3, joint="nose", masked="a run of frames", run=(1, 3))
    code = explorer.code
    assert code.startswith("poselib.widgets.relations(model, clip, frame=3, mask='10 4 60 60'")
    names = {"relations": relations, "model": model, "clip": CLIP}
    again = eval(code.removeprefix("poselib.widgets."), names)
    explorer.wait()
    again.wait()
    assert again.values == explorer.values and shown(again) == shown(explorer)
    figure = explorer.figure()
    assert isinstance(figure, Figure) and len(figure.subfigs) == 3


def test_its_code_names_another_source_than_the_one_given(model: Predictor) -> None:
    explorer = relations(model, CLIP, frame=2)
    explorer.set(source="synthetic clip", frame=4, mask="", run=(6, 9))
    explorer.computed()
    code = "poselib.widgets.relations(model, clip, source='synthetic clip', frame=4, mask='')"
    assert explorer.code == code
    again = relations(model, CLIP, source="synthetic clip", frame=4, mask="")
    again.computed()
    assert again.code == code and again.values == explorer.values
    again.prepare({**again.values, "source": "file", "file": "absent.mp4"})  # says nothing
    kept = weakref.ref(again)
    again.close()
    del again
    gc.collect()
    assert kept() is None


def test_networks_without_an_extractor_show_poses_and_maps() -> None:
    torch.manual_seed(0)
    plain = load(build("jre", POSETRACK18, relation="none", **TINY), boxes=whole_box)
    explorer = relations(plain, CLIP, frame=1)
    assert explorer.computed().poses[2] is None
    assert "there is no matrix" in explorer.status.value and explorer.maps.picture


def test_systems_of_whole_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"poselib\.widgets\.association shows it"):
        relations(load())
    with pytest.raises(ValueError, match="relations takes a system that sees one person at a time"):
        relations()
    with pytest.raises(ValueError, match="relations takes a system that sees one person at a time"):
        relations("")


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ([], "the one given is empty"),
        ({0: CLIP}, "not dict"),
        (b"abc", "not bytes"),
        ([CLIP.frames[0], 5], "item 1 is int"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)], "differ in size"),
    ],
)
def test_what_is_no_clip_is_refused_with_what_is(model: Predictor, clip: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^clip must be a Clip or several.*{message}"):
        relations(model, clip).computed()


def test_people_with_other_keypoints_are_refused(model: Predictor) -> None:
    other = replace(CLIP.frames[0], keypoints=np.ones((1, 17, 3), np.float32))
    wanted = "17 keypoints of each person; the system predicts the 15 of 'posetrack18'"
    with pytest.raises(ValueError, match=wanted):
        relations(model, other).computed()


def test_clips_of_a_dataset_are_its_videos(model: Predictor) -> None:
    explorer = relations(model, PersonClips(FRAMES, 2), number=1, frame=4)
    assert explorer.controls["number"].max == 1 and explorer.computed().clip == FRAMES.videos[5]
    explorer.controls["source"].value = "file"
    explorer.controls["file"].value = "~nobody-here/a.mp4"  # of an unknown user
    explorer.wait()
    assert "nobody-here" in explorer.status.value and "Error" not in explorer.status.value


def test_the_temperature_of_a_training_is_reached() -> None:
    for temperature in (1e-4, 1.0, 500.0):
        slider = relation_controls(POSETRACK18, temperature)["temperature"]
        assert slider.value == temperature


def test_clips_of_all_kinds(model: Predictor, tmp_path: Path) -> None:
    for number, frame in enumerate(CLIP.frames[:3]):
        cv2.imwrite(str(tmp_path / f"{number:03d}.png"), frame.image.transpose(1, 2, 0))
    points = CLIP.frames[0].keypoints[:, :, :2]

    class Stream:
        skeleton = POSETRACK18

        def step(self, image: Any, time: float) -> Poses:
            scores = np.ones((1, len(POSETRACK18)), np.float32)
            return Poses(points, scores, np.ones(1, np.float32), tracks=np.array([0]))

    explorer = relations(model, FRAMES, number=1)
    explorer.source._predictor = type("Found", (), {"stream": lambda _: Stream()})()
    assert explorer.controls["number"].max == 1 and explorer.controls["frame"].max == 4
    assert explorer.computed().clip == FRAMES.videos[5]
    explorer.set(source="file", file=str(tmp_path), frame=2)
    assert explorer.computed().crop.keypoints[..., 2].max() == 0
    assert explorer.controls["frame"].max == explorer.play.max == 2
    explorer.set(mask="0 0 64 64")
    explorer.wait()
    assert "the truth is the pose without the mask" in explorer.status.value
    explorer.set(begin=1)
    explorer.wait()
    assert explorer.controls["frame"].max == 1 and explorer.error is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": "a b"}, "mask must be left, top, right and bottom"),
        ({"person": 3}, "person 3 is not in the clip"),
        ({"source": "file", "file": "absent.mp4"}, "absent.mp4"),
        ({"source": "file"}, "name a video, a folder of frames or an image"),
        ({"begin": 9}, "frame 9 is not in the clip, which has 5"),
    ],
)
def test_errors_are_sentences(
    explorer: RelationExplorer, change: dict[str, Any], message: str
) -> None:
    explorer.set(**change)
    explorer.wait()
    assert message in explorer.status.value and "Error" not in explorer.status.value


def test_a_clip_is_as_given(model: Predictor) -> None:
    with pytest.raises(ValueError, match="frame must be from 0 to 4, not 7"):
        relations(model, CLIP, frame=7)
    with pytest.raises(ValueError, match="mask must be left, top, right and bottom"):
        relations(model, CLIP, mask=5)
    with pytest.raises(ValueError, match="run cannot be 5; two numbers are wanted"):
        relations(model, CLIP, run=5)
    with pytest.raises(ValueError, match="annotates the 15 keypoints"):
        relations(load(build("jre", "coco", **TINY), boxes=whole_box), FRAMES)
