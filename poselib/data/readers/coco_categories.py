"""The categories of a COCO-format file whose keypoints are a skeleton's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from poselib.data.readers.json_fields import Entry, integer, letters, shown
from poselib.skeletons import Skeleton


def keypoint_categories(categories: list[Entry], skeleton: Skeleton, path: Path) -> list[int]:
    """Return the ids of the categories whose keypoints are the skeleton's, by their names.

    Several have the same where they are kinds of one thing, as the animals of AP-10K. A file may
    have categories of hands or other animals beside them. Names in excess are those of another
    version of the format: the number of keypoints is checked where they are read.
    """
    here, count = f"{path}: categories", len(skeleton)
    named = [c for c in categories if c.get("keypoints")]
    for category in named:
        if not isinstance(category["keypoints"], list):
            found = shown(category["keypoints"])
            raise ValueError(f"{here}: keypoints: expected a list of names, found {found}")
    if not named and len(categories) == 1:
        return [integer(categories[0], "id", here)]
    wanted = [letters(name) for name in skeleton.keypoints]
    fits = [c for c in named if [letters(n) for n in c["keypoints"][:count]] == wanted]
    fits = [c for c in fits if len(c["keypoints"]) == count] or fits
    ids = [integer(category, "id", here) for category in fits]
    if ids and len(set(ids)) == len(ids):
        return ids
    if len(named) != 1:
        kind = f"the keypoints of skeleton {skeleton.name!r}" if named else "keypoints"
        raise ValueError(
            f"{here}: expected one with {kind}, found {len(fits)} among {len(categories)}"
        )
    names = named[0]["keypoints"]
    if len(names) != count:
        raise ValueError(
            f"{here}: {len(names)} keypoints, but skeleton {skeleton.name!r} has {count}"
        )
    differing = [k for k in range(count) if letters(names[k]) != wanted[k]]
    expected = [skeleton.keypoints[k] for k in differing[:3]]
    raise ValueError(
        f"{here}: {len(differing)} keypoints are named otherwise: from position {differing[0]} on "
        f"{shown([names[k] for k in differing[:3]])}, where skeleton {skeleton.name!r} expects "
        f"{expected}"
    )


def of_category(
    annotations: list[Entry], categories: list[Entry], chosen: Sequence[int], path: Path
) -> list[Entry]:
    """Return the annotations of some categories, after checking that each is of a listed one.

    They are returned as of the first: an evaluation matches within categories, and no network here
    tells them apart.
    """
    ids = {integer(c, "id", f"{path}: categories") for c in categories}
    for person in annotations:
        number = person.get("category_id")
        if not isinstance(number, int) or number not in ids:
            raise ValueError(
                f"{path}: annotations: id {shown(person.get('id'))}: category_id {shown(number)} "
                f"is not among categories, whose ids are {shown(sorted(ids))}"
            )
    kept = set(chosen)
    people = [person for person in annotations if person["category_id"] in kept]
    if annotations and not people:
        raise ValueError(
            f"{path}: empty dataset: {len(annotations)} annotations are of other categories than "
            f"{', '.join(map(str, chosen))}, which has the keypoints"
        )
    if len(chosen) > 1:
        people = [{**person, "category_id": chosen[0]} for person in people]
    return people
