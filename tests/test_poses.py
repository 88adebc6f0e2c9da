"""The people of an image: indexed, filtered, printed and converted."""

from __future__ import annotations

import doctest
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import poselib.poses
from poselib.poses import Poses
from poselib.skeletons import COCO


@pytest.fixture
def poses() -> Poses:
    """Three people; the second lacks all but two keypoints, the third all of them."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(1, 90, (3, 17, 2)).astype(np.float32)
    scores = np.full((3, 17), 0.5, np.float32)
    scores[1, 2:] = scores[2] = 0
    keypoints[scores == 0] = 0
    return Poses(keypoints, scores, np.array([0.91, 0.8, 0.444], np.float32))


def same(one: Poses, other: Poses) -> bool:
    fields = ("keypoints", "scores", "person_scores")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in fields)


def test_an_integer_gives_one_person(poses: Poses) -> None:
    for index in (1, -2, np.int64(1)):
        assert len(poses[index]) == 1 and same(poses[index], poses[1:2])
    for index in (3, -4):
        with pytest.raises(IndexError, match=f"person {index} of 3"):
            poses[index]


def test_slices_masks_and_index_arrays_give_some(poses: Poses) -> None:
    assert same(poses[np.array([True, False, True])], poses[::2])
    assert same(poses[np.array([2, 0])], poses[::-2])
    assert len(poses[[]]) == 0 and poses[[]].keypoints.shape == (0, 17, 2)
    with pytest.raises(IndexError):
        poses[np.array([True, False])]


def test_iteration_gives_one_person_at_a_time(poses: Poses) -> None:
    people = list(poses)
    assert len(people) == 3 and all(same(one, poses[i]) for i, one in enumerate(people))
    assert list(Poses.empty(17)) == []


def test_people_above_a_score(poses: Poses) -> None:
    assert poses.above(0.8).person_scores.tolist() == pytest.approx([0.91, 0.8])
    assert len(poses.above(1.0)) == 0 and len(Poses.empty(5).above(0.5)) == 0
    with pytest.raises(ValueError, match="score must be a number, not nan"):
        poses.above(float("nan"))
    named = replace(poses, skeleton=COCO).above(0.9)
    assert named.skeleton is COCO
    assert len(poses.above(np.float32(0.9))) == 1 and len(poses.above(1)) == 0
    with pytest.raises(ValueError, match="score must be a number, not 'a'"):
        poses.above("a")  # type: ignore[arg-type]


def test_poses_print_themselves(poses: Poses) -> None:
    assert repr(poses) == "3 people, 17 keypoints, scores 0.91, 0.80, 0.44"
    assert str(poses[0]) == "1 person, 17 keypoints, score 0.91"
    assert repr(Poses.empty(5)) == "no people, 5 keypoints"
    many = poses[np.zeros(30, int)]
    assert repr(many).count("0.91") == 10 and repr(many).endswith(", ...")


def test_poses_show_themselves_in_a_notebook(poses: Poses) -> None:
    text = poses._repr_html_()
    assert repr(poses) in text and text.count("<tr>") == 4
    assert "2 of 17" in text and "0 of 17" in text and "nan" not in text
    assert Poses.empty(17)._repr_html_().count("<tr>") == 1


def test_boxes_hold_the_keypoints_present(poses: Poses) -> None:
    boxes = poses.boxes
    first = poses.keypoints[1, :2].astype(float)
    assert np.isnan(boxes[2]).all()
    np.testing.assert_allclose(boxes[1], [*first.min(axis=0), *np.ptp(first, axis=0)])
    assert Poses.empty(17).boxes.shape == (0, 4)


def test_coco_counts_from_the_center_of_the_first_pixel(poses: Poses) -> None:
    entries = poses.to_coco(7, category_id=3)
    assert [entry["image_id"] for entry in entries] == [7] * 3 and entries[0]["category_id"] == 3
    triples = np.array(entries[1]["keypoints"]).reshape(17, 3)
    np.testing.assert_allclose(triples[:2, :2], poses.keypoints[1, :2] - 0.5, rtol=1e-6)
    assert not triples[2:].any() and entries[1]["score"] == pytest.approx(0.8)
    assert type(entries[0]["keypoints"][0]) is float


def test_a_table_has_a_row_for_each_person_and_keypoint(poses: Poses) -> None:
    numbered, named = poses.to_dataframe(), poses.to_dataframe(COCO)
    assert list(named.columns) == ["person", "keypoint", "x", "y", "score", "person_score"]
    assert len(named) == 3 * 17 and numbered["keypoint"].tolist() == list(range(17)) * 3
    assert named["keypoint"].tolist() == list(COCO.keypoints) * 3
    assert replace(poses, skeleton=COCO).to_dataframe().equals(named)
    row = named[(named.person == 1) & (named.keypoint == COCO.keypoints[1])].iloc[0]
    assert (row.x, row.y) == tuple(poses.keypoints[1, 1]) and row.person_score == np.float32(0.8)
    assert named.loc[named.score == 0, ["x", "y"]].isna().all(axis=None)
    assert len(Poses.empty(17).to_dataframe()) == 0


@pytest.mark.parametrize("version", ["0.20", "0.29"])
def test_supervision_of_any_version_is_imported_when_asked_for(
    poses: Poses, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    class KeyPoints:
        def __init__(self, xy: Any, class_id: Any, confidence: Any, data: Any) -> None:
            self.xy, self.class_id, self.confidence, self.data = xy, class_id, confidence, data

    class LaterKeyPoints(KeyPoints):
        def __init__(
            self, xy: Any, class_id: Any, keypoint_confidence: Any,
            detection_confidence: Any = None, visible: Any = None, data: Any = None,
        ) -> None:  # fmt: skip
            super().__init__(xy, class_id, keypoint_confidence, data)
            assert detection_confidence is poses.person_scores
            np.testing.assert_array_equal(visible, poses.found)

    stand_in = ModuleType("supervision")
    stand_in.KeyPoints = KeyPoints if version == "0.20" else LaterKeyPoints  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "supervision", stand_in)
    converted = poses.to_supervision()
    assert converted.xy is poses.keypoints and converted.confidence is poses.scores
    assert converted.class_id.tolist() == [0, 0, 0]
    assert converted.data["person_score"] is poses.person_scores
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ModuleNotFoundError, match="pip install supervision"):
        poses.to_supervision()


def test_supervision_draws_and_tracks_the_people(poses: Poses) -> None:
    supervision = pytest.importorskip("supervision", reason="needs the package supervision")
    tracked = replace(poses, tracks=np.array([4, 2, 9]))
    converted = tracked.to_supervision()
    detections = converted.as_detections()
    # The third person has no keypoint, and so no box.
    corners = np.concatenate([poses.boxes[:, :2], poses.boxes[:, :2] + poses.boxes[:, 2:]], axis=1)
    np.testing.assert_allclose(detections.xyxy, corners[:2], rtol=1e-6)
    np.testing.assert_array_equal(detections.confidence, poses.person_scores[:2])
    assert detections.data["tracker_id"].tolist() == [4, 2]
    edges = supervision.EdgeAnnotator(edges=(COCO.limb_indices + 1).tolist(), thickness=1)
    drawn = edges.annotate(np.zeros((100, 100, 3), np.uint8), converted)
    ends = poses.keypoints[0][COCO.limb_indices].mean(axis=1).astype(int)
    assert all(drawn[y - 1 : y + 2, x - 1 : x + 2].any() for x, y in ends)
    points = supervision.VertexAnnotator(radius=1).annotate(drawn * 0, converted[1])
    x, y = poses.keypoints[1, 1].astype(int)
    assert points[y, x].any() and not points[:1, :1].any()
    assert len(Poses.empty(17).to_supervision()) == 0


def test_the_examples_of_the_docstring() -> None:
    assert doctest.testmod(poselib.poses).failed == 0


def test_people_of_several_parts_are_joined_in_order(poses: Poses) -> None:
    tracked = replace(poses, tracks=np.array([4, 2, 9]), skeleton=COCO)
    again = Poses.join([tracked[[2]], tracked[:2], tracked[[]]])
    assert same(again, tracked[[2, 0, 1]]) and again.skeleton is COCO
    assert again.tracks is not None and again.tracks.tolist() == [9, 4, 2]
    assert Poses.join(list(tracked)).tracks is not None
    assert Poses.join([tracked, poses]).tracks is None  # not known of all
    assert len(Poses.join([Poses.empty(17)])) == 0
    with pytest.raises(ValueError, match="poses to join: expected one or more"):
        Poses.join([])
