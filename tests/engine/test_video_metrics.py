"""Metrics of videos: poses made by hand, with known distances, hidden joints, tracks and gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from poselib.annotations import PIXEL_CENTER, AnnotationTable
from poselib.engine.evaluate import evaluate_poses
from poselib.engine.video_metrics import PART_METRICS, joints_of_people, video_metrics
from poselib.metrics.pck import PartAP
from poselib.metrics.smoothness import acceleration_error, still_jitter
from poselib.skeletons import COCO, POSETRACK18, Skeleton
from poselib.structures import Poses

K = len(POSETRACK18)
WRIST, SHOULDER, HIP = (
    POSETRACK18.index(name) for name in ("left_wrist", "left_shoulder", "right_hip")
)
Person = tuple[int, int, np.ndarray]  # image, track, (K, 3)


def body(x: float = 100.0, y: float = 100.0) -> np.ndarray:
    """A person whose torso has 50 px and whose box, 80 px wide, is 200 px high."""
    points = np.zeros((K, 3))
    points[:, 0] = x + np.linspace(0, 60, K)
    points[:, 1] = y + np.linspace(0, 180, K)
    points[SHOULDER, :2] = x, y
    points[HIP, :2] = x + 30, y + 40
    points[:, 2] = 2
    return points


def table_of(people: list[Person], videos: str, heads: bool = True) -> AnnotationTable:
    """Annotations of frames, each of the video that its letter names."""
    people = sorted(people, key=lambda person: person[0])
    points = np.stack([points for _, _, points in people])
    boxes = np.concatenate(
        [points[:, SHOULDER, :2] - 10, np.tile([80.0, 200], (len(points), 1))], 1
    )
    return replace(
        AnnotationTable.empty(range(len(videos)), K),
        keypoints=points,
        boxes=boxes,
        areas=0.5 * boxes[:, 2] * boxes[:, 3],
        images=np.array([image for image, _, _ in people]),
        crowds=np.zeros(len(people), bool),
        ignored=~(points[..., 2] > 0).any(axis=1),
        categories=np.zeros(len(people), np.int64),
        tracks=np.array([track for _, track, _ in people]),
        head_boxes=np.tile([0.0, 0, 30, 40], (len(people), 1)) if heads else None,
        videos=tuple(videos),
        times=tuple(0.04 * n for n in range(len(videos))),
    )


def poses_of(table: AnnotationTable, tracks: dict[int, int] | None = None) -> list[Poses]:
    """The annotated people as poses, under other numbers if ``tracks`` gives them."""
    found = []
    for image in range(len(table.image_ids)):
        people, _ = table.people(image)
        rows = table.labeled_rows(image)
        numbers = None
        if tracks is not None and table.tracks is not None:
            numbers = np.array([tracks[int(t)] for t in table.tracks[rows]], np.int64)
        scores = (people[..., 2] > 0).astype(np.float32)
        ones = np.ones(len(people), np.float32)
        found.append(Poses(people[..., :2], scores, ones, tracks=numbers))
    return found


def moved(poses: Poses, row: int, joint: int, by: tuple[float, float]) -> Poses:
    xy = poses.keypoints.copy()
    xy[row, joint] += np.array(by, np.float32)
    return replace(poses, keypoints=xy)


@pytest.mark.parametrize(
    ("by", "torso", "person"),
    [(0.19 * 50, 1, 1), (0.21 * 50, 0, 1), (0.19 * 200, 0, 1), (0.21 * 200, 0, 0)],
)
def test_a_joint_is_right_up_to_a_fifth_of_torso_and_box(
    by: float, torso: int, person: int
) -> None:
    table = table_of([(0, 0, body()), (1, 0, body())], "aa")
    first, second = poses_of(table)
    found = [moved(first, 0, WRIST, (by, 0)), second]
    measured = video_metrics(table, found, POSETRACK18, exact=True)
    # one of four wrists, of which left and right count alike
    assert measured["pck_torso_wrist"] == pytest.approx(1 if torso else 0.75)
    assert measured["pck_person_wrist"] == pytest.approx(1 if person else 0.75)
    assert measured["pck_torso_total"] == pytest.approx(1 if torso else 1 - 0.5 / K)
    assert measured["pck_torso_knee"] == 1


def test_all_names_are_there_and_perfect_poses_are_perfect() -> None:
    table = table_of([(0, 0, body()), (1, 0, body(104))], "aa")
    measured = video_metrics(table, poses_of(table, {0: 5}), POSETRACK18)
    parts = PartAP.__dataclass_fields__
    rates = {f"{name}_{part}" for name in PART_METRICS for part in parts}
    rates |= {"video_AP", "video_AP50", "video_AP75", "video_AP90"}
    assert {name for name in measured if measured[name] == 1} == rates
    assert np.isnan(measured["pck_torso_hidden"])  # there is none
    assert measured["id_switches"] == 0 and measured["still_jitter"] is not None
    assert evaluate_poses(table, poses_of(table), POSETRACK18).as_dict()["pck_torso_total"] == 1


def test_hidden_joints_are_counted_apart_and_unlabeled_ones_not_at_all() -> None:
    points = body()
    points[[WRIST, HIP], 2] = 1
    points[SHOULDER + 1, 2] = 0
    table = table_of([(0, 0, points), (1, 0, body())], "aa")
    first, second = poses_of(table)
    far = moved(moved(first, 0, WRIST, (30, 0)), 0, SHOULDER + 1, (999, 0))
    measured = video_metrics(table, [far, second], POSETRACK18, exact=True)
    assert measured["pck_torso_hidden"] == 0.5
    assert measured["pck_torso_wrist"] == 0.75 and measured["pck_torso_shoulder"] == 1


def test_what_needs_more_than_there_is_is_left_out() -> None:
    people = [(0, 0, body())]
    assert video_metrics(table_of(people, ""), [], POSETRACK18) == {}  # a photograph
    nobody = replace(AnnotationTable.empty((0,), K), videos=("a",))
    assert video_metrics(nobody, [Poses.empty(K)], POSETRACK18) == {}
    plain = replace(table_of(people, "a", heads=False), tracks=None)
    measured = video_metrics(plain, poses_of(plain), POSETRACK18)
    assert not any(name.startswith("posetrack") for name in measured)
    assert not {"acceleration_error", "still_jitter", "id_switches"} & set(measured)
    names = tuple(f"k{n}" for n in range(K))
    bare = Skeleton("bare", names, POSETRACK18.sigmas, (), (), {})
    assert set(video_metrics(plain, poses_of(plain), bare)) == {
        "video_AP", "video_AP50", "video_AP75", "video_AP90",
    }  # fmt: skip


def test_exact_poses_are_in_order_and_others_are_matched() -> None:
    table = table_of([(0, 0, body()), (0, 1, body(400))], "a")
    (found,) = poses_of(table)
    swapped = found[np.array([1, 0])]
    assert video_metrics(table, [swapped], POSETRACK18)["pck_torso_total"] == 1
    assert video_metrics(table, [swapped], POSETRACK18, exact=True)["pck_torso_total"] == 0
    alone = found[np.array([1])]
    assert video_metrics(table, [alone], POSETRACK18)["pck_torso_total"] == 0.5
    with pytest.raises(ValueError, match="image 0: 1 poses for 2 labeled people"):
        video_metrics(table, [alone], POSETRACK18, exact=True)
    with pytest.raises(ValueError, match="2 images of poses for 1 frames"):
        video_metrics(table, [found, found], POSETRACK18)


def wandering(seed: int) -> AnnotationTable:
    """Two videos; people with the same numbers in both, gaps of one to four frames, no labels."""
    rng = np.random.default_rng(seed)
    present = {("a", 0): [0, 1, 2, 3, 4, 5], ("a", 1): [0, 1, 3, 4, 5], ("a", 2): [1, 2],
               ("b", 0): [6, 7, 8, 13, 14, 15], ("b", 1): [9, 10, 11, 12]}  # fmt: skip
    people = []
    for n, ((_, track), frames) in enumerate(present.items()):
        for image in frames:
            points = body(400 * n + 3 * (image % 2), 100)
            points[:, :2] += rng.normal(0, 0.2, (K, 2)) - [3 * (image % 2), 0] * (
                rng.random((K, 1)) < 0.5
            )
            points[rng.random(K) < 0.1, 2] = 0
            people.append((image, track, points))
    return table_of(people, "a" * 6 + "b" * 10)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_motion_equals_that_of_each_track_alone(seed: int) -> None:
    table, rng = wandering(seed), np.random.default_rng(seed)
    found = [
        replace(p, keypoints=p.keypoints + rng.normal(0, 2, p.keypoints.shape).astype(np.float32))
        for p in poses_of(table)
    ]
    measured = video_metrics(table, found, POSETRACK18, exact=True)
    joints, _ = joints_of_people(table, found, POSETRACK18, exact=True)
    assert table.tracks is not None
    sums: dict[str, list[tuple[float, int]]] = {"acceleration_error": [], "still_jitter": []}
    for video in "ab":
        for track in range(3):
            mine, truth = np.zeros((2, len(table.videos), K, 3))
            for row in np.flatnonzero(table.tracks == track):
                image = int(table.images[row])
                if table.videos[image] == video:
                    mine[image], truth[image] = joints[row], table.keypoints[row]
                    truth[image, :, :2] += PIXEL_CENTER
            kept = (mine[..., 2] > 0) & (truth[..., 2] > 0)
            three = int((kept[2:] & kept[1:-1] & kept[:-2]).sum())
            steps = np.linalg.norm(np.diff(truth[..., :2], axis=0), axis=-1)
            still = int((kept[1:] & kept[:-1] & (steps <= 0.5)).sum())
            if three:
                sums["acceleration_error"].append((acceleration_error(mine, truth), three))
            if still:
                sums["still_jitter"].append((still_jitter(mine, truth), still))
    for name, parts in sums.items():
        values, weights = zip(*parts, strict=True)
        assert measured[name] == pytest.approx(np.average(values, weights=weights)), name


def test_people_without_a_track_have_no_motion() -> None:
    table = table_of([(n, -1, body(100 + 5 * n)) for n in range(4)], "aaaa")
    assert "acceleration_error" not in video_metrics(table, poses_of(table), POSETRACK18)
    people = [(n, 0, body(100 + 5 * n)) for n in range(4)]
    people += [(n, -1, body(900)) for n in range(4)] + [(n, -1, body(700)) for n in range(4)]
    measured = video_metrics(
        table_of(people, "aaaa"), poses_of(table_of(people, "aaaa")), POSETRACK18
    )
    assert measured["acceleration_error"] == pytest.approx(0, abs=1e-4)


def test_id_switches_are_those_of_people_in_their_video() -> None:
    people = [(n, track, body(100 + 300 * track)) for n in range(6) for track in (1, 2)]
    table = table_of(people, "aaabbb")
    found = poses_of(table, {1: 7, 2: 8})
    assert video_metrics(table, found, POSETRACK18)["id_switches"] == 0
    assert "id_switches" not in video_metrics(table, found, POSETRACK18, exact=True)
    other = [replace(p, tracks=np.array([9, 8])) for p in found]
    # In another video a person is another one, whatever its number.
    assert video_metrics(table, [*found[:3], *other[3:]], POSETRACK18)["id_switches"] == 0
    assert video_metrics(table, [*found[:2], *other[2:]], POSETRACK18)["id_switches"] == 1
    untracked = [*found[:5], replace(found[5], tracks=None)]
    assert "id_switches" not in video_metrics(table, untracked, POSETRACK18)


def test_a_pose_far_from_everyone_is_no_switch() -> None:
    table = table_of([(n, 0, body()) for n in range(3)], "aaa")
    found = poses_of(table, {0: 7})
    stray = replace(found[1], keypoints=found[1].keypoints + 60, tracks=np.array([8]))
    measured = video_metrics(table, [found[0], stray, found[2]], POSETRACK18)
    assert measured["id_switches"] == 0 and measured["pck_torso_total"] == pytest.approx(2 / 3)


def test_other_skeletons_have_pck_and_no_ap_of_heads() -> None:
    points = np.zeros((len(COCO), 3))
    points[:] = 100, 100, 2
    points[COCO.index("right_hip"), 1] = 150
    table = replace(
        AnnotationTable.empty((0,), len(COCO)),
        keypoints=points[None], boxes=np.array([[80.0, 80, 40, 90]]), areas=np.array([1800.0]),
        images=np.array([0]), crowds=np.array([False]), ignored=np.array([False]),
        categories=np.array([0]), videos=("a",), times=(0.0,),
        head_boxes=np.array([[0.0, 0, 9, 9]]),
    )  # fmt: skip
    measured = video_metrics(table, poses_of(table), COCO, exact=True)
    assert measured["pck_person_total"] == measured["pck_torso_wrist"] == 1
    assert not any(name.startswith("posetrack") for name in measured)
