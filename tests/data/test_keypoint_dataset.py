"""Tables of images and people, the datasets they make, and their ground truth."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from poselib.data.keypoint_dataset import AnnotatedImage, AnnotationTable, KeypointImages, gather
from poselib.skeletons import Skeleton
from tests.data.factories.images import perfect_results
from tests.metrics.factories import ap_of

TRIO = Skeleton(
    name="trio",
    keypoints=("head", "left_hand", "right_hand"),
    sigmas=(0.05, 0.1, 0.1),
    flip_pairs=(("left_hand", "right_hand"),),
    limbs=(("head", "left_hand"), ("head", "right_hand")),
)
HEIGHT, WIDTH = 30, 50
# Three people: all keypoints visible, one hidden, and none labeled.
WHOLE = [[20.5, 4.5, 2], [25.25, 14.5, 2], [15.5, 14.5, 1]]
HIDDEN = [[9, 9, 0], [40.5, 8.5, 1], [7, 7, 0]]
UNLABELED = [[3, 3, 0], [0, 0, 0], [1, 1, 0]]


def annotated(name: str, people: list, **fields: object) -> AnnotatedImage:
    count = len(people)
    given = {
        "keypoints": np.array(people, np.float64).reshape(-1, 3, 3),
        "boxes": np.array([[10 + i, 2, 30 + i, 18] for i in range(count)]).reshape(-1, 4),
        "areas": np.array([100.0 + i for i in range(count)]),
    }
    return AnnotatedImage(name, **{**given, **fields})


def images() -> list[AnnotatedImage]:
    return [
        annotated("a.png", [WHOLE, UNLABELED, HIDDEN], ignored=np.array([[0, 20, 5, 25]])),
        annotated("b.png", []),
        annotated("c.png", [HIDDEN]),
    ]


def table(keep_empty: bool = True) -> AnnotationTable:
    return gather(Path("file.txt"), images(), 3, keep_empty)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate("abc"):
        pixels = np.full((HEIGHT, WIDTH + number, 3), 10 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path


def test_people_are_gathered_by_image() -> None:
    found = table()
    assert found.image_ids == (1, 2, 3)
    assert found.file_names == ("a.png", "b.png", "c.png") and found.sizes is None
    assert [len(found.people(image)[0]) for image in range(3)] == [2, 0, 1]
    keypoints, areas = found.people(0)
    assert keypoints.dtype == areas.dtype == np.float32
    assert keypoints[0].tolist() == WHOLE
    # Keypoints that are not labeled are zeros, whatever the file wrote there.
    assert keypoints[1].tolist() == [[0, 0, 0], HIDDEN[1], [0, 0, 0]]
    # The box and the area go with the person; people without keypoints are ignored there.
    assert areas.tolist() == [100, 102] and found.people(2)[1].tolist() == [100]
    assert found.boxes[~found.ignored, 0].tolist() == [10, 12, 10]
    assert found.boxes[found.ignored].tolist() == [[0, 20, 5, 5], [11, 2, 20, 16]]


def test_images_without_people_can_be_left_out() -> None:
    found = table(keep_empty=False)
    # An image keeps its number.
    assert found.image_ids == (1, 3) and found.file_names == ("a.png", "c.png")
    assert found.images.tolist() == [0, 0, 0, 0, 1]


def test_numbers_and_sizes_of_the_format_are_kept() -> None:
    stated = [replace(image, image_id=7 - n, size=(30, 50 + n)) for n, image in enumerate(images())]
    found = gather(Path("file.txt"), stated, 3)
    assert found.image_ids == (7, 6, 5) and found.sizes == ((30, 50), (30, 51), (30, 52))
    # Where one image lacks its size, all are read from the files.
    assert gather(Path("f"), [*stated[:2], images()[2]], 3).sizes is None
    with pytest.raises(ValueError, match=r"file\.txt: images: an id is used twice"):
        gather(Path("file.txt"), [stated[0], stated[0]], 3)


def test_an_empty_dataset_is_refused() -> None:
    with pytest.raises(ValueError, match=r"file\.txt: empty dataset: it lists no images"):
        gather(Path("file.txt"), [], 3)
    with pytest.raises(ValueError, match=r"file\.txt: empty dataset: no person has a labeled"):
        gather(Path("file.txt"), [annotated("a.png", [UNLABELED])], 3)


def test_samples(folder: Path) -> None:
    dataset = KeypointImages(table(), folder, TRIO)
    assert len(dataset) == 3 and dataset.image_ids == (1, 2, 3) and dataset.skeleton is TRIO
    first, second, third = dataset
    assert first.image.shape == (3, HEIGHT, WIDTH) and third.image.shape == (3, HEIGHT, WIDTH + 2)
    assert [sample.image_id for sample in (first, second, third)] == [1, 2, 3]
    assert [len(sample.keypoints) for sample in (first, second, third)] == [2, 0, 1]
    assert first.keypoints[0].tolist() == WHOLE and first.areas.tolist() == [100, 102]
    assert dataset[-1].image_id == 3 and dataset.image_path(1) == folder / "b.png"
    with pytest.raises(IndexError, match="image 3 of 3"):
        dataset[3]
    with pytest.raises(TypeError, match=r"takes one integer, not slice\(None, 2, None\)"):
        dataset[:2]  # type: ignore[index]
    first.keypoints[:] = 0
    assert dataset[0].keypoints.any()


def test_regions_to_ignore_are_boxes_and_outlines(folder: Path) -> None:
    outline = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    outline[25:28, 40:50] = 1
    code = rle.encode(np.asfortranarray(np.pad(outline, ((0, 0), (0, 2)))))["counts"]
    dataset = KeypointImages(replace(table(), regions={2: code}), folder, TRIO)
    assert (dataset[2].ignore_mask[:, :WIDTH] == outline.astype(bool)).all()
    boxes = np.array([[2.4, 3, 5, 4.6], [-9, 28, 1, 99]], np.float32)
    found = gather(Path("f"), [annotated("a.png", [WHOLE], ignored=boxes)], 3)
    # Pixels whose center is inside: columns 2 to 4, rows 3 and 4; what is outside is cut.
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[3:5, 2:5] = True
    expected[28:, 0] = True
    assert (KeypointImages(found, folder, TRIO)[0].ignore_mask == expected).all()
    assert not dataset[1].ignore_mask.any()


def test_sizes_come_from_the_headers_unless_they_are_stated(folder: Path) -> None:
    dataset = KeypointImages(table(), folder, TRIO)
    assert dataset.sizes() == ((30, 50), (30, 51), (30, 52))
    stated = KeypointImages(replace(table(), sizes=((30, 50), (31, 51), (30, 52))), folder, TRIO)
    assert stated.sizes()[1] == (31, 51)
    with pytest.raises(ValueError, match=r"b\.png: 30x51 px, but file\.txt states 31x51"):
        stated[1]


def test_an_image_is_turned_as_exif_asks_where_the_labels_are_of_the_turned_picture(
    folder: Path,
) -> None:
    pixels = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to view
    Image.fromarray(pixels).save(folder / "a.png", exif=exif)
    turned, stored = ((WIDTH, HEIGHT), (HEIGHT, WIDTH))
    for size, expected in ((turned, np.rot90(pixels, -1)), (stored, pixels)):
        dataset = KeypointImages(replace(table(), sizes=(size,) * 3), folder, TRIO)
        assert (dataset[0].image == expected.transpose(2, 0, 1)).all()
    with pytest.raises(ValueError, match=r"b\.png: 30x51 px, but"):  # nothing asks to turn it
        KeypointImages(replace(table(), sizes=((51, 30),) * 3), folder, TRIO)[1]


def test_what_does_not_fit_is_refused(folder: Path) -> None:
    two = replace(TRIO, keypoints=TRIO.keypoints[:2], sigmas=(1, 1), flip_pairs=(), limbs=())
    with pytest.raises(ValueError, match=r"file\.txt: 3 keypoints, but skeleton 'trio' has 2"):
        KeypointImages(table(), folder, two)
    with pytest.raises(FileNotFoundError, match=r"folder .*nowhere does not exist"):
        KeypointImages(table(), folder / "nowhere", TRIO)
    (folder / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of 3 images: b\.png"):
        KeypointImages(table(), folder, TRIO)


def test_what_goes_to_a_worker_is_whole(folder: Path) -> None:
    dataset = KeypointImages(table(), folder, TRIO)
    for a, b in zip(dataset, pickle.loads(pickle.dumps(dataset)), strict=True):
        assert (a.image == b.image).all() and (a.keypoints == b.keypoints).all()


# Ground truth


def test_annotations_count_pixels_from_zero(folder: Path) -> None:
    found = KeypointImages(table(), folder, TRIO).annotations()
    assert found.keypoints[0].tolist() == [[20, 4, 2], [24.75, 14, 2], [15, 14, 1]]
    assert found.boxes[0].tolist() == [10, 2, 20, 16] and found.areas[0] == 100
    # Then the regions of the first image, and the person of the third.
    assert found.boxes[2:4].tolist() == [[0, 20, 5, 5], [11, 2, 20, 16]]
    assert found.images.tolist() == [0, 0, 0, 0, 2]
    assert found.ignored.tolist() == found.crowds.tolist() == [False, False, True, True, False]
    assert found.keypoints[2:4].any() == False  # noqa: E712


def test_images_can_be_chosen_and_put_in_order() -> None:
    found = replace(table(), sizes=((30, 50), (30, 51), (30, 52)), crowd_indices={3: 0.25})
    some = found.at(np.array([2, 0]))
    assert some.image_ids == (3, 1) and some.file_names == ("c.png", "a.png")
    assert some.sizes == ((30, 52), (30, 50)) and some.crowd_indices == {3: 0.25}
    assert some.images.tolist() == [0, 1, 1, 1, 1] and some.areas.tolist()[:2] == [100, 100]
    for image, before in enumerate((2, 0)):
        np.testing.assert_array_equal(some.people(image)[0], found.people(before)[0])
    assert found.at(np.array([0, 1])).image_ids == (1, 2) and len(found.at(np.array([1]))) == 0


def test_the_truth_evaluates_to_one_and_what_is_ignored_costs_nothing(folder: Path) -> None:
    dataset = KeypointImages(table(), folder, TRIO)
    truth, results = dataset.annotations(), perfect_results(dataset)
    assert ap_of(truth, results, TRIO).AP > 1 - 1e-9
    # A detection in the ignored corner of the first image, surer than any other.
    stray = {
        "image_id": 1,
        "category_id": 1,
        "score": 9.0,
        "keypoints": [2, 22, 1, 3, 23, 1, 4, 22, 1],
    }
    assert ap_of(truth, [*results, stray], TRIO).AP > 1 - 1e-9
    elsewhere = {**stray, "image_id": 2}
    assert ap_of(truth, [*results, elsewhere], TRIO).AP < 0.9
    assert ap_of(truth, perfect_results(dataset, shift=2.0), TRIO).AP < 0.9


def test_separators_of_windows_are_understood(folder: Path, tmp_path: Path) -> None:
    below = tmp_path / "set" / "images"
    below.mkdir(parents=True)
    for name in "abc":
        (folder / f"{name}.png").rename(below / f"{name}.png")
    written = replace(table(), file_names=tuple(f"images\\{name}.png" for name in "abc"))
    dataset = KeypointImages(written, below.parent, TRIO)
    assert dataset.image_path(1) == below / "b.png" and dataset[1].image_id == 2
    with pytest.raises(FileNotFoundError, match=r"backslashes are read as separators") as error:
        KeypointImages(written, below, TRIO)
    assert f"begin at {below.parent}, which is the folder to give" in str(error.value)


@pytest.mark.parametrize("name", ["n" * 300 + ".png", "a\0.png", "\ud800.png"])
def test_names_that_no_file_can_have_are_missing(name: str, folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="lacks 1 of 3 images"):
        KeypointImages(replace(table(), file_names=("a.png", "b.png", name)), folder, TRIO)


def test_a_region_of_another_size_is_refused(folder: Path) -> None:
    code = rle.encode(np.asfortranarray(np.ones((HEIGHT, WIDTH), np.uint8)))["counts"]
    assert KeypointImages(replace(table(), regions={0: code}), folder, TRIO)[0].ignore_mask.all()
    with pytest.raises(ValueError, match="run lengths cover 1500 of 1560 px"):
        KeypointImages(replace(table(), regions={2: code}), folder, TRIO)[2]
