"""The category of a file is the one with the skeleton's keypoints, however they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from poselib.data.readers.coco_categories import keypoint_categories, of_category
from poselib.skeletons import COCO, CROWDPOSE

FILE = Path("people.json")
HANDS = [f"finger {n}" for n in range(21)]


def category(number: int, keypoints: object = None) -> dict[str, Any]:
    names = {} if keypoints is None else {"keypoints": keypoints}
    return {"id": number, "name": f"category {number}", **names}


@pytest.mark.parametrize(
    "spell",
    [
        lambda name: name.replace("_", " ").title(),
        lambda name: name.replace("_", "-").capitalize(),
        lambda name: name.title().replace("_", ""),
        lambda name: f" {name.upper()} ",
    ],
)
def test_names_are_compared_by_their_letters(spell: Any) -> None:
    names = [spell(name) for name in COCO.keypoints]
    assert keypoint_categories([category(3, names)], COCO, FILE) == [3]
    swapped = [names[0], names[2], names[1], *names[3:]]
    with pytest.raises(ValueError, match=r"2 keypoints are named otherwise: from position 1 on"):
        keypoint_categories([category(3, swapped)], COCO, FILE)


def test_the_category_of_people_is_found_among_others() -> None:
    people = category(2, list(COCO.keypoints))
    others = [category(5, HANDS), category(1, list(CROWDPOSE.keypoints)), category(7)]
    assert keypoint_categories([*others, people], COCO, FILE) == [2]
    # Names in excess, as of hands beside a body, but not where another fits exactly.
    more = category(9, [*COCO.keypoints, *HANDS])
    assert keypoint_categories([*others, more], COCO, FILE) == [9]
    assert keypoint_categories([more, people], COCO, FILE) == [2]
    with pytest.raises(ValueError, match=r"of skeleton 'coco', found 2 among 5"):
        keypoint_categories([*others, people, people], COCO, FILE)
    with pytest.raises(ValueError, match=r"of skeleton 'coco', found 0 among 3"):
        keypoint_categories(others, COCO, FILE)


def test_categories_with_the_same_keypoints_are_read_as_one() -> None:
    names = list(COCO.keypoints)
    listed = [category(4, names), category(7, HANDS), category(2, [n.upper() for n in names])]
    chosen = keypoint_categories(listed, COCO, FILE)
    assert chosen == [4, 2]
    people = [{"id": n, "category_id": kind} for n, kind in enumerate((2, 7, 4, 2))]
    expected = [{"id": n, "category_id": 4} for n in (0, 2, 3)]
    assert of_category(people, listed, chosen, FILE) == expected
    assert [person["category_id"] for person in people] == [2, 7, 4, 2]


@pytest.mark.parametrize("names", [17, "nose", {"nose": 1}])
def test_keypoints_that_are_no_list_are_refused(names: object) -> None:
    with pytest.raises(ValueError, match=r"categories: keypoints: expected a list of names, found"):
        keypoint_categories([category(1, names)], COCO, FILE)


def test_annotations_of_no_category_are_named() -> None:
    people, dogs = {"id": 7, "category_id": 1}, {"id": 8, "category_id": 2}
    listed = [category(1, list(COCO.keypoints)), category(2)]
    assert of_category([people, dogs], listed, [1], FILE) == [people]
    for wrong in (0, "1", None, [1], 1.0):
        found = r"annotations: id 9: category_id .* is not among categories, whose ids are \[1, 2\]"
        with pytest.raises(ValueError, match=rf"people\.json: {found}"):
            of_category([people, {"id": 9, "category_id": wrong}], listed, [1], FILE)
    with pytest.raises(ValueError, match="1 annotations are of other categories than 1"):
        of_category([dogs], listed, [1], FILE)
