"""Scenes: what is visible, against a slow reference; determinism; recipes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from poselib.data.synthetic import body, body_parts, rendering
from poselib.data.synthetic.pose_sampling import FAMILIES
from poselib.data.synthetic.scene import Scene, SceneConfig, keypoint_indices, render_scene
from poselib.skeletons import COCO, CROWDPOSE, Skeleton

CROWD = SceneConfig(people=(3, 4), crowd_index=0.6)


def same(a: Scene, b: Scene) -> bool:
    names = ("image", "keypoints", "areas", "boxes", "person_map")
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)


def test_scene_depends_on_seed_and_index_only() -> None:
    config = SceneConfig(size=96)
    first = [render_scene(config, 7, i) for i in range(6)]
    again = [render_scene(config, 7, i) for i in reversed(range(6))][::-1]
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not same(first[0], first[1])
    assert not same(first[0], render_scene(config, 8, 0))


def test_shapes_dtypes_and_ranges() -> None:
    for size in (128, 256, 1024):
        scene = render_scene(SceneConfig(size=size), 0, 3)
        people = len(scene.areas)
        assert scene.image.shape == (size, size, 3) and scene.image.dtype == np.uint8
        assert scene.keypoints.shape == (people, len(body.KEYPOINTS), 3)
        assert scene.keypoints.dtype == scene.areas.dtype == scene.boxes.dtype == np.float32
        assert scene.boxes.shape == (people, 4) and len(scene.families) == people
        assert scene.person_map.max() <= people
        assert np.isfinite(scene.keypoints).all() and scene.image.std() > 5


def test_visibility_agrees_with_the_image() -> None:
    hidden = 0
    for index in range(40):
        scene = render_scene(CROWD, 1, index)
        v, xy = scene.keypoints[..., 2], scene.keypoints[..., :2]
        assert set(np.unique(v)) <= {0.0, 1.0, 2.0}
        assert (xy[v == 0] == 0).all()
        inside = (xy[v > 0] >= 0).all() and (xy[v > 0] < scene.image.shape[0]).all()
        assert inside
        person, keypoint = np.nonzero(v == 2)
        column, row = np.floor(xy[person, keypoint]).astype(int).T
        np.testing.assert_array_equal(scene.person_map[row, column], 1 + person)
        assert (v == 2).any(1).all(), "every person has a visible keypoint"
        hidden += int((v == 1).sum())
    assert hidden > 100


def _weights(corners: int) -> np.ndarray:
    """Weights of two or four corners that make points all over what lies between them."""
    steps = np.linspace(0, 1, 41 if corners == 2 else 17)
    if corners == 2:
        return np.stack([1 - steps, steps], -1)
    a, b = (grid.ravel() for grid in np.meshgrid(steps, steps))
    # Two points on opposite edges, and what lies between them.
    low = np.stack([1 - a, a, 0 * a, 0 * a], -1)
    high = np.stack([0 * a, 0 * a, 1 - b, b], -1)
    return np.concatenate([low * (1 - t) + high * t for t in steps[::2]])


WEIGHTS = {corners: _weights(corners) for corners in (2, 4)}


def _depths_inside(points: np.ndarray, centers: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """How far points lie inside the convex hull of circles: px, negative outside."""
    weights = WEIGHTS[len(centers)]
    x, y = (points[:, axis, None] - weights @ centers[:, axis] for axis in (0, 1))
    return (weights @ radii - np.hypot(x, y)).max(axis=1)


def _reference(
    shaped: dict[str, Any], order: list[int], points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Person and part on top at points, and how far from any edge the decision is, px."""
    person_map, part_map = (np.full(len(points), -1) for _ in range(2))
    margins = np.full(len(points), np.inf)
    for person in order:
        scale = shaped["heights"][person] * shaped["girth"][person]
        head = 1 / np.sqrt(shaped["girth"][person])
        for part in shaped["outlines"].order[person]:
            if part in body_parts.NOT_IN_PART_MAP:
                continue
            if part < len(body_parts.CAPSULES):
                capsule = body_parts.CAPSULES[part]
                names, radii = (capsule.start, capsule.end), np.array(capsule.radii) * scale
                radii = radii * head if part >= body_parts.PART_INDEX["hair"] else radii
                radii = radii - 0.35 if part in body_parts.WITHOUT_OUTLINE else radii
            else:
                _, names, (first, second), _ = body_parts.HULLS[part - len(body_parts.CAPSULES)]
                radii = np.array([first, first, second, second]) * scale
            centers = shaped["px"][person][[body.POINT_INDEX[name] for name in names]]
            depths = _depths_inside(points, centers, np.maximum(radii, 0.1))
            margins = np.minimum(margins, np.abs(depths))
            person_map[depths > 0], part_map[depths > 0] = person, part
    return person_map, part_map, margins


def test_visibility_equals_plain_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    shaped: dict[str, Any] = {}
    painted: list[int] = []
    compute, paint = rendering.body_outlines, rendering.paint_person

    def record_outlines(
        points: Any, facing: Any, px: Any, heights: Any, girth: Any, appearances: Any
    ) -> Any:
        outlines = compute(points, facing, px, heights, girth, appearances)
        shaped.update(facing=facing, px=px, heights=heights, girth=girth, outlines=outlines)
        painted.clear()
        return outlines

    def record_paint(
        image: Any, part_map: Any, outlines: Any, person: int, appearance: Any
    ) -> None:
        painted.append(person)
        paint(image, part_map, outlines, person, appearance)

    monkeypatch.setattr(rendering, "body_outlines", record_outlines)
    monkeypatch.setattr(rendering, "paint_person", record_paint)
    compared = 0
    config = SceneConfig(size=256, people=(3, 3), crowd_index=0.7)
    for index in range(4):
        scene = render_scene(config, 2, index)
        if len(scene.areas) < 3:
            continue
        person, keypoint = np.nonzero(scene.keypoints[..., 2] > 0)
        x, y, flag = scene.keypoints[person, keypoint].T
        cells = np.floor(np.stack([x, y], -1)) + 0.5
        person_map, part_map, margins = _reference(shaped, painted, cells)
        seen = shaped["facing"][person, keypoint] & body_parts.PARTS_SHOWING[keypoint, 1 + part_map]
        clear = margins >= 1.5
        np.testing.assert_array_equal(((person_map == person) & seen)[clear], (flag == 2)[clear])
        compared += clear.sum()
    assert compared > 100


def test_facial_keypoints_are_visible_from_the_front_only() -> None:
    face = keypoint_indices(COCO)[:3]
    straight = {"people": (1, 1), "poses": ("standing",), "border": 0.0}
    front = SceneConfig(views=(1, 0, 0), **straight)  # type: ignore[arg-type]
    back = SceneConfig(views=(0, 0, 1), **straight)  # type: ignore[arg-type]
    shoulders = [body.KEYPOINTS.index(f"{s}_shoulder") for s in ("left", "right")]
    for config, seen in ((front, True), (back, False)):
        v, left_is_right = [], []
        for index in range(40):
            person = render_scene(config, 0, index).keypoints[0]
            v.append(person[face, 2])
            left_is_right.append(person[shoulders[0], 0] > person[shoulders[1], 0])
        assert np.mean(left_is_right) == pytest.approx(1.0 if seen else 0.0, abs=0.05)
        assert (np.mean(v) > 1.75) if seen else (np.mean(v) < 1.2)


def test_boxes_and_areas_of_silhouettes() -> None:
    for index in range(10):
        scene = render_scene(SceneConfig(people=(1, 1), border=0.5), 3, index)
        if len(scene.areas) == 0:
            continue
        rows, columns = np.nonzero(scene.person_map == 1)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_array_equal(scene.boxes[0], box)
        assert scene.areas[0] == len(rows)


def test_areas_include_occluded_parts() -> None:
    more = 0
    for index in range(20):
        scene = render_scene(CROWD, 4, index)
        seen = np.bincount(scene.person_map.ravel(), minlength=len(scene.areas) + 1)[1:]
        assert (scene.areas >= seen).all()
        more += int((scene.areas > 1.2 * seen).sum())
    assert more > 5


def test_standing_heights_follow_the_config() -> None:
    config = SceneConfig(people=(1, 1), poses=("standing",), height=(0.5, 0.6), border=0.0)
    for index in range(20):
        scene = render_scene(config, 5, index)
        tall = scene.boxes[0, 3] - scene.boxes[0, 1]
        assert 0.42 * 128 < tall < 0.68 * 128


def test_border_probability() -> None:
    def outside(border: float) -> float:
        config = SceneConfig(people=(1, 2), height=(0.4, 0.6), border=border)
        scenes = [render_scene(config, 6, i) for i in range(60)]
        return float(np.mean(np.concatenate([(s.keypoints[..., 2] == 0).any(1) for s in scenes])))

    assert outside(0.0) == 0.0
    assert outside(1.0) > 0.7


@pytest.mark.parametrize("target", [0.0, 0.3, 0.6, 0.8])
def test_crowd_index_is_reached(target: float) -> None:
    config = SceneConfig(people=(2, 4), crowd_index=target)
    reached = [render_scene(config, 7, i).crowd_index for i in range(60)]
    assert np.mean(reached) == pytest.approx(target, abs=0.05)


def test_crowd_index_is_sampled_from_its_range() -> None:
    config = SceneConfig(people=(4, 6), crowd_index=(0.1, 0.9))
    reached = np.array([render_scene(config, 11, i).crowd_index for i in range(80)])
    assert np.mean(reached) == pytest.approx(0.5, abs=0.08)
    # A uniform draw from 0.1 to 0.9 has the deviation 0.23.
    assert 0.18 < np.std(reached) < 0.29
    assert reached.min() < 0.25 and reached.max() > 0.75


def test_crowd_index_range_of_no_width_equals_a_number() -> None:
    pair = SceneConfig(people=(2, 3), crowd_index=(0.4, 0.4))
    number = SceneConfig(people=(2, 3), crowd_index=0.4)
    for index in range(3):
        np.testing.assert_array_equal(
            render_scene(pair, 12, index).image, render_scene(number, 12, index).image
        )


def test_min_people_for_a_crowd_index() -> None:
    assert SceneConfig().min_people == 1
    assert SceneConfig(crowd_index=0.0).min_people == 1
    assert SceneConfig(crowd_index=0.5).min_people == 2
    assert SceneConfig(crowd_index=1.5).min_people == 3
    assert SceneConfig(crowd_index=(0.0, 1.5)).min_people == 3


def test_pose_families_follow_the_config() -> None:
    seen = {f for i in range(60) for f in render_scene(SceneConfig(), 8, i).families}
    assert seen == set(FAMILIES)
    some = SceneConfig(poses=("lying", "sitting"))
    assert {f for i in range(20) for f in render_scene(some, 8, i).families} == {"lying", "sitting"}


def test_boxes_of_lying_people_are_wide() -> None:
    config = SceneConfig(people=(1, 1), poses=("lying",), border=0.0, height=(0.4, 0.7))
    boxes = np.array([render_scene(config, 9, i).boxes[0] for i in range(20)])
    assert ((boxes[:, 2] - boxes[:, 0]) > (boxes[:, 3] - boxes[:, 1])).mean() > 0.8


def test_keypoints_of_two_skeletons_agree_by_name() -> None:
    scene = render_scene(SceneConfig(), 10, 0)
    coco, crowdpose = scene.keypoints_of(COCO), scene.keypoints_of(CROWDPOSE)
    shared = [name for name in COCO.keypoints if name in CROWDPOSE.keypoints]
    assert len(shared) == 12
    for name in shared:
        np.testing.assert_array_equal(
            coco[:, COCO.index(name)], crowdpose[:, CROWDPOSE.index(name)]
        )


def test_unknown_keypoints_of_a_skeleton_are_named() -> None:
    odd = Skeleton("odd", ("nose", "left_wing"), (0.1, 0.1), (), ())
    with pytest.raises(ValueError, match="left_wing"):
        keypoint_indices(odd)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 8),
        ("size", 128.5),
        ("people", (3, 1)),
        ("people", (0, 2)),
        ("people", (2,)),
        ("people", (1.5, 3)),
        ("height", (0.0, 0.5)),
        ("height", (0.9, 0.5)),
        ("height", (float("nan"), 0.5)),
        ("crowd_index", -0.1),
        ("crowd_index", 9.0),
        ("crowd_index", (0.5, 0.2)),
        ("crowd_index", (0.1, 9.0)),
        ("crowd_index", (0.1,)),
        ("crowd_index", float("nan")),
        ("poses", ("flying",)),
        ("poses", ()),
        ("views", (0, 0, 0)),
        ("views", (1, 1)),
        ("distractors", (2, 1)),
        ("distractors", (0, 2.5)),
        ("border", 1.5),
    ],
)
def test_config_errors_name_the_field(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        SceneConfig(**{field: value})


def test_config_accepts_lists_from_json() -> None:
    config = SceneConfig(people=(2, 3), poses=("lying",), crowd_index=(0.2, 0.4))
    assert SceneConfig(**config.as_dict()) == config  # type: ignore[arg-type]


def test_keypoints_are_found_in_any_spelling() -> None:
    names = ("Left Eye", "wristR", "HeadTop", "head_bottom")
    own = Skeleton("own", names, (0.1,) * 4, (), ())
    found = [body.KEYPOINTS[k] for k in keypoint_indices(own)]
    assert found == ["left_eye", "right_wrist", "head_top", "upper_neck"]
    hand = Skeleton("hand", ("wrist", *(f"finger{n}" for n in range(40))), (0.1,) * 41, (), ())
    with pytest.raises(
        ValueError, match=r"lack 41 of the 41 .* 'hand': 'wrist', .* and 17 more; they"
    ):
        keypoint_indices(hand)
