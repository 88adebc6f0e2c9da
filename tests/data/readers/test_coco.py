"""Reading COCO-format files, refusing bad ones, and writing results."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.coco
import pytest
from PIL import Image
from pycocotools import mask as rle

from poselib.annotations import DetectionTable
from poselib.data.readers.coco import (
    CocoImages,
    CocoKeypoints,
    read_results,
    upload_path,
    write_results,
)
from poselib.skeletons import COCO, CROWDPOSE, OCHUMAN, Skeleton
from poselib.structures import Poses
from tests.data.factories.images import perfect_results, poses_of
from tests.metrics.factories import ap_of

Content = dict[str, Any]
HEIGHT, WIDTH = 40, 60


def points(x: float, y: float, visibility: int = 2) -> list[float]:
    return [value for k in range(17) for value in (x + k, y + 0.5 * k, visibility)]


def person(number: int, image: int, **fields: Any) -> Content:
    given = {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [10, 5, 20, 30],
        "area": 400.0,
        "keypoints": points(12, 6),
    }
    given.update(fields)
    return {field: value for field, value in given.items() if value is not None}


def content() -> Content:
    """Three images: two people, nobody, and one person without area beside a crowd."""
    crowd = np.zeros((HEIGHT, WIDTH), np.uint8)
    crowd[20:30, 40:55] = 1
    runs = np.flatnonzero(np.diff(np.r_[0, crowd.ravel(order="F"), 0]))
    counts = np.diff(np.r_[0, runs, crowd.size]).tolist()
    return {
        "images": [
            {"id": n, "file_name": f"{n}.png", "height": HEIGHT, "width": WIDTH} for n in (5, 3, 9)
        ],
        "annotations": [
            person(1, 5),
            person(2, 9, area=None, bbox=[1, 2, 10, 20], keypoints=points(1, 2, visibility=1)),
            person(3, 5, keypoints=[0] * 30 + points(20, 8)[30:]),
            person(
                4,
                9,
                iscrowd=1,
                keypoints=[0] * 51,
                segmentation={"size": [HEIGHT, WIDTH], "counts": counts},
            ),
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO.keypoints)}],
    }


def write(folder: Path, data: object) -> Path:
    for number in (5, 3, 9):
        image = np.full((HEIGHT, WIDTH, 3), number, np.uint8)
        Image.fromarray(image).save(folder / f"{number}.png")
    path = folder / "people.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def reader(folder: Path, data: object | None = None, **settings: Any) -> CocoKeypoints:
    path = write(folder, content() if data is None else data)
    return CocoKeypoints(path, folder, COCO, **settings)


def test_images_keep_the_order_of_the_file_and_people_find_theirs(tmp_path: Path) -> None:
    dataset = reader(tmp_path)
    assert dataset.image_ids == (5, 3, 9) and len(dataset) == 3
    assert [len(sample.keypoints) for sample in dataset] == [2, 0, 1]
    assert [int(sample.image[0, 0, 0]) for sample in dataset] == [5, 3, 9]
    first = dataset[0]
    assert first.image.shape == (3, HEIGHT, WIDTH) and first.image.dtype == np.uint8
    assert first.keypoints.dtype == first.areas.dtype == np.float32
    assert first.image_id == 5 and dataset[-1].image_id == 9
    assert (first.to_original([3, 4]) == [3, 4]).all()
    with pytest.raises(IndexError):
        dataset[3]


def test_pixel_indices_become_pixel_centers(tmp_path: Path) -> None:
    sample = reader(tmp_path)[0]
    assert sample.keypoints[0, 0].tolist() == [12.5, 6.5, 2]
    assert sample.keypoints[0, 16].tolist() == [28.5, 14.5, 2]
    # Keypoints that are not labeled are zeros, not (0.5, 0.5).
    assert (sample.keypoints[1, :10] == 0).all()
    assert sample.keypoints[1, 10].tolist() == [30.5, 13.5, 2]


def test_area_is_taken_from_the_box_where_it_is_missing(tmp_path: Path) -> None:
    dataset = reader(tmp_path)
    assert dataset[0].areas.tolist() == [400, 400]
    assert dataset[2].areas == pytest.approx([0.53 * 10 * 20])
    assert (dataset[2].keypoints[0, :, 2] == 1).all()


def test_a_crowd_becomes_the_ignore_mask(tmp_path: Path) -> None:
    ignore = reader(tmp_path)[2].ignore_mask
    assert ignore.dtype == bool and ignore.shape == (HEIGHT, WIDTH)
    assert ignore[20:30, 40:55].all() and ignore.sum() == 150


@pytest.mark.parametrize(
    ("outline", "rows", "columns"),
    [
        (None, slice(5, 35), slice(10, 30)),
        ([], slice(5, 35), slice(10, 30)),
        ([[30, 10, 50, 10, 50, 20, 30, 20]], slice(10, 20), slice(30, 50)),
        ([[3, 3, 4, 4], [30, 10, 50, 10, 50, 20, 30, 20]], slice(10, 20), slice(30, 50)),
    ],
)
def test_a_person_without_keypoints_is_ignored_by_outline_or_box(
    outline: list | None, rows: slice, columns: slice, tmp_path: Path
) -> None:
    data = content()
    data["annotations"].append(person(8, 3, keypoints=[0] * 51, segmentation=outline))
    sample = reader(tmp_path, data)[1]
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[rows, columns] = True
    assert (sample.ignore_mask == expected).all()
    assert len(sample.keypoints) == 0


def test_compressed_outlines_and_unions(tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[2:6, 50:58] = 1
    code = rle.encode(mask)
    code["counts"] = code["counts"].decode()
    data = content()
    data["annotations"].append(person(8, 9, keypoints=[0] * 51, segmentation=code))
    ignore = reader(tmp_path, data)[2].ignore_mask
    assert ignore[2:6, 50:58].all() and ignore.sum() == 32 + 150


def test_a_crowd_with_keypoints_is_still_a_crowd(tmp_path: Path) -> None:
    data = content()
    data["annotations"].append(person(8, 3, iscrowd=1))
    sample = reader(tmp_path, data)[1]
    assert len(sample.keypoints) == 0 and sample.ignore_mask.sum() == 600


def test_images_without_people_can_be_left_out(tmp_path: Path) -> None:
    dataset = reader(tmp_path, keep_empty=False)
    assert dataset.image_ids == (5, 9)
    assert len(dataset[1].keypoints) == 1 and dataset[1].ignore_mask.sum() == 150
    assert dataset.annotations().image_ids == (5, 9)


def test_other_categories_are_left_out(tmp_path: Path) -> None:
    data = content()
    data["categories"].insert(0, {"id": 7, "name": "dog"})
    data["annotations"].append({"id": 1, "image_id": 5, "category_id": 7, "bbox": [0, 0, 1, 1]})
    dataset = reader(tmp_path, data)
    assert dataset.category_id == 1 and len(dataset[0].keypoints) == 2
    assert len(dataset.annotations()) == 4 and dataset.annotations().category_ids == (1,)


def test_a_category_without_names_fits_by_number_alone(tmp_path: Path) -> None:
    data = content()
    del data["categories"][0]["keypoints"]
    assert len(reader(tmp_path, data)) == 3


def test_names_of_keypoints_may_be_written_with_spaces_and_capitals(tmp_path: Path) -> None:
    data = content()
    names = [name.replace("_", " ").title() for name in COCO.keypoints]
    data["categories"][0]["keypoints"] = names
    assert len(reader(tmp_path, data)) == 3
    data["categories"][0]["keypoints"] = [*names[1:], names[0]]
    with pytest.raises(ValueError, match=r"keypoints are .*'Left Eye'.*'coco' expects \['nose'"):
        reader(tmp_path, data)


def test_what_goes_to_a_worker_is_small_and_whole(tmp_path: Path) -> None:
    data = content()
    outline = [[float(v) for v in range(2000)]]
    data["annotations"][0]["segmentation"] = outline
    dataset = reader(tmp_path, data)
    sent = pickle.dumps(dataset)
    assert len(sent) < 5000
    for a, b in zip(dataset, pickle.loads(sent), strict=True):
        assert (a.image == b.image).all() and (a.keypoints == b.keypoints).all()
        assert (a.ignore_mask == b.ignore_mask).all() and (a.areas == b.areas).all()


def test_samples_do_not_share_memory_with_the_dataset(tmp_path: Path) -> None:
    dataset = reader(tmp_path)
    dataset[0].keypoints[:] = 0
    dataset[0].areas[:] = 0
    assert dataset[0].keypoints.any() and dataset[0].areas.all()


# Bad input


def changed(change: Callable[[Content], object]) -> Content:
    data = content()
    change(data)
    return data


def set_keypoint(index: int, value: object) -> Callable[[Content], object]:
    return lambda data: data["annotations"][1]["keypoints"].__setitem__(index, value)


def set_field(group: str, field: str, value: object) -> Callable[[Content], object]:
    return lambda data: data[group][1].__setitem__(field, value)


def set_names(names: list[str]) -> Callable[[Content], object]:
    return lambda data: data["categories"][0].__setitem__("keypoints", names)


BAD: list[tuple[Callable[[Content], object], str]] = [
    (lambda d: d.pop("images"), "images: expected a list of objects"),
    (lambda d: d.pop("annotations"), "annotations: expected a list of objects"),
    (lambda d: d.pop("categories"), "categories: expected a list of objects"),
    (lambda d: d["images"].append(4), r"images\[3\]: expected an object, found int"),
    (lambda d: d["images"].clear(), "empty dataset: images lists none"),
    (lambda d: d["annotations"].clear(), "empty dataset: no person has a labeled keypoint"),
    (lambda d: d["categories"].clear(), "categories: expected one with keypoints, found 0 among 0"),
    (lambda d: d["categories"].append(d["categories"][0]), "categories: .* found 2 among 2"),
    (set_names(list(CROWDPOSE.keypoints)), "14 keypoints, but skeleton 'coco' has 17"),
    (
        set_names([*COCO.keypoints[1:], "nose"]),
        r"17 keypoints are named otherwise: .*\['left_eye'.*'coco' expects \['nose'",
    ),
    (lambda d: d["images"].append(d["images"][0]), "images: an id is used twice"),
    (set_field("images", "id", "a"), "images: id: expected a whole number, found 'a'"),
    (set_field("images", "height", None), "images: id 3: height: expected a whole number"),
    (set_field("images", "width", 0), "images: id 3: height and width must be positive"),
    (set_field("images", "file_name", 7), "images: id 3: file_name: expected text, found 7"),
    (set_field("images", "crowdIndex", "x"), "images: id 3: crowdIndex: expected a finite number"),
    (set_field("annotations", "id", 1), "annotations: id 1: used twice"),
    (set_field("annotations", "id", None), "annotations: id: expected a whole number"),
    (set_field("annotations", "image_id", 77), "id 2: image_id 77 is not among images"),
    (
        set_field("annotations", "keypoints", [1, 2, 2]),
        "keypoints: expected 51 numbers, found 3",
    ),
    (set_keypoint(4, float("nan")), "id 2: keypoints: expected finite numbers"),
    (set_keypoint(3, float("inf")), "id 2: keypoints: expected finite numbers"),
    (set_keypoint(3, "12"), "id 2: keypoints: expected finite numbers"),
    (set_keypoint(2, 3), "id 2: keypoints: visibility must be 0, 1 or 2"),
    (set_keypoint(2, 0.5), "id 2: keypoints: visibility must be 0, 1 or 2"),
    (set_field("annotations", "area", -1), "id 2: area: expected px²"),
    (set_field("annotations", "area", float("nan")), "id 2: area: expected a finite number"),
    (set_field("annotations", "bbox", None), "id 2: bbox: expected"),
    (set_field("annotations", "bbox", [1, 2, float("nan"), 4]), "id 2: bbox: expected finite"),
    (lambda d: d["annotations"][3]["segmentation"].update(size=[1, 2]), "id 4: segmentation"),
    (lambda d: d["annotations"][3]["segmentation"].pop("counts"), "id 4: segmentation"),
    (lambda d: d["annotations"][3].update(segmentation=5), "id 4: segmentation"),
]


@pytest.mark.parametrize(("change", "words"), BAD, ids=[words[-28:] for _, words in BAD])
def test_bad_files_are_refused_by_name(change: Callable, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"people\.json: (.*: )?{words}"):
        reader(tmp_path, changed(change))


def test_what_is_not_json_or_not_an_object(tmp_path: Path) -> None:
    for text in ('{"images": [', "", "\x00\x01"):
        with pytest.raises(ValueError, match=r"people\.json: not JSON"):
            reader(tmp_path, text)
    with pytest.raises(ValueError, match=r"people\.json: expected an object, found list"):
        reader(tmp_path, [])
    (tmp_path / "people.json").write_bytes(b'\xff\xfe{"a"')
    with pytest.raises(ValueError, match=r"people\.json: not JSON"):
        CocoKeypoints(tmp_path / "people.json", tmp_path, COCO)


def test_absent_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"annotation file .*none\.json does not exist"):
        CocoKeypoints(tmp_path / "none.json", tmp_path, COCO)
    path = write(tmp_path, content())
    with pytest.raises(FileNotFoundError, match=r"image folder .*elsewhere does not exist"):
        CocoKeypoints(path, tmp_path / "elsewhere", COCO)
    (tmp_path / "3.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of 3 images: 3\.png"):
        CocoKeypoints(path, tmp_path, COCO)


def test_another_skeleton_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, content())
    with pytest.raises(ValueError, match="17 keypoints, but skeleton 'crowdpose' has 14"):
        CocoKeypoints(path, tmp_path, CROWDPOSE)


def test_bad_images_are_refused_when_read(tmp_path: Path) -> None:
    dataset = reader(tmp_path)
    data = (tmp_path / "9.png").read_bytes()
    (tmp_path / "9.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"9\.png: truncated"):
        dataset[2]
    Image.fromarray(np.zeros((WIDTH, HEIGHT, 3), np.uint8)).save(tmp_path / "9.png")
    with pytest.raises(ValueError, match=r"9\.png: 60x40 px, but .*people\.json states 40x60"):
        dataset[2]
    (tmp_path / "9.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"9\.png"):
        dataset[2]


# Results


def test_results_go_back_to_pixel_indices(tmp_path: Path) -> None:
    results = poses_of(reader(tmp_path)[0].keypoints).to_coco(5, category_id=4)
    assert [(r["image_id"], r["category_id"], r["score"]) for r in results] == [(5, 4, 1.0)] * 2
    assert results[0]["keypoints"][:6] == [12, 6, 0.5, 13, 6.5, 0.5]
    assert results[1]["keypoints"][:30] == [0] * 30
    assert results[1]["keypoints"][30:33] == [30, 13, 0.5]
    json.dumps(results)
    assert Poses.empty(17).to_coco(5) == []


def test_results_are_read_or_refused_by_name(tmp_path: Path) -> None:
    dataset, path = reader(tmp_path), tmp_path / "results.json"
    annotations = dataset.annotations()
    with pytest.raises(FileNotFoundError, match=r"results file .*results\.json does not exist"):
        read_results(path, annotations)
    poses = poses_of(dataset[0].keypoints)
    write_results(poses.to_coco(5), path)
    read, expected = read_results(path, annotations), DetectionTable.of_poses([poses], 17)
    np.testing.assert_array_equal(read.keypoints, expected.keypoints)
    np.testing.assert_array_equal(read.scores, expected.scores)
    assert read.images.tolist() == [0, 0] and annotations.image_ids[0] == 5
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"results\.json: expected a list"):
        read_results(path, annotations)
    whole = poses.to_coco(5)[0]
    for field in ("image_id", "category_id"):
        path.write_text(json.dumps([whole, {**whole, field: str(whole[field])}]))
        wanted = rf"results\.json\[1\]: {field} '\d': a whole number is wanted"
        with pytest.raises(ValueError, match=wanted):
            read_results(path, annotations)
        path.write_text(json.dumps([{**whole, field: 77}]))
        with pytest.raises(ValueError, match=rf"json\[0\]: {field} 77 is not in the ground truth"):
            read_results(path, annotations)
    path.write_text(json.dumps([{"image_id": 5}]))
    with pytest.raises(ValueError, match=r"results\.json\[0\]: lacks category_id"):
        read_results(path, annotations)


def test_results_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    good = [{"image_id": 1, "score": 0.5}]
    write_results(good, path)
    assert json.loads(path.read_text()) == good
    with pytest.raises(ValueError, match=r"results\.json: results must be finite"):
        write_results([{"score": float("nan")}], path)
    with pytest.raises(TypeError):
        write_results([{"score": object()}], path)
    assert json.loads(path.read_text()) == good
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]


# Images that nobody annotated


def image_info() -> Content:
    """As image_info_test-dev2017.json has it: no annotations, every category, no keypoints."""
    data = content()
    del data["annotations"]
    data["images"][0].update(license=3, coco_url="http://images.cocodataset.org/5.png")
    data["categories"] = [{"id": n, "name": name} for n, name in ((1, "person"), (2, "bicycle"))]
    return data


def test_images_alone(tmp_path: Path) -> None:
    dataset = CocoImages(write(tmp_path, image_info()), tmp_path, COCO)
    assert dataset.image_ids == (5, 3, 9) and dataset.category_id == 1
    assert dataset.skeleton is COCO and dataset.image_path(2).name == "9.png"
    for sample, number in zip(dataset, (5, 3, 9), strict=True):
        assert sample.image_id == number and int(sample.image[0, 0, 0]) == number
        assert sample.keypoints.shape == (0, 17, 3) and sample.areas.shape == (0,)
        assert not sample.ignore_mask.any()


def test_images_alone_have_no_annotations(tmp_path: Path) -> None:
    dataset = CocoImages(write(tmp_path, image_info()), tmp_path, COCO)
    with pytest.raises(ValueError, match=r"people\.json has no annotations.*upload the results"):
        dataset.annotations()


def test_results_for_the_server(tmp_path: Path) -> None:
    """pycocotools takes them as results of the images that the file lists."""
    path = write(tmp_path, image_info())
    dataset = CocoImages(path, tmp_path, COCO)
    keypoints = np.tile(np.array([7.5, 8.5, 2], np.float32), (2, 17, 1))
    results = [
        entry
        for sample in dataset
        for entry in poses_of(keypoints).to_coco(sample.image_id, dataset.category_id)
    ]
    file = upload_path(tmp_path / "out", "progressive-w32_1")
    assert file.name == "person_keypoints_test-dev2017_progressive-w32_1_results.json"
    write_results(results, file)
    listed = pycocotools.coco.COCO(str(path)).loadRes(str(file))
    assert len(listed.anns) == 6 and set(listed.imgToAnns) == {5, 3, 9}
    assert listed.anns[1]["keypoints"][:3] == [7, 8, 0.5]
    assert upload_path(tmp_path, "a", "val2017").name == "person_keypoints_val2017_a_results.json"
    for name in ("", "a b", "a/b", "é"):
        with pytest.raises(ValueError, match="algorithm must be letters, digits"):
            upload_path(tmp_path, name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("images"), "images: expected a list of objects"),
        (lambda d: d["images"].clear(), "empty dataset: images lists none"),
        (lambda d: d["images"].append(d["images"][0]), "images: an id is used twice"),
        (lambda d: d["images"][1].pop("width"), "images: id 3: width: expected a whole number"),
    ],
)
def test_bad_lists_of_images_are_refused(change: Callable, words: str, tmp_path: Path) -> None:
    data = image_info()
    change(data)
    with pytest.raises(ValueError, match=rf"people\.json: {words}"):
        CocoImages(write(tmp_path, data), tmp_path, COCO)


# Real files


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "skeleton", "people"),
    [
        ("coco", COCO, [1, 2, 4, 5]),
        ("crowdpose", CROWDPOSE, [2, 2]),
        ("ochuman", OCHUMAN, [1, 2, 2]),
    ],
)
def test_real_samples(name: str, skeleton: Skeleton, people: list[int], samples_dir: Path) -> None:
    folder = samples_dir / name
    dataset = CocoKeypoints(folder / f"test_{name}.json", folder, skeleton)
    samples = list(dataset)
    assert [len(sample.keypoints) for sample in samples] == people
    table = dataset.annotations()
    rows = zip(table.images.tolist(), table.areas.tolist(), strict=True)
    truth = {(table.image_ids[image], round(area)) for image, area in rows}
    for sample in samples:
        labeled = sample.keypoints[..., 2] > 0
        limits = np.array(sample.size[::-1])
        assert ((sample.keypoints[..., :2] >= 0) & (sample.keypoints[..., :2] <= limits)).all()
        assert labeled.any(axis=1).all() and sample.image.std() > 20
        assert {(sample.image_id, round(float(area))) for area in sample.areas} <= truth
    results = perfect_results(dataset)
    result = ap_of(dataset.annotation_file, results, skeleton)
    assert min(result.AP, result.AP50, result.AR) > 1 - 1e-9
    assert ap_of(dataset.annotations(), results, skeleton).AP > 1 - 1e-9


@pytest.mark.samples
def test_real_people_without_keypoints_are_ignored(samples_dir: Path) -> None:
    folder = samples_dir / "coco"
    dataset = CocoKeypoints(folder / "test_coco.json", folder, COCO)
    masks = {sample.image_id: sample.ignore_mask for sample in dataset}
    # Person 1202706 in image 40083: outlined, 491 px², inside the box (275, 126, 11, 68).
    assert masks[40083].sum() == pytest.approx(491, rel=0.05)
    assert masks[40083][126:196, 275:287].sum() == masks[40083].sum()
    assert not masks[785].any()


@pytest.mark.samples
def test_crowd_indices_of_crowdpose(samples_dir: Path) -> None:
    folder = samples_dir / "crowdpose"
    dataset = CocoKeypoints(folder / "test_crowdpose.json", folder, CROWDPOSE)
    assert dataset.crowd_indices == {106848: 0.33, 103319: 0.39}
