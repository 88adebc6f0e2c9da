"""A network that starts from one of other keypoints: what it kept predicts the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from poselib.engine.keypoint_transfer import start_from
from poselib.engine.seed import seed_everything
from poselib.outputs import RegressionOutputs, TagOutputs
from poselib.skeletons import COCO, CROWDPOSE, Skeleton
from poselib.systems import OptionValue, System, build

NETWORKS: list[tuple[str, dict[str, OptionValue]]] = [
    ("hae", {"backbone": "hrnet_tiny"}),
    ("hae", {"host": "hourglass", "features": 32, "increase": 8, "depth": 2, "stacks": 2}),
    ("dekr", {"backbone": "hrnet_tiny", "width": 4}),
    ("dekr", {"backbone": "hrnet_tiny", "adaptive": False}),
    ("dekr", {"backbone": "hrnet_tiny", "separate": False, "shared_width": 32}),
    ("grm", {"backbone": "hrnet_tiny", "width": 4}),
    ("grm", {"backbone": "hrnet_tiny", "head": "associative"}),
    ("logocap", {"backbone": "hrnet_tiny", "message_width": 16, "embedding": 4}),
]


def shuffled(skeleton: Skeleton, count: int | None = None) -> Skeleton:
    """Return the skeleton with some of its keypoints, in another order."""
    names = skeleton.keypoints[::-2] + skeleton.keypoints[-2::-2]
    names = names[:count]
    return Skeleton(
        name="shuffled",
        keypoints=names,
        sigmas=(0.1,) * len(names),
        flip_pairs=(),
        limbs=(),
        groups={"anatomy": tuple((name,) for name in names)},
    )


def randomized(system: System) -> System:
    """Give every tensor values of its own, those of normalizations included."""
    generator = torch.Generator().manual_seed(3)
    for value in system.model.state_dict().values():
        if value.is_floating_point():
            noise = torch.rand(value.shape, generator=generator)
            value.add_(0.3 * noise if value.ndim < 2 else 0.04 * noise - 0.02)
    system.model.eval()
    return system


def maps_by_keypoint(system: System, outputs: object) -> dict[str, torch.Tensor]:
    """Return all maps of each keypoint by its name, and those of no keypoint."""
    found: dict[str, torch.Tensor] = {}
    if isinstance(outputs, TagOutputs):
        stacks = [*outputs.heatmaps[:1], *outputs.tags.unbind(2)]
    elif isinstance(outputs, RegressionOutputs):
        stacks = [outputs.heatmaps, *outputs.offsets.unbind(2)]
        found["centers"] = outputs.centers
    for k, name in enumerate(system.skeleton.keypoints):
        found[name] = torch.stack([maps[:, k] for maps in stacks])
    return found


@pytest.mark.parametrize(("name", "options"), NETWORKS)
@pytest.mark.parametrize("count", [None, 5])
def test_kept_keypoints_are_predicted_alike(
    name: str, options: dict[str, OptionValue], count: int | None
) -> None:
    seed_everything(0)
    source = randomized(build(name, COCO, **options))
    system = build(name, shuffled(COCO, count), **options)
    system.model.eval()
    report = start_from(system, source)
    assert report.kept == system.skeleton.keypoints and not report.new
    assert report.whole + report.part == report.of
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs = maps_by_keypoint(source, source.run(images))
        mine = maps_by_keypoint(system, system.run(images))
    feeds_back = name == "hae" and "host" in options and count  # maps of lost keypoints are read
    for key, maps in mine.items() if not feeds_back else ():
        torch.testing.assert_close(maps, theirs[key], rtol=1e-4, atol=1e-4 * maps.abs().max())


def test_all_layers_of_the_message_passing_and_of_the_finer_maps_are_kept() -> None:
    for name, options in (NETWORKS[0], NETWORKS[-1]):
        source, system = build(name, COCO, **options), build(name, shuffled(COCO), **options)
        randomized(source)
        start_from(system, source)
        again = build(name, COCO, **options)
        start_from(again, system)
        for key, value in source.model.state_dict().items():
            torch.testing.assert_close(again.model.state_dict()[key], value)


def test_new_keypoints_keep_their_initial_values_and_are_named() -> None:
    mine = replace(shuffled(COCO, 3), keypoints=("nose", "tail", "left_eye"),
                   groups={"anatomy": (("nose",), ("tail",), ("left_eye",))})  # fmt: skip
    source = randomized(build("dekr", COCO, backbone="hrnet_tiny"))
    system = build("dekr", mine, backbone="hrnet_tiny")
    before = {k: v.clone() for k, v in system.model.state_dict().items()}
    report = start_from(system, source)
    bias = "head_heatmap.1.bias"
    after, theirs = system.model.state_dict()[bias], source.model.state_dict()[bias]
    eye, center = COCO.index("left_eye"), len(COCO)
    assert after.tolist() == [theirs[0], before[bias][1], theirs[eye], theirs[center]]
    assert (report.kept, report.new) == (("nose", "left_eye"), ("tail",))
    assert str(report).startswith(f"kept {report.of} of {report.of} tensors; head of 3 keypoints: ")
    assert str(report).endswith("nose, left_eye from the file, tail new")


def test_keypoints_that_are_all_new_leave_the_rest_in_place() -> None:
    mine = replace(shuffled(COCO, 1), keypoints=("snout",), groups={"anatomy": (("snout",),)})
    for name in ("hae", "dekr"):
        system = build(name, mine, backbone="hrnet_tiny")
        report = start_from(system, randomized(build(name, COCO, backbone="hrnet_tiny")))
        assert (report.kept, report.new) == ((), ("snout",)) and report.whole > 200
        assert str(report).endswith("head of 1 keypoints: snout new")


def test_keypoints_are_the_same_in_another_spelling() -> None:
    seed_everything(0)
    options: dict[str, OptionValue] = {"backbone": "hrnet_tiny", "host": "plain"}
    source = randomized(build("hae", COCO, **options))
    names = ("RWrist", "Left wrist", "nose", "tail")
    other = Skeleton("other", names, (0.1,) * 4, (), (), {})
    system = build("hae", other, **options)
    report = start_from(system, source)
    assert (report.kept, report.new) == (names[:3], names[3:])
    rows = [COCO.index(each) for each in ("right_wrist", "left_wrist", "nose")]
    head = "final_layers.0.weight"  # heatmaps, then tags
    found, known = system.model.state_dict()[head], source.model.state_dict()[head]
    assert torch.equal(found[:3], known[rows])
    assert torch.equal(found[4:7], known[[17 + row for row in rows]])

    twice = Skeleton("twice", ("left_hand_1", "LeftHand1", "nose"), (0.1,) * 3, (), (), {})
    one = Skeleton("one", ("LeftHand1", "LHand1"), (0.1,) * 2, (), (), {})
    report = start_from(build("hae", one, **options), build("hae", twice, **options))
    assert (report.kept, report.new) == (("LeftHand1",), ("LHand1",))


def test_a_video_network_starts_from_one_of_other_keypoints() -> None:
    source, system = build("jre", COCO), build("jre", shuffled(COCO))
    report = start_from(system, randomized(source))
    assert report.whole + report.part == report.of
    head = system.model.state_dict()["final_layer.bias"]
    order = [COCO.index(name) for name in system.skeleton.keypoints]
    torch.testing.assert_close(head, source.model.state_dict()["final_layer.bias"][order])


def test_branches_of_several_keypoints_are_new_unless_all_keypoints_are_the_same() -> None:
    options: dict[str, OptionValue] = {"backbone": "hrnet_tiny", "branches": "head"}
    source = randomized(build("dekr", COCO, **options))
    report = start_from(build("dekr", COCO, **options), source)
    assert report.whole == report.of
    crowd = build("dekr", CROWDPOSE, **options)
    before = crowd.model.state_dict()["head_offset.groups.0.final.weight"].clone()
    report = start_from(crowd, source)
    assert report.whole + report.part < report.of and "left_shoulder" in report.kept
    torch.testing.assert_close(
        crowd.model.state_dict()["head_offset.groups.0.final.weight"], before
    )


def test_another_backbone_is_refused() -> None:
    system = build("dekr", COCO, backbone="hrnet_tiny")
    with pytest.raises(ValueError, match=r"only \d+ of \d+ .*hrnet_tiny.*backbones differ"):
        start_from(system, build("hae", COCO, host="hourglass"))
