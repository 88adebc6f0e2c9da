from __future__ import annotations

import json
import os
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from poselib.data.synthetic.dataset import SceneConfig, SyntheticScenes
from poselib.engine import checkpoints
from poselib.engine.checkpoints import check_target, load_checkpoint, save_system
from poselib.engine.seed import seed_everything
from poselib.engine.train import CHECKPOINT
from poselib.skeletons import COCO, CROWDPOSE, Skeleton
from poselib.systems import System, build
from tests.engine.factories import RECIPE, scenes, toy_system, train_toy

OPTIONS: dict[str, Any] = {
    "backbone": "hrnet_tiny",
    "deconv_blocks": 0,
    "progressive": False,
    "tag_threshold": 2.5,
}


def random_system() -> System:
    seed_everything(3)
    system = build("hae", CROWDPOSE, **OPTIONS)
    system.model.to(memory_format=torch.channels_last)
    # Running statistics that are not the initial ones.
    system.model.train()(torch.randn(2, 3, 64, 64))
    return replace(system, model=system.model.eval())


@pytest.fixture(scope="module")
def system() -> System:
    return random_system()


@pytest.fixture
def file(system: System, tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "system.safetensors"
    save_system(path, replace(system, input_size=128), provenance={"steps": 7, "data": ["a", None]})
    return path


def rewritten(file: Path, change: dict[str, Any]) -> Path:
    """Write the file again with another description."""
    description, weights = checkpoints._read(file)
    save_file(weights, file, metadata={"poselib": json.dumps({**description, **change})})
    return file


def test_a_folder_is_read_if_it_holds_one_checkpoint(file: Path, system: System) -> None:
    (file.parent / "checkpoint.pt").write_bytes(b"of the training")
    assert load_checkpoint(file.parent).provenance["steps"] == 7
    save_system(file.with_name("other.safetensors"), system)
    with pytest.raises(ValueError, match=r"2 checkpoints; .* other.safetensors, system.safetens"):
        load_checkpoint(file.parent)
    empty = file.parent / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"empty holds no checkpoints; .* it holds nothing"):
        load_checkpoint(empty)


@torch.no_grad()
def test_a_saved_system_comes_back(file: Path, system: System) -> None:
    loaded = load_checkpoint(file)
    assert (loaded.system.input_size, loaded.provenance) == (128, {"steps": 7, "data": ["a", None]})
    assert loaded.system.skeleton == CROWDPOSE
    assert loaded.system.options == system.options
    assert loaded.system.options["tag_threshold"] == 2.5
    images = torch.randn(2, 3, 64, 96)
    mine, theirs = loaded.system.model(images), system.model(images)
    assert torch.allclose(mine.tags, theirs.tags, atol=1e-5)
    assert not loaded.system.model.training
    a, b = loaded.system.model.state_dict(), system.model.state_dict()
    assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_saving_leaves_one_file_that_everyone_may_read(file: Path) -> None:
    assert [p.name for p in file.parent.iterdir()] == ["system.safetensors"]
    assert file.stat().st_mode & 0o444 == 0o444


def test_a_failed_save_leaves_the_old_file(
    file: Path, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(weights: Any, path: Path, metadata: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("no space left")

    before = file.read_bytes()
    monkeypatch.setattr(checkpoints, "save_file", full_disk)
    with pytest.raises(OSError, match="no space left"):
        save_system(file, system)
    assert file.read_bytes() == before and len(list(file.parent.iterdir())) == 1


def test_another_ending_is_refused(system: System, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"system\.pt: .*\.safetensors"):
        save_system(tmp_path / "system.pt", system)
    (tmp_path / "folder.safetensors").mkdir()
    for name, reason in (("a.pt", "saved as"), ("folder.safetensors", "this is a folder")):
        with pytest.raises(ValueError, match=reason):
            check_target(tmp_path / name)
    check_target(tmp_path / "new" / "system.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.safetensors"]


def test_option_names_of_older_versions_are_converted() -> None:
    old = {"fence_over": "group", "nearness": "least", "frame": "centre", "sigma": 2.0}
    new = {"outlier_scope": "group", "distance_reduction": "min", "frame": "center", "sigma": 2.0}
    assert checkpoints.with_current_names(old) == new
    assert checkpoints.with_current_names(new) == new
    assert load_checkpoint().system.options["missing_keypoints"] == "skip"


@pytest.mark.slow
def test_a_training_is_a_checkpoint_with_its_averages(tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=2)
    real = build("hae", COCO, backbone="hrnet_tiny", host="plain")
    trained = train_toy(tmp_path, recipe, system=real, dataset=scenes(4))
    loaded = load_checkpoint(tmp_path / CHECKPOINT, COCO)
    mine, averages = loaded.system.model.state_dict(), trained.system.model.state_dict()
    assert all(torch.equal(mine[key], averages[key]) for key in averages)
    weights = real.model.state_dict()
    assert not all(torch.equal(mine[key], weights[key]) for key in averages)
    assert loaded.system.options == real.options and loaded.system.input_size is None


OWN = Skeleton(
    "own", ("tip", "left_end", "right_end"), (0.1, 0.067, 0.03), (("left_end", "right_end"),),
    (("tip", "left_end"),), {"parts": (("tip",), ("left_end", "right_end"))},
)  # fmt: skip


def test_a_skeleton_of_ones_own_comes_back_whole(tmp_path: Path) -> None:
    system = build("hae", OWN, backbone="hrnet_tiny", host="plain", hierarchy="parts")
    save_system(tmp_path / "a.safetensors", system)
    assert load_checkpoint(tmp_path / "a.safetensors", OWN).system.skeleton == OWN
    assert checkpoints.stored_keypoints(tmp_path / "a.safetensors") == OWN.keypoints
    other = replace(OWN, keypoints=("end", *OWN.keypoints[1:]), limbs=(), groups={})
    with pytest.raises(ValueError, match="'own' with 3 keypoints, but 'own' with 3 was expected"):
        load_checkpoint(tmp_path / "a.safetensors", other)
    # The sigmas of a known skeleton may be one's own; its name may not be that of other keypoints.
    measured = replace(COCO, sigmas=(0.05,) * 17)
    save_system(tmp_path / "b.safetensors", build("hae", measured, backbone="hrnet_tiny"))
    assert load_checkpoint(tmp_path / "b.safetensors").system.skeleton == measured
    with pytest.raises(ValueError, match=r"c\.safetensors: name: 'coco' is a known skel"):
        other = replace(system, skeleton=replace(OWN, name="coco"))
        save_system(tmp_path / "c.safetensors", other)


def test_a_skeleton_that_has_changed_since_is_refused(file: Path) -> None:
    """Whole or by name, with the keypoints that the network was trained for."""
    changed = {**OWN.fields(), "name": "crowdpose"}
    with pytest.raises(ValueError, match="'crowdpose' is a known skeleton of other keypoints"):
        load_checkpoint(rewritten(file, {"skeleton": changed}))
    for wrong in ({**OWN.fields(), "sigmas": [1]}, {"name": "own"}, 3, None, "own"):
        with pytest.raises(ValueError, match=r"its system cannot be built here: .*skeleton"):
            load_checkpoint(rewritten(file, {"skeleton": wrong}))


@pytest.mark.slow
def test_a_training_holds_a_skeleton_of_ones_own(tmp_path: Path) -> None:
    recipe = replace(RECIPE, steps=1)
    own = replace(COCO, name="own", sigmas=(0.05,) * 17)
    people = SyntheticScenes(SceneConfig(size=64), 2, 0, own)
    system = build("hae", own, backbone="hrnet_tiny", host="plain")
    train_toy(tmp_path, recipe, system=system, dataset=people)
    assert load_checkpoint(tmp_path).system.skeleton == own
    assert checkpoints.stored_keypoints(tmp_path / CHECKPOINT) == own.keypoints
    other = build("hae", replace(own, sigmas=(0.06,) * 17), backbone="hrnet_tiny", host="plain")
    with pytest.raises(ValueError, match=r"its system has skeleton: sigmas=\[0.05, .*\[0.06, "):
        train_toy(tmp_path, recipe, system=other, dataset=people)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.safetensors does not exist"):
        load_checkpoint(tmp_path / "absent.safetensors")


def test_a_checkpoint_of_another_skeleton_is_refused(file: Path) -> None:
    assert load_checkpoint(file, CROWDPOSE).system.skeleton == CROWDPOSE
    with pytest.raises(ValueError, match=r"'crowdpose' with 14 .*'coco' with 17") as error:
        load_checkpoint(file, COCO)
    assert str(file) in str(error.value)


@pytest.mark.parametrize(
    ("length", "reason"),
    [(0, "empty"), (4, "incomplete"), (100, "incomplete"), (20_000, "incomplete"), (-1, "damaged")],
)
def test_a_truncated_file_is_refused(file: Path, length: int, reason: str) -> None:
    file.write_bytes(file.read_bytes()[:length])
    named = rf"system\.safetensors: not a readable file of weights: .*{reason}"
    with pytest.raises(ValueError, match=named):
        load_checkpoint(file)


@pytest.mark.parametrize(
    "name", ["system.pt", "system.pth.tar", "system", "system.png", b"\xe9.pt"]
)
def test_a_checkpoint_is_known_by_its_content(file: Path, name: str | bytes) -> None:
    renamed = file.rename(file.with_name(os.fsdecode(name)))
    assert load_checkpoint(renamed).provenance["steps"] == 7


def test_hidden_files_of_other_systems_are_no_checkpoints(file: Path) -> None:
    for name in ("._system.safetensors", ".poselib.abc.safetensors"):
        (file.parent / name).write_bytes(b"\0\5\26\7")
    assert load_checkpoint(file.parent).provenance["steps"] == 7


def test_weights_that_are_no_numbers_are_refused_by_name(file: Path) -> None:
    description, weights = checkpoints._read(file)
    weights["conv1.weight"][0, 0, 0, :2] = torch.nan
    weights["bn1.bias"] = weights["bn1.bias"].long()
    save_file(weights, file, metadata={"poselib": json.dumps(description)})
    with pytest.raises(ValueError, match=r"of another kind \(bn1\.bias int64\)") as error:
        load_checkpoint(file)
    assert "1 not finite (conv1.weight 2 of " in str(error.value)


def test_weights_without_description_are_refused(file: Path) -> None:
    save_file({"weight": torch.zeros(3)}, file)
    with pytest.raises(ValueError, match="holds no description"):
        load_checkpoint(file)


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_a_description_that_is_no_object_is_refused(file: Path, text: str) -> None:
    save_file({"weight": torch.zeros(3)}, file, metadata={"poselib": text})
    with pytest.raises(ValueError, match="no JSON object"):
        load_checkpoint(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": {**OPTIONS, "color": 3}}, "no option 'color'; known: backbone"),
        ({"options": {**OPTIONS, "backbone": "vgg"}}, "unknown backbone 'vgg'"),
        ({"options": None}, "cannot be built"),
        ({"system": "unheard"}, "unknown system 'unheard'"),
        ({"system": None}, "unknown system None"),
        ({"skeleton": "spider"}, "unknown skeleton 'spider'"),
        ({"keypoints": ["nose"]}, "'crowdpose' had keypoints"),
        ({"options": {**OPTIONS, "deconv_blocks": 2}}, "weights do not fit system 'hae'"),
        ({"input_size": "large"}, "input_size must be a number of px, not 'large'"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    file: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        load_checkpoint(rewritten(file, change))
    assert str(error.value).startswith(str(file)) and len(str(error.value)) < 1500


def test_a_description_in_old_names_is_read(file: Path) -> None:
    description, weights = checkpoints._read(file)
    description["switches"] = {**description.pop("options"), "nearness": "least"}
    del description["switches"]["distance_reduction"]
    save_file(weights, file, metadata={"poselib": json.dumps(description)})
    options = load_checkpoint(file).system.options
    assert options["tag_threshold"] == 2.5 and options["distance_reduction"] == "min"


TRAINING = {"system": {"name": "hae"}, "recipe": {}, "step": 1, "model": {}, "average": None}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a readable file of weights: empty"),
        (b"text", "not a readable file of weights: text: 'text'"),
        ({"model": {}}, "holds no description of a system; .*load_official"),
        ([1, 2], "holds no description of a system"),
        ({**TRAINING, "system": 3}, "holds no description of a system"),
        ({**TRAINING, "average": 3}, "holds no description of a system"),
        ({**TRAINING, "input": 3}, "holds no description of a system"),
        (TRAINING, "its system cannot be built here: unknown skeleton None"),
        (
            {**TRAINING, "system": {"frame": []}},
            "its system cannot be built here: unknown skeleton",
        ),
        ({**TRAINING, "input": {"input_size": -1}}, "its system cannot be built here"),
    ],
)
def test_a_pt_file_of_something_else_is_refused(tmp_path: Path, content: Any, reason: str) -> None:
    path = tmp_path / "other.pt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ValueError, match=rf"other\.pt: {reason}"):
        load_checkpoint(path)


class Harmful:
    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit('ran code of a checkpoint')",))


def test_code_in_a_pt_file_is_not_run(tmp_path: Path) -> None:
    torch.save({"system": Harmful(), "model": {}}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="an object of exec, which is not made"):
        load_checkpoint(tmp_path / "evil.pt")


@pytest.mark.skipif(not checkpoints.BUNDLED.exists(), reason="no system is bundled")
def test_the_bundled_system_loads_and_is_small() -> None:
    loaded = load_checkpoint()
    assert loaded.system.input_size and loaded.provenance
    assert checkpoints.BUNDLED.stat().st_size <= 8_000_000


def test_a_file_that_does_not_fit_on_the_disk_leaves_the_one_before(tmp_path: Path) -> None:
    path, (soft, hard) = tmp_path / "a.safetensors", resource.getrlimit(resource.RLIMIT_FSIZE)
    save_system(path, toy_system())
    before = path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match=r"a\.safetensors: cannot be written: .*File too large"):
            save_system(path, toy_system(seed=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
