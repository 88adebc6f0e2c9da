"""Skeletons of COCO categories and TOML files: read as written, or refused in one sentence."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poselib.skeletons import COCO, CROWDPOSE, SKELETONS, Skeleton, get_skeleton
from tests.strategies import quick

files = settings(quick, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = st.text(min_size=1, max_size=12).filter(lambda n: n.isprintable() and n.strip())
ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
FACE = {
    "name": "face",
    "keypoints": ["nose", "eye_L", "eye_R", "chin"],
    "skeleton": [[1, 2], [1, 3]],
}


def document(**changes: Any) -> dict[str, Any]:
    return {"categories": [{"id": 1, **FACE, **changes}]}


@st.composite
def skeletons(draw: st.DrawFn) -> Skeleton:
    names = draw(st.lists(NAMES, min_size=1, max_size=8, unique=True))
    count = len(names)
    order = draw(st.permutations(names))
    pairs = draw(st.integers(0, count // 2))
    ends = st.tuples(*[st.sampled_from(names)] * 2).filter(lambda pair: pair[0] != pair[1])
    limbs = draw(st.lists(ends, max_size=5)) if count > 1 else []
    cut = draw(st.integers(0, count))
    parts = tuple(tuple(part) for part in (order[:cut], order[cut:]) if part)
    sigmas = draw(st.lists(st.floats(1e-6, 10), min_size=count, max_size=count))
    return Skeleton(
        draw(NAMES.filter(lambda n: n not in SKELETONS)),
        tuple(names),
        tuple(sigmas),
        tuple(zip(order[:pairs], order[pairs : 2 * pairs], strict=True)),
        tuple(limbs),
        draw(st.dictionaries(NAMES, st.just(parts), max_size=2)),
    )


@files
@given(skeletons())
def test_a_toml_file_holds_all_of_a_skeleton(tmp_path: Path, skeleton: Skeleton) -> None:
    path = tmp_path / "own.toml"
    skeleton.to_toml(path)
    assert Skeleton.from_toml(path) == get_skeleton(str(path)) == skeleton
    assert [each.name for each in tmp_path.iterdir()] == ["own.toml"]
    assert Skeleton.from_fields(json.loads(json.dumps(skeleton.fields()))) == skeleton


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_known_skeletons_come_back(skeleton: Skeleton, tmp_path: Path) -> None:
    skeleton.to_toml(tmp_path / "known.toml")
    assert get_skeleton(tmp_path / "known.toml") == skeleton


@files
@given(skeletons(), st.booleans())
def test_a_category_states_names_and_limbs(
    tmp_path: Path, skeleton: Skeleton, stored: bool
) -> None:
    numbers = (skeleton.limb_indices + 1).tolist()
    category = {"name": skeleton.name, "keypoints": list(skeleton.keypoints), "skeleton": numbers}
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"categories": [{"id": 7}, category]}))
    own = Skeleton.from_coco(path if stored else json.loads(path.read_text()))
    assert (own.name, own.keypoints, own.limbs) == (
        skeleton.name, skeleton.keypoints, skeleton.limbs,
    )  # fmt: skip


def test_what_a_category_does_not_state_follows_from_names(
    caplog: pytest.LogCaptureFixture,
) -> None:
    face = Skeleton.from_coco(document())
    assert face.flip_pairs == (("eye_L", "eye_R"),)
    assert face.sigmas == (0.026, 0.025, 0.025, 0.067)
    assert face.group_indices("anatomy").tolist() == [0, 0, 0, 1]
    assert face.summary().splitlines() == [
        "face: 4 keypoints, 2 limbs",
        "flip pairs: eye_L - eye_R; without a partner: nose, chin",
        "sigma 0.067, the mean of COCO's, as none is known: chin",
    ]
    assert not caplog.records
    lonely = Skeleton.from_coco(
        document(keypoints=["left_eye", "chin"], skeleton=[]), where="a.json"
    )
    assert (
        "a.json" in caplog.text and "without a partner on the other side: left_eye" in caplog.text
    )
    assert "almost certainly wrong: left_eye" in lonely.summary()


def test_limbs_from_zero_are_taken_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        face = Skeleton.from_coco(document(skeleton=[[0, 1], [0, 2]]), where="a.json")
    assert face.limbs == Skeleton.from_coco(document()).limbs
    assert "a.json" in caplog.text and "numbered from 0" in caplog.text
    for absent in ({"skeleton": None}, {"skeleton": []}):
        assert Skeleton.from_coco(document(**absent)).limbs == ()


def test_one_of_several_categories() -> None:
    categories = [{"id": 1, "name": "car"}, FACE, {**FACE, "name": "dog"}]
    assert Skeleton.from_coco({"categories": categories}).name == "face"  # the same keypoints
    categories.append({"name": "hand", "keypoints": ["wrist"]})
    assert Skeleton.from_coco({"categories": categories}, category="hand").keypoints == ("wrist",)
    for category, wanted in (("", "one with keypoints"), ("car", "'car' with keypoints")):
        with pytest.raises(ValueError, match=rf"expected {wanted}; .*'face', 'dog', 'hand'"):
            Skeleton.from_coco({"categories": categories}, category=category)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": None}, "expected one with keypoints; none has keypoints"),
        ({"keypoints": "nose"}, "categories: 'face': keypoints: expected a list of names"),
        ({"keypoints": ["a", 3]}, "keypoints: expected names, found 3"),
        ({"keypoints": ["a", "b\n"]}, r"keypoints: expected names, found 'b\\n'"),
        ({"keypoints": ["a", "b", "a"]}, "keypoints: 'a' is named 2 times"),
        ({"name": 3}, "name: expected text, found 3"),
        ({"skeleton": [[1, 5]]}, "skeleton: keypoints are numbered 1 to 4, found 5"),
        ({"skeleton": [[0, 4]]}, "skeleton: keypoints are numbered 0 to 3, found 4"),
        ({"skeleton": [[2, 2]]}, "limbs join 'eye_L' with itself"),
        ({"skeleton": [[1, 2, 3]]}, "skeleton: expected pairs of keypoint numbers"),
        ({"skeleton": "1-2"}, "skeleton: expected pairs of keypoint numbers, found '1-2'"),
    ],
)
def test_categories_that_are_wrong(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    path.write_text(json.dumps(document(**changes)))
    for read in (Skeleton.from_coco, get_skeleton):
        with pytest.raises(ValueError, match=message) as error:
            read(path)
        assert str(error.value).startswith(f"{path}: categories")


TOML = {
    "name = 3": "name: expected text, found 3",
    "color = 'red'": "unknown field 'color'; known: name, keypoints, sigmas, flip_pairs, left",
    "keypoints = []": "keypoints: expected a list of names",
    "left = ['b']": "left: 1 keypoints, but right has 0",
    "left = ['e']\nright = ['b']": "left: 'e' is no keypoint; known: 'a', 'b', 'c'",
    "left = ['a']\nright = ['a']": "flip_pairs name 'a' more than once",
    "left = 'a'": "left: expected a list of keypoints, found 'a'",
    "left = []\nflip_pairs = []": "left: give flip_pairs, or left and right, not both",
    "flip_pairs = [['a', 'b', 'c']]": "flip_pairs: expected pairs of keypoints",
    "limbs = [['a', 'hand']]": "limbs: 'hand' is no keypoint",
    "limbs = [[1, 2]]": "limbs: 1 is no keypoint",
    "sigmas = [0.1]": "sigmas: 1 for 3 keypoints",
    "sigmas = 0.1": "sigmas: expected numbers, listed or by keypoint, found 0.1",
    "sigmas = {hand = 0.1}": "sigmas: 'hand' is no keypoint",
    "sigmas = {a = -1}": "sigmas: 'a': expected a positive number, found -1",
    "sigmas = {a = nan}": "sigmas: 'a': expected a positive number, found nan",
    "sigmas = {a = true}": "sigmas: 'a': expected a positive number, found True",
    f"sigmas = {{a = 1{'0' * 400}}}": "sigmas: 'a': expected a positive number",
    "groups = []": "groups: expected lists of lists by name",
    "groups = {parts = [['a', 'b']]}": "must name each keypoint once, but not so 'c'",
    "groups = {parts = ['a', 'b', 'c']}": "groups: 'parts': expected a list of keypoints",
    "name = ": "not TOML",
    "name = 'coco'": "name: 'coco' is a known skeleton of other keypoints",
}


@pytest.mark.parametrize(("line", "message"), TOML.items())
def test_toml_that_is_wrong(line: str, message: str, tmp_path: Path) -> None:
    lines = {"name": "name = 'own'", "keypoints": "keypoints = ['a', 'b', 'c']"}
    lines[line.split()[0]] = line
    (tmp_path / "own.toml").write_text("\n".join(lines.values()))
    with pytest.raises(ValueError, match=message) as error:
        get_skeleton(tmp_path / "own.toml")
    assert str(error.value).startswith(str(tmp_path)) and "\n" not in str(error.value)


def test_toml_with_little_in_it(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("name = 'own'\nkeypoints = ['a', 'b', 'nose']\nleft = ['a']\nright = ['b']\n")
    with path.open("a") as file:
        file.write("[sigmas]\na = 1\n")
    own = Skeleton.from_toml(path)
    assert (own.sigmas, own.flip_pairs, own.limbs) == ((1.0, 0.067, 0.026), (("a", "b"),), ())
    path.write_text("keypoints = ['a']")
    with pytest.raises(ValueError, match="name: expected text, found nothing"):
        Skeleton.from_toml(path)
    for read in (Skeleton.from_toml, Skeleton.from_coco):
        with pytest.raises(FileNotFoundError, match=r"skeleton file .*absent"):
            read(tmp_path / "absent.toml")


def test_a_file_of_known_keypoints_is_the_known_skeleton(tmp_path: Path) -> None:
    names = [name.replace("_", " ").title() for name in CROWDPOSE.keypoints]
    path = tmp_path / "people.json"
    path.write_text(json.dumps({"categories": [{"name": "person", "keypoints": names}]}))
    assert get_skeleton(path) is CROWDPOSE and Skeleton.from_coco(path).name == "person"


@files
@given(st.sampled_from(["categories", "name", "keypoints", "skeleton"]), ODD, st.booleans())
def test_any_value_is_read_or_refused(tmp_path: Path, field: str, value: Any, inside: bool) -> None:
    content = document()
    if inside and isinstance(content["categories"][0].get(field), list):
        content["categories"][0][field][0] = value
    elif field == "categories":
        content["categories"] = value
    else:
        content["categories"][0][field] = value
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    try:
        own = get_skeleton(path)
    except ValueError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
    else:
        own.to_toml(tmp_path / "own.toml")
        assert get_skeleton(tmp_path / "own.toml") == own and own.summary()


@files
@given(
    st.sampled_from(["name", "keypoints", "sigmas", "left", "flip_pairs", "limbs", "groups"]), ODD
)
def test_any_field_is_taken_or_refused(tmp_path: Path, field: str, value: Any) -> None:
    fields = {"name": "own", "keypoints": ["a", "b"], field: value}
    try:
        own = Skeleton.from_fields(fields, "own.toml")
    except ValueError as error:
        assert str(error).startswith("own.toml") and "\n" not in str(error)
    else:
        assert Skeleton.from_fields(own.fields()) == own


@files
@given(st.binary(max_size=40))
def test_any_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    for ending in (".toml", ".json"):
        path = tmp_path / f"own{ending}"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="own") as error:
            get_skeleton(path)
        assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_a_name_without_a_file_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown skeleton 'dog'.*'coco'.* ends in \.toml or"):
        get_skeleton("dog")
    assert get_skeleton("coco") is COCO


def test_summaries_of_many_keypoints_are_short() -> None:
    names = [f"face-{n}" for n in range(68)]
    many = Skeleton.from_fields({"name": "many", "keypoints": [*names, "left_eye", "right_eye"]})
    pairs, sigmas = many.summary().splitlines()[1:]
    assert pairs.startswith("flip pairs: left_eye - right_eye; without a partner: face-0, face-1, ")
    assert pairs.endswith("face-23 and 44 more") and sigmas.endswith("face-23 and 44 more")
